"""The one exception that the package raises for a mistake its user can correct."""


class VQVAEError(ValueError):
    """A wrong input, setting or file.

    The message is one sentence that says what was given, what was expected and what to do; the command line prints it
    and exits with status 2.
    """
