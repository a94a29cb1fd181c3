"""Reconstruct the ten test digits in Python and in C++, compare the bytes and draw both.

Usage: reconstruct_digits.py MODEL PICTURE
"""
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from vqvae_gluon import Predictor, read_image, to_bytes
from vqvae_gluon.evaluation.plots import draw_rows

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "cpp" / "build" / "vqvae"
DIGITS = [ROOT / "src" / "test" / "test_pre-trained" / "images" / f"{digit}.png" for digit in range(10)]


def main(model: str, picture: str) -> int:
    """Draw the picture; return 1 if the two languages differ."""
    predictor = Predictor(model)
    channels, *size = predictor.image_shape
    originals = np.stack([read_image(path, channels, tuple(size)) for path in DIGITS])
    by_python = to_bytes(predictor.reconstruct(originals))
    with tempfile.TemporaryDirectory() as folder:
        by_cpp = np.stack([reconstruct(path, Path(folder, path.name), model, predictor) for path in DIGITS])
    draw_rows(Path(picture), [("original", originals), ("Python", by_python), ("C++", by_cpp)])
    differing = int((by_python != by_cpp).sum())
    error = np.square((by_cpp.astype(float) - originals) / 255).mean()
    print(f"ten digits: {differing} of {by_cpp.size} bytes differ between Python and C++; MSE per pixel {error:.5f}")
    return int(differing > 0)


def reconstruct(image: Path, output: Path, model: str, predictor: Predictor) -> np.ndarray:
    """Return the reconstruction by the C++ program, (C, H, W) uint8."""
    subprocess.run([str(PROGRAM), "reconstruct", str(image), str(output), "--model", model], check=True)
    channels, *size = predictor.image_shape
    return read_image(output, channels, tuple(size), strict=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
