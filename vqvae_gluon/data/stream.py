"""Images that are read when they are needed, for data sets that do not fit into memory or need not be in it."""
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

_BATCH = 100  # images read at once if the caller does not give batches
_MOST_WORKERS = 8
_SECONDS = 24 * 60 * 60  # for a batch; DataLoader needs a timeout, and a process may be suspended for a while


class Items(Protocol):
    """What a stream reads from: items by number, such as a Gluon data set."""

    def __getitem__(self, number: int) -> Any:
        """Return the item that an image is decoded from."""


class Stream:
    """Images that look like an array (N, C, H, W) of uint8 and are read by the threads of Gluon's DataLoader.

    Threads are used because forked processes would inherit the lock on a run's folder and the signal handlers, and
    because decoding releases Python's global interpreter lock.

    Parameters
    ----------
    items : Items
    numbers : array
        The numbers (N,) of the items that are the images of the stream.
    shape : tuple of int
        (C, H, W).
    decode : callable
        Turns a list of items into an array (n, C, H, W) of uint8. Several threads use ``items`` and ``decode`` at once.
    workers : int
        The number of threads that read ahead; 0: one per core, at most eight.
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
        """Return the images that the same index would select from an array."""
        at_hand, images = self._at_hand
        if isinstance(numbers, np.ndarray) and numbers.dtype.kind == "i" and np.array_equal(numbers, at_hand):
            return images
        chosen = np.arange(len(self))[numbers]
        if chosen.ndim == 0:
            return self[chosen[None]][0]
        found = list(self.read(in_batches(chosen, _BATCH)))
        return np.concatenate(found) if found else np.empty((0, *self.shape[1:]), self.dtype)

    def read(self, orders: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield, for each array (n,) of image numbers in ``orders``, the images, while the next ones are being read.

        Raises VQVAEError for an image that cannot be read.
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
        finally:  # the process must not end while a thread is inside MXNet, and the loader would not wait
            loader._worker_pool.terminate()
            loader._worker_pool.join()

    def ahead(self, orders: Iterable[np.ndarray], share: Share) -> Iterator[np.ndarray]:
        """Yield each order; until the next one is requested, the images ``stream[share(order)]`` are ready."""
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
        """Return a digest updated with the bytes of all images; they are read only once for the same initial digest."""
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
        """Return all images as an array and update a progress bar."""
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
        """Yield all images in batches and keep the sums of their channels."""
        sums = np.zeros(self.shape[1])
        with tqdm(total=len(self), desc="reading images", unit="image", leave=False, disable=None) as bar:
            for images in self._read_all(bar):
                sums += images.sum(axis=(0, 2, 3), dtype=np.int64)
                yield images
        self._sums = sums


def hold(streams: Sequence[Stream], memory: float) -> List[Union[np.ndarray, Stream]]:
    """Return streams as arrays if together they take at most ``memory`` GiB; otherwise return them unchanged."""
    if sum(math.prod(stream.shape) for stream in streams) > memory * 2**30:
        return list(streams)
    total = sum(map(len, streams))
    with tqdm(total=total, desc="reading images", unit="image", disable=None) as bar:
        return [stream.held(bar) for stream in streams]
