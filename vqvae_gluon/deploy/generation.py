"""Write generated images: a single image, a grid of several, or a folder with a file for each."""
import math
from typing import Iterator, Tuple

import numpy as np

from ..data import to_bytes, write_png
from ..data.image_format import max_pixels
from ..errors import VQVAEError
from .bulk import numbered, progress_bar, write_folder
from .predictor import Predictor

_GAP, _GRAY = 1, 128  # width and gray level of the lines between the images of a grid


def write_images(predictor: Predictor, codes: Iterator[np.ndarray], count: int, output: str) -> None:
    """Decode batches of codes, those of ``count`` images in all, and write the images to ``output``.

    If ``output`` ends in a slash, it is a new folder with a PNG file for each image; otherwise it is one PNG file, of
    the image or of a grid of several. Raises VQVAEError if it cannot be written, or if the grid would have more pixels
    than an image may have; nothing is left behind then.
    """
    images = (image for batch in codes for image in to_bytes(predictor.decode(batch)))
    with progress_bar(count) as bar:
        if output.endswith("/"):
            write_folder(output, ((numbered(number), image) for number, image in enumerate(images)), output, bar)
            return
        picture = _canvas(predictor.image_shape, count)
        for number, image in enumerate(images):
            _place(picture, image, number, count)
            bar.update()
    write_png(output, picture)


def columns_of(count: int) -> int:
    """Return the number of columns of a grid, chosen so that it is about square."""
    return math.isqrt(count - 1) + 1


def _canvas(shape: Tuple[int, ...], count: int) -> np.ndarray:
    channels, height, width = shape
    columns = columns_of(count)
    rows = -(-count // columns)
    size = rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP
    if size[1] > max_pixels() // size[0]:
        raise VQVAEError(
            f"count was given as {count}: a picture of that many images has more than {max_pixels()} pixels; "
            "give a folder OUT/ instead"
        )
    return np.full((channels, *size), _GRAY, np.uint8)


def _place(picture: np.ndarray, image: np.ndarray, number: int, count: int) -> None:
    _, height, width = image.shape
    row, column = divmod(number, columns_of(count))
    top, left = row * (height + _GAP), column * (width + _GAP)
    picture[:, top : top + height, left : left + width] = image
