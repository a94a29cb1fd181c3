"""Every setting of an autoencoder's training."""
import dataclasses
import hashlib
import json
import math
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple

from ..background import BACKGROUND_HELP, parse_background
from ..emadl import OWN_PROJECT, Texts
from ..errors import VQVAEError
from .settings import Settings, find_recipe, require, setting

if TYPE_CHECKING:
    from ..emadl.project import Project

CHOICES = {
    "update": ("gradient", "ema"),
    "reconstruction_loss": ("mse", "bce"),
    "reduction": ("mean", "sum"),
    "optimizer": ("adam", "sgd"),
    "learning_rate_schedule": ("constant", "cosine"),
    "initializer": ("normal", "xavier"),
    "output_bias": ("zero", "mean"),
    "channels": (1, 3),
    "decoder": ("own", "emadl", "residual"),
    "mixed_sizes": ("refuse", "stretch"),
    "classes": ("auto", "none", "folders"),
    "training_metrics": ("running", "prediction"),
}
_LEARNING_RATE = 2e-3  # of models that are not listed below
_LEARNING_RATES = {"vqvae_emadl": 4e-3}
_POSITIVE = ("num_embeddings", "embedding_dim", "batch_size", "num_epoch", "epoch_passes", "checkpoint_period")
_WIDTHS = ("width", "reduced_width", "decoder_width", "num_embeddings", "embedding_dim")
_WIDEST = 1 << 16  # MXNet counts with 32 bits, and memory runs out long before
#: The settings that recipes of version 0.1 and EMADL imply.
_EARLIER = {"reduction": "sum", "dead_share": 0.0, "warm_up": 0.0, "clip": 0.0}
_OPTIONAL = ("width", "blocks", "reduced_width", "stride", "decoder", "decoder_width", "emadl")
# Left out of the JSON text if they have their defaults: recipes of earlier versions lack them.
_LATER = ("stride", "init_from", "freeze_codebook", "background", "classes", "emadl")


