"""Encoded images from a folder or from record files, as a stream of pixels of one size."""
from typing import Callable, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from ..errors import VQVAEError
from .image_file import decode, stretch
from .stream import Stream

_TOGETHER = 1 << 16  # bytes of files that are decoded together


class Form(NamedTuple):
    """How encoded images are read: with ``channels`` and ``size`` (height, width), see :func:`load_dataset`."""

    channels: int
    size: Tuple[int, int]
    mixed_sizes: str = "refuse"
    background: str = ""


class Encoded:
    """``count`` image files; ``read(number)`` returns a name, for error messages, and the content of one.

    All must have the size of ``first``, a name and (channels, height, width), unless the form says 'stretch'.
    Default: the first file.
    """

    def __init__(
        self,
        count: int,
        read: Callable[[int], Tuple[str, bytes]],
        form: Form,
        first: Optional[Tuple[str, Tuple[int, ...]]] = None,
    ) -> None:
        self._read, self._form = read, form
        self._all = np.arange(count)
        if first is None:
            file = read(0)
            first = file[0], decode([file], form.channels, form.background)[0].shape
        self.first = first

    def __getitem__(self, number: int) -> int:
        """Return an item of the stream: only its number, so that a batch is not in memory as encoded files as well."""
        return number

    def __len__(self) -> int:
        return len(self._all)

    def stream(self, numbers: Optional[np.ndarray] = None) -> Stream:
        """Return a stream of the images with these numbers; default: all."""
        chosen = self._all if numbers is None else numbers
        return Stream(self, chosen, (self._form.channels, *self._form.size), self._decode)

    def _decode(self, numbers: List[int]) -> np.ndarray:
        images: List[np.ndarray] = []
        for files in _together(map(self._read, numbers)):
            for (name, _), pixels in zip(files, decode(files, self._form.channels, self._form.background)):
                if self._form.mixed_sizes == "refuse":
                    self._check_size(name, pixels.shape)
                images.append(stretch(pixels, self._form.size))
        return np.stack(images)

    def _check_size(self, name: str, shape: Sequence[int]) -> None:
        if tuple(shape) != self.first[1]:
            sizes = [f"{width}x{height}" for _, height, width in (self.first[1], shape)]
            raise VQVAEError(
                f"{name}: has {sizes[1]} pixels, {self.first[0]} has {sizes[0]}; make all images one size "
                "or add --mixed-sizes stretch"
            )


def _together(files: Iterable[Tuple[str, bytes]]) -> Iterator[List[Tuple[str, bytes]]]:
    """Yield files in groups to decode together: many small files, or a few large ones."""
    group: List[Tuple[str, bytes]] = []
    size = 0
    for file in files:
        group.append(file)
        size += len(file[1])
        if size >= _TOGETHER:
            yield group
            group, size = [], 0
    if group:
        yield group


def draw_splits(count: int, seed: int) -> List[np.ndarray]:
    """Return the numbers of ``count`` images in three splits, 80 / 10 / 10, shuffled with a seed."""
    order = np.random.RandomState(seed).permutation(count)
    tenth = count // 10
    return [order[2 * tenth :], order[tenth : 2 * tenth], order[:tenth]]
