"""``vqvae merge``: join the parts of a sharded encoding into one file."""
import argparse

from .common import check_codes_name, print_text


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    merge = commands.add_parser("merge", help="join the files of 'vqvae encode --shard'")
    merge.add_argument("parts", metavar="PART.npz", nargs="+", help="the file of each part, in any order")
    merge.add_argument("-o", "--output", metavar="CODES.npz", required=True, help="the file to write")
    merge.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Merge the parts."""
    from ..deploy.merge import merge

    check_codes_name(options.output)
    count = merge(options.parts, options.output)
    print_text(f"{options.output}: codes of {count} images")
