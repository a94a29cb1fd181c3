"""``vqvae report``: write a one-page report of a run."""
import argparse

from ..background import parse_background
from .common import DATA_HELP, add_memory, print_text


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    from ..recipes.autoencoder import CHOICES

    report = commands.add_parser(
        "report",
        help="write a one-page report of a run: errors, curves, codebook, samples",
        description="Write a report of a run as one HTML file, which needs no network and no other file: metrics, "
        "curves, the best and the worst reconstructions, the codebook, the codes of some images, samples if there is "
        "a prior, the settings, and what is wrong, if anything is.",
    )
    report.add_argument("folder", metavar="RUN", help="folder of a 'vqvae train' run")
    report.add_argument(
        "-o", "--output", default="report.html", metavar="FILE.html", help="the file to write (default: report.html)"
    )
    report.add_argument("--against", metavar="RUN", help="another run to compare with, on the same images")
    report.add_argument("--images", type=int, default=8, metavar="N", help="number of images of each kind (default: 8)")
    report.add_argument("--data", help=DATA_HELP)
    report.add_argument("--background", metavar="COLOUR", help="as in vqvae train (default: what it was there)")
    report.add_argument("--split", default="test", help="train, validation or test (default: test)")
    report.add_argument(
        "--classes", choices=CHOICES["classes"], help="as in vqvae train (default: as the model was trained)"
    )
    report.add_argument("--ctx", default="cpu", help="cpu or gpu")
    add_memory(report)
    report.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the report."""
    parse_background(options.background or "")

    from ..report.page import write_report
    from ..runtime import parse_contexts

    size = write_report(
        options.output,
        options.folder,
        options.against,
        options.data,
        options.split,
        parse_contexts(options.ctx)[0],
        options.background,
        options.classes,
        options.memory,
        options.images,
    )
    print_text(f"{options.output}: the report of {options.folder}, {size / 1e6:.1f} MB")
