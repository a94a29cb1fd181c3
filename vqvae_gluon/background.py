"""The colour onto which an image with an alpha channel is flattened."""
import re
from typing import Optional, Tuple

from .errors import VQVAEError

#: Red, green and blue, each in [0, 255].
Colour = Tuple[int, int, int]

#: The help text of its command-line option.
BACKGROUND_HELP = "black, white or #rrggbb: the colour behind transparent images (default: refuse them)"
_NAMED = {"black": "#000000", "white": "#ffffff"}


def parse_background(text: str) -> Optional[Colour]:
    """Return the colour that a text names, 'black', 'white' or '#rrggbb', or None for an empty text.

    Raises VQVAEError for any other text.
    """
    if not text:
        return None
    digits = _NAMED.get(text, text)
    if not re.fullmatch("#[0-9a-fA-F]{6}", digits):
        raise VQVAEError(f"background was given as '{text}': it must be black, white or #rrggbb")
    red, green, blue = bytes.fromhex(digits[1:])
    return red, green, blue
