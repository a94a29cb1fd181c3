"""Images that are read when they are asked for: what does not fit into memory, or need not be in it."""
import hashlib
import math
import os
from collections import deque
from typing import Any, Callable, Deque, Dict, Iterable, Iterator, List, Protocol, Sequence, Tuple, Union

import numpy as np
from mxnet.gluon.data import DataLoader
from tqdm import tqdm

from ..runtime import stop_if_asked
from .order import Share, in_batches

_BATCH = 100  # images that are read at once where nobody says how many
_MOST_WORKERS = 8
_SECONDS = 24 * 60 * 60  # for a batch; DataLoader wants a limit, and a process may be halted for a while


class Items(Protocol):
    """What a stream reads: anything by its number, such as a Gluon data set."""

    def __getitem__(self, number: int) -> Any:
        """Return what becomes an image."""


class Stream:
    """Images that look like an array (N, C, H, W) of uint8 and are read by threads of Gluon's DataLoader.

    Threads, because forked processes would inherit the lock on a run's folder and the handlers of signals, and decoding
    does not hold Python's lock.

    Parameters
    ----------
    items : Items
    numbers : array
        The numbers (N,) of the items that are its images.
    shape : tuple of int
        (C, H, W).
    decode : callable
        Makes an array (n, C, H, W) of uint8 of a list of items. Both are used by several threads at once.
    workers : int
        How many threads read ahead; 0: one a core, at most eight.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(
        self,
        items: Items,
        numbers: np.ndarray,
        shape: Tuple[int, ...],
        decode: Callable[[List[Any]], np.ndarray],
        workers: int = 0,
    ) -> None:
        self.shape = (len(numbers), *shape)
        self._items, self._numbers, self._decode = items, numbers, decode
        self._workers = workers or min(_MOST_WORKERS, len(os.sched_getaffinity(0)))
        self._at_hand: Tuple[Any, np.ndarray] = (None, np.empty(0))
        self._after: Dict[Any, Any] = {}
        self._sums = np.zeros(0)

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, numbers: Union[int, slice, np.ndarray]) -> np.ndarray:
        """Return the images that the same index gives of an array."""
        at_hand, images = self._at_hand
        if isinstance(numbers, np.ndarray) and numbers.dtype.kind == "i" and np.array_equal(numbers, at_hand):
            return images
        chosen = np.arange(len(self))[numbers]
        if chosen.ndim == 0:
            return self[chosen[None]][0]
        found = list(self.read(in_batches(chosen, _BATCH)))
        return np.concatenate(found) if found else np.empty((0, *self.shape[1:]), self.dtype)

    def read(self, orders: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the images whose numbers (n,) each of the orders has, while the next ones are read.

        Raises VQVAEError for one that cannot be read.
        """
        loader = DataLoader(
            self._items,
            batch_sampler=(self._numbers[chosen].tolist() for chosen in orders),
            batchify_fn=self._decode,
            num_workers=self._workers,
            thread_pool=True,
            timeout=_SECONDS,
        )
        try:
            for images in loader:
                stop_if_asked()
                yield images
        finally:  # a process must not end while a thread of it is in MXNet's hands; the loader alone would not wait
            loader._worker_pool.terminate()
            loader._worker_pool.join()

    def ahead(self, orders: Iterable[np.ndarray], share: Share) -> Iterator[np.ndarray]:
        """Yield the orders themselves; until the next one is asked for, ``stream[share(order)]`` is at hand."""
        asked: Deque[Tuple[np.ndarray, np.ndarray]] = deque()

        def noted() -> Iterator[np.ndarray]:
            for chosen in orders:
                asked.append((chosen, share(chosen)))
                yield asked[-1][1]

        for images in self.read(noted()):
            chosen, of_mine = asked.popleft()
            self._at_hand = of_mine, images
            yield chosen
        self._at_hand = None, np.empty(0)

    def hashed(self, digest: "hashlib._Hash") -> "hashlib._Hash":
        """Return a digest to which all bytes of the images have been added; they are read once for each digest."""
        before = digest.digest()
        if before not in self._after:
            for images in self._summed():
                digest.update(images.data)
            self._after[before] = digest
        return self._after[before].copy()

    def channel_means(self) -> np.ndarray:
        """Return the mean of each channel, (C,) float64 in [0, 255]."""
        if not len(self._sums):
            deque(self._summed(), maxlen=0)
        return self._sums / (len(self) * math.prod(self.shape[2:]))

    def held(self, bar: tqdm) -> np.ndarray:
        """Return all images as an array, and tell a progress bar."""
        images, start = np.empty(self.shape, self.dtype), 0
        for batch in self._read_all(bar):
            images[start : start + len(batch)] = batch
            start += len(batch)
        return images

    def _read_all(self, bar: tqdm) -> Iterator[np.ndarray]:
        for images in self.read(in_batches(np.arange(len(self)), _BATCH)):
            yield images
            bar.update(len(images))

    def _summed(self) -> Iterator[np.ndarray]:
        """Yield all images, and note the sums of their channels on the way."""
        sums = np.zeros(self.shape[1])
        with tqdm(total=len(self), desc="reading images", unit="image", leave=False, disable=None) as bar:
            for images in self._read_all(bar):
                sums += images.sum(axis=(0, 2, 3), dtype=np.int64)
                yield images
        self._sums = sums


def hold(streams: Sequence[Stream], memory: float) -> List[Union[np.ndarray, Stream]]:
    """Return streams as arrays, if all of them together take at most ``memory`` GiB; else as they are."""
    if sum(math.prod(stream.shape) for stream in streams) > memory * 2**30:
        return list(streams)
    total = sum(map(len, streams))
    with tqdm(total=total, desc="reading images", unit="image", disable=None) as bar:
        return [stream.held(bar) for stream in streams]
