"""``vqvae export-onnx``: write a model as ONNX files, and check them."""
import argparse
import json
from typing import Any, Dict, Iterator

from .common import MODEL_HELP, print_text, tell


def add(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    export = commands.add_parser(
        "export-onnx",
        help="export a model to ONNX, which runs without MXNet",
        description="Write encoder.onnx, decoder.onnx and, if the model has a prior, prior.onnx to a new folder. If "
        "onnxruntime is installed, the files are first run and compared with the model: any difference that is not a "
        "near tie is an error, and nothing is written.",
    )
    export.add_argument("output", metavar="OUT", help="a new or empty folder")
    export.add_argument("--model", metavar="DIR", help=MODEL_HELP)
    export.add_argument("--data", help="compare the test images of these data (default: the data of the training)")
    export.add_argument("--images", type=int, metavar="N", help="number of images to compare (default: all)")
    export.add_argument(
        "--samples", type=int, default=100, metavar="N", help="number of samples to compare (default: 100)"
    )
    export.add_argument("--json", action="store_true", help="print the result as JSON")
    export.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the files, unless running them shows that they differ from the model."""
    from ..deploy.onnx import write_onnx
    from ..deploy.onnx_check import check_counts, check_onnx, find_runtime
    from ..files import new_folder

    check_counts(options.images, options.samples)
    runtime, reason = find_runtime()
    with new_folder(options.output) as folder:
        names = write_onnx(folder, options.model)
        settings = (options.model, options.data, options.images, options.samples)
        report = check_onnx(folder, *settings) if runtime else {}
    if not runtime:
        tell(f"the files were not run and compared: {reason}")
    if options.json:
        print_text(json.dumps({"files": names, **report}, indent=2))
        return
    print_text(f"{options.output}: {', '.join(names)}")
    for line in _lines(report) if report else ():
        print_text(line)


def _lines(report: Dict[str, Any]) -> Iterator[str]:
    """Yield the lines that describe the comparison."""
    yield (
        f"ONNX Runtime {report['runtime']}, {report['images']} {report['source']}: "
        f"{report['equal_images']} with all codes equal ({report['share']:.2%})"
    )
    for tie in report["ties"]:
        yield f"  {_words('image', tie)}: the squared distances are {tie['distance']:.1e} apart"
    different, by_one = report["different_bytes"], report["different_bytes_of_equal_images"]
    where = f": {different - by_one} in images with other codes, {by_one} elsewhere, by one" if different else ""
    yield f"{different} of {report['bytes']} bytes differ{where}"
    if "samples" in report:
        yield f"{report['equal_samples']} of {report['samples']} samples have all codes equal"
        for tie in report["sample_ties"]:
            yield f"  {_words('sample', tie)}: the random number was {tie['distance']:.1e} from the border"


def _words(what: str, tie: Dict[str, Any]) -> str:
    return (
        f"{what} {tie['image']}, row {tie['row']}, column {tie['column']}: "
        f"code {tie['onnx_code']} instead of {tie['code']}, a near tie"
    )
