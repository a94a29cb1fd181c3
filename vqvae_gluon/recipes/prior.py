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
_FARTHEST = 8  # 288 ways
_LARGEST = {"width": 1 << 13, "layers": 256, "heads": 1 << 13}  # memory ends long before


@dataclasses.dataclass(frozen=True)
class PriorRecipe(Settings):
    """The settings of a prior and its training; the defaults are the recipe ``prior``.

    Raises VQVAEError, naming the setting, for a value of the wrong type or out of range.
    """

    width: int = setting(128, "length of the prior's vectors")
    layers: int = setting(4, "layers of the transformer")
    heads: int = setting(4, "heads of each layer; the width is a multiple")
    dropout: float = setting(0.1, "share of the numbers that a layer drops while it learns")
    classes: str = setting("auto", "learn the classes of the data, if it has any, or none, or insist on them")
    no_class: float = setting(0.2, "share of the images that are learnt without their class")
    shift: int = setting(0, "half of the images are learnt moved by up to so many pixels, each way a class; 0: none")
    init_from: str = setting("", "a run or model folder whose prior is the start of this one")
    optimizer: str = setting("adam", "optimizer")
    learning_rate: float = setting(2e-3, "learning rate at the start")
    learning_rate_schedule: str = setting("cosine", "constant, or cosine decay to zero over the run")
    batch_size: int = setting(64, "images an update")
    num_epoch: int = setting(25, "epochs, each followed by a validation")
    epoch_passes: int = setting(1, "passes over the training split in an epoch")
    checkpoint_period: int = setting(5, "epochs between checkpoints")
    pictures: int = setting(1, "pictures of samples drawn with a checkpoint")
    training_metrics: str = setting(
        "running", "of the training split: means over an epoch's updates, or a prediction after them"
    )
    seed: int = setting(0, "fixes initialisation, shuffling, dropout and pictures")

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
        """Return what :class:`vqvae_gluon.nn.Prior` takes besides what the codes say."""
        return {name: getattr(self, name) for name in ("width", "layers", "heads", "dropout")}


_RECIPES: Dict[str, Callable[[], PriorRecipe]] = {
    "prior": PriorRecipe,
    # A first look.
    "prior-quick": lambda: PriorRecipe(num_epoch=2, dropout=0.0),
}
#: The names :func:`get_prior_recipe` knows.
PRIOR_RECIPES = tuple(_RECIPES)


def get_prior_recipe(name: str) -> PriorRecipe:
    """Return the recipe called ``name``; raise VQVAEError, with the list, for an unknown one."""
    return find_recipe(_RECIPES, name)
