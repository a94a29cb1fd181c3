"""``vqvae prior``: train a prior on the codes of a model and export it."""
import argparse
import json
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict

from ..background import parse_background
from ..errors import VQVAEError
from .common import (
    DATA_HELP,
    add_memory,
    add_settings,
    add_tensorboard,
    events,
    given,
    print_text,
    program,
    read_settings,
    train_and_export,
)

if TYPE_CHECKING:
    from ..recipes.prior import PriorRecipe


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    from ..recipes.prior import PRIOR_CHOICES, PRIOR_RECIPES, PriorRecipe

    prior = commands.add_parser(
        "prior",
        help="train a prior, with which a model generates images",
        description="Train a prior on the codes of a run's data set, select the epoch with the lowest validation bits "
        "(given the class, if there are classes) and export it beside the encoder. RUN/prior/ then holds metrics.csv, "
        "loss_graph.png, samples, and checkpoints/ with the newest and the best epoch; remove it to train another "
        "prior.",
    )
    prior.add_argument("folder", metavar="RUN", help="folder of a 'vqvae train' run")
    prior.add_argument(
        "--recipe",
        help=f"{', '.join(PRIOR_RECIPES)}, or a JSON file (default: prior; with --resume, RUN/prior's own)",
    )
    prior.add_argument("--data", help=DATA_HELP)
    prior.add_argument("--background", metavar="COLOUR", help="as in vqvae train (default: what it was there)")
    prior.add_argument(
        "--resume",
        action="store_true",
        help="continue from the newest checkpoint in RUN/prior, if there is one; --num-epoch may then be raised",
    )
    prior.add_argument("--ctx", help="cpu (default), gpu, or a list of devices such as gpu(0),gpu(1)")
    add_memory(prior)
    add_tensorboard(prior)
    prior.add_argument("--json", action="store_true", help="print the manifest as JSON at the end")
    prior.add_argument("--print-recipe", action="store_true", help="print the settings as JSON and stop")
    add_settings(prior, PriorRecipe, PRIOR_CHOICES)
    prior.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Train a prior, or continue its training, and export it."""
    parse_background(options.background or "")
    recipe = _read_recipe(options)
    if options.print_recipe:
        print_text(recipe.to_json().rstrip())
        return

    from ..data import to_bytes
    from ..deploy.encoding import encode_dataset
    from ..deploy.origin import load_origin
    from ..deploy.predictor import Predictor
    from ..export.prior import FOLDER, export_prior, exported_weights, find_prior_export
    from ..model_files.folder import find_model
    from ..runtime import parse_contexts
    from ..training.loop import Loop
    from ..training.prior import CodePrior
    from ..workers import join

    contexts = parse_contexts(options.ctx or "cpu")
    told = events(options)
    workers = join()
    model = find_model(options.folder)
    run_folder = model.path.parent
    if not model.manifest.is_file():
        raise VQVAEError(f"{run_folder}: holds no manifest.json, which names the data; give a run of vqvae train")
    predictor = Predictor(model.path)
    classes = None if recipe.classes == "auto" else recipe.classes
    learnt = ("train", "validation")
    weights = lru_cache(maxsize=None)(partial(exported_weights, recipe.init_from)) if recipe.init_from else None
    if weights and not options.resume:
        weights()  # report what is wrong with it before images are encoded
    origin = load_origin(model, predictor, options.data, options.background, classes, learnt, options.memory)
    dataset = encode_dataset(predictor, origin, shift=recipe.shift)
    trained = CodePrior(
        recipe, dataset, contexts, lambda codes: to_bytes(predictor.decode(codes)), weights, workers
    )
    training = Loop(trained, run_folder / FOLDER, options.resume, told)
    again = [program(), "prior", str(options.folder), *given(options, "data", "background", "ctx"), "--resume"]
    again += ["--tensorboard"] if told else []
    manifest = train_and_export(
        training,
        again,
        partial(find_prior_export, run_folder, dataset),
        partial(export_prior, run_folder, dataset),
        options.resume,
    )
    if manifest:
        _print_manifest(manifest, model.path, options.json)


def prior_folder(options: argparse.Namespace) -> Path:
    """Return the folder in which the prior is trained; the options name a run or the model folder in it."""
    folder = Path(options.folder)
    return Path(folder if (folder / "model").is_dir() else folder.parent, "prior")


def _read_recipe(options: argparse.Namespace) -> "PriorRecipe":
    from ..recipes.prior import PriorRecipe, get_prior_recipe

    name = options.recipe or "prior"
    interrupted = prior_folder(options) / "recipe.json"
    if options.resume and not options.recipe and interrupted.exists():
        name = str(interrupted)
    return read_settings(name, options, PriorRecipe, get_prior_recipe)


def _print_manifest(manifest: Dict[str, Any], model: Path, as_json: bool) -> None:
    if as_json:
        print_text(json.dumps(manifest, indent=2))
        return
    prior = manifest["prior"]
    metrics = prior["metrics"]
    given = f", {metrics['validation_bits_per_image_with_class']:.2f} given its class" if prior["classes"] else ""
    print_text(
        f"{model / manifest['components']['prior']}: exported epoch {prior['epoch']} with "
        f"{metrics['validation_bits_per_image']:.2f} validation bits per image{given}"
    )
