"""PNG, JPEG and BMP files as bytes: which are accepted, which are refused, and what the decoder gets of a PNG.

The decoder in libmxnet accepts some damaged files, silently drops alpha and the low bits of 16-bit channels, and lets
a PNG's gamma and colour chunks change its gray values. Therefore files are checked here first.
png_format.hpp and image_format.hpp in cpp/include/vqvae/detail mirror this file, message for message.
"""
import os
import re
import struct
import zlib
from typing import Dict, Iterator, NamedTuple, Tuple

import numpy as np

from ..runtime import check_number

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
BMP = b"BM"
DAMAGED = "the image is truncated, damaged or of an unsupported kind"
#: Larger images are refused before they are decoded; the environment variable VQVAE_MAX_PIXELS sets another limit.
MAX_PIXELS = 1 << 26
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}  # by colour type
_PNG_SIDE = 1_000_000  # libpng's limit
# The passes of an interlaced PNG: the first column and row, and the steps to the next ones.
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_ORIENTATION = 0x0112  # Exif's tag
_NETPBM = ("PBM", "PGM", "PPM") * 2  # P1 to P6


class ImageFault(Exception):
    """What is wrong with an image file, worded to follow its path in a message."""


class Png(NamedTuple):
    """A PNG file without its ancillary chunks, and the bodies of the two that are used, b"" for a missing one."""

    plain: bytes
    transparency: bytes  # tRNS
    exif: bytes  # eXIf

    @property
    def colour_type(self) -> int:
        """0 gray, 2 RGB, 3 palette, 4 gray and alpha, 6 RGB and alpha."""
        return self.plain[25]

    @property
    def depth(self) -> int:
        """Bits per channel, or per index into the palette."""
        return self.plain[24]

    def key(self) -> Tuple[int, ...]:
        """Return the colour that is transparent in a gray or RGB image: red, green and blue as decoded."""
        if self.colour_type == 2:
            return tuple(self.transparency[1::2])
        largest = (1 << self.depth) - 1
        return ((self.transparency[1] & largest) * (255 // largest),) * 3

    def alpha(self) -> bytes:
        """Return the alpha channel, or the alpha values of a palette image, as a grayscale PNG file.

        Raises ImageFault if the compressed pixels are damaged.
        """
        if self.colour_type == 3:
            alphas = self.transparency.ljust(1 << self.depth, b"\xff")
            palette = chunk(b"PLTE", bytes(alpha for alpha in alphas for _ in range(3)))
            return PNG + b"".join(palette if name == b"PLTE" else whole for name, _, whole in chunks(self.plain))
        width, height, interlaced = (*struct.unpack_from(">II", self.plain, 16), self.plain[28])
        step = 2 if self.colour_type == 4 else 4  # bytes per pixel
        passes = []
        for x, y, right, down in _ADAM7 if interlaced else ((0, 0, 1, 1),):
            rows, columns = (height + down - 1 - y) // down, (width + right - 1 - x) // right
            if rows and columns:
                passes.append((rows, 1 + step * columns))
        raw = _inflate(
            b"".join(body for name, body, _ in chunks(self.plain) if name == b"IDAT"),
            sum(rows * size for rows, size in passes),
        )
        # A row is a filter number followed by pixels. Filters predict a byte from the same byte of other pixels, so
        # the filter number and the last byte of each pixel are a filtered row of a gray image.
        gray, start = [], 0
        for rows, size in passes:
            gray.append(np.frombuffer(raw, np.uint8, rows * size, start).reshape(rows, size)[:, ::step].tobytes())
            start += rows * size
        return png_file(width, height, 1, b"".join(gray), interlaced)

    def orientation(self) -> int:
        """Return the Exif orientation in [1, 8], parsed as OpenCV does for a JPEG; 1 if it is missing or damaged."""
        if self.exif[:2] not in (b"II", b"MM"):
            return 1
        order = "<" if self.exif[:2] == b"II" else ">"
        try:
            mark, directory = struct.unpack_from(f"{order}HI", self.exif, 2)
            (count,) = struct.unpack_from(f"{order}H", self.exif, directory)
            for start in range(directory + 2, directory + 2 + 12 * count, 12):
                tag, value = struct.unpack_from(f"{order}H6xH2x", self.exif, start)
                if tag == _ORIENTATION:
                    return value if mark == 42 and 1 <= value <= 8 else 1
        except struct.error:
            pass
        return 1


def read_png(content: bytes) -> Png:
    """Check what libpng checks before it decodes pixels: if libpng refuses a file, MXNet returns uninitialised pixels.

    Raises ImageFault for a file that is damaged or too large, or has 16 bits per channel.
    """
    order, plain = b"", [PNG]
    first: Dict[bytes, Tuple[bytes, bytes]] = {}  # the body of the first chunk of a name, and the order before it
    for name, body, whole in chunks(content):
        if whole[-4:] != struct.pack(">I", zlib.crc32(name + body)) or (name == b"tRNS" and name in first):
            raise ImageFault(DAMAGED)
        if name == b"PLTE" and (len(body) % 3 or not 3 <= len(body) <= 768):
            raise ImageFault(DAMAGED)
        first.setdefault(name, (body, order))
        if name[:1].isupper():
            plain.append(whole)
            if not (name == b"IDAT" and order.endswith(b"IDAT")):
                order += name
        if name == b"IEND":
            break
    if order not in (b"IHDRIDATIEND", b"IHDRPLTEIDATIEND") or content[8:16] != b"\0\0\0\rIHDR":
        raise ImageFault(DAMAGED)
    width, height, depth, colour_type, *methods = struct.unpack(">IIBBBBB", content[16:29])
    palette = b"PLTE" in first
    if depth not in _PNG_DEPTHS.get(colour_type, ()) or methods not in ([0, 0, 0], [0, 0, 1]):
        raise ImageFault(DAMAGED)
    if (colour_type == 3 and not palette) or (colour_type in (0, 4) and palette) or max(width, height) > _PNG_SIDE:
        raise ImageFault(DAMAGED)
    _check_size(width, height)
    if depth == 16:
        raise ImageFault("has 16 bits per channel; save it with 8")
    if b"tRNS" in first:
        transparency, place = first[b"tRNS"]
        if colour_type == 3:
            fits = 1 <= len(transparency) <= len(first[b"PLTE"][0]) // 3
        else:
            fits = len(transparency) == {0: 2, 2: 6}.get(colour_type)
        if not fits or place + b"IDATIEND" != order:
            raise ImageFault(DAMAGED)
    return Png(b"".join(plain), *(first.get(name, (b"",))[0] for name in (b"tRNS", b"eXIf")))


def png_file(width: int, height: int, channels: int, rows: bytes, interlaced: int = 0) -> bytes:
    """Return a PNG file with 1 or 3 channels of 8 bits; each of the ``rows`` begins with its filter number."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, interlaced)
    return PNG + chunk(b"IHDR", header) + chunk(b"IDAT", _stored_deflate(rows)) + chunk(b"IEND", b"")


def chunk(name: bytes, body: bytes) -> bytes:
    """Return a complete chunk of a PNG file: length, name, body and checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def chunks(content: bytes) -> Iterator[Tuple[bytes, bytes, bytes]]:
    """Yield the name, the body and the full bytes of each complete chunk of a PNG file."""
    start = len(PNG)
    while start + 12 <= len(content):
        end = start + 12 + int.from_bytes(content[start : start + 4], "big")
        if end > len(content):
            return
        yield content[start + 4 : start + 8], content[start + 8 : end - 4], content[start:end]
        start = end


def check_jpeg(content: bytes) -> None:
    """Raise ImageFault for a JPEG file that is truncated or too large."""
    # 0xFFD9 ends a JPEG and cannot occur in compressed data.
    if not content.rfind(b"\xff\xd9") > content.rfind(b"\xff\xda") > 0:
        raise ImageFault(DAMAGED)
    place = 2
    while place + 9 <= len(content) and content[place] == 0xFF:
        marker, length = content[place + 1], int.from_bytes(content[place + 2 : place + 4], "big")
        if marker == 0xFF:  # a filler before a marker
            place += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # the frame header, which holds the size
            height, width = struct.unpack_from(">HH", content, place + 5)
            _check_size(width, height)
            return
        elif marker == 0xDA or length < 2:
            break
        else:
            place += 2 + length
    raise ImageFault(DAMAGED)


def read_bmp(content: bytes) -> Tuple[int, int]:
    """Return where the pixels of a BMP file with 32 bits per pixel (blue, green, red, alpha) begin and end, else 0, 0.

    Raises ImageFault for a file that is damaged, too large or of an unsupported kind.
    """
    if len(content) >= 18 and 12 <= int.from_bytes(content[14:18], "little") < 40:
        raise ImageFault(_to_convert("an OS/2 BMP file", "bmp"))
    if len(content) < 54:
        raise ImageFault(DAMAGED)
    offset, header, width, height, _, bits, compression = struct.unpack_from("<IIiiHHI", content, 10)
    if header < 40:
        raise ImageFault(DAMAGED)
    if compression in (1, 2):
        raise ImageFault(_to_convert("a run-length encoded BMP file", "bmp"))
    if bits == 16:
        raise ImageFault(_to_convert("a BMP file with 16 bits per pixel", "bmp"))
    if compression == 3:
        raise ImageFault(_to_convert("a BMP file with bit fields", "bmp"))
    if compression or bits not in (1, 4, 8, 24, 32):
        raise ImageFault(DAMAGED)
    _check_size(abs(width), abs(height))
    end = offset + (abs(width) * bits + 31) // 32 * 4 * abs(height)
    if end > len(content) or (bits == 32 and offset < 14 + header):
        raise ImageFault(DAMAGED)
    return (offset, end) if bits == 32 else (0, 0)


def foreign_fault(content: bytes) -> str:
    """Return the message for a file that is not a PNG, JPEG or BMP image."""
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return _to_convert("a WebP file", "webp")
    if content[:6] in (b"GIF87a", b"GIF89a"):
        return _to_convert("a GIF file", "gif")
    if content[:4] in (b"II*\0", b"MM\0*"):
        return _to_convert("a TIFF file", "tiff")
    if re.match(rb"P[1-6][ \t\n\r#]", content):
        name = _NETPBM[content[1] - ord("1")]
        return _to_convert(f"a {name} file", name.lower())
    return "is not a PNG, JPEG or BMP image"


def max_pixels() -> int:
    """Return the limit on an image's pixels, see ``VQVAE_MAX_PIXELS``; raise VQVAEError if it is not a valid number."""
    return check_number("VQVAE_MAX_PIXELS", os.environ.get("VQVAE_MAX_PIXELS", str(MAX_PIXELS)), (1 << 31) - 1)


def _to_convert(kind: str, suffix: str) -> str:
    return f"is {kind}; convert it to PNG, for example with ImageMagick: magick in.{suffix} out.png"


def _check_size(width: int, height: int) -> None:
    if not width * height:
        raise ImageFault(DAMAGED)
    if width * height > max_pixels():
        raise ImageFault(f"has more than {max_pixels()} pixels; set VQVAE_MAX_PIXELS to allow more")


def _inflate(data: bytes, size: int) -> bytes:
    """Return the first ``size`` decompressed bytes; raise ImageFault if there are fewer."""
    try:
        raw = zlib.decompressobj().decompress(data, size)
    except zlib.error:
        raise ImageFault(DAMAGED) from None
    if len(raw) < size:
        raise ImageFault(DAMAGED)
    return raw


def _stored_deflate(raw: bytes) -> bytes:
    return b"\x78\x01" + b"".join(_stored_blocks(raw)) + struct.pack(">I", zlib.adler32(raw))


def _stored_blocks(raw: bytes) -> Iterator[bytes]:
    for start in range(0, len(raw), 0xFFFF):
        block = raw[start : start + 0xFFFF]
        last = start + len(block) == len(raw)
        yield struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF) + block
