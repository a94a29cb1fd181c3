"""``vqvae encode``: encode images into codes."""
import argparse
from pathlib import Path
from typing import Tuple

from ..errors import VQVAEError
from ..runtime import quiet_libraries
from .common import IMAGE_HELP, MODEL_HELP, add_image_flags, check_codes_name, predictor, print_text, read_tensor


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    encode = commands.add_parser("encode", help="print the codes of an image, or write the codes of many to a file")
    encode.add_argument(
        "image",
        metavar="IMAGE",
        help=IMAGE_HELP + "; with -o: a folder of such files, a record file, or an .npy array (N, C, H, W)",
    )
    encode.add_argument("-o", "--output", metavar="CODES.npz", help="write the codes of many images to this file")
    encode.add_argument(
        "--shard",
        metavar="I/N",
        type=_shard,
        help="with -o: encode only part I of N, counted from 1; 'vqvae merge' joins the parts",
    )
    encode.add_argument("--model", metavar="DIR", help=MODEL_HELP)
    add_image_flags(encode)
    encode.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the codes of one image, or write the codes of many to a file."""
    from ..deploy.codes_file import format_codes

    if options.output:
        _encode_many(options)
        return
    if options.shard:
        raise VQVAEError("--shard encodes a part of many images: add -o CODES.npz")
    if Path(options.image).is_dir() or options.image.endswith((".npy", ".rec")):
        raise VQVAEError(f"{options.image}: holds many images; add -o CODES.npz to write their codes to a file")
    model = predictor(options)
    print_text(format_codes(model.encode(read_tensor(model, options))[0]).rstrip())


def _encode_many(options: argparse.Namespace) -> None:
    from ..deploy.bulk import encode_to_file

    if options.explain or options.dump_input:
        raise VQVAEError("--explain and --dump-input show one image: leave out -o")
    check_codes_name(options.output)
    with quiet_libraries():
        count = encode_to_file(predictor(options), options.image, options.output, options.shard)
    print_text(f"{options.output}: codes of {count} images")


def _shard(text: str) -> Tuple[int, int]:
    number, _, count = text.partition("/")
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in (number, count)):
        raise argparse.ArgumentTypeError(f"{text!r} is no part I/N such as 1/4")
    return int(number), int(count)
