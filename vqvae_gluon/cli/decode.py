"""``vqvae decode``: decode images from codes."""
import argparse

from .common import MODEL_HELP, predictor, print_text, write_image


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    decode = commands.add_parser("decode", help="decode an image from codes, or many from a file of 'encode -o'")
    decode.add_argument(
        "codes", metavar="CODES", help="a file with what 'vqvae encode' prints, - for standard input, or CODES.npz"
    )
    decode.add_argument(
        "output", metavar="OUT.png", help="the PNG file to write; for CODES.npz, a new folder or OUT.npy"
    )
    decode.add_argument("--model", metavar="DIR", help=MODEL_HELP)
    decode.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the image of one grid of codes, or the images of a whole file of codes."""
    from ..deploy.codes_file import read_codes

    if options.codes.endswith(".npz"):
        _decode_many(options)
        return
    model = predictor(options)
    codes = read_codes(options.codes, model.codes_shape, len(model.codebook))
    write_image(options.output, model.decode(codes[None]))


def _decode_many(options: argparse.Namespace) -> None:
    from ..deploy.bulk import decode_to_array, decode_to_folder

    decode = decode_to_array if options.output.endswith(".npy") else decode_to_folder
    print_text(f"{options.output}: {decode(predictor(options), options.codes, options.output)} images")
