"""Draw a digit of each class in Python and in C++, compare the bytes and draw both.

Usage: generate_digits.py MODEL PICTURE
"""
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from vqvae_gluon import Sampler, read_image, to_bytes
from vqvae_gluon.evaluation.plots import draw_rows

PROGRAM = Path(__file__).resolve().parent.parent / "cpp" / "build" / "vqvae"


def main(model: str, picture: str) -> int:
    """Draw the picture; return 1 if the two languages differ."""
    sampler = Sampler(model)
    labels = list(sampler.classes)
    by_python = to_bytes(sampler.predictor.decode(sampler.sample(len(labels), labels)))
    with tempfile.TemporaryDirectory() as folder:
        by_cpp = np.stack(
            [draw(label, number, Path(folder, f"{number}"), model, sampler) for number, label in enumerate(labels)]
        )
    draw_rows(Path(picture), [("Python", by_python), ("C++", by_cpp)])
    differing = int((by_python != by_cpp).sum())
    print(f"a digit of each class: {differing} of {by_cpp.size} bytes differ between Python and C++")
    return int(differing > 0)


def draw(label: str, number: int, folder: Path, model: str, sampler: Sampler) -> np.ndarray:
    """Return the image of this number that the C++ program draws of a class, (C, H, W) uint8."""
    command = [str(PROGRAM), "generate", f"{folder}/", "--class", label, "--count", str(number + 1), "--model", model]
    subprocess.run(command, check=True)
    channels, *size = sampler.predictor.image_shape
    return read_image(folder / f"{number:07d}.png", channels, tuple(size), strict=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
