"""Draw the ten test digits, proper and misread as the EMADL project's C++ test program read them.

Usage: draw_misreading.py MODEL PICTURE
"""
import sys
from pathlib import Path

import numpy as np

from vqvae_gluon import Predictor, read_image, to_bytes
from vqvae_gluon.evaluation.plots import draw_rows

DIGITS = Path(__file__).resolve().parent.parent / "src" / "test" / "test_pre-trained" / "images"


def three_channel_reading(image: np.ndarray) -> np.ndarray:
    """Return what a three-channel accessor makes of a (1, 28, 28) image, without leaving its buffer.

    Row j starts at byte 28 j, but pixel k is taken at byte 3 k of it; what the original read
    beyond the buffer is taken as black.
    """
    buffer = np.concatenate([image.ravel(), np.zeros(3 * 28, np.uint8)])
    rows, columns = np.mgrid[:28, :28]
    return buffer[28 * rows + 3 * columns][None]


def main(model: str, picture: str) -> None:
    """Draw the picture."""
    predictor = Predictor(model)
    originals = np.stack([read_image(DIGITS / f"{digit}.png", 1, (28, 28)) for digit in range(10)])
    misread = np.stack([three_channel_reading(image) for image in originals])
    rows = [
        ("original", originals),
        ("read properly, reconstructed", to_bytes(predictor.reconstruct(originals))),
        ("as the encoder sees it when misread", misread),
        ("misread, reconstructed", to_bytes(predictor.reconstruct(misread))),
    ]
    draw_rows(Path(picture), rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
