"""The command line ``vqvae``.

Heavy modules are imported by the command that needs them, so that --help and errors come at once.
"""
import argparse
import contextlib
import dataclasses
import json
import os
import re
import shlex
import signal
import sys
import warnings
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, List, NoReturn, Optional, TextIO, Tuple

from . import __version__
from .errors import VQVAEError
from .runtime import (
    STOPS,
    drop_output,
    environment_fault,
    file_fault,
    memory_fault,
    printing,
    quiet_libraries,
    stop,
    use_all_cores,
)

if TYPE_CHECKING:
    from .training.recipe import Recipe

_IMAGE_HELP = (
    "a PNG, JPEG or BMP file; colour is converted to grayscale and another size is stretched, "
    "16-bit and transparent images are refused"
)
_MODEL_HELP = "a run of 'vqvae train' or its model folder (default: the pre-trained model)"


class _Parser(argparse.ArgumentParser):
    def _print_message(self, message: str, file: Optional[TextIO] = None) -> None:
        with printing():
            sys.stdout.write(message)

    def error(self, message: str) -> NoReturn:
        _tell(f"error: {message}; see {self.prog} --help")
        self.exit(2)


def main(arguments: Optional[List[str]] = None) -> int:
    """Run one command; return 0, 2 after one line on standard error for a user's mistake, 130 when stopped."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # what libraries have to say to developers; python -W shows it
    for number in STOPS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, stop)
    try:
        options = _parser().parse_args(arguments)
        use_all_cores()
        options.run(options)
    except VQVAEError as error:
        _tell(f"error: {error}")
        return 2
    except BrokenPipeError:
        drop_output()  # nobody reads on: be quiet
        return 1
    except KeyboardInterrupt as interrupt:
        for number in STOPS:
            signal.signal(number, signal.SIG_IGN)
        _tell(str(interrupt) or "stopped")
        os._exit(130)  # what was interrupted cannot always be taken down in order: MXNet aborts now and then
    except Exception as error:
        fault = file_fault(error) or memory_fault(error) or environment_fault()
        if not fault:
            raise
        _tell(f"error: {fault}")
        return 2
    return 0


def _tell(message: str) -> None:
    """Print one line on standard error: the names in it may hold line breaks and what moves a terminal's cursor."""
    if sys.stderr is None:
        return
    with contextlib.suppress(OSError):
        print("vqvae:", re.sub(r"[\0-\x1f\x7f]", lambda found: f"\\x{ord(found[0]):02x}", message), file=sys.stderr)


