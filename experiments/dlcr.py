"""Does DLCR generalise better than a 1x1 convolution or a residual encoder? Answers for docs/dlcr.md.

Usage: .venv/bin/pip install -e '.[experiments]'
       .venv/bin/python experiments/dlcr.py              (about an hour on two cores; resumes if interrupted)
       .venv/bin/python experiments/dlcr.py digits       (or photos: one half, in this process)

Cuts the data, runs `vqvae compare` on both kinds of images at once, one core each, and writes the tables into
docs/dlcr.md and the CSVs and plots into docs/dlcr/.
"""
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict

import numpy as np

import variants
from vqvae_gluon import load_dataset, write_png
from vqvae_gluon.cli import main
from vqvae_gluon.data.image_file import read_pixels, stretch

ROOT = Path(__file__).resolve().parent.parent
RUNS, PAGE = ROOT / "runs" / "dlcr", ROOT / "docs" / "dlcr.md"
COUNTS = {"train": 128, "validation": 1280, "test": 128}
SIZE = (16, 16)
# Photographs in the package scikit-image that are in the public domain (CC0, or released by NASA and SpaceX).
PHOTOS = (
    *("astronaut.png", "brick.png", "camera.png", "chelsea.png"),
    *("coffee.png", "grass.png", "gravel.png", "rocket.jpg"),
)
TILE = 24  # pixels of a photograph that become one image

SETTINGS = {
    "image-size": "16x16",
    "num-embeddings": 128,
    "embedding-dim": 32,
    "decoder-width": 32,
    "batch-size": 32,
    "epoch-passes": 20,
    "num-epoch": 24,
    "learning-rate": 1e-3,
    "learning-rate-schedule": "constant",
    "reduction": "sum",
    "beta": 64,  # 0.25 of a mean over 256 pixels
    "ema-decay": 0.99,
    "dead-share": 0,
    "dead-below": 0.5,
    "warm-up": 0,
    "training-metrics": "prediction",
    "checkpoint-period": 10,
    "pictures": 1,
    "seeds": "0,1,2",
}
INCEPTION = "vqvae_inception_resnet_v2"
MODELS = (
    "residual=vqvae_residual,width=32",
    "residual equal=vqvae_residual,width=96",
    f"1x1={INCEPTION}_1x1,width=4",
    f"1x1 equal={INCEPTION}_1x1,width=4,blocks=1x1x2",
    f"DLCR={INCEPTION}_dlcr,width=4",
    "residual seed=vqvae_residual,width=32,update=gradient",
    f"1x1 seed={INCEPTION}_1x1,width=4,update=gradient",
    f"DLCR seed={INCEPTION}_dlcr,width=4,update=gradient",
    "DLCR seed random branch=vqvae_dlcr_random_branch,width=4,update=gradient",
    # With Adam, the weight of the codebook loss has no effect: a beta of 0.25 there, instead of on the commitment loss,
    # leaves the commitment loss at weight 1, four times as much.
    f"DLCR seed misplaced beta={INCEPTION}_dlcr,width=4,update=gradient,beta=256",
)


def digits() -> Dict[str, np.ndarray]:
    """Return the first digits of each split of MNIST, shrunk to 16 x 16."""
    mnist = load_dataset("mnist")
    return {
        name: np.stack([stretch(image, SIZE) for image in mnist.split(name).images[:count]])
        for name, count in COUNTS.items()
    }


def photos() -> Dict[str, np.ndarray]:
    """Return tiles of photographs, cut without overlap, shrunk to 16 x 16 and dealt out to the splits at random."""
    package = importlib.metadata.distribution("scikit-image")
    tiles = []
    for name in PHOTOS:
        photo = read_pixels(package.locate_file(f"skimage/data/{name}"), 1)
        for top in range(0, photo.shape[1] - TILE + 1, TILE):
            for left in range(0, photo.shape[2] - TILE + 1, TILE):
                tiles.append(stretch(photo[:, top : top + TILE, left : left + TILE], SIZE))
    order = iter(np.random.RandomState(0).permutation(len(tiles)))
    return {name: np.stack([tiles[next(order)] for _ in range(count)]) for name, count in COUNTS.items()}


KINDS = {"digits": digits, "photos": photos}


def compare(kind: str) -> int:
    """Cut the data of one kind, compare the models on it and copy the results to docs/."""
    data, folder, results = RUNS / "data" / kind, RUNS / kind, ROOT / "docs" / "dlcr"
    for split, images in KINDS[kind]().items():
        (data / split).mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(images):
            write_png(data / split / f"{number:04d}.png", image)
    settings = [word for name, value in SETTINGS.items() for word in (f"--{name}", str(value))]
    status = main(["compare", *MODELS, "--data", str(data), "--output", str(folder), *settings])
    if status == 0:
        results.mkdir(exist_ok=True)
        for name in ("comparison.csv", "curves.csv", "curves.png"):
            shutil.copy(folder / name, results / f"{kind}-{name}")
    return status


def paste(page: Path, name: str, table: str) -> None:
    """Put a table into a page, between the marks with its name."""
    mark = f"<!-- {name} -->\n"
    pattern = re.compile(re.escape(mark) + ".*?" + re.escape(mark), re.DOTALL)
    page.write_text(pattern.sub(lambda _: mark + "\n" + table + "\n" + mark, page.read_text()))


def compare_all() -> int:
    """Compare on both kinds at once, one core each, and paste the tables."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    processes = [subprocess.Popen([sys.executable, __file__, kind], env=environment) for kind in KINDS]
    status = max(process.wait() for process in processes)
    if status == 0:
        for kind in KINDS:
            paste(PAGE, kind, (RUNS / kind / "table.md").read_text())
    return status


if __name__ == "__main__":
    variants.register()
    sys.exit(compare(sys.argv[1]) if len(sys.argv) > 1 else compare_all())
