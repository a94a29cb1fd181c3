"""The one form in which images reach training: three splits of bytes, held or read when they are asked for."""
import hashlib
from typing import TYPE_CHECKING, Iterable, Iterator, NamedTuple, Optional, Tuple, Union

import numpy as np

from ..errors import VQVAEError
from .order import Share, in_batches

if TYPE_CHECKING:
    from .stream import Stream

SPLITS = ("train", "validation", "test")

#: (N, C, H, W) uint8: an array, or what has an array's ``shape``, ``dtype``, ``len`` and ``images[numbers]``.
Images = Union[np.ndarray, "Stream"]


class Split(NamedTuple):
    """``images`` (N, C, H, W) uint8, held or streamed, and, where the source has them, ``labels`` (N,) int64.

    ``classes`` are the names of the labels 0, 1 and so on; empty where the source has no labels. An image without a
    class among others that have one has the label -1.
    """

    images: Images
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
            if isinstance(split.images, np.ndarray):
                digest.update(np.ascontiguousarray(split.images).data)
            else:
                digest = split.images.hashed(digest)
        return digest.hexdigest()


def to_unit(images: np.ndarray) -> np.ndarray:
    """Return uint8 images as float32 in [0, 1], value / 255."""
    return images.astype(np.float32) / np.float32(255)


def to_bytes(images: np.ndarray) -> np.ndarray:
    """Return float32 images in [0, 1] as uint8, rounded half to even."""
    return np.rint(np.clip(images, 0, 1) * np.float32(255)).astype(np.uint8)


def read(images: Images, orders: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the images whose numbers (n,) each of the orders has; those of a stream are read ahead."""
    if isinstance(images, np.ndarray):
        return (images[chosen] for chosen in orders)
    return images.read(orders)


def ahead(
    images: Images, orders: Iterable[np.ndarray], share: Share = lambda chosen: chosen
) -> Iterator[np.ndarray]:
    """Yield the orders themselves; until the next one is asked for, a stream has ``images[share(order)]`` at hand."""
    return iter(orders) if isinstance(images, np.ndarray) else images.ahead(orders, share)


def channel_means(images: Images) -> np.ndarray:
    """Return the mean of each channel, (C,) float64 in [0, 255]."""
    if isinstance(images, np.ndarray):
        return images.mean(axis=(0, 2, 3))
    return images.channel_means()


def batches(
    images: Images, batch_size: int, rng: Optional[np.random.RandomState] = None
) -> Iterator[np.ndarray]:
    """Yield uint8 batches, shuffled if ``rng`` is given; the last one may be short."""
    order = np.arange(len(images)) if rng is None else rng.permutation(len(images))
    yield from read(images, in_batches(order, batch_size))