def _print(text: str) -> None:
    with printing():
        print(text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="vqvae", description="Train a VQ-VAE, and turn images into codes and back.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands)
    _add_compare(commands)
    _add_evaluate(commands)
    _add_predictions(commands)
    _add_export(commands)
    _add_check(commands)
    return parser


def _add_train(commands: argparse._SubParsersAction) -> None:
    from .training.recipe import RECIPES

    train = commands.add_parser(
        "train",
        help="train a model and export its best epoch",
        description="Train a model, select the epoch with the lowest validation error and export it. "
        "The folder RUN then holds model/, manifest.json, metrics.csv, loss_graph.png, reconstructions "
        "of validation images, and checkpoints/ with the newest and the best epoch.",
    )
    train.add_argument("-o", "--output", metavar="RUN", help="folder of the run (default: runs/<recipe>)")
    recipes = ", ".join(RECIPES)
    train.add_argument("--recipe", help=f"{recipes}, or a JSON file (default: ema; with --resume, that of RUN)")
    train.add_argument(
        "--emadl",
        metavar="FOLDER",
        help="train the EMADL project in this folder, as its .conf says; with --recipe, as that recipe says",
    )
    train.add_argument("--resume", action="store_true", help="go on after the newest checkpoint in RUN, if any")
    train.add_argument("--ctx", help="cpu (default), gpu, or a list of devices such as gpu(0),gpu(1)")
    train.add_argument("--json", action="store_true", help="print the manifest as JSON at the end")
    train.add_argument("--print-recipe", action="store_true", help="print the settings as JSON and stop")
    _add_settings(train)
    train.set_defaults(run=_train)


def _add_settings(command: argparse.ArgumentParser) -> None:
    """Add a flag for each setting of a recipe."""
    from .training.recipe import CHOICES

    group = command.add_argument_group("settings (defaults: those of the recipe)")
    for field in _settings():
        kind = _kind(field)
        choices = CHOICES.get(field.name)
        shape = {"choices": choices} if choices else {"metavar": _metavar(kind)}
        flag = "--" + field.name.replace("_", "-")
        group.add_argument(flag, dest=field.name, type=kind, help=field.metadata["help"], **shape)


def _settings() -> List[dataclasses.Field]:
    """Return the settings of a recipe that are flags: all but the texts of an EMADL project."""
    from .training.recipe import Recipe

    return [field for field in dataclasses.fields(Recipe) if field.name != "emadl"]


def _add_compare(commands: argparse._SubParsersAction) -> None:
    compare = commands.add_parser(
        "compare",
        help="train several models alike and compare them",
        description="Train several models on the same data with the same decoder, seeds and number of updates. "
        "The folder DIR then holds comparison.csv, curves.png and each training as MODEL/seedN. Interrupted, "
        "the same command goes on where it was.",
    )
    compare.add_argument(
        "models",
        nargs="+",
        metavar="MODEL",
        help="[LABEL=]NAME[,setting=value...], such as wide=vqvae_residual,width=256; a name of "
        "vqvae_gluon.get_model_list(), or the folder of an EMADL project",
    )
    compare.add_argument("-o", "--output", metavar="DIR", default="runs/comparison", help="default: runs/comparison")
    compare.add_argument("--seeds", type=_seeds, default=(0, 1, 2), metavar="N,N,...", help="default: 0,1,2")
    compare.add_argument("--recipe", default="ema", help="as in vqvae train (default: ema)")
    compare.add_argument("--ctx", default="cpu", help="as in vqvae train")
    compare.add_argument("--json", action="store_true", help="print means and deviations as JSON")
    _add_settings(compare)
    compare.set_defaults(run=_compare)


def _add_evaluate(commands: argparse._SubParsersAction) -> None:
    evaluate = commands.add_parser("evaluate", help="measure an exported model on a whole split")
    evaluate.add_argument("--model", metavar="DIR", help=_MODEL_HELP)
    evaluate.add_argument("--data", help="'mnist' or a folder (default: what the model was trained on)")
    evaluate.add_argument("--split", default="test", help="train, validation or test (default: test)")
    evaluate.add_argument("--ctx", default="cpu", help="cpu or gpu")
    evaluate.add_argument("--json", action="store_true", help="print JSON")
    evaluate.set_defaults(run=_evaluate)


def _add_predictions(commands: argparse._SubParsersAction) -> None:
    encode = commands.add_parser("encode", help="print the codes of an image, or write those of many to one file")
    encode.add_argument(
        "image", metavar="IMAGE", help=_IMAGE_HELP + "; with -o a folder of such, or an .npy array (N, C, H, W)"
    )
    encode.add_argument("-o", "--output", metavar="CODES.npz", help="write the codes of many images to this file")
    encode.set_defaults(run=_encode)
    decode = commands.add_parser("decode", help="make an image from codes, or many from a file of 'encode -o'")
    decode.add_argument(
        "codes", metavar="CODES", help="a file as 'vqvae encode' prints it, - for standard input, or CODES.npz"
    )
    decode.add_argument(
        "output", metavar="OUT.png", help="the PNG file to write; for CODES.npz a new folder, or OUT.npy"
    )
    decode.set_defaults(run=_decode)
    reconstruct = commands.add_parser("reconstruct", help="encode an image and decode its codes")
    reconstruct.add_argument("image", metavar="IMAGE", help=_IMAGE_HELP)
    reconstruct.add_argument("output", metavar="OUT.png", help="the PNG file to write")
    reconstruct.set_defaults(run=_reconstruct)
    for command in (encode, decode, reconstruct):
        command.add_argument("--model", metavar="DIR", help=_MODEL_HELP)
    for command in (encode, reconstruct):
        command.add_argument("--strict", action="store_true", help="refuse what would have to be converted")
        command.add_argument(
            "--explain",
            action="store_true",
            help="print the shape, range and checksum of the tensor that enters the encoder (standard error)",
        )
        command.add_argument("--dump-input", metavar="FILE", help="write that tensor as raw float32")


def _add_export(commands: argparse._SubParsersAction) -> None:
    export = commands.add_parser("export", help="export the best and the last epoch of a run again")
    export.add_argument("folder", metavar="RUN", type=Path, help="folder of a 'vqvae train' run")
    export.add_argument(
        "--prefix",
        metavar="NAME",
        default="model_0_newest",
        help="write the best epoch under this name as well: NAME-symbol.json and so on; later versions of EMADL's "
        "generator load 'newest'",
    )
    export.add_argument("--json", action="store_true", help="print the manifest as JSON")
    export.set_defaults(run=_export)


def _add_check(commands: argparse._SubParsersAction) -> None:
    check = commands.add_parser("check", help="print the layers of an EMADL component, or what is wrong with its text")
    check.add_argument("file", metavar="FILE.emadl", help="the text of one component")
    check.set_defaults(run=_check)


def _train(options: argparse.Namespace) -> None:
    recipe, name, context = _read_training(options)
    folder = Path(options.output or Path("runs", name))
    if options.print_recipe:
        _print(recipe.to_json().rstrip())
        return

    from .data import load_dataset
    from .deploy.export import export_run, find_export
    from .runtime import parse_contexts
    from .training.autoencoder import Training

    contexts = parse_contexts(options.ctx or context)
    dataset = load_dataset(**recipe.data_settings())
    training = Training(recipe, dataset, folder, contexts, options.resume)
    manifest = find_export(folder) if training.finished else None
    if manifest:
        _print(f"{folder}: all {recipe.num_epoch} epochs are trained and exported already")
        _print_manifest(manifest, folder, options.json)
        return
    if training.epoch:
        _print(f"{folder}: going on at epoch {training.epoch}")
    try:
        training.run()
        manifest = export_run(folder)
    except KeyboardInterrupt:
        again = shlex.join(["vqvae", "train", "--output", str(folder), "--resume"])
        place = "before the export" if training.finished else f"in epoch {training.epoch}"
        raise KeyboardInterrupt(f"stopped {place}; go on: {again}") from None
    _print_manifest(manifest, folder, options.json)


def _read_training(options: argparse.Namespace) -> "Tuple[Recipe, str, str]":
    """Return the recipe that the options ask for, the name of its run, and where the project asks to be trained."""
    if options.emadl:
        return _read_project(options)
    name = options.recipe or "ema"
    if options.resume and options.output and not options.recipe:
        interrupted = Path(options.output, "recipe.json")
        name = str(interrupted) if interrupted.exists() else name
    recipe = _read_recipe(name, options)
    return recipe, Path(name).stem if name.endswith(".json") else name, "cpu"


def _read_project(options: argparse.Namespace) -> "Tuple[Recipe, str, str]":
    """Return the recipe of an EMADL project, its package and its context; say what its configuration asks in vain."""
    from .emadl.project import read_project
    from .runtime import has_gpu
    from .training.recipe import project_recipe

    if options.model:
        model = options.model
        raise VQVAEError(f"--model was given as {model} beside --emadl, which describes the model; leave one out")
    project = read_project(options.emadl)
    recipe = project_recipe(project, _read_recipe(options.recipe, options) if options.recipe else None)
    if options.recipe:  # in the place of the configuration
        return _with_flags(recipe, options), project.encoder.package, "cpu"
    for note in project.configuration.notes:
        _tell(f"{options.emadl}: {note}")
    context = project.configuration.context
    if context == "gpu" and not options.ctx and not has_gpu():
        _tell(f"{options.emadl}: context: there is no GPU that MXNet can use here; training on the CPU")
        context = "cpu"
    return _with_flags(recipe, options), project.encoder.package, context


def _read_recipe(name: str, options: argparse.Namespace) -> "Recipe":
    """Return the recipe called ``name``, or that of a JSON file, with the settings given as flags."""
    from .files import read_bytes
    from .training.recipe import Recipe, get_recipe

    if name.endswith(".json"):
        return _with_flags(Recipe.from_json(read_bytes(name).decode("utf-8", "replace"), name), options)
    return _with_flags(get_recipe(name), options)


def _with_flags(recipe: "Recipe", options: argparse.Namespace) -> "Recipe":
    names = [field.name for field in _settings()]
    return recipe.replace(**{name: getattr(options, name) for name in names if getattr(options, name) is not None})


def _compare(options: argparse.Namespace) -> None:
    recipe = _read_recipe(options.recipe, options)
    recipes: Dict[str, Any] = {}
    for text in options.models:
        label, changed = _parse_model(text, recipe)
        if label in recipes:
            raise VQVAEError(f"two models have the label {label!r}: give one of them another, as in LABEL={text}")
        recipes[label] = changed

    from .data import load_dataset
    from .runtime import parse_contexts
    from .training.compare import Comparison, check_comparable, format_table, summarize

    contexts = parse_contexts(options.ctx)
    check_comparable(recipes, options.seeds)
    dataset = load_dataset(**next(iter(recipes.values())).data_settings())
    try:
        results = Comparison(recipes, options.seeds, dataset, Path(options.output), contexts).run()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped; the same command goes on in {options.output}") from None
    _print(json.dumps(summarize(results), indent=2) if options.json else format_table(results))


def _parse_model(text: str, recipe: "Recipe") -> Tuple[str, "Recipe"]:
    """Return the label and the recipe of [LABEL=]NAME[,setting=value...], where the name may be a project's folder."""
    model, *settings = text.split(",")
    label, equals, name = model.partition("=")
    if not equals:
        label, name = text, model
    kinds = {field.name: _kind(field) for field in _settings()}
    changed: Dict[str, Any] = {"model": name}
    if Path(name).is_dir():
        from .emadl.project import read_project
        from .training.recipe import project_recipe

        label = label if equals else Path(name).resolve().name
        recipe, changed = project_recipe(read_project(name), recipe), {}
    for setting in settings:
        key, _, value = setting.partition("=")
        try:
            changed[key] = kinds.get(key, str)(value)
        except (ValueError, argparse.ArgumentTypeError):
            raise VQVAEError(f"{text}: {key} was given as {value!r}, which it cannot be") from None
    return label, recipe.replace(**changed)


def _print_manifest(manifest: Dict[str, Any], folder: Path, as_json: bool) -> None:
    if as_json:
        _print(json.dumps(manifest, indent=2))
        return
    metrics = manifest["metrics"]
    _print(
        f"{folder / 'model'}: exported epoch {manifest['epoch']} with validation MSE "
        f"{metrics['validation_mse']:.5f}, perplexity {metrics['validation_perplexity']:.1f}, "
        f"{metrics['validation_codes_used']} codes used"
    )


def _evaluate(options: argparse.Namespace) -> None:
    from .deploy.evaluate import evaluate_model
    from .runtime import parse_contexts

    contexts = parse_contexts(options.ctx)
    metrics = evaluate_model(options.model, options.data, options.split, contexts[0])
    if options.json:
        _print(json.dumps(metrics, indent=2))
        return
    for name, value in metrics.items():
        _print(f"{name:32} {value:.5f}" if isinstance(value, float) else f"{name:32} {value}")


def _encode(options: argparse.Namespace) -> None:
    from .deploy.codes_file import format_codes

    if options.output:
        _encode_many(options)
        return
    if Path(options.image).is_dir() or options.image.endswith(".npy"):
        raise VQVAEError(f"{options.image}: holds many images; add -o CODES.npz to write their codes to a file")
    predictor = _predictor(options)
    _print(format_codes(predictor.encode(_read_tensor(predictor, options))[0]).rstrip())


def _encode_many(options: argparse.Namespace) -> None:
    from .deploy.bulk import encode_to_file

    if options.explain or options.dump_input:
        raise VQVAEError("--explain and --dump-input show one image: leave out -o")
    if not options.output.endswith(".npz"):
        raise VQVAEError(f"{options.output}: a file of codes ends in .npz")
    with quiet_libraries():
        count = encode_to_file(_predictor(options), options.image, options.output)
    _print(f"{options.output}: codes of {count} images")


def _decode_many(options: argparse.Namespace) -> None:
    from .deploy.bulk import decode_to_array, decode_to_folder

    decode = decode_to_array if options.output.endswith(".npy") else decode_to_folder
    _print(f"{options.output}: {decode(_predictor(options), options.codes, options.output)} images")


def _decode(options: argparse.Namespace) -> None:
    from .deploy.codes_file import read_codes

    if options.codes.endswith(".npz"):
        _decode_many(options)
        return
    predictor = _predictor(options)
    codes = read_codes(options.codes, predictor.codes_shape, len(predictor.codebook))
    _write(options.output, predictor.decode(codes[None]))


def _reconstruct(options: argparse.Namespace) -> None:
    predictor = _predictor(options)
    _write(options.output, predictor.reconstruct(_read_tensor(predictor, options)))


def _read_tensor(predictor: Any, options: argparse.Namespace) -> Any:
    """Return the image as it enters the encoder, after showing it if asked to."""
    with quiet_libraries():
        tensor = predictor.to_tensor(options.image)
    if options.explain:
        print(f"input shape: {tensor.shape} {tensor.dtype}", file=sys.stderr)
        print(f"input range: {tensor.min():.9g} to {tensor.max():.9g}", file=sys.stderr)
        print(f"input CRC-32: {zlib.crc32(tensor.tobytes()):08x}", file=sys.stderr)
    if options.dump_input:
        from .files import write_bytes

        write_bytes(options.dump_input, tensor.tobytes())
    return tensor


def _export(options: argparse.Namespace) -> None:
    from .deploy.export import export_run

    _print_manifest(export_run(options.folder, options.prefix), options.folder, options.json)


def _check(options: argparse.Namespace) -> None:
    from .emadl.component import read

    _print(read(options.file).describe())


def _predictor(options: argparse.Namespace) -> Any:
    from .deploy.predictor import Predictor

    return Predictor(options.model, strict=getattr(options, "strict", False))


def _write(path: str, images: Any) -> None:
    from .data import to_bytes, write_png

    write_png(path, to_bytes(images)[0])


def _kind(field: dataclasses.Field) -> Callable[[str], Any]:
    return {"image_size": _size, "blocks": _counts}.get(field.name, field.type)


def _seeds(text: str) -> Tuple[int, ...]:
    if not all(seed.isdigit() for seed in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of seeds such as 0,1,2")
    return tuple(map(int, text.split(",")))


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
