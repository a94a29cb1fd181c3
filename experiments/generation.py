"""How well does a prior generate, and does it know strangers? Answers for docs/generation.md.

Usage: .venv/bin/pip install -e '.[experiments]'
       .venv/bin/python experiments/generation.py [--model DIR] [--samples 10000] [--pictures DIR]

Prints tables: how the LeNet judge reads samples at several settings, and how well bits tell strangers from test digits.
Draws a picture of samples, one of completions and one of samples beside their nearest training digits.
"""
import argparse
import importlib.metadata
from pathlib import Path
from typing import List, Tuple

import numpy as np
from dlcr import PHOTOS
from scipy.linalg import sqrtm
from scipy.stats import rankdata

from vqvae_gluon import Sampler, load_dataset, to_bytes
from vqvae_gluon.data import Dataset, to_unit
from vqvae_gluon.data.image_file import read_pixels
from vqvae_gluon.evaluation.judge import Judge
from vqvae_gluon.evaluation.plots import draw_rows
from vqvae_gluon.runtime import use_all_cores

#: Temperature and top-k.
SETTINGS: Tuple[Tuple[float, int], ...] = ((1.0, 0), (0.9, 0), (0.8, 0), (1.0, 8), (0.9, 5), (0.8, 8))
COLUMNS = 10
NEAREST = 10
SEED = 0


def main() -> None:
    """Print the tables and draw the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a run with a prior (default: the pre-trained model)")
    parser.add_argument("--samples", type=int, default=10_000, help="samples a setting")
    parser.add_argument("--pictures", type=Path, help="folder for the pictures (default: none are drawn)")
    options = parser.parse_args()
    use_all_cores()
    sampler, data, judge = Sampler(options.model), load_dataset("mnist"), Judge()
    if options.pictures:
        options.pictures.mkdir(parents=True, exist_ok=True)
        draw(sampler, data, options.pictures)
    print_strangers(sampler, data)
    print_samples(sampler, data, judge, options.samples)


def print_samples(sampler: Sampler, data: Dataset, judge: Judge, count: int) -> None:
    """Print, for each setting, the share of samples read as wanted, their distance, and the share that repeat."""
    training = {codes.tobytes() for codes in sampler.predictor.encode(data.train.images)}
    real = judge.features(to_unit(data.test.images))
    labels = data.test.labels[:count]
    print("temperature  top-k  read as wanted  Fréchet distance  codes of a training digit")
    references = {
        "validation digits": to_unit(data.validation.images),
        "reconstructed test digits": sampler.predictor.reconstruct(data.test.images),
    }
    for name, images in references.items():
        print(f"{name:36} {frechet(judge.features(images), real):16.2f}")
    for temperature, top_k in SETTINGS:
        names = [sampler.classes[label] for label in labels]
        codes = sampler.sample(len(labels), names, SEED, temperature, top_k)
        images = sampler.predictor.decode(codes)
        known = np.mean([one.tobytes() in training for one in codes])
        print(
            f"{temperature:11} {top_k or 'all':>6} {judge.accuracy(images, labels):15.2%} "
            f"{frechet(judge.features(images), real):17.2f} {known:26.2%}",
            flush=True,
        )


def print_strangers(sampler: Sampler, data: Dataset) -> None:
    """Print the area under the ROC curve when bits are used to tell strangers from test digits."""
    known = bits_of(sampler, data.test.images)
    strangers = {"mirrored test digits": data.test.images[..., ::-1], "tiles of photographs": tiles()}
    print(f"\n{'':24} bits per image  area under the ROC curve\n{'test digits':24} {known.mean():14.1f}")
    for name, images in strangers.items():
        bits = bits_of(sampler, np.ascontiguousarray(images))
        print(f"{name:24} {bits.mean():14.1f} {roc_area(known, bits):25.4f}")
    print()


def bits_of(sampler: Sampler, images: np.ndarray) -> np.ndarray:
    """Return the bits (N,) of images (N, C, H, W)."""
    return sampler.bits(sampler.predictor.encode(images))


def roc_area(ordinary: np.ndarray, strange: np.ndarray) -> float:
    """Return the probability that a strange image scores higher than an ordinary one, with ties counted half."""
    ranks = rankdata(np.concatenate([ordinary, strange]))[len(ordinary) :]
    return float((ranks.sum() - len(strange) * (len(strange) + 1) / 2) / (len(ordinary) * len(strange)))


def frechet(first: np.ndarray, second: np.ndarray) -> float:
    """Return the Fréchet distance of normal distributions fitted to features (N, D). Source: Heusel et al. (2017)."""
    covariances = [np.cov(features, rowvar=False) for features in (first, second)]
    shift = first.mean(axis=0) - second.mean(axis=0)
    common = sqrtm(covariances[0] @ covariances[1]).real
    return float(shift @ shift + np.trace(covariances[0] + covariances[1] - 2 * common))


def tiles(side: int = 28) -> np.ndarray:
    """Return all non-overlapping tiles (N, 1, side, side) of the photographs in gray."""
    package = importlib.metadata.distribution("scikit-image")
    found: List[np.ndarray] = []
    for name in PHOTOS:
        photo = read_pixels(package.locate_file(f"skimage/data/{name}"), 1)
        _, height, width = photo.shape
        for top in range(0, height - side + 1, side):
            found += [photo[:, top : top + side, left : left + side] for left in range(0, width - side + 1, side)]
    return np.stack(found)


def draw(sampler: Sampler, data: Dataset, folder: Path) -> None:
    """Draw samples, one row per class; completions; and samples above their nearest training digits."""
    names = np.repeat(sampler.classes, COLUMNS)
    images = to_bytes(sampler.predictor.decode(sampler.sample(len(names), list(names), SEED)))
    draw_rows(folder / "samples.png", [(name, row) for name, row in zip(sampler.classes, np.split(images, COLUMNS))])
    draw_rows(folder / "completions.png", _completions(sampler, data))
    chosen = images[:: COLUMNS + 1][:NEAREST]  # one of each class
    draw_rows(folder / "nearest.png", [("samples", chosen), ("nearest training digits", nearest(chosen, data))])


def _completions(sampler: Sampler, data: Dataset) -> List[Tuple[str, np.ndarray]]:
    originals = data.test.images[:COLUMNS]
    codes = sampler.predictor.encode(originals)
    height, rows = codes.shape[1], codes.shape[1] // 2
    given = to_bytes(sampler.predictor.decode(codes))
    given[:, :, rows * given.shape[2] // height :] = 128
    drawn = [sampler.sample(3, seed=SEED, given=one[:rows]) for one in codes]
    completed = [to_bytes(sampler.predictor.decode(np.stack(images))) for images in zip(*drawn)]
    titles = ("original", "what is given", *(f"seed {SEED}, image {number}" for number in range(len(completed))))
    return list(zip(titles, (originals, given, *completed)))


def nearest(images: np.ndarray, data: Dataset) -> np.ndarray:
    """Return the training image with the least squared error to each of (N, 1, H, W) uint8."""
    training = data.train.images.reshape(len(data.train.images), -1).astype(np.float32)
    flat = images.reshape(len(images), -1).astype(np.float32)
    distances = np.square(training).sum(axis=1) - 2 * flat @ training.T
    return data.train.images[distances.argmin(axis=1)]


if __name__ == "__main__":
    main()
