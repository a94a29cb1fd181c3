"""``vqvae train``: train a model and export its best epoch."""
import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Tuple

from ..errors import VQVAEError
from .common import (
    add_memory,
    add_settings,
    add_tensorboard,
    events,
    given,
    print_manifest,
    print_text,
    program,
    read_recipe,
    tell,
    train_and_export,
    with_flags,
)

if TYPE_CHECKING:
    from ..recipes.autoencoder import Recipe


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    from ..recipes.autoencoder import CHOICES, RECIPES, Recipe

    train = commands.add_parser(
        "train",
        help="train a model and export its best epoch",
        description="Train a model, select the epoch with the lowest validation error and export it. "
        "The folder RUN then holds model/, manifest.json, metrics.csv, loss_graph.png, reconstructions "
        "of validation images, and checkpoints/ with the newest and the best epoch.",
    )
    train.add_argument("-o", "--output", metavar="RUN", help="folder of the run (default: runs/RECIPE)")
    recipes = ", ".join(RECIPES)
    train.add_argument("--recipe", help=f"{recipes}, or a JSON file (default: ema; with --resume, RUN's own)")
    train.add_argument(
        "--emadl",
        metavar="FOLDER",
        help="train the EMADL project in this folder, with the settings of its .conf; --recipe replaces those settings",
    )
    train.add_argument(
        "--resume",
        action="store_true",
        help="continue from the newest checkpoint in RUN, if there is one; --num-epoch may then be raised",
    )
    train.add_argument("--ctx", help="cpu (default), gpu, or a list of devices such as gpu(0),gpu(1)")
    add_memory(train)
    add_tensorboard(train)
    train.add_argument("--json", action="store_true", help="print the manifest as JSON at the end")
    train.add_argument("--print-recipe", action="store_true", help="print the settings as JSON and stop")
    add_settings(train, Recipe, CHOICES)
    train.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Train a model, or continue its training, and print a summary of the export."""
    recipe, context = _read_training(options)
    folder = run_folder(options)
    if options.print_recipe:
        print_text(recipe.to_json().rstrip())
        return

    from ..data import load_dataset
    from ..export.run import export_run, find_export
    from ..model_zoo import get_weights
    from ..runtime import parse_contexts
    from ..training.autoencoder import Training
    from ..workers import join

    contexts = parse_contexts(options.ctx or context)
    told = events(options)
    workers = join()
    if recipe.init_from and not options.resume:
        get_weights(recipe.init_from)  # report what is wrong with it before images are read
    dataset = load_dataset(**recipe.data_settings(), memory=options.memory)
    training = Training(recipe, dataset, folder, contexts, options.resume, workers, told)
    again = [program(), "train", "--output", str(folder), *given(options, "ctx"), "--resume"]
    again += ["--tensorboard"] if told else []
    manifest = train_and_export(
        training, again, partial(find_export, folder), partial(export_run, folder), options.resume
    )
    if manifest:
        print_manifest(manifest, folder, options.json)


def run_folder(options: argparse.Namespace) -> Path:
    """Return the run folder that the options ask for; raise VQVAEError for a bad EMADL project."""
    if options.output:
        return Path(options.output)
    if options.emadl:
        from ..emadl.project import read_project

        return Path("runs", read_project(options.emadl).encoder.package)
    name = options.recipe or "ema"
    return Path("runs", Path(name).stem if name.endswith(".json") else name)


def _read_training(options: argparse.Namespace) -> "Tuple[Recipe, str]":
    """Return the recipe that the options ask for, and the device: the EMADL project's, or 'cpu'."""
    if options.emadl:
        return _read_project(options)
    name = options.recipe or "ema"
    if options.resume and options.output and not options.recipe:
        interrupted = Path(options.output, "recipe.json")
        name = str(interrupted) if interrupted.exists() else name
    return read_recipe(name, options), "cpu"


def _read_project(options: argparse.Namespace) -> "Tuple[Recipe, str]":
    """Return the recipe of an EMADL project and its context; print which settings of its .conf have no effect."""
    from ..emadl.project import read_project
    from ..recipes.autoencoder import project_recipe
    from ..runtime import has_gpu

    if options.model:
        model = options.model
        raise VQVAEError(f"--model was given as {model} beside --emadl, which describes the model; leave one out")
    project = read_project(options.emadl)
    recipe = project_recipe(project, read_recipe(options.recipe, options) if options.recipe else None)
    if options.recipe:  # it replaces the configuration
        return with_flags(recipe, options), "cpu"
    for note in project.configuration.notes:
        tell(f"{options.emadl}: {note}")
    context = project.configuration.context
    if context == "gpu" and not options.ctx and not has_gpu():
        tell(f"{options.emadl}: context: there is no GPU that MXNet can use here; training on the CPU")
        context = "cpu"
    return with_flags(recipe, options), context
