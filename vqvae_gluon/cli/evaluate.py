"""``vqvae evaluate``: measure an exported model on a whole split."""
import argparse
import json
from typing import Any, Dict

from ..background import parse_background
from .common import DATA_HELP, MODEL_HELP, add_memory, print_text, printable

# The metrics of a class that the printed table shows, and their column titles; JSON has all metrics.
_COLUMNS = {
    "images": "images",
    "mse": "mse",
    "psnr": "psnr",
    "ssim": "ssim",
    "bits_per_image": "bits",
    "bits_per_image_with_class": "with class",
    "judge_accuracy_reconstructions": "judge",
}


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    from ..recipes.autoencoder import CHOICES

    evaluate = commands.add_parser("evaluate", help="measure a model on a whole split")
    evaluate.add_argument("--model", metavar="DIR", help=MODEL_HELP)
    evaluate.add_argument("--data", help=DATA_HELP)
    evaluate.add_argument("--background", metavar="COLOUR", help="as in vqvae train (default: what it was there)")
    evaluate.add_argument("--split", default="test", help="train, validation or test (default: test)")
    evaluate.add_argument(
        "--classes", choices=CHOICES["classes"], help="as in vqvae train (default: as the model was trained)"
    )
    evaluate.add_argument("--ctx", default="cpu", help="cpu or gpu")
    add_memory(evaluate)
    evaluate.add_argument("--json", action="store_true", help="print the metrics as JSON")
    evaluate.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Measure the model and print each metric."""
    parse_background(options.background or "")

    from ..evaluation.splits import evaluate_model
    from ..runtime import parse_contexts

    contexts = parse_contexts(options.ctx)
    context, background, classes = contexts[0], options.background, options.classes
    metrics = evaluate_model(options.model, options.data, options.split, context, background, classes, options.memory)
    if options.json:
        print_text(json.dumps(metrics, indent=2))
        return
    by_class = metrics.pop("by_class", {})
    for name, value in metrics.items():
        print_text(f"{name:32} {_number(value)}")
    if by_class:
        print_text("\n" + _table(by_class))


def _table(by_class: Dict[str, Dict[str, Any]]) -> str:
    """Return a table with a row for each class and a column for each metric of _COLUMNS that was measured."""
    figures = [name for name in _COLUMNS if name in next(iter(by_class.values()))]
    rows = [["class", *(_COLUMNS[name] for name in figures)]]
    rows += [[printable(name), *(_number(found[figure]) for figure in figures)] for name, found in by_class.items()]
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows)
    return "\n".join("  ".join(line) for line in lines)


def _number(value: Any) -> str:
    return f"{value:.5f}" if isinstance(value, float) else str(value)
