"""The one form in which images reach training: three splits of bytes."""
import hashlib
from typing import Iterator, NamedTuple, Optional, Tuple

import numpy as np

from ..errors import VQVAEError

SPLITS = ("train", "validation", "test")


class Split(NamedTuple):
    """``images`` (N, C, H, W) uint8 and, where the source has them, ``labels`` (N,) int64.

    ``classes`` are the names of the labels 0, 1 and so on; empty where the source has no labels. An image without a
    class among others that have one has the label -1.
    """

    images: np.ndarray
    labels: Optional[np.ndarray] = None
    classes: Tuple[str, ...] = ()


class Dataset(NamedTuple):
    """Training learns from ``train``, selection looks at ``validation``, only evaluation at ``test``."""

    train: Split
    validation: Split
    test: Split

    def split(self, name: str) -> Split:
        """Return the split called ``name``; raise VQVAEError for an unknown one."""
        if name not in SPLITS:
            raise VQVAEError(f"unknown split {name!r}: choose one of {', '.join(SPLITS)}")
        return getattr(self, name)

    def fingerprint(self) -> str:
        """Return a SHA-256 over the shapes and bytes of the images of all splits."""
        digest = hashlib.sha256()
        for split in self:
            digest.update(repr(split.images.shape).encode())
            digest.update(np.ascontiguousarray(split.images).data)
        return digest.hexdigest()


def to_unit(images: np.ndarray) -> np.ndarray:
    """Return uint8 images as float32 in [0, 1], value / 255."""
    return images.astype(np.float32) / np.float32(255)


def to_bytes(images: np.ndarray) -> np.ndarray:
    """Return float32 images in [0, 1] as uint8, rounded half to even."""
    return np.rint(np.clip(images, 0, 1) * np.float32(255)).astype(np.uint8)


def batches(
    images: np.ndarray, batch_size: int, rng: Optional[np.random.RandomState] = None
) -> Iterator[np.ndarray]:
    """Yield uint8 batches, shuffled if ``rng`` is given; the last one may be short."""
    order = np.arange(len(images)) if rng is None else rng.permutation(len(images))
    for start in range(0, len(images), batch_size):
        yield images[order[start : start + batch_size]]
