"""Image files: PNG, JPEG and BMP in, PNG out.

Pixels are decoded and resized by the operators inside libmxnet, which the C++ program calls too
(cpp/include/vqvae/image.hpp mirrors this file, message for message), so both languages see the
same bytes. Those operators accept a damaged file now and then and cut 16 bits or transparency off
without a word; the checks here come first.
"""
import contextlib
import os
import struct
import zlib
from pathlib import Path
from typing import Iterator, Tuple, Union

import mxnet as mx
import numpy as np

from ..errors import VQVAEError
from ..files import read_bytes, write_bytes
from ..runtime import check_number

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}  # by colour type
#: Larger images are refused before they are decoded; the environment variable VQVAE_MAX_PIXELS sets another limit.
MAX_PIXELS = 1 << 26
_PNG_SIDE = 1_000_000  # libpng's limit
_BILINEAR, _AREA = 1, 3


def read_image(
    path: Union[str, Path], channels: int, size: Tuple[int, int], strict: bool = False
) -> np.ndarray:
    """Read an image file as a (channels, height, width) uint8 array.

    A colour image becomes grayscale (ITU-R 601 luma) where ``channels`` is 1, and another size is
    stretched to ``size`` (height, width), by pixel areas when shrinking and bilinearly otherwise.

    Raises
    ------
    VQVAEError
        For a missing, damaged or foreign file, 16 bits per channel, an alpha channel and, if
        ``strict``, a colour image for one channel or another size.
    """
    pixels = read_pixels(path, channels, strict)
    height, width = size
    if strict and pixels.shape[1:] != size:
        raise VQVAEError(
            f"{path}: has {pixels.shape[2]}x{pixels.shape[1]} pixels, the model takes {width}x{height}; "
            "resize it or leave out --strict"
        )
    return stretch(pixels, size)


def read_pixels(path: Union[str, Path], channels: int, strict: bool = False) -> np.ndarray:
    """Read an image file in its own size, as (channels, height, width) uint8; see :func:`read_image`."""
    content = read_bytes(path)
    if channels not in (1, 3):
        raise VQVAEError(f"{path}: was asked for with {channels} channels: image files have 1 or 3")
    _check(str(path), content)
    if strict and channels == 1:
        colours = _decode(str(path), content, 3)
        if (colours != colours[:, :, :1]).any():
            raise VQVAEError(f"{path}: is a colour image, the model takes grayscale; convert it or leave out --strict")
    pixels = _decode(str(path), content, channels)
    return np.ascontiguousarray(pixels.reshape(*pixels.shape[:2], channels).transpose(2, 0, 1))


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

    The pixels are stored without compression, in the very bytes that the C++ program writes: equal
    images are equal files. Raises VQVAEError for another shape or type, for a name that says JPEG or
    BMP, and for an unwritable path.
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
    rows = image.transpose(1, 2, 0).reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", _stored_deflate(raw)), (b"IEND", b""))
    write_bytes(path, _PNG + b"".join(_chunk(name, body) for name, body in chunks))


def max_pixels() -> int:
    """Return how many pixels an image may have, see ``VQVAE_MAX_PIXELS``; raise VQVAEError for an impossible limit."""
    return check_number("VQVAE_MAX_PIXELS", os.environ.get("VQVAE_MAX_PIXELS", str(MAX_PIXELS)), (1 << 31) - 1)


def _decode(path: str, content: bytes, channels: int) -> np.ndarray:
    if content.startswith(_JPEG):
        # MXNet reserves the pixels of a JFIF file before it decodes and, where OpenCV refuses the header,
        # returns them uninitialised. An empty comment hides the JFIF mark and so takes the checked way.
        content = content[:2] + b"\xff\xfe\x00\x02" + content[2:]
    try:
        return mx.image.imdecode(content, flag=int(channels == 3)).asnumpy()
    except mx.MXNetError:
        with contextlib.suppress(mx.MXNetError):
            mx.nd.waitall()  # MXNet keeps the error and would raise it again when the process ends
        raise VQVAEError(f"{path}: the image is truncated, damaged or of an unsupported kind") from None


