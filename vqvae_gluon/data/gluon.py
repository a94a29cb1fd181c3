"""Use any Gluon data set of (image, label) as a split."""
import threading
from typing import Any, Optional, Sequence, Tuple

import mxnet as mx
import numpy as np
from mxnet.gluon.data import Dataset as GluonDataset
from tqdm import tqdm

from ..errors import VQVAEError
from ..runtime import MEMORY, stop_if_asked
from .dataset import Split, to_bytes
from .stream import Stream, hold


def from_gluon(dataset: GluonDataset, classes: Sequence[str] = (), memory: float = MEMORY) -> Split:
    """Return a Gluon data set of (image, label) as a split for :class:`Dataset`.

    Parameters
    ----------
    dataset : mxnet.gluon.data.Dataset
        Images are (H, W, C) uint8, as in Gluon's vision data sets, or (C, H, W) float32 in [0, 1], as their transform
        ``ToTensor`` returns them; MXNet or NumPy arrays, all of one size. One thread reads them, one at a time.
    classes : sequence of str
        The names of the labels 0, 1 and so on; without them, labels are ignored.
    memory : float
        Limit in GiB on images kept in memory. Larger data sets are read when they are needed; their transform must not
        be random.

    Raises
    ------
    VQVAEError
        For a data set without items, an item that is not such an image, an image whose size differs from the first
        one's, or a label that is not the number of a class. Images that are not kept in memory are checked when they
        are read.
    """
    if not len(dataset):
        raise VQVAEError("a Gluon data set was given without items: give at least one image")
    images = _Images(dataset)
    stream = Stream(images, np.arange(len(dataset)), images[0].shape, np.stack, workers=1)
    (held,) = hold([stream], memory)
    return Split(held, _labels(dataset, len(classes)), tuple(classes)) if classes else Split(held)


class _Images:
    """The images of a data set, read one at a time, because the data set may not be safe to share between threads."""

    def __init__(self, dataset: GluonDataset) -> None:
        self._dataset, self._lock = dataset, threading.Lock()
        self._shape: Optional[Tuple[int, ...]] = None

    def __getitem__(self, number: int) -> np.ndarray:
        with self._lock:
            image = _to_bytes(self._dataset[number], number)
        self._shape = self._shape or image.shape
        if image.shape != self._shape:
            raise VQVAEError(
                f"item {number} of a Gluon data set is an image of {image.shape}, item 0 one of {self._shape}: "
                "transform all to one size"
            )
        return image


def _to_bytes(item: Any, number: int) -> np.ndarray:
    """Return the image of an item as (C, H, W) uint8."""
    image = item[0] if isinstance(item, (tuple, list)) and len(item) == 2 else None
    image = image.asnumpy() if isinstance(image, mx.nd.NDArray) else image
    if isinstance(image, np.ndarray) and image.ndim == 3:
        if image.dtype == np.uint8 and image.shape[2] in (1, 3):
            return np.ascontiguousarray(image.transpose(2, 0, 1))
        if image.dtype.kind == "f" and image.shape[0] in (1, 3) and image.min() >= 0 and image.max() <= 1:
            return to_bytes(image.astype(np.float32))
    given = f"{image.dtype} of {image.shape}" if isinstance(image, np.ndarray) else type(item).__name__
    raise VQVAEError(
        f"item {number} of a Gluon data set is {given}: it must be (image, label), the image (H, W, C) uint8 or "
        "(C, H, W) float32 in [0, 1], of 1 or 3 channels"
    )


def _labels(dataset: GluonDataset, count: int) -> np.ndarray:
    labels = np.empty(len(dataset), np.int64)
    for number in tqdm(range(len(dataset)), desc="reading labels", unit="image", leave=False, disable=None):
        stop_if_asked()
        label = np.asarray(dataset[number][1], np.float64).ravel()
        if len(label) != 1 or label[0] not in range(count):
            raise VQVAEError(
                f"item {number} of a Gluon data set has the label {dataset[number][1]}: "
                f"it must be the number of one of {count} classes, from 0"
            )
        labels[number] = label[0]
    return labels
