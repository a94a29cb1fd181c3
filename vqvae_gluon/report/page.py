"""The report of a run: one self-contained HTML file without scripts; the same run gives the same bytes."""
import math
import os
from pathlib import Path
from typing import Any, Optional

import mxnet as mx
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .. import __version__
from ..deploy.origin import load_origin
from ..deploy.predictor import File
from ..errors import VQVAEError
from ..evaluation.splits import measure_images
from ..files import write_bytes
from ..runtime import MEMORY
from .hints import find_hints
from .run import read_run
from .sections import (
    Subject,
    about_run,
    codebook_of,
    codes_of,
    comparison_of,
    predictor_of,
    prior_of,
    reconstructions,
)

_MOST = 100  # images of each kind, at most


def write_report(
    output: File,
    run: File,
    against: Optional[File] = None,
    data: Optional[str] = None,
    split: str = "test",
    ctx: mx.Context = mx.cpu(),
    background: Optional[str] = None,
    classes: Optional[str] = None,
    memory: float = MEMORY,
    count: int = 8,
) -> int:
    """Write the report of a run to an HTML file, which is overwritten if it exists, and return its size in bytes.

    ``against`` is a run to compare with, on the same images. ``count`` is the number of images of each kind to show,
    from 1 to 100. ``data``, ``split``, ``background``, ``classes`` and ``memory`` are those of
    :func:`vqvae_gluon.evaluation.splits.evaluate_model`.

    Raises VQVAEError if a folder is not a run or is damaged, if the images of the two runs differ in shape, if the data
    are missing, have changed or have no image in the split, for a count out of range, and for an output whose name does
    not end in .html or .htm or that cannot be written.
    """
    _check_output(output)
    if not 1 <= count <= _MOST:
        raise VQVAEError(f"images was given as {count}: it must be from 1 to {_MOST}")
    own, other_run = read_run(run), read_run(against) if against is not None else None
    model = own.load(ctx)
    other_model = other_run.load(ctx) if other_run else None
    shape = predictor_of(model).image_shape
    if shape[0] not in (1, 3):
        raise VQVAEError(f"{run}: its images have {shape[0]} channels: a report shows those of 1 or 3")
    if other_model and predictor_of(other_model).image_shape != shape:
        raise VQVAEError(
            f"{against}: takes images of {predictor_of(other_model).image_shape}, {run} of {shape}; "
            "only runs with images of one shape can be compared"
        )
    dataset = load_origin(own.folder, predictor_of(model), data, background, classes, memory=memory)
    images = dataset.split(split)
    if not len(images.images):
        raise VQVAEError(f"{data or own.recipe.data}: has no image in the {split} split; choose another with --split")
    subject = Subject(own, model, split, measure_images(images, model))
    other = None
    if other_run and other_model:
        other = Subject(other_run, other_model, split, measure_images(images, other_model))
    vectors = len(dataset.validation.images) * math.prod(subject.predictor.codes_shape)
    page = _render(
        subject=subject,
        other=other,
        version=__version__,
        source=data or own.recipe.data,
        hints=find_hints(own, vectors),
        **about_run(subject, other),
        **reconstructions(subject, count),
        codebook=codebook_of(subject),
        codes=codes_of(subject, count),
        prior=prior_of(subject, count),
        comparison=comparison_of(subject, other, count) if other else None,
    )
    content = page.encode("utf-8", "replace")  # file names may hold bytes that are not text
    write_bytes(output, content)
    return len(content)


def _check_output(output: File) -> None:
    """Raise VQVAEError, before anything is measured, if the output cannot be written or is not named like a report."""
    if not str(output).lower().endswith((".html", ".htm")):
        raise VQVAEError(f"{output}: a report is an HTML file; let its name end in .html")
    if os.path.isdir(output):
        raise VQVAEError(f"{output}: is a folder; give the name of a file")
    if not os.path.isdir(os.path.dirname(os.path.realpath(output))):
        raise VQVAEError(f"{output}: cannot be written, for its folder is not there; make the folder first")


def _render(**parts: Any) -> str:
    folder = FileSystemLoader(str(Path(__file__).parent))
    environment = Environment(
        loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html").render(**parts) + "\n"