def _check(path: str, content: bytes) -> None:
    if content.startswith(_PNG):
        fault = _png_fault(content)
    elif content.startswith(_JPEG):
        fault = _jpeg_fault(content)
    elif content.startswith(b"BM"):
        fault = _bmp_fault(content)
    else:
        raise VQVAEError(f"{path}: is not a PNG, JPEG or BMP image")
    if fault == "damaged":
        raise VQVAEError(f"{path}: the image is truncated, damaged or of an unsupported kind")
    if fault == "large":
        raise VQVAEError(f"{path}: has more than {max_pixels()} pixels; set VQVAE_MAX_PIXELS to allow more")
    if fault == "16 bits":
        raise VQVAEError(f"{path}: has 16 bits per channel; save it with 8")
    if fault == "alpha":
        raise VQVAEError(f"{path}: has an alpha channel; flatten it onto a background")


def _png_fault(content: bytes) -> str:
    """Check what libpng checks before the pixels: where it refuses, MXNet returns uninitialised ones."""
    order, transparent, end = b"", False, len(_PNG)
    while end < len(content) and not order.endswith(b"IEND"):
        name, body, end = _read_chunk(content, end)
        if end > len(content) or content[end - 4 : end] != struct.pack(">I", zlib.crc32(name + body)):
            return "damaged"
        if name == b"PLTE" and (len(body) % 3 or not 3 <= len(body) <= 768):
            return "damaged"
        transparent = transparent or name == b"tRNS"
        if name[:1].isupper() and not (name == b"IDAT" and order.endswith(b"IDAT")):
            order += name
    if order not in (b"IHDRIDATIEND", b"IHDRPLTEIDATIEND") or content[8:12] != b"\0\0\0\r":
        return "damaged"
    width, height, depth, colour_type, *methods = struct.unpack(">IIBBBBB", content[16:29])
    palette = b"PLTE" in order
    if depth not in _PNG_DEPTHS.get(colour_type, ()) or methods not in ([0, 0, 0], [0, 0, 1]):
        return "damaged"
    if (colour_type == 3 and not palette) or (colour_type in (0, 4) and palette):
        return "damaged"
    fault = "damaged" if max(width, height) > _PNG_SIDE else _size_fault(width, height)
    if fault:
        return fault
    if depth == 16:
        return "16 bits"
    return "alpha" if colour_type in (4, 6) or transparent else ""


def _size_fault(width: int, height: int) -> str:
    if not width * height:
        return "damaged"
    return "large" if width * height > max_pixels() else ""


def _read_chunk(content: bytes, start: int) -> Tuple[bytes, bytes, int]:
    length = int.from_bytes(content[start : start + 4], "big")
    body = start + 8
    return content[start + 4 : body], content[body : body + length], body + length + 4


def _jpeg_fault(content: bytes) -> str:
    # 0xFFD9 ends a JPEG, and no compressed data can hold it.
    if not content.rfind(b"\xff\xd9") > content.rfind(b"\xff\xda") > 0:
        return "damaged"
    place = 2
    while place + 9 <= len(content) and content[place] == 0xFF:
        marker, length = content[place + 1], int.from_bytes(content[place + 2 : place + 4], "big")
        if marker == 0xFF:  # a filler before a marker
            place += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # the frame's header: the size is in it
            height, width = struct.unpack_from(">HH", content, place + 5)
            return _size_fault(width, height)
        elif marker == 0xDA or length < 2:
            break
        else:
            place += 2 + length
    return "damaged"


def _bmp_fault(content: bytes) -> str:
    if len(content) < 54:
        return "damaged"
    offset, header, width, height, _, bits, compression = struct.unpack_from("<IIiiHHI", content, 10)
    row = (abs(width) * bits + 31) // 32 * 4
    if header < 40 or compression or bits not in (1, 4, 8, 24, 32):
        return "damaged"
    fault = _size_fault(abs(width), abs(height))
    if fault:
        return fault
    if offset + row * abs(height) > len(content):
        return "damaged"
    return "alpha" if bits == 32 else ""


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def _stored_deflate(raw: bytes) -> bytes:
    return b"\x78\x01" + b"".join(_stored_blocks(raw)) + struct.pack(">I", zlib.adler32(raw))


def _stored_blocks(raw: bytes) -> Iterator[bytes]:
    for start in range(0, len(raw), 0xFFFF):
        block = raw[start : start + 0xFFFF]
        last = start + len(block) == len(raw)
        yield struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF) + block
