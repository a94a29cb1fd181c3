"""Every setting of a prior's training."""
import dataclasses
from typing import Any, Callable, Dict

from .autoencoder import CHOICES
from .settings import Settings, find_recipe, require, setting

PRIOR_CHOICES = {
    "classes": CHOICES["classes"],
    "optimizer": ("adam", "sgd"),
    "learning_rate_schedule": ("constant", "cosine"),
    "training_metrics": ("running", "prediction"),
}
_POSITIVE = ("width", "layers", "heads", "batch_size", "num_epoch", "epoch_passes", "checkpoint_period")
_FARTHEST = 8  # 288 shifts
_LARGEST = {"width": 1 << 13, "layers": 256, "heads": 1 << 13}  # memory runs out long before


@dataclasses.dataclass(frozen=True)
class PriorRecipe(Settings):
    """The settings of a prior and its training; the defaults are the recipe ``prior``.

    Raises VQVAEError, naming the setting, for a value of the wrong type or out of range.
    """

    width: int = setting(128, "width of the transformer")
    layers: int = setting(4, "number of transformer layers")
    heads: int = setting(4, "attention heads per layer; must divide the width")
    dropout: float = setting(0.1, "dropout rate")
    classes: str = setting("auto", "condition on the classes: if the data have any, never, or always")
    no_class: float = setting(0.2, "share of the images that are trained on without their class")
    shift: int = setting(0, "shift half of the images by up to N pixels, each shift a class of its own; 0: none")
    init_from: str = setting("", "start from the prior of this run or model folder")
    optimizer: str = setting("adam", "optimizer")
    learning_rate: float = setting(2e-3, "initial learning rate")
    learning_rate_schedule: str = setting("cosine", "constant learning rate, or cosine decay to zero")
    batch_size: int = setting(64, "images per update")
    num_epoch: int = setting(25, "number of epochs, each followed by a validation")
    epoch_passes: int = setting(1, "passes over the training split per epoch")
    checkpoint_period: int = setting(5, "epochs between checkpoints")
    pictures: int = setting(1, "pictures of samples drawn at each checkpoint")
    training_metrics: str = setting(
        "running", "metrics of the training split: running means over the epoch, or a prediction at its end"
    )
    seed: int = setting(0, "seed of initialisation, shuffling, dropout and pictures")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_choices(PRIOR_CHOICES)
        for name, value in self.check_counts(_POSITIVE):
            most = _LARGEST.get(name, 2**31 - 1)
            require(value <= most, name, value, f"at most {most}")
        require(self.width % self.heads == 0, "width", self.width, f"a multiple of the {self.heads} heads")
        require(0 <= self.dropout < 1, "dropout", self.dropout, "in [0, 1)")
        require(0 <= self.shift <= _FARTHEST, "shift", self.shift, f"in [0, {_FARTHEST}]")
        require(0 <= self.no_class < 1, "no_class", self.no_class, "in [0, 1)")
        require(0 <= self.learning_rate < float("inf"), "learning_rate", self.learning_rate, "0 or more")

    def model_settings(self) -> Dict[str, Any]:
        """Return the arguments of :class:`vqvae_gluon.nn.Prior` that do not follow from the codes."""
        return {name: getattr(self, name) for name in ("width", "layers", "heads", "dropout")}


_RECIPES: Dict[str, Callable[[], PriorRecipe]] = {
    "prior": PriorRecipe,
    # For a first look.
    "prior-quick": lambda: PriorRecipe(num_epoch=2, dropout=0.0),
}
#: The names that :func:`get_prior_recipe` accepts.
PRIOR_RECIPES = tuple(_RECIPES)


def get_prior_recipe(name: str) -> PriorRecipe:
    """Return the recipe called ``name``; raise VQVAEError, with the list, for an unknown one."""
    return find_recipe(_RECIPES, name)
