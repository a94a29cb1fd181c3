"""``vqvae generate``: generate new images from a model with a prior."""
import argparse
import re
from typing import TYPE_CHECKING, Any, Dict, Optional

from ..background import parse_background
from ..errors import VQVAEError
from .common import MODEL_HELP, add_background, check_output, print_text

if TYPE_CHECKING:
    from ..deploy.sampler import Sampler


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    generate = commands.add_parser(
        "generate",
        help="generate new images, or complete one",
        description="Sample new images from a model that has a prior (see vqvae prior). A seed gives the same images "
        "in Python and in C++; a larger --count adds images after the same first ones.",
    )
    generate.add_argument(
        "output",
        nargs="?",
        metavar="OUT.png",
        help="the PNG file to write, a grid if there are several images; OUT/ is a new folder with a file for each",
    )
    generate.add_argument("--class", dest="label", metavar="C", help="the class to generate (default: any)")
    generate.add_argument("--count", default="1", metavar="N", help="number of images (default: 1)")
    generate.add_argument("--seed", default="0", metavar="S", help="seed of the random numbers (default: 0)")
    generate.add_argument(
        "--temperature",
        default="1",
        metavar="T",
        help="1 samples what the prior has learnt, lower values favour likely codes, 0 takes the likeliest "
        "(default: 1)",
    )
    generate.add_argument(
        "--top-k", default="0", metavar="K", help="sample from the K likeliest codes only (default: 0, all of them)"
    )
    generate.add_argument("--complete", metavar="IMAGE", help="complete this image: keep the first rows of its codes")
    generate.add_argument("--rows", metavar="R", help="number of rows to keep")
    add_background(generate)
    generate.add_argument("--codes", action="store_true", help="print the codes instead of writing images")
    generate.add_argument("--model", metavar="DIR", help=MODEL_HELP)
    generate.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write new images, or print their codes."""
    parse_background(options.background)
    if options.codes and options.output is not None:
        raise VQVAEError(f"{options.output} was given beside --codes, which prints; leave one out")
    if not options.codes and options.output is None:
        raise VQVAEError("nowhere to write to: give OUT.png, a folder OUT/, or --codes to print")
    if (options.complete is None) != (options.rows is None):
        raise VQVAEError("--complete and --rows belong together: give an image and how many rows of its codes to keep")
    if options.output is not None and options.complete is not None:
        check_output(options.output, options.complete)

    from ..deploy.codes_file import format_codes
    from ..deploy.generation import write_images
    from ..deploy.sampler import Sampler

    sampler = Sampler(options.model)
    settings = _settings(options, sampler)
    codes = sampler.stream(**settings)
    if options.output is not None:
        write_images(sampler.predictor, codes, settings["count"], options.output)
        return
    for batch in codes:
        for image in batch:
            print_text(format_codes(image).rstrip())


def _settings(options: argparse.Namespace, sampler: "Sampler") -> Dict[str, Any]:
    """Return the arguments of the sampler; text that is not a number is refused like a value out of range."""
    from ..sampling import (
        LAST_SEED,
        MOST_IMAGES,
        check_settings,
        count_fault,
        seed_fault,
        temperature_fault,
        top_k_fault,
    )

    count, seed, top_k = (_whole(text) for text in (options.count, options.seed, options.top_k))
    codes = sampler.size.num_embeddings
    if count is None or not 1 <= count <= MOST_IMAGES:
        raise VQVAEError(count_fault(options.count))
    if seed is None or seed > LAST_SEED:
        raise VQVAEError(seed_fault(options.seed))
    temperature = _number(options.temperature)
    try:
        check_settings(temperature, 0, codes)
    except VQVAEError:
        raise VQVAEError(temperature_fault(options.temperature)) from None
    if top_k is None or top_k > codes:
        raise VQVAEError(top_k_fault(options.top_k, codes))
    settings = {"count": count, "seed": seed, "temperature": temperature, "top_k": top_k, "label": options.label}
    if options.complete is not None:
        settings["given"] = _first_rows(options, sampler)
    return settings


def _first_rows(options: argparse.Namespace, sampler: "Sampler") -> Any:
    rows, height = _whole(options.rows), sampler.size.codes_shape[0]
    if rows is None or not 1 <= rows <= height:
        raise VQVAEError(f"rows was given as {options.rows}: it must be from 1 to {height}")
    sampler.predictor.strict, sampler.predictor.background = True, options.background
    try:
        return sampler.predictor.encode(options.complete)[0, :rows]
    except VQVAEError as error:  # its message recommends a flag that this command does not have
        raise VQVAEError(str(error).replace(" or leave out --strict", "")) from None


def _number(text: str) -> float:
    """Return a text as a number, or -1 if it is not a non-negative one."""
    is_number = len(text) < 100 and re.fullmatch(r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", text)
    return float(text) if is_number else -1.0


def _whole(text: str) -> Optional[int]:
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else None
