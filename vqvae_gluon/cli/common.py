"""What several commands share: printing, settings as flags, images in and out."""
import argparse
import contextlib
import dataclasses
import json
import os
import re
import shlex
import shutil
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Optional, Tuple, Type, TypeVar

from ..background import BACKGROUND_HELP
from ..errors import VQVAEError
from ..runtime import MEMORY, printing, quiet_libraries

if TYPE_CHECKING:
    import numpy as np

    from ..deploy.predictor import Predictor
    from ..recipes.autoencoder import Recipe
    from ..recipes.settings import Settings
    from ..training.events import Events
    from ..training.loop import Loop

AnyRecipe = TypeVar("AnyRecipe", bound="Settings")

IMAGE_HELP = (
    "a PNG, JPEG or BMP file of 8 bits per channel; it is converted to the model's channels and stretched to its "
    "size; with a used alpha channel it needs --background"
)
DATA_HELP = "'mnist', a folder or a record file (default: the data the model was trained on)"
MODEL_HELP = "folder of a 'vqvae train' run, or a model folder (default: the pre-trained model)"


def print_text(text: str) -> None:
    """Print to standard output; raise VQVAEError if it cannot be written to."""
    with printing():
        print(text)


def tell(message: str) -> None:
    """Print one line to standard error, with line breaks and control characters in names escaped."""
    if sys.stderr is None:
        return
    with contextlib.suppress(OSError):
        print("vqvae:", printable(message), file=sys.stderr)


def printable(text: str) -> str:
    """Return a text with its control characters, line breaks included, escaped as in \\x0a."""
    return re.sub(r"[\0-\x1f\x7f]", lambda found: f"\\x{ord(found[0]):02x}", text)


def print_manifest(manifest: Dict[str, Any], folder: Path, as_json: bool) -> None:
    """Print a summary of the export from the run in ``folder``: one line, or the manifest as JSON."""
    if as_json:
        print_text(json.dumps(manifest, indent=2))
        return
    metrics = manifest["metrics"]
    print_text(
        f"{folder / 'model'}: exported epoch {manifest['epoch']} with validation MSE "
        f"{metrics['validation_mse']:.5f}, perplexity {metrics['validation_perplexity']:.1f}, "
        f"{metrics['validation_codes_used']} codes used"
    )


def add_settings(
    command: argparse.ArgumentParser, recipe_class: "Type[Settings]", choices: Dict[str, Tuple[Any, ...]]
) -> None:
    """Add a flag for each setting of a recipe; ``choices`` lists the allowed values of the settings that have some."""
    group = command.add_argument_group("settings (defaults: those of the recipe)")
    for field in _flags(recipe_class):
        kind = _kind(field)
        listed = choices.get(field.name)
        shape: Dict[str, Any] = {"action": "store_const", "const": True}
        if field.type is not bool:
            shape = {"type": kind, **({"choices": listed} if listed else {"metavar": _metavar(kind)})}
        flag = "--" + field.name.replace("_", "-")
        group.add_argument(flag, dest=field.name, help=field.metadata["help"], **shape)


def with_flags(recipe: AnyRecipe, options: argparse.Namespace) -> AnyRecipe:
    """Return the recipe with the settings that were given as flags, see :func:`add_settings`."""
    names = [field.name for field in _flags(type(recipe))]
    return recipe.replace(**{name: getattr(options, name) for name in names if getattr(options, name) is not None})


def read_recipe(name: str, options: argparse.Namespace) -> "Recipe":
    """Return the recipe called ``name``, or the one in a JSON file, with the settings given as flags."""
    from ..recipes.autoencoder import Recipe, get_recipe

    return read_settings(name, options, Recipe, get_recipe)


def read_settings(
    name: str, options: argparse.Namespace, recipe_class: Type[AnyRecipe], find: Callable[[str], AnyRecipe]
) -> AnyRecipe:
    """Return the recipe that ``find`` has for ``name``, or the one in a JSON file, with the settings given as flags."""
    from ..files import read_bytes

    if name.endswith(".json"):
        return with_flags(recipe_class.from_json(read_bytes(name).decode("utf-8", "replace"), name), options)
    return with_flags(find(name), options)


def train_and_export(
    training: "Loop",
    again: List[str],
    find_export: Callable[[], Optional[Dict[str, Any]]],
    export: Callable[[], Dict[str, Any]],
    resume: bool = False,
) -> Optional[Dict[str, Any]]:
    """Train to the end and export, unless both have been done already; return the manifest.

    If there are several workers, only the first one exports; the others return None.

    Raises KeyboardInterrupt when stopped. If there is something to resume, its message gives the command ``again``.
    """
    folder = training.folder
    if not training.workers.first:
        training.run()
        return None
    is_done = training.finished and training.planned == training.recipe.num_epoch
    manifest = find_export() if is_done else None
    if manifest:
        print_text(f"{folder}: all {training.recipe.num_epoch} epochs are trained and exported already")
        return manifest
    if training.epoch:
        print_text(f"{folder}: continuing at epoch {training.epoch}")
    elif resume:
        print_text(f"{folder}: nothing is saved there to resume, so the training begins at epoch 0")
    try:
        training.run()
        return export()
    except KeyboardInterrupt:
        place = "before the export" if training.finished else f"in epoch {training.epoch}"
        hint = f"resume with: {shlex.join(again)}" if training.epoch else "nothing was saved yet"
        raise KeyboardInterrupt(f"stopped {place}; {hint}") from None


