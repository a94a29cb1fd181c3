"""Image files: PNG, JPEG and BMP in, PNG out.

Pixels are decoded and resized by the operators in libmxnet. The C++ program calls them too
(cpp/include/vqvae/image.hpp mirrors this file, message for message), so both languages see the
same bytes. Files are checked, and an alpha channel is flattened, before they reach those operators.
"""
import contextlib
from pathlib import Path
from typing import Iterator, List, Optional, Sequence, Tuple, Union

import mxnet as mx
import numpy as np

from ..background import Colour, parse_background
from ..errors import VQVAEError
from ..files import read_bytes, write_bytes
from .image_format import (
    BMP,
    DAMAGED,
    JPEG,
    PNG,
    SUFFIXES,
    ImageFault,
    Png,
    check_jpeg,
    foreign_fault,
    png_file,
    read_bmp,
    read_png,
)

_BILINEAR, _AREA = 1, 3


def read_image(
    path: Union[str, Path], channels: int, size: Tuple[int, int], strict: bool = False, background: str = ""
) -> np.ndarray:
    """Read an image file as a (channels, height, width) uint8 array.

    It is rotated and mirrored as its Exif orientation says. A colour image becomes grayscale (ITU-R 601 luma) if
    ``channels`` is 1. An image of another size is stretched to ``size`` (height, width), by pixel areas when neither
    side grows and bilinearly otherwise.

    An alpha channel that is 255 everywhere is dropped. With any other, the image is first flattened onto
    ``background`` ('black', 'white' or '#rrggbb'): each of red, green and blue becomes
    ``(alpha * colour + (255 - alpha) * background + 127) // 255``.

    Raises
    ------
    VQVAEError
        For a file that is missing, damaged or of another format, 16 bits per channel, an alpha channel without a
        background, a background that is not a colour and, if ``strict``, a colour image where ``channels`` is 1, or
        another size.
    """
    pixels = read_pixels(path, channels, strict, background)
    height, width = size
    if strict and pixels.shape[1:] != size:
        raise VQVAEError(
            f"{path}: has {pixels.shape[2]}x{pixels.shape[1]} pixels, the model takes {width}x{height}; "
            "resize it or leave out --strict"
        )
    return stretch(pixels, size)


def read_pixels(path: Union[str, Path], channels: int, strict: bool = False, background: str = "") -> np.ndarray:
    """Read an image file in its own size, as (channels, height, width) uint8; see :func:`read_image`."""
    parse_background(background)
    file = (str(path), read_bytes(path))
    if strict and channels == 1:
        (colours,) = decode([file], 3, background)
        if (colours != colours[:1]).any():
            raise VQVAEError(
                f"{path}: is a colour image, the model takes grayscale; convert it or leave out --strict"
            )
    return decode([file], channels, background)[0]


def decode(files: Sequence[Tuple[str, bytes]], channels: int, background: str = "") -> List[np.ndarray]:
    """Return the pixels of image files, each given as a name, for error messages, and its content.

    See :func:`read_pixels`. MXNet queues the decoding of PNG files behind its other work, so this function waits for
    all files at once, not for each of them.
    """
    colour = parse_background(background)
    begun: List[Tuple[str, int, mx.nd.NDArray, mx.nd.NDArray]] = []
    try:
        for name, content in files:
            if channels not in (1, 3):
                raise VQVAEError(f"{name}: was asked for with {channels} channels: image files have 1 or 3")
            with _blamed(name):
                plain, orientation = _prepare(content, colour)
                begun.append((name, orientation, *_begin(plain, channels)))
        return [_end(*decoding) for decoding in begun]
    except BaseException:
        with contextlib.suppress(mx.MXNetError):
            mx.nd.waitall()  # a decoder that has begun reads its file's content until it is done
        raise


@contextlib.contextmanager
def _blamed(name: str) -> Iterator[None]:
    try:
        yield
    except ImageFault as fault:
        raise VQVAEError(f"{name}: {fault}") from None


def _end(name: str, orientation: int, content: mx.nd.NDArray, decoded: mx.nd.NDArray) -> np.ndarray:
    """Return the pixels of a file whose decoding has begun; the argument ``content`` keeps its bytes alive."""
    with _blamed(name):
        pixels = _turn(_pixels(decoded), orientation)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def stretch(pixels: np.ndarray, size: Tuple[int, int]) -> np.ndarray:
    """Return a (channels, height, width) uint8 image in another ``size`` (height, width), see :func:`read_image`."""
    if pixels.shape[1:] == size:
        return pixels
    height, width = size
    shrinks = pixels.shape[1] >= height and pixels.shape[2] >= width
    rows = mx.nd.array(pixels.transpose(1, 2, 0), dtype="uint8")
    resized = mx.image.imresize(rows, width, height, _AREA if shrinks else _BILINEAR).asnumpy()
    return np.ascontiguousarray(resized.reshape(height, width, -1).transpose(2, 0, 1))


