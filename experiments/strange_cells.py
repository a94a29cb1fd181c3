"""Does a model of sound solar cells find the defective ones? For images.py."""
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict

import numpy as np
from generation import bits_of, roc_area

import image_sets
from vqvae_gluon import Recipe, Sampler
from vqvae_gluon.data import to_unit
from vqvae_gluon.data.image_file import read_pixels
from vqvae_gluon.files import write_bytes

#: It holds the sound cells of the training and validation splits and all cells of the test split.
SOUND = "cells-64-sound"
KINDS = {"all": ("mono", "poly"), "monocrystalline": ("mono",), "polycrystalline": ("poly",)}


def measure(recipe: Recipe, folder: Path) -> Dict[str, Any]:
    """Train a model and a prior in a folder; return ``areas`` under the ROC curve, and ``counts`` of the cells in each.

    ``areas`` holds, for each kind of cell and each score, the probability that a cell which is surely defective scores
    higher than a cell which is surely sound. The cells are those of the test split.
    """
    run, wanted = folder / "run", folder / "recipe.json"
    if wanted.exists() and wanted.read_text() != recipe.to_json():
        shutil.rmtree(run, ignore_errors=True)
    write_bytes(wanted, recipe.to_json().encode())
    for command in (["train", "--recipe", str(wanted), "--output", str(run)], ["prior", str(run)]):
        subprocess.run([sys.executable, "-m", "vqvae_gluon", *command, "--resume"], check=True)
    paths = sorted(Path(recipe.data, "test").glob("*.png"))
    scores = score(Sampler(run), np.stack([read_pixels(path, recipe.channels) for path in paths]))
    labels = image_sets.cell_labels()
    probabilities, kinds = (np.array(column) for column in zip(*(labels[path.stem] for path in paths)))
    areas, counts = {}, {}
    for title, allowed in KINDS.items():
        sound, defective = (np.isin(kinds, allowed) & (probabilities == value) for value in (0, 1))
        counts[title] = {"sound": int(sound.sum()), "defective": int(defective.sum())}
        areas[title] = {name: roc_area(values[sound], values[defective]) for name, values in scores.items()}
    return {"areas": areas, "counts": counts}


def score(sampler: Sampler, images: np.ndarray) -> Dict[str, np.ndarray]:
    """Return scores (N,) of images (N, C, H, W) by name; a higher score means a stranger image.

    The two pixel scores reflect what a defect does to the luminescence of a cell: it is darker, and darker in parts.
    """
    pixels = to_unit(images)
    axes = tuple(range(1, pixels.ndim))
    return {
        "reconstruction error": np.square(sampler.predictor.reconstruct(images) - pixels).mean(axis=axes),
        "bits of the codes": bits_of(sampler, images),
        "pixel mean, the darker the stranger": -pixels.mean(axis=axes),
        "pixel deviation": pixels.std(axis=axes),
    }
