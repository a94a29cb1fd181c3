"""Score how unlikely a model finds images: by the bits that its prior needs for their codes."""
import csv
import io
import os
from pathlib import Path
from typing import List, NamedTuple, Sequence

from ..deploy.bulk import folder_batches, progress_bar
from ..deploy.predictor import File
from ..deploy.sampler import Sampler
from ..errors import VQVAEError
from ..runtime import stop_if_asked


class Score(NamedTuple):
    """The ``bits`` of an ``image``, a path relative to the folder that was scored."""

    bits: float
    image: str


def score_folder(sampler: Sampler, folder: File) -> List[Score]:
    """Return the scores of all images below a folder, the least likely first; ties are sorted by name.

    Raises VQVAEError if there are no images, or if one cannot be read.
    """
    if not os.path.isdir(folder):
        raise VQVAEError(f"{folder}: is no folder; give one of PNG, JPEG or BMP files")
    scores: List[Score] = []
    with progress_bar() as bar:
        for names, images in folder_batches(sampler.predictor, Path(folder)):
            stop_if_asked()
            bits = sampler.bits(sampler.predictor.encode(images))
            scores += [Score(float(value), os.fsdecode(name)) for value, name in zip(bits, names)]
            bar.update(len(names))
    if not scores:
        raise VQVAEError(f"{folder}: holds no images (png, jpg, jpeg, bmp)")
    return sorted(scores, key=lambda score: (-score.bits, score.image))


def to_csv(scores: Sequence[Score]) -> str:
    """Return scores as CSV text with the columns ``bits``, with four decimals, and ``image``."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Score._fields)
    writer.writerows((f"{bits:.4f}", image) for bits, image in scores)
    return text.getvalue()
