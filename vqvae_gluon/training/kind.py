"""Kinds of training: all that a reader of their files needs to know."""
from typing import List, NamedTuple, Tuple, Type

from ..recipes.settings import Settings


class Kind(NamedTuple):
    """What all trainings of one kind share; readers of their files need it, too.

    ``recipe`` is the class of their settings, ``metrics`` are the names of a split's metrics, and ``selection`` is the
    metric whose lowest value on the validation split determines the best epoch.
    """

    recipe: Type[Settings]
    metrics: Tuple[str, ...]
    selection: str

    @property
    def columns(self) -> Tuple[str, ...]:
        """The columns of a history, without times or images/s, so that the same command writes the same file."""
        return "epoch", "learning_rate", *self.of("train"), *self.of("validation")

    def of(self, split: str) -> List[str]:
        """Return the columns of one split's metrics."""
        return [f"{split}_{name}" for name in self.metrics]
