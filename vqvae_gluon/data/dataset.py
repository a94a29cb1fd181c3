"""The form in which all images reach training: three splits of uint8 images, in memory or read when needed."""
import hashlib
from typing import TYPE_CHECKING, Iterable, Iterator, NamedTuple, Optional, Tuple, Union

import numpy as np

from ..errors import VQVAEError
from .order import Share, in_batches

if TYPE_CHECKING:
    from .stream import Stream

SPLITS = ("train", "validation", "test")

#: (N, C, H, W) uint8: an array, or a stream that has ``shape``, ``dtype``, ``len`` and ``images[numbers]`` like one.
Images = Union[np.ndarray, "Stream"]


class Split(NamedTuple):
    """``images`` (N, C, H, W) uint8, in memory or streamed, and ``labels`` (N,) int64 if the source has labels.

    ``classes`` are the names of the labels 0, 1 and so on; empty if the source has no labels. If only some images have
    a class, the others have the label -1.
    """

    images: Images
    labels: Optional[np.ndarray] = None
    classes: Tuple[str, ...] = ()


class Dataset(NamedTuple):
    """Three splits: ``train`` to learn from, ``validation`` to select the best epoch, ``test`` only for evaluation."""

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
    """Yield, for each array (n,) of image numbers in ``orders``, the images; those of a stream are read ahead."""
    if isinstance(images, np.ndarray):
        return (images[chosen] for chosen in orders)
    return images.read(orders)


def ahead(
    images: Images, orders: Iterable[np.ndarray], share: Share = lambda chosen: chosen
) -> Iterator[np.ndarray]:
    """Yield each order; until the next is requested, a stream has the images ``images[share(order)]`` ready."""
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
