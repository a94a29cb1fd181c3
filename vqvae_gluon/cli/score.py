"""``vqvae score``: rank the images of a folder by how unlikely a model finds them."""
import argparse

from ..background import parse_background
from .common import MODEL_HELP, add_background, print_text


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    score = commands.add_parser(
        "score",
        help="rank the images of a folder by how unlikely a model finds them",
        description="Write a CSV file (columns bits and image) with the bits that the model's prior needs for the "
        "codes of each image, the least likely image first: the more bits, the less likely.",
    )
    score.add_argument("folder", metavar="FOLDER", help="a folder of PNG, JPEG or BMP files, subfolders included")
    score.add_argument(
        "-o", "--output", default="scores.csv", metavar="FILE.csv", help="default: scores.csv; - prints the rows"
    )
    score.add_argument("--model", metavar="DIR", help=MODEL_HELP)
    score.add_argument("--strict", action="store_true", help="refuse an image that would have to be converted")
    add_background(score)
    score.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Score a folder."""
    parse_background(options.background)

    from ..deploy.sampler import Sampler
    from ..evaluation.scores import score_folder, to_csv
    from ..files import write_bytes
    from ..runtime import quiet_libraries

    sampler = Sampler(options.model)
    sampler.predictor.strict = options.strict
    sampler.predictor.background = options.background
    with quiet_libraries():
        scores = score_folder(sampler, options.folder)
    text = to_csv(scores)
    if options.output == "-":
        print_text(text.rstrip())
        return
    write_bytes(options.output, text.encode("utf-8", "surrogateescape"))
    bits, strangest = scores[0]
    print_text(f"{options.output}: {len(scores)} images, the strangest {strangest} with {bits:.1f} bits")
