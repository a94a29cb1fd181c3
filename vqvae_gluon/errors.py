"""The one exception the package raises for a mistake its user can mend."""


class VQVAEError(ValueError):
    """A wrong input, setting or file.

    The message is one sentence that says what was given, what was expected and what to do; the
    command line prints it and exits with status 2.
    """
