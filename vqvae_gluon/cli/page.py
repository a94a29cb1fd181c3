"""``vqvae page``: write a web page that runs a model in the browser."""
import argparse

from .common import MODEL_HELP, print_text


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    page = commands.add_parser(
        "page",
        help="write a web page that runs a model in the browser",
        description="Write a static page that runs a model in the browser with ONNX Runtime Web, which npm fetches. "
        "To open the page, run: python -m http.server -d OUT",
    )
    page.add_argument("output", metavar="OUT", help="a new or empty folder")
    page.add_argument("--model", metavar="DIR", help=MODEL_HELP)
    page.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the page."""
    import shlex

    from ..deploy.page import build_page

    paths = build_page(options.output, options.model)
    size = sum(path.stat().st_size for path in paths)
    print_text(
        f"{options.output}: {len(paths)} files, {size / 1e6:.1f} MB; to show it, run: "
        f"python -m http.server -d {shlex.quote(options.output)}"
    )
