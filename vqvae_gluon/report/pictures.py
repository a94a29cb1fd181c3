"""Images and codebooks in the form in which the page shows them."""
import base64
import struct
import zlib
from typing import Iterator, List, NamedTuple, Tuple

import numpy as np

from ..data.image_format import PNG, chunk
from ..deploy.predictor import Predictor

_MAP = 100.0  # the side of the map of a codebook
_UNUSED, _LEAST, _MOST = 0.7, 1.4, 4.0  # radii on the map, for up to 64 rows; they shrink with more


class Dot(NamedTuple):
    """A codebook row on the map: a dot with a centre and a radius."""

    x: float
    y: float
    radius: float


def png_uri(image: np.ndarray) -> str:
    """Return a (1 or 3, height, width) uint8 image as the URI of a compressed PNG file."""
    channels, height, width = image.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # each begins with its filter number, 0
    rows[:, 1:] = image.transpose(1, 2, 0).reshape(height, -1)
    body = zlib.compress(rows.tobytes(), 9)
    content = PNG + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the absolute difference, uint8, of two uint8 images of the same shape."""
    return np.maximum(first, second) - np.minimum(first, second)


def decoded_patches(predictor: Predictor) -> Iterator[np.ndarray]:
    """Yield, for each code, the patch (C, p, q), float32 in [0, 1], in the middle of an image of only that code."""
    height, width = predictor.codes_shape
    rows = _pixels_of(height // 2, height, predictor.image_shape[1])
    columns = _pixels_of(width // 2, width, predictor.image_shape[2])
    codes = np.arange(len(predictor.codebook))
    for start in range(0, len(codes), predictor.batch_size):
        some = codes[start : start + predictor.batch_size]
        alone = np.broadcast_to(some[:, None, None], (len(some), height, width))
        yield from predictor.decode(alone)[:, :, rows, columns]


def map_rows(codebook: np.ndarray, shares: np.ndarray) -> Tuple[List[Dot], float]:
    """Place the rows of a codebook (K, D) on a square map of side 100; return them and the share of variance shown.

    The axes are the first two principal components, in the same scale, around the middle of the rows' range. Dots
    grow with ``shares`` (K,), the share of each code in all uses.
    """
    rows = codebook.astype(np.float64) - codebook.mean(axis=0, dtype=np.float64)
    axes = np.linalg.svd(rows, full_matrices=False)[2][:2]
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]  # the sign is arbitrary
    places = np.zeros((len(rows), 2))
    places[:, : len(axes)] = rows @ axes.T
    variance = np.square(rows).sum()
    shown = float(np.square(places).sum() / variance) if variance else 1.0
    places -= (places.min(axis=0) + places.max(axis=0)) / 2
    places *= (_MAP / 2 - _MOST) / max(np.abs(places).max(), 1e-12)
    sizes = _LEAST + (_MOST - _LEAST) * np.sqrt(shares / max(shares.max(), 1e-12))
    radii = np.where(shares > 0, sizes, _UNUSED) * min(1.0, 64 / len(rows)) ** 0.25
    centre = _MAP / 2
    return [Dot(centre + x, centre - y, radius) for (x, y), radius in zip(places.tolist(), radii.tolist())], shown


def _pixels_of(place: int, places: int, pixels: int) -> slice:
    """Return the pixels along a side that belong to one of the ``places`` codes along it: at least one."""
    start = place * pixels // places
    return slice(start, max(start + 1, (place + 1) * pixels // places))