def program() -> str:
    """Return the word by which this program was called, for the commands in its messages."""
    called = sys.argv[0]
    return called if Path(called).name == "vqvae" and shutil.which("vqvae") != called else "vqvae"


def given(options: argparse.Namespace, *names: str) -> List[str]:
    """Return the named flags that were given, with their values."""
    values = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return [word for name, value in values.items() for word in (f"--{name}", str(value))]


def setting_kinds(recipe_class: "Type[Settings]") -> Dict[str, Callable[[str], Any]]:
    """Return the functions that parse settings from text, keyed by the names of the settings that are flags."""
    return {field.name: _kind(field) for field in _flags(recipe_class)}


def add_image_flags(command: argparse.ArgumentParser) -> None:
    """Add the flags for encoding an image, which :func:`predictor` and :func:`read_tensor` use."""
    command.add_argument("--strict", action="store_true", help="refuse an image that would have to be converted")
    add_background(command)
    command.add_argument(
        "--explain",
        action="store_true",
        help="print the shape, range and checksum of the tensor that enters the encoder (standard error)",
    )
    command.add_argument("--dump-input", metavar="FILE", help="write that tensor as raw float32")


def add_background(command: argparse.ArgumentParser) -> None:
    """Add ``--background``, the colour that image files are flattened onto."""
    command.add_argument("--background", metavar="COLOUR", default="", help=BACKGROUND_HELP)


def add_memory(command: argparse.ArgumentParser) -> None:
    """Add ``--memory``, the limit on images kept in memory."""
    command.add_argument(
        "--memory",
        type=float,
        metavar="GIB",
        default=MEMORY,
        help="keep the images in memory if they fit into this many GiB, otherwise read them when they are needed; the "
        "results are the same (default: %(default)g)",
    )


def add_tensorboard(command: argparse.ArgumentParser) -> None:
    """Add ``--tensorboard``, which :func:`events` uses."""
    command.add_argument(
        "--tensorboard",
        action="store_true",
        help="after each epoch, also write metrics, pictures and code histograms to tensorboard/ in the run's folder; "
        "give it again with --resume. The trained model is the same. Needs the package tensorboard",
    )


def events(options: argparse.Namespace) -> "Optional[Events]":
    """Return a writer for TensorBoard if ``--tensorboard`` is given; raise VQVAEError if it is not installed."""
    if not options.tensorboard:
        return None
    from ..training.events import Events

    return Events()


def predictor(options: argparse.Namespace) -> "Predictor":
    """Load the model that ``--model`` names."""
    from ..deploy.predictor import Predictor

    settings = {name: getattr(options, name) for name in ("strict", "background") if hasattr(options, name)}
    return Predictor(options.model, **settings)


def read_tensor(model: "Predictor", options: argparse.Namespace) -> "np.ndarray":
    """Return the encoder's input; ``--explain`` prints its shape, range and checksum, ``--dump-input`` writes it."""
    with quiet_libraries():
        tensor = model.to_tensor(options.image)
    if options.explain:
        print(f"input shape: {tensor.shape} {tensor.dtype}", file=sys.stderr)
        print(f"input range: {tensor.min():.9g} to {tensor.max():.9g}", file=sys.stderr)
        print(f"input CRC-32: {zlib.crc32(tensor.tobytes()):08x}", file=sys.stderr)
    if options.dump_input:
        from ..files import write_bytes

        write_bytes(options.dump_input, tensor.tobytes())
    return tensor


def check_codes_name(path: str) -> None:
    """Raise VQVAEError unless a path ends in .npz, as the name of a file of codes must."""
    if not path.endswith(".npz"):
        raise VQVAEError(f"{path}: a file of codes ends in .npz")


def check_output(output: str, image: str) -> None:
    """Raise VQVAEError if the output is the same file as the input image."""
    with contextlib.suppress(OSError):
        if os.path.samefile(output, image) and os.path.isfile(image):
            raise VQVAEError(f"{output}: is the image that is read; give the output another name")


def write_image(path: str, images: "np.ndarray") -> None:
    """Write the first of a model's images as a PNG file."""
    from ..data import to_bytes, write_png

    write_png(path, to_bytes(images)[0])


def _flags(recipe_class: "Type[Settings]") -> List[dataclasses.Field]:
    """Return the settings that are flags: all except dictionaries, such as the texts of an EMADL project."""
    return [field for field in dataclasses.fields(recipe_class) if field.type != Dict[str, str]]


def _kind(field: dataclasses.Field) -> Callable[[str], Any]:
    kind: Any = {Optional[float]: float, bool: _truth}.get(field.type, field.type)
    return {"image_size": _size, "blocks": _counts}.get(field.name, kind)


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return text == "true"


def _size(text: str) -> Tuple[int, int]:
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no HEIGHTxWIDTH such as 28x28")
    return int(height), int(width)


def _counts(text: str) -> Tuple[int, ...]:
    if not all(count.isdigit() for count in text.split("x")):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of counts such as 10x20x10")
    return tuple(map(int, text.split("x")))


def _metavar(kind: Any) -> str:
    return {str: "NAME", int: "N", float: "X", _counts: "AxBxC"}.get(kind, "HxW")
