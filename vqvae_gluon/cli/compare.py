"""``vqvae compare``: train several models in the same way and compare them."""
import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Tuple

from ..errors import VQVAEError
from .common import add_memory, add_settings, print_text, read_recipe, setting_kinds

if TYPE_CHECKING:
    from ..recipes.autoencoder import Recipe


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    from ..recipes.autoencoder import CHOICES, Recipe

    compare = commands.add_parser(
        "compare",
        help="train several models in the same way and compare them",
        description="Train several models on the same data, with the same decoder, seeds and number of updates. The "
        "folder DIR then holds comparison.csv, curves.png, classes.csv if the data have classes, and each training as "
        "MODEL/seedN. After an interruption, the same command continues.",
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
    add_memory(compare)
    compare.add_argument("--json", action="store_true", help="print means and deviations as JSON")
    add_settings(compare, Recipe, CHOICES)
    compare.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Train each model with each seed and print the comparison."""
    recipe = read_recipe(options.recipe, options)
    recipes: Dict[str, Any] = {}
    for text in options.models:
        label, changed = _parse_model(text, recipe)
        if label in recipes:
            raise VQVAEError(f"two models have the label {label!r}: give one of them another, as in LABEL={text}")
        recipes[label] = changed

    from ..data import load_dataset
    from ..runtime import parse_contexts
    from ..training.compare import Comparison, check_comparable
    from ..training.results import format_table, summarize, summarize_classes

    contexts = parse_contexts(options.ctx)
    check_comparable(recipes, options.seeds)
    dataset = load_dataset(**next(iter(recipes.values())).data_settings(), memory=options.memory)
    try:
        results = Comparison(recipes, options.seeds, dataset, Path(options.output), contexts).run()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"stopped; the same command continues in {options.output}") from None
    if not options.json:
        print_text(format_table(results))
        return
    summary: Dict[str, Dict[str, Any]] = {**summarize(results)}
    for label, by_class in summarize_classes(results).items():
        if by_class:
            summary[label]["best_validation_mse_by_class"] = by_class
    print_text(json.dumps(summary, indent=2))


def _parse_model(text: str, recipe: "Recipe") -> "Tuple[str, Recipe]":
    """Return the label and the recipe of [LABEL=]NAME[,setting=value...]; NAME may be the folder of a project."""
    model, *settings = text.split(",")
    label, equals, name = model.partition("=")
    if not equals:
        label, name = text, model
    kinds = setting_kinds(type(recipe))
    changed: Dict[str, Any] = {"model": name}
    if Path(name).is_dir():
        from ..emadl.project import read_project
        from ..recipes.autoencoder import project_recipe

        label = label if equals else Path(name).resolve().name
        recipe, changed = project_recipe(read_project(name), recipe), {}
    for setting in settings:
        key, _, value = setting.partition("=")
        try:
            changed[key] = kinds.get(key, str)(value)
        except (ValueError, argparse.ArgumentTypeError):
            raise VQVAEError(f"{text}: {key} was given as {value!r}, which it cannot be") from None
    return label, recipe.replace(**changed)


def _seeds(text: str) -> Tuple[int, ...]:
    if not all(seed.isdigit() for seed in text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of seeds such as 0,1,2")
    return tuple(map(int, text.split(",")))
