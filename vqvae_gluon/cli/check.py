"""``vqvae check``: print the layers of an EMADL component."""
import argparse

from .common import print_text


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    check = commands.add_parser("check", help="print the layers of an EMADL component, or the error in its text")
    check.add_argument("file", metavar="FILE.emadl", help="the text of one component")
    check.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the component."""
    from ..emadl.component import read

    print_text(read(options.file).describe())
