"""``vqvae export-onnx``: write a model as ONNX files, and check them."""
import argparse

from .common import MODEL_HELP, print_text


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    export = commands.add_parser("export-onnx", help="write a model as ONNX files, which run without MXNet")
    export.add_argument("output", metavar="OUT", help="a new or empty folder")
    export.add_argument("--model", metavar="DIR", help=MODEL_HELP)
    export.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the files."""
    from ..deploy.onnx import export_onnx

    for path in export_onnx(options.output, options.model):
        print_text(str(path))
