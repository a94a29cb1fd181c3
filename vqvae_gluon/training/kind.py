"""What kind of training a file is of: all that whoever reads it has to know."""
from typing import List, NamedTuple, Tuple, Type

from ..recipes.settings import Settings


class Kind(NamedTuple):
    """What all trainings of one kind share; who reads their files needs it as well.

    ``recipe`` is the class of their settings, ``metrics`` the names of what is measured on a split, and ``selection``
    the metric whose lowest value on the validation split makes the best epoch.
    """

    recipe: Type[Settings]
    metrics: Tuple[str, ...]
    selection: str

    @property
    def columns(self) -> Tuple[str, ...]:
        """The columns of a history. Without seconds or images/s: the same command writes the same file."""
        return "epoch", "learning_rate", *self.of("train"), *self.of("validation")

    def of(self, split: str) -> List[str]:
        """Return the columns of one split's metrics."""
        return [f"{split}_{name}" for name in self.metrics]
