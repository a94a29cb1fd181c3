"""The interface of what a loop trains: everything in which one kind of training differs from another."""
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, List, Optional, Protocol

import numpy as np
from mxnet.gluon import Block

from .kind import Kind

if TYPE_CHECKING:
    from .optimizer import Trainer


class Meter(Protocol):
    """Sums up the steps of an epoch."""

    def summary(self) -> Dict[str, float]:
        """Return the metrics so far, by the names in :class:`Kind`."""

    def progress(self) -> Dict[str, str]:
        """Return the texts that the progress bar shows, by name."""


class Averages(Protocol):
    """State that is updated without a gradient and belongs in the checkpoints."""

    def state(self) -> Dict[str, np.ndarray]:
        """Return its arrays by name."""

    def restore(self, state: Dict[str, np.ndarray]) -> None:
        """Restore the arrays of :meth:`state`."""


class Trained(Protocol):
    """What a :class:`Loop` trains: any object with the members below; there is no common base class.

    The settings that the loop itself reads from ``recipe`` are ``seed``, ``num_epoch``, ``epoch_passes``,
    ``batch_size``, ``checkpoint_period`` and ``training_metrics``. ``fingerprint`` identifies the data set,
    ``examples`` is the number of examples in the training split, and ``unit`` is the plural noun for them. ``trainer``
    comes from :func:`build_trainer`, with the parameters of ``model``. ``histograms`` are counts (K,) by name, from the
    last :meth:`measure` and, if it came later, the last :meth:`draw`; only events show them.

    All randomness must be drawn from the ``rng`` of an epoch or from MXNet, which the loop seeds for each epoch, so
    that a resumed training is the same, bit for bit, as an uninterrupted one. :meth:`step` and :meth:`measure` raise
    FloatingPointError if the loss is not finite.
    """

    kind: Kind
    recipe: Any  # Settings
    fingerprint: str
    unit: str
    model: Block
    trainer: "Trainer"
    histograms: Dict[str, np.ndarray]

    @property
    def examples(self) -> int:
        ...

    @property
    def averages(self) -> Optional[Averages]:
        ...

    def start(self, rng: np.random.RandomState) -> None:
        """Prepare the training; called once, before the first epoch."""

    def meter(self) -> Meter:
        """Return a meter for an epoch."""

    def ahead(self, orders: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the example numbers (N,) of each batch in a pass, so that the examples can be read in advance."""

    def step(self, chosen: np.ndarray, meter: Any, rng: np.random.RandomState) -> None:
        """Learn from the training examples with the numbers ``chosen`` (N,), and update the ``meter``."""

    def measure(self, split: str) -> Dict[str, float]:
        """Return the metrics of a whole split, 'train' or 'validation', without learning from it."""

    def describe(self, row: Dict[str, float]) -> str:
        """Return what the line printed for an epoch says of its row in the history."""

    def concern(self, row: Dict[str, float]) -> str:
        """Return one line on what is wrong with a finished epoch, its likely cause and what to try, or ''."""

    def pictures(self, epoch: int) -> List[str]:
        """Return the names of the pictures that :meth:`draw` may make, PNG files ``<what>_epoch<epoch>...``."""

    def draw(self, folder: Path, epoch: int) -> None:
        """Draw the pictures of the epoch that has just ended into a folder."""

    def draw_loss(self, path: Path, rows: List[Dict[str, float]], best_epoch: int) -> None:
        """Plot the history's rows to a file."""
