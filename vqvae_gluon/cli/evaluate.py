"""``vqvae evaluate``: measure an exported model on a whole split."""
import argparse
import json

from ..background import parse_background
from .common import MODEL_HELP, print_text


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    evaluate = commands.add_parser("evaluate", help="measure an exported model on a whole split")
    evaluate.add_argument("--model", metavar="DIR", help=MODEL_HELP)
    evaluate.add_argument("--data", help="'mnist' or a folder (default: what the model was trained on)")
    evaluate.add_argument("--background", metavar="COLOUR", help="as in vqvae train (default: what it was there)")
    evaluate.add_argument("--split", default="test", help="train, validation or test (default: test)")
    evaluate.add_argument("--ctx", default="cpu", help="cpu or gpu")
    evaluate.add_argument("--json", action="store_true", help="print JSON")
    evaluate.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Measure the model and print each metric."""
    parse_background(options.background or "")

    from ..deploy.evaluate import evaluate_model
    from ..runtime import parse_contexts

    contexts = parse_contexts(options.ctx)
    metrics = evaluate_model(options.model, options.data, options.split, contexts[0], options.background)
    if options.json:
        print_text(json.dumps(metrics, indent=2))
        return
    for name, value in metrics.items():
        print_text(f"{name:32} {value:.5f}" if isinstance(value, float) else f"{name:32} {value}")
