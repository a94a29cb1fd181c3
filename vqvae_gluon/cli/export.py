"""``vqvae export``: export the best and the last epoch of a run again."""
import argparse
from pathlib import Path

from .common import print_manifest


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    export = commands.add_parser("export", help="export the best and the last epoch of a run again")
    export.add_argument("folder", metavar="RUN", type=Path, help="folder of a 'vqvae train' run")
    export.add_argument(
        "--prefix",
        metavar="NAME",
        default="model_0_newest",
        help="also write the best epoch under this name, as NAME-symbol.json and so on (default: model_0_newest, which "
        "programs of later EMADL generators load)",
    )
    export.add_argument("--json", action="store_true", help="print the manifest as JSON")
    export.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Export the run and print what was exported."""
    from ..export.run import export_run

    print_manifest(export_run(options.folder, options.prefix), options.folder, options.json)
