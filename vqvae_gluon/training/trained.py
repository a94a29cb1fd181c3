"""What a loop asks of that which it trains: all that differs between one kind of training and another."""
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
        """Return the metrics so far, in the names of :class:`Kind`."""

    def progress(self) -> Dict[str, str]:
        """Return what the progress bar shows of them."""


class Averages(Protocol):
    """What follows the training without a gradient and belongs into its checkpoints."""

    def state(self) -> Dict[str, np.ndarray]:
        """Return its arrays by name."""

    def restore(self, state: Dict[str, np.ndarray]) -> None:
        """Take the arrays of :meth:`state` back."""


class Trained(Protocol):
    """What a :class:`Loop` trains: something with the members below, of no common base.

    The settings that the loop itself reads from ``recipe`` are ``seed``, ``num_epoch``, ``epoch_passes``,
    ``batch_size``, ``checkpoint_period`` and ``training_metrics``. ``fingerprint`` tells one data set from another,
    ``examples`` counts those of the training split and ``unit`` names them in the plural. The ``trainer`` is one of
    :func:`build_trainer`, of the parameters of ``model``. ``histograms`` are counts (K,) by name, of what the last
    :meth:`measure` met and, if it came later, the last :meth:`draw`; only events show them.

    All randomness must be drawn from the ``rng`` of an epoch or from MXNet, which the loop seeds for each epoch: then
    a resumed training is the uninterrupted one bit for bit. :meth:`step` and :meth:`measure` raise FloatingPointError
    where the loss is not finite.
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
        """Do what comes once, before the first epoch."""

    def meter(self) -> Meter:
        """Return a meter for an epoch."""

    def ahead(self, orders: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Yield the numbers (N,) of each batch to come in a pass, whose examples may be read before they are learnt."""

    def step(self, chosen: np.ndarray, meter: Any, rng: np.random.RandomState) -> None:
        """Learn from the training examples whose numbers (N,) are ``chosen``, and tell the :meth:`meter`."""

    def measure(self, split: str) -> Dict[str, float]:
        """Return the metrics of a whole split, 'train' or 'validation', without learning from it."""

    def describe(self, row: Dict[str, float]) -> str:
        """Return what the line of an epoch says of its row in the history."""

    def concern(self, row: Dict[str, float]) -> str:
        """Return in one line what is wrong with an epoch that went through, its likely cause and what to try, or ''."""

    def pictures(self, epoch: int) -> List[str]:
        """Return the names of the pictures that :meth:`draw` may make, PNG files ``<what>_epoch<epoch>...``."""

    def draw(self, folder: Path, epoch: int) -> None:
        """Draw what the epoch that has just ended can do into a folder."""

    def draw_loss(self, path: Path, rows: List[Dict[str, float]], best_epoch: int) -> None:
        """Draw the history's rows into a file."""