@dataclasses.dataclass(frozen=True)
class Recipe(Settings):
    """The settings of an autoencoder and its training; the defaults are the recipe ``ema``.

    Raises VQVAEError, naming the setting, for a value of the wrong type or out of range.
    """

    model: str = setting("vqvae_emadl", "model: one of vqvae_gluon.get_model_list()")
    width: int = setting(0, "base width of the encoder; 0: the model's default")
    blocks: Tuple[int, ...] = setting((), "number of Inception-ResNet-v2's A, B and C blocks, AxBxC (default: 1x1x1)")
    reduced_width: int = setting(0, "number of channels at which DLCR stops halving; 0: embedding_dim")
    stride: int = setting(0, "pixels per code along each side, of vqvae_residual: 4, 8 or 16; 0: the model's default")
    decoder: str = setting("own", "decoder: the model's own, emadl or residual")
    decoder_width: int = setting(0, "width of the residual decoder; 0: its default")
    num_embeddings: int = setting(64, "number of codebook rows")
    embedding_dim: int = setting(16, "length of a codebook row")
    update: str = setting("ema", "how the codebook is updated: by its gradient or by moving averages")
    ema_decay: float = setting(0.9, "decay of the codebook's moving averages")
    dead_share: float = setting(0.1, "replace a codebook row that is used less than this share of uniform use")
    dead_below: float = setting(0.0, "the same limit as an average number of vectors per batch; the higher one counts")
    freeze_codebook: bool = setting(False, "with --init-from: keep the codebook and train everything else")
    beta: float = setting(0.25, "weight of the commitment loss")
    reconstruction_loss: str = setting("mse", "squared error or binary cross-entropy of the pixel values")
    reduction: str = setting("mean", "take the mean of the errors over an image, or the sum as EMADL does")
    optimizer: str = setting("adam", "optimizer of the encoder and the decoder")
    learning_rate: Optional[float] = setting(None, "peak learning rate; null: the model's default")
    warm_up: float = setting(0.1, "share of the updates over which the learning rate rises from zero")
    clip: float = setting(
        2.0, "clip gradients to this multiple of their usual norm; 0: do not clip"
    )
    learning_rate_schedule: str = setting("cosine", "constant learning rate, or cosine decay to zero")
    init_from: str = setting("", "start from the weights of this run or model folder, codebook included")
    initializer: str = setting("xavier", "initial weights: normal is N(0, 0.01^2)")
    output_bias: str = setting("mean", "initial bias of the decoder's output: zero (gray) or the mean brightness")
    batch_size: int = setting(32, "images per update")
    num_epoch: int = setting(100, "number of epochs, each followed by a validation")
    epoch_passes: int = setting(1, "passes over the training split per epoch")
    checkpoint_period: int = setting(5, "epochs between checkpoints")
    pictures: int = setting(5, "pictures of reconstructions drawn at each checkpoint")
    training_metrics: str = setting(
        "running", "metrics of the training split: running means over the epoch, or a prediction at its end"
    )
    seed: int = setting(0, "seed of initialisation and shuffling")
    split_seed: int = setting(0, "seed of the random split of an image folder")
    data: str = setting(
        "mnist",
        "'mnist', a folder with its four IDX files, a folder of images, a record file FILE.rec, or a folder with "
        "train.rec, validation.rec and test.rec",
    )
    channels: int = setting(1, "1: grayscale, 3: colour")
    image_size: Tuple[int, int] = setting((28, 28), "height and width of the model's images")
    mixed_sizes: str = setting("refuse", "refuse a folder whose images differ in size, or stretch them")
    background: str = setting("", BACKGROUND_HELP)
    classes: str = setting(
        "auto", "treat subfolders as classes: if there are two or more, never, or always (each image must be in one)"
    )
    emadl: Texts = dataclasses.field(
        default_factory=dict, metadata={"help": "the texts of an EMADL project by file name; empty: this package's own"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_choices(CHOICES)
        parse_background(self.background)
        for name, value in self.check_counts(_POSITIVE):
            if name in _WIDTHS:
                require(value <= _WIDEST, name, value, f"at most {_WIDEST}")
            require(value < 2**31, name, value, "below 2^31")
        require(self.stride in (0, 4, 8, 16), "stride", self.stride, "4, 8 or 16")
        require(0 <= self.ema_decay < 1, "ema_decay", self.ema_decay, "in [0, 1)")
        require(0 <= self.dead_share < 1, "dead_share", self.dead_share, "in [0, 1)")
        if self.freeze_codebook and not self.init_from:
            raise VQVAEError(
                "freeze_codebook was given without init_from: rows drawn at random would stay what they are; "
                "give the run whose codebook is kept"
            )
        require(self.dead_below >= 0, "dead_below", self.dead_below, "0 or more")
        require(0 <= self.beta < float("inf"), "beta", self.beta, "0 or more")
        require(0 <= (self.learning_rate or 0) < float("inf"), "learning_rate", self.learning_rate, "0 or more")
        require(0 <= self.warm_up < 1, "warm_up", self.warm_up, "in [0, 1)")
        require(0 <= self.clip < float("inf"), "clip", self.clip, "0 or more")
        sides_fit = len(self.image_size) == 2 and min(self.image_size) >= 1 and max(self.image_size) <= _WIDEST
        require(sides_fit, "image_size", self.image_size, f"two sides from 1 to {_WIDEST}")

    @classmethod
    def from_dict(cls, settings: Dict[str, Any]) -> "Recipe":
        """Build from a dictionary; raise VQVAEError, naming it, for an unknown setting.

        A recipe with a ``beta`` but no ``reduction`` is from version 0.1, which summed the errors of an image.
        """
        if isinstance(settings, dict) and "beta" in settings and "reduction" not in settings:
            settings = {**_EARLIER, **settings}
        return super().from_dict(settings)

    @property
    def highest_learning_rate(self) -> float:
        """The setting ``learning_rate`` or, if it is None, the model's default."""
        if self.learning_rate is None:
            return _LEARNING_RATES.get(self.model, _LEARNING_RATE)
        return self.learning_rate

    @property
    def error_weight(self) -> float:
        """The factor by which the loss multiplies the sum of an image's errors."""
        return 1 / (self.channels * math.prod(self.image_size)) if self.reduction == "mean" else 1.0

    def model_settings(self) -> Dict[str, Any]:
        """Return the arguments of :func:`get_model` besides the name."""
        names = ("num_embeddings", "embedding_dim", "update", "channels", "image_size")
        settings = {name: getattr(self, name) for name in names}
        own = Recipe()
        settings.update({name: getattr(self, name) for name in _OPTIONAL if getattr(self, name) != getattr(own, name)})
        return settings

    def data_settings(self) -> Dict[str, Any]:
        """Return the arguments of :func:`load_dataset`."""
        names = ("channels", "image_size", "split_seed", "mixed_sizes", "background", "classes")
        return {"source": self.data, **{name: getattr(self, name) for name in names}}

    def to_json(self) -> str:
        """Return the recipe as JSON text, without settings that later versions added if they have their defaults."""
        settings, own = dataclasses.asdict(self), dataclasses.asdict(Recipe())
        for name in _LATER:
            if settings[name] == own[name]:
                del settings[name]
        return json.dumps(settings, indent=2) + "\n"

    def files(self) -> Dict[str, str]:
        """Return the files in which a run's folder keeps its recipe: texts by file name, ``recipe.json`` first."""
        return {**super().files(), **{f"emadl/{name}": text for name, text in self.emadl.items()}}

    def differences(self, other: "Recipe") -> List[str]:
        """Return 'name: ours, theirs' for each setting in which two recipes differ; EMADL texts appear as a digest."""
        differences = [text for text in super().differences(other) if not text.startswith("emadl: ")]
        if self.emadl != other.emadl:
            differences.append(f"emadl: {_digest(self.emadl)!r}, {_digest(other.emadl)!r}")
        return differences


def project_recipe(project: "Project", base: Optional[Recipe] = None) -> Recipe:
    """Return the recipe that trains an EMADL project by its configuration or, if it is given, by ``base``."""
    settings = {} if base else {**_EARLIER, **project.configuration.settings, "beta": project.beta}
    sizes = project.geometry.settings()
    image_size = (sizes.pop("height"), sizes.pop("width"))
    settings.update(model="vqvae_emadl", emadl=project.texts, image_size=image_size, **sizes)
    return (base or Recipe()).replace(**settings)


def _digest(texts: Texts) -> str:
    """Return a word that stands for a project's texts in a message."""
    return hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()[:8] if texts else "this package's own"


def _own_project() -> Recipe:
    from ..emadl.project import read_project

    return project_recipe(read_project(OWN_PROJECT)).replace(emadl={})


_RECIPES: Dict[str, Callable[[], Recipe]] = {
    # The original EMADL project's configuration to the letter: the text in vqvae_gluon/emadl/vqvae.
    "emadl": _own_project,
    "ema": Recipe,
    # What build.sh trains: good reconstructions within minutes.
    "quick": lambda: Recipe(num_epoch=5),
}
#: The names that :func:`get_recipe` accepts.
RECIPES = tuple(_RECIPES)


def get_recipe(name: str) -> Recipe:
    """Return the recipe called ``name``; raise VQVAEError, with the list, for an unknown one."""
    return find_recipe(_RECIPES, name)
