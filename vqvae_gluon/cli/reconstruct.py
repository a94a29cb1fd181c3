"""``vqvae reconstruct``: encode an image and decode its codes."""
import argparse

from .common import IMAGE_HELP, MODEL_HELP, add_image_flags, check_output, predictor, read_tensor, write_image


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    reconstruct = commands.add_parser("reconstruct", help="encode an image and decode its codes")
    reconstruct.add_argument("image", metavar="IMAGE", help=IMAGE_HELP)
    reconstruct.add_argument("output", metavar="OUT.png", help="the PNG file to write")
    reconstruct.add_argument("--model", metavar="DIR", help=MODEL_HELP)
    add_image_flags(reconstruct)
    reconstruct.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the model's reconstruction of an image."""
    check_output(options.output, options.image)
    model = predictor(options)
    write_image(options.output, model.reconstruct(read_tensor(model, options)))
