"""Encode the images of a data set into the codes that a prior learns from."""
from typing import List

import numpy as np
from tqdm import tqdm

from ..data import Dataset, Images, batches
from ..data.codes import CodesDataset, CodesSplit
from ..errors import VQVAEError
from ..model_files.component import codebook_digest
from ..runtime import stop_if_asked
from .predictor import Predictor


def encode_dataset(
    predictor: Predictor, dataset: Dataset, with_classes: bool = True, shift: int = 0
) -> CodesDataset:
    """Return the codes of a data set's training and validation images.

    ``with_classes``: whether to keep the labels. ``shift``: training images are also encoded shifted by up to this many
    pixels, horizontally, vertically or both; pixels that come in at an edge repeat the edge.

    Raises VQVAEError if the images do not fit the model, or if there are classes and an image does not have one of
    those of the training split.
    """
    splits = []
    classes = dataset.train.classes if with_classes else ()
    for name in ("train", "validation"):
        images, labels, _ = dataset.split(name)
        if not classes or labels is None:
            labels = np.full(len(images), -1 if classes else 0, np.int64)
        if labels.shape != (len(images),):
            raise VQVAEError(f"the {name} split holds {len(images)} images and {len(labels)} labels: give one an image")
        strangers = np.count_nonzero((labels < 0) | (labels >= max(1, len(classes))))
        if strangers:
            raise VQVAEError(
                f"the {name} split holds {strangers} of {len(images)} images without a class of the training split "
                f"({', '.join(classes)}): give each image one, or learn without classes (--classes none)"
            )
        splits.append(CodesSplit(_encode(predictor, images), labels))
    moved = tuple(_encode_moved(predictor, dataset.train.images, shift)) if shift else ()
    digest = codebook_digest(predictor.codebook)
    return CodesDataset(splits[0], splits[1], len(predictor.codebook), classes, digest, moved)


def _encode_moved(predictor: Predictor, images: Images, shift: int) -> List[np.ndarray]:
    """Return the codes of all images for each shift other than zero."""
    height, width = images.shape[2:]
    ways = [(down, right) for down in range(-shift, shift + 1) for right in range(-shift, shift + 1) if down or right]
    moved: List[List[np.ndarray]] = [[] for _ in ways]
    with tqdm(total=len(images), desc="encoding moved", unit=" images", leave=False, disable=None) as bar:
        for batch in batches(images, predictor.batch_size):
            padded = np.pad(batch, ((0, 0), (0, 0), (shift, shift), (shift, shift)), mode="edge")
            for (down, right), codes in zip(ways, moved):
                stop_if_asked()
                rows, columns = slice(shift - down, shift - down + height), slice(shift - right, shift - right + width)
                codes.append(predictor.encode(padded[:, :, rows, columns]).astype(np.uint16))
            bar.update(len(batch))
    return [np.concatenate(codes) for codes in moved]


def _encode(predictor: Predictor, images: Images) -> np.ndarray:
    """Return the codes (N, h, w) of images; of a stream, only a few batches are in memory at a time."""
    with tqdm(total=len(images), desc="encoding", unit=" images", leave=False, disable=None) as bar:
        codes = []
        for batch in batches(images, predictor.batch_size):
            stop_if_asked()
            codes.append(predictor.encode(batch))
            bar.update(len(batch))
    return np.concatenate(codes)
