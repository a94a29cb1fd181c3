"""``vqvae pack``: pack a folder of images into a record file."""
import argparse

from ..runtime import quiet_libraries
from .common import print_text


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    from ..recipes.autoencoder import CHOICES

    pack = commands.add_parser(
        "pack",
        help="pack a folder of images into a record file, as MXNet's im2rec does",
        description="Write the image files below a folder, unchanged, to OUT.rec, and their index to OUT.idx. If "
        "subfolders are classes, the label of a record is the number of its class, and OUT.labels holds the names. To "
        "train: vqvae train --data OUT.rec, or --data DIR for a folder with train.rec, validation.rec and test.rec.",
    )
    pack.add_argument("folder", metavar="FOLDER", help="a folder of PNG, JPEG or BMP files")
    pack.add_argument("output", metavar="OUT.rec", help="the file to write")
    pack.add_argument(
        "--classes",
        choices=CHOICES["classes"],
        default="auto",
        help="treat subfolders as classes: if there are two or more (auto, the default), never, or always (each "
        "image must be in one)",
    )
    pack.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Pack the folder."""
    from ..data.pack import pack_folder

    with quiet_libraries():
        records = pack_folder(options.folder, options.output, options.classes)
    classes = f" of {len(records.classes)} classes" if records.classes else ""
    print_text(f"{options.output}: {len(records)} images{classes}")