def write_png(path: Union[str, Path], image: np.ndarray) -> None:
    """Write a (1 or 3, height, width) uint8 image as a PNG file.

    The pixels are stored without compression, byte for byte as the C++ program writes them: equal images
    make equal files. Raises VQVAEError for another shape or type, for a name that ends like a JPEG or BMP
    file, and for a path that cannot be written.
    """
    suffix = Path(path).suffix
    if suffix.lower() in SUFFIXES[1:]:
        raise VQVAEError(f"{path}: only PNG files are written; let the name end in .png, not {suffix}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[0] not in (1, 3) or not image.size:
        raise VQVAEError(
            f"an image was given as {image.dtype} of shape {image.shape}: a PNG takes uint8 (1 or 3, height, width); "
            "to_bytes makes bytes of floats in [0, 1]"
        )
    channels, height, width = image.shape
    write_bytes(path, _png_of(image.transpose(1, 2, 0)))


def _prepare(content: bytes, background: Optional[Colour]) -> Tuple[bytes, int]:
    """Return an image file without alpha, to be decoded, and the Exif orientation to apply to its pixels."""
    if content.startswith(PNG):
        png = read_png(content)
        alpha = _alpha_of(png)
        if (alpha == 255).all():
            return png.plain, png.orientation()
        return _png_of(_flatten(_decode(png.plain, 3), alpha, background)), png.orientation()
    if content.startswith(JPEG):
        check_jpeg(content)
        # MXNet allocates the pixels of a JFIF file before it decodes them and, if OpenCV refuses the header,
        # returns them uninitialised. An empty comment hides the JFIF marker, so that the checked path is taken, on
        # which OpenCV applies the orientation.
        return content[:2] + b"\xff\xfe\x00\x02" + content[2:], 1
    if content.startswith(BMP):
        start, end = read_bmp(content)
        pixels = np.frombuffer(content[start:end], np.uint8).reshape(-1, 4)
        alpha = pixels[:, 3]
        if not alpha.any() or (alpha == 255).all():  # all 0: the byte is unused
            return content, 1
        pixels = np.column_stack([_flatten(pixels[:, 2::-1], alpha, background)[:, ::-1], alpha])
        return content[:start] + pixels.tobytes() + content[end:], 1
    raise ImageFault(foreign_fault(content))


def _alpha_of(png: Png) -> np.ndarray:
    """Return the alpha channel of a PNG file, (H, W) uint8 or, if it has none, a single 255."""
    if png.colour_type in (4, 6) or (png.colour_type == 3 and png.transparency):
        return _decode(png.alpha(), 1)[:, :, 0]
    if png.transparency:
        return np.where((_decode(png.plain, 3) == png.key()).all(axis=2), 0, 255).astype(np.uint8)
    return np.array(255, np.uint8)


def _flatten(colours: np.ndarray, alpha: np.ndarray, background: Optional[Colour]) -> np.ndarray:
    """Return uint8 colours (..., 3), red first, blended with a background by their alpha (...)."""
    if background is None:
        raise ImageFault("has an alpha channel; flatten it with --background black, white or #rrggbb")
    alpha = alpha[..., None].astype(np.uint16)
    return ((alpha * colours + (255 - alpha) * np.array(background, np.uint16) + 127) // 255).astype(np.uint8)


def _decode(content: bytes, channels: int) -> np.ndarray:
    """Return the (H, W, channels) uint8 pixels of an image file."""
    kept, decoded = _begin(content, channels)
    return _pixels(decoded)


def _begin(content: bytes, channels: int) -> Tuple[mx.nd.NDArray, mx.nd.NDArray]:
    """Return an image file's content, to be kept alive, and its pixels, which MXNet may not have decoded yet."""
    # Unlike mx.nd.array, from_numpy does not wait for MXNet's pending work.
    kept = mx.nd.from_numpy(np.frombuffer(content, np.uint8))
    with _decoding():
        return kept, mx.image.imdecode(kept, flag=int(channels == 3))


def _pixels(decoded: mx.nd.NDArray) -> np.ndarray:
    with _decoding():
        return decoded.asnumpy()


@contextlib.contextmanager
def _decoding() -> Iterator[None]:
    try:
        yield
    except mx.MXNetError:
        with contextlib.suppress(mx.MXNetError):
            mx.nd.waitall()  # otherwise MXNet would raise the error again when the process ends
        raise ImageFault(DAMAGED) from None


def _turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Return (H, W, C) pixels upright; the Exif orientation is in [1, 8], from 5 on it swaps height and width."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _png_of(pixels: np.ndarray) -> bytes:
    """Return (H, W, 1 or 3) uint8 pixels as a PNG file."""
    height, width, channels = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    return png_file(width, height, channels, rows)
