"""Image files: PNG, JPEG and BMP in, PNG out.

Pixels are decoded and resized by the operators inside libmxnet, which the C++ program calls too
(cpp/include/vqvae/image.hpp mirrors this file, message for message), so both languages see the
same bytes. Those operators accept a damaged file now and then and cut 16 bits or transparency off
without a word; the checks here come first.
"""
import struct
import zlib
from pathlib import Path
from typing import Iterator, Tuple, Union

import mxnet as mx
import numpy as np

from ..errors import VQVAEError
from ..files import read_bytes, write_bytes

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
_PNG = b"\x89PNG\r\n\x1a\n"
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
    content = read_bytes(path)
    _check(str(path), content)
    if strict and channels == 1:
        colours = _decode(str(path), content, 3)
        if (colours != colours[:, :, :1]).any():
            raise VQVAEError(f"{path}: is a colour image, the model takes grayscale; convert it or leave out --strict")
    pixels = _decode(str(path), content, channels)
    height, width = size
    if pixels.shape[:2] != size:
        if strict:
            raise VQVAEError(
                f"{path}: has {pixels.shape[1]}x{pixels.shape[0]} pixels, the model takes {width}x{height}; "
                "resize it or leave out --strict"
            )
        shrinks = pixels.shape[0] >= height and pixels.shape[1] >= width
        interpolation = _AREA if shrinks else _BILINEAR
        pixels = mx.image.imresize(mx.nd.array(pixels, dtype="uint8"), width, height, interpolation).asnumpy()
    return np.ascontiguousarray(pixels.reshape(height, width, channels).transpose(2, 0, 1))


def write_png(path: Union[str, Path], image: np.ndarray) -> None:
    """Write a (1 or 3, height, width) uint8 image as a PNG file.

    The pixels are stored without compression, in the very bytes that the C++ program writes: equal
    images are equal files.
    """
    channels, height, width = image.shape
    rows = image.transpose(1, 2, 0).reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", _stored_deflate(raw)), (b"IEND", b""))
    write_bytes(path, _PNG + b"".join(_chunk(name, body) for name, body in chunks))


def _decode(path: str, content: bytes, channels: int) -> np.ndarray:
    try:
        return mx.image.imdecode(content, flag=int(channels == 3)).asnumpy()
    except mx.MXNetError:
        raise VQVAEError(f"{path}: the image is truncated or damaged") from None


def _check(path: str, content: bytes) -> None:
    if content.startswith(_PNG):
        fault = _png_fault(content)
    elif content.startswith(b"\xff\xd8\xff"):
        # 0xFFD9 ends a JPEG, and no compressed data can hold it.
        fault = "" if content.rfind(b"\xff\xd9") > content.rfind(b"\xff\xda") > 0 else "damaged"
    elif content.startswith(b"BM"):
        fault = _bmp_fault(content)
    else:
        raise VQVAEError(f"{path}: is not a PNG, JPEG or BMP image")
    if fault == "damaged":
        raise VQVAEError(f"{path}: the image is truncated or damaged")
    if fault == "16 bits":
        raise VQVAEError(f"{path}: has 16 bits per channel; save it with 8")
    if fault == "alpha":
        raise VQVAEError(f"{path}: has an alpha channel; flatten it onto a background")


def _png_fault(content: bytes) -> str:
    if content[len(_PNG) : 16] != b"\0\0\0\rIHDR":
        return "damaged"
    names, end = [], len(_PNG)
    while end < len(content) and b"IEND" not in names:
        name, body, end = _read_chunk(content, end)
        names.append(name)
        if end > len(content) or content[end - 4 : end] != struct.pack(">I", zlib.crc32(name + body)):
            return "damaged"
    if names[-1] != b"IEND":
        return "damaged"
    depth, colour_type = content[24], content[25]
    if depth == 16:
        return "16 bits"
    return "alpha" if colour_type in (4, 6) or b"tRNS" in names else ""


def _read_chunk(content: bytes, start: int) -> Tuple[bytes, bytes, int]:
    length = int.from_bytes(content[start : start + 4], "big")
    body = start + 8
    return content[start + 4 : body], content[body : body + length], body + length + 4


def _bmp_fault(content: bytes) -> str:
    if len(content) < 54:
        return "damaged"
    offset, header, width, height, _, bits, compression = struct.unpack_from("<IIiiHHI", content, 10)
    row = (abs(width) * bits + 31) // 32 * 4
    if header < 40 or (compression == 0 and offset + row * abs(height) > len(content)):
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
