"""Several processes that train one model together: all that training needs to know about the others.

Each worker computes a share of every batch. Whatever concerns the whole batch is a sum over all workers, pushed to and
pulled from MXNet's key-value store ``dist_sync``, whose servers only add and hold no optimizer. So all workers act on
the same bits and stay copies of each other. The environment says which worker a process is (docs/distributed.md).
"""
import hashlib
import os
from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Optional, TypeVar

import numpy as np

from . import __version__
from .errors import VQVAEError
from .runtime import check_number

if TYPE_CHECKING:
    from mxnet.gluon import Block
    from mxnet.kvstore import KVStore

Anything = TypeVar("Anything")

#: The largest number of workers.
MOST_WORKERS = 1024
_FIRST_KEY = 1 << 20  # the trainer's parameters use the keys from 0 on


class Workers:
    """The workers of a training, seen from one of them; by default this process is the only one.

    Parameters
    ----------
    store : KVStore, optional
        A store of type ``dist_sync``.
    rank : int
        The number of this worker, in [0, count). Worker 0 writes the files and prints.
    count : int
    """

    def __init__(self, store: "Optional[KVStore]" = None, rank: int = 0, count: int = 1) -> None:
        self.store: Any = store
        self.rank = rank
        self.count = count
        self._keys: Dict[int, int] = {}

    @property
    def first(self) -> bool:
        """Whether this is worker 0."""
        return self.rank == 0

    def share(self, batch: np.ndarray) -> np.ndarray:
        """Return this worker's part of a batch; the parts, joined in the order of the workers, are the batch."""
        return np.array_split(batch, self.count)[self.rank]

    def in_turn(self, things: Iterable[Anything]) -> Iterable[Anything]:
        """Yield this worker's share of ``things``, which are dealt out to the workers one by one."""
        return (thing for number, thing in enumerate(things) if number % self.count == self.rank)

    def sum(self, *arrays: np.ndarray) -> List[np.ndarray]:
        """Return the sums of arrays over all workers, in the arrays' own types; MXNet's servers add in float32.

        Every worker must call it, with arrays of the same shapes. With two workers the sums are the same in every run;
        with more, their last bits depend on the order in which the arrays arrive.
        """
        if self.count == 1:
            return list(arrays)
        import mxnet as mx

        flat = mx.nd.from_numpy(np.concatenate([np.ravel(array).astype(np.float32) for array in arrays]))
        if flat.size not in self._keys:
            self._keys[flat.size] = _FIRST_KEY + len(self._keys)
            self.store.init(self._keys[flat.size], mx.nd.zeros(flat.size))
        total = mx.nd.zeros(flat.size)
        self.store.pushpull(self._keys[flat.size], flat, out=total)
        parts = np.split(total.asnumpy(), np.cumsum([array.size for array in arrays])[:-1])
        return [part.reshape(array.shape).astype(array.dtype) for part, array in zip(parts, arrays)]

    def own(self, array: np.ndarray) -> np.ndarray:
        """Return (count, ...), zero except for this worker's array; the sum holds all arrays, exact in float32."""
        arrays = np.zeros((self.count, *np.shape(array)))
        arrays[self.rank] = array
        return arrays

    def from_first(self, array: np.ndarray) -> np.ndarray:
        """Return worker 0's array, bit for bit; the other workers pass one of its shape and type."""
        own = np.frombuffer(array.tobytes(), np.uint8)
        (sent,) = self.sum(own if self.first else np.zeros_like(own))
        return sent.view(array.dtype).reshape(array.shape)

    def rows(self, chosen: np.ndarray, rows: np.ndarray, counts: np.ndarray) -> np.ndarray:
        """Return the chosen rows (C, D) of all workers' rows, joined in the order of the workers.

        ``chosen`` (C,) are their numbers in the joined rows, ``rows`` (R, D) the rows of this worker, and ``counts``
        the number of rows of each worker.
        """
        places = chosen - int(counts[: self.rank].sum())
        own = (places >= 0) & (places < len(rows))
        found = np.zeros((len(chosen), rows.shape[1]), rows.dtype)
        found[own] = rows[places[own]]
        return self.sum(found)[0]

    def share_random_state(self, rng: np.random.RandomState) -> None:
        """Set the random state of every worker to that of worker 0."""
        name, *numbers = rng.get_state()
        keys, place, has_gauss, gauss = (self.from_first(np.array(number)) for number in numbers)
        rng.set_state((name, keys, int(place), int(has_gauss), float(gauss)))

    def agree(self, **texts: str) -> None:
        """Raise VQVAEError in every worker, naming the text, if a text is not the same in all workers."""
        for name, text in texts.items():
            (found,) = self.sum(self.own(np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)))
            others = np.flatnonzero((found != found[0]).any(axis=1))
            if len(others):
                raise VQVAEError(
                    f"worker {others[0]} and worker 0 differ in {name.replace('_', ' ')}: "
                    "all workers need the same package, files and settings"
                )

    def align(self, model: "Block") -> None:
        """Give every worker the mean of the parameters that no gradient moves, such as BatchNorm's running averages.

        Raises VQVAEError if the other parameters are not the same, bit for bit, in all workers.
        """
        if self.count == 1:
            return
        import mxnet as mx

        mx.nd.waitall()
        parameters = list(model.collect_params().values())
        for parameter in parameters:
            if parameter.grad_req == "null":
                (values,) = self.sum(self.own(parameter.list_data()[0].asnumpy()))
                parameter.set_data(mx.nd.array(values.mean(axis=0)))
        moved = (parameter.list_data()[0].asnumpy() for parameter in parameters if parameter.grad_req != "null")
        self.agree(weights=hashlib.sha256(b"".join(array.tobytes() for array in moved)).hexdigest())


#: A process that trains alone.
ALONE = Workers()


def join() -> Workers:
    """Return the workers that the environment describes, once all are there; without DMLC_ROLE, this process alone.

    Raises VQVAEError for variables that are missing or contradict each other, and for workers with another version of
    the package.
    """
    if "DMLC_ROLE" not in os.environ:
        return ALONE
    count = check_number("DMLC_NUM_WORKER", os.environ.get("DMLC_NUM_WORKER", ""), MOST_WORKERS)
    text = os.environ.get("DMLC_WORKER_ID", "")
    if not (text.isascii() and text.isdigit() and int(text) < count):
        raise VQVAEError(f"DMLC_WORKER_ID was given as {text!r}: it must be a whole number below {count}")
    import mxnet as mx

    workers = Workers(mx.kv.create("dist_sync"), int(text), count)
    if (workers.sum(workers.own(np.array(1)))[0] != 1).any():
        raise VQVAEError("two workers have the same DMLC_WORKER_ID: give each one of its own, from 0 on")
    workers.agree(their_version_of_vqvae_gluon=__version__)
    return workers
