"""Codes as text: one line per row, integers separated by spaces."""
import sys
from typing import Tuple

import numpy as np

from ..errors import VQVAEError
from ..files import read_bytes, read_stream


def format_codes(codes: np.ndarray) -> str:
    """Return (h, w) codes as h lines of w integers."""
    return "".join(" ".join(map(str, row)) + "\n" for row in codes)


def read_codes(path: str, shape: Tuple[int, ...], num_embeddings: int) -> np.ndarray:
    """Read (h, w) codes from a file, or from standard input for ``-``.

    Raises VQVAEError for anything but h * w whole numbers in [0, num_embeddings).
    """
    if path == "-" and sys.stdin is None:
        raise VQVAEError("standard input: cannot be read (it is closed)")
    content = read_stream("standard input", sys.stdin.buffer) if path == "-" else read_bytes(path)
    words = content.split()
    height, width = shape
    codes = [_parse_code(path, word, num_embeddings) for word in words]
    if len(codes) != height * width:
        raise VQVAEError(
            f"{path}: holds {len(codes)} codes, the model takes {height * width} ({height} lines of {width})"
        )
    return np.array(codes, np.int64).reshape(shape)


def _parse_code(path: str, word: bytes, num_embeddings: int) -> int:
    if not (word.isdigit() and len(word) < 10 and int(word) < num_embeddings):
        shown = "".join(chr(byte) if 0x20 <= byte <= 0x7E else "?" for byte in word[:20])
        raise VQVAEError(f"{path}: holds '{shown}', the model's codes are whole numbers from 0 to {num_embeddings - 1}")
    return int(word)
