"""Image files: what is read, converted and refused, the same in Python and C++."""
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from conftest import random_images, run_cpp, run_python
from vqvae_gluon import VQVAEError, read_image, write_png

GRAY = random_images(1)[0]  # (1, 28, 28)
ALPHA = "has an alpha channel; flatten it with --background black, white or #rrggbb"
CONVERT = "convert it to PNG, for example with ImageMagick: magick in."
COLOUR = np.concatenate(random_images(3, seed=1))  # (3, 28, 28)


def cv_write(path, image):
    """Write an image (C, H, W) in RGB order with OpenCV's own encoders."""
    assert cv2.imwrite(str(path), image.transpose(1, 2, 0)[:, :, ::-1])
    return path


def cut(path, count):
    path.write_bytes(path.read_bytes()[:-count])
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_lossless_files_keep_every_byte(tmp_path, suffix):
    np.testing.assert_array_equal(read_image(cv_write(tmp_path / f"a{suffix}", GRAY), 1, (28, 28), strict=True), GRAY)
    np.testing.assert_array_equal(read_image(cv_write(tmp_path / f"b{suffix}", COLOUR), 3, (28, 28), True), COLOUR)


def test_jpeg_is_close(tmp_path):
    image = read_image(cv_write(tmp_path / "a.jpg", GRAY), 1, (28, 28), strict=True)
    assert np.abs(image.astype(int) - GRAY).mean() < 3


def test_colour_becomes_luma(tmp_path):
    image = read_image(cv_write(tmp_path / "a.png", COLOUR), 1, (28, 28))
    expected = np.tensordot([0.299, 0.587, 0.114], COLOUR.astype(float), 1)
    assert np.abs(image[0] - expected).max() <= 1.5


def test_gray_fills_three_channels(tmp_path):
    image = read_image(cv_write(tmp_path / "a.png", GRAY), 3, (28, 28), strict=True)
    np.testing.assert_array_equal(image, np.repeat(GRAY, 3, axis=0))


def test_another_size_is_stretched(tmp_path):
    doubled = GRAY.repeat(2, axis=1).repeat(2, axis=2)
    np.testing.assert_array_equal(read_image(cv_write(tmp_path / "a.png", doubled), 1, (28, 28)), GRAY)
    flat = np.full((1, 5, 9), 77, np.uint8)
    np.testing.assert_array_equal(read_image(cv_write(tmp_path / "b.png", flat), 1, (28, 28)), np.full((1, 28, 28), 77))


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 5, 7), (1, 300, 300)])
def test_write_png_can_be_read_by_others(tmp_path, shape):
    image = np.random.RandomState(0).randint(0, 256, shape, np.uint8)
    write_png(tmp_path / "a.png", image)
    pixels = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED).reshape(shape[1], shape[2], -1)[:, :, ::-1]
    np.testing.assert_array_equal(pixels.transpose(2, 0, 1), image)


def with_transparency(path):
    """A grayscale PNG whose tRNS chunk makes one gray transparent."""
    content = cv_write(path, GRAY).read_bytes()
    body = b"tRNS" + struct.pack(">H", GRAY[0, 9, 9])
    chunk = struct.pack(">I", 2) + body + struct.pack(">I", zlib.crc32(body))
    path.write_bytes(content[:33] + chunk + content[33:])
    return path


def flipped(path):
    content = bytearray(cv_write(path, GRAY).read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    return path


def raw(path, content):
    path.write_bytes(content)
    return path


def with_header_byte(path, position, value):
    """A PNG with one byte of its IHDR changed and the checksum corrected."""
    content = bytearray(cv_write(path, GRAY).read_bytes())
    content[position] = value
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    path.write_bytes(content)
    return path


def gif(path):
    Image.fromarray(GRAY[0]).save(path, "GIF")
    return path


def without_pixels(path):
    content = cv_write(path, GRAY).read_bytes()
    path.write_bytes(content[:33] + content[-12:])
    return path


def with_jpeg_frame(path, marker, precision):
    """A JPEG whose frame header states another process or precision."""
    content = bytearray(cv_write(path, GRAY).read_bytes())
    frame = content.index(b"\xff\xc0")
    content[frame + 1], content[frame + 4] = marker, precision
    path.write_bytes(content)
    return path


def with_jpeg_sides(path, height, width):
    """A JPEG whose frame header states another size."""
    content = bytearray(cv_write(path, GRAY).read_bytes())
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    path.write_bytes(content)
    return path


def large_png(path):
    """A valid PNG of 20,000 x 20,000 black pixels, in 50 kB."""
    packed = zlib.compressobj(9)
    rows = b"".join(packed.compress(bytes(2501)) for _ in range(20_000)) + packed.flush()
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b""))
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def large_bmp(path):
    content = bytearray(cv_write(path, GRAY).read_bytes())
    content[18:26] = struct.pack("<ii", 1 << 20, -(1 << 20))
    path.write_bytes(content)
    return path


def bmp(path, bits=24, compression=0, header=40, size=784 * 4, offset=None):
    """A BMP file of 28 x 28 pixels with an arbitrary header."""
    offset = 14 + header if offset is None else offset
    names = struct.pack("<IiiHHIIiiII", header, 28, 28, 1, bits, compression, 0, 0, 0, 0, 0)[:header]
    return raw(path, b"BM" + struct.pack("<IHHI", 0, 0, 0, offset) + names.ljust(header, b"\0") + bytes(size))


def with_colours(path, alpha):
    """A BMP file of 32 bits per pixel whose fourth bytes are ``alpha``."""
    return cv_write(path, np.concatenate([np.broadcast_to(np.uint8(alpha), GRAY.shape), COLOUR]))


BAD = {
    "png of bit depth 3": (lambda d: with_header_byte(d / "a.png", 24, 3), "is truncated, damaged or of an"),
    "png of colour type 5": (lambda d: with_header_byte(d / "a.png", 25, 5), "is truncated, damaged or of an"),
    "png without its palette": (lambda d: with_header_byte(d / "a.png", 25, 3), "is truncated, damaged or of an"),
    "png of compression 1": (lambda d: with_header_byte(d / "a.png", 26, 1), "is truncated, damaged or of an"),
    "png of interlace 5": (lambda d: with_header_byte(d / "a.png", 28, 5), "is truncated, damaged or of an"),
    "png of a billion rows": (lambda d: with_header_byte(d / "a.png", 20, 60), "is truncated, damaged or of an"),
    "png of too many pixels": (lambda d: large_png(d / "a.png"), "has more than 67108864 pixels; set VQVAE_MAX_PIXELS"),
    "jpeg of too many pixels": (lambda d: with_jpeg_sides(d / "a.jpg", 65500, 65500), "has more than 67108864 pixels"),
    "jpeg of no height": (lambda d: with_jpeg_sides(d / "a.jpg", 0, 28), "is truncated, damaged or of an"),
    "bmp of too many pixels": (lambda d: large_bmp(d / "a.bmp"), "has more than 67108864 pixels"),
    "png of no width": (lambda d: with_header_byte(d / "a.png", 19, 0), "is truncated, damaged or of an"),
    "png without pixels": (lambda d: without_pixels(d / "a.png"), "is truncated, damaged or of an"),
    "lossless jpeg": (lambda d: with_jpeg_frame(d / "a.jpg", 0xC3, 8), "is truncated, damaged or of an"),
    "12-bit jpeg": (lambda d: with_jpeg_frame(d / "a.jpg", 0xC0, 12), "is truncated, damaged or of an"),
    "rle bmp": (lambda d: bmp(d / "a.bmp", 8, 1), f"is a run-length encoded BMP file; {CONVERT}bmp out.png"),
    "rle bmp of 4 bits": (lambda d: bmp(d / "a.bmp", 4, 2), "is a run-length encoded BMP file"),
    "bmp of 16 bits": (lambda d: bmp(d / "a.bmp", 16), f"is a BMP file with 16 bits per pixel; {CONVERT}bmp out.png"),
    "bmp of 16 bits in fields": (lambda d: bmp(d / "a.bmp", 16, 3), "is a BMP file with 16 bits per pixel"),
    "bmp with bit fields": (lambda d: bmp(d / "a.bmp", 32, 3), f"is a BMP file with bit fields; {CONVERT}bmp out.png"),
    "bmp with a png in it": (lambda d: bmp(d / "a.bmp", 24, 5), "is truncated, damaged or of an"),
    "bmp of 2 bits": (lambda d: bmp(d / "a.bmp", 2), "is truncated, damaged or of an"),
    "bmp whose pixels lie in its header": (lambda d: bmp(d / "a.bmp", 32, offset=53), "is truncated, damaged or of an"),
    "os/2 bmp": (lambda d: bmp(d / "a.bmp", header=12), f"is an OS/2 BMP file; {CONVERT}bmp out.png"),
    "small os/2 bmp": (lambda d: bmp(d / "a.bmp", header=12, size=4), "is an OS/2 BMP file"),
    "short os/2 bmp": (lambda d: bmp(d / "a.bmp", header=16), "is an OS/2 BMP file"),
    "bmp of 17 bytes": (lambda d: raw(d / "a.bmp", b"BM" + bytes(12) + b"\x0c\0\0"), "is truncated, damaged or of an"),
    "webp": (lambda d: cv_write(d / "a.webp", COLOUR), f"is a WebP file; {CONVERT}webp out.png"),
    "tiff": (lambda d: cv_write(d / "a.tiff", GRAY), f"is a TIFF file; {CONVERT}tiff out.png"),
    "big-endian tiff": (lambda d: raw(d / "a.tiff", b"MM\0*" + bytes(9)), f"is a TIFF file; {CONVERT}tiff out.png"),
    "gif": (lambda d: gif(d / "a.png"), f"is a GIF file; {CONVERT}gif out.png"),
    "pgm": (lambda d: cv_write(d / "a.pgm", GRAY), f"is a PGM file; {CONVERT}pgm out.png"),
    "ppm": (lambda d: cv_write(d / "a.ppm", COLOUR), f"is a PPM file; {CONVERT}ppm out.png"),
    "pgm in text": (lambda d: raw(d / "a.pgm", b"P2#\n1 1 9 5"), f"is a PGM file; {CONVERT}pgm out.png"),
    "no pgm": (lambda d: raw(d / "a.pgm", b"P7\n"), "is not a PNG, JPEG or BMP image"),
    "two letters": (lambda d: raw(d / "a.png", b"P5"), "is not a PNG, JPEG or BMP image"),
    "another riff": (lambda d: raw(d / "a.png", b"RIFF\0\0\0\0WAVE"), "is not a PNG, JPEG or BMP image"),
    "missing": (lambda d: d / "no.png", "no such file"),
    "folder": (lambda d: d, "cannot be read"),
    "text": (lambda d: raw(d / "a.png", b"hello, world"), "is not a PNG, JPEG or BMP image"),
    "empty": (lambda d: raw(d / "a.png", b""), "is not a PNG, JPEG or BMP image"),
    "signature only": (lambda d: raw(d / "a.png", b"\x89PNG\r\n\x1a\n"), "is truncated, damaged or of an"),
    "png without its last byte": (lambda d: cut(cv_write(d / "a.png", GRAY), 1), "is truncated, damaged or of an"),
    "png without its end": (lambda d: cut(cv_write(d / "a.png", GRAY), 12), "is truncated, damaged or of an"),
    "half a png": (lambda d: cut(cv_write(d / "a.png", GRAY), 300), "is truncated, damaged or of an"),
    "png with a flipped bit": (lambda d: flipped(d / "a.png"), "is truncated, damaged or of an"),
    "truncated jpeg": (lambda d: cut(cv_write(d / "a.jpg", GRAY), 2), "is truncated, damaged or of an"),
    "truncated bmp": (lambda d: cut(cv_write(d / "a.bmp", GRAY), 1), "is truncated, damaged or of an"),
    "bmp header only": (lambda d: raw(d / "a.bmp", b"BM" + bytes(30)), "is truncated, damaged or of an"),
    "16 bits": (lambda d: cv_write(d / "a.png", GRAY.astype(np.uint16) * 257), "16 bits per channel"),
    "alpha": (lambda d: cv_write(d / "a.png", np.concatenate([COLOUR, GRAY])), ALPHA),
    "transparent gray": (lambda d: with_transparency(d / "a.png"), ALPHA),
    "bmp with alpha": (lambda d: with_colours(d / "a.bmp", GRAY), ALPHA),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_refused_in_both_languages(tmp_path, exported, case):
    make, words = BAD[case]
    path = make(tmp_path)
    with pytest.raises(VQVAEError, match=words) as error:
        read_image(path, 1, (28, 28))
    assert "\n" not in str(error.value)
    result = run_cpp("encode", path, "--model", exported)
    assert (result.returncode, result.stderr.decode()) == (2, f"vqvae: error: {error.value}\n")


STRICT = {
    "colour": (lambda d: cv_write(d / "a.png", COLOUR), "is a colour image"),
    "size": (lambda d: cv_write(d / "a.png", GRAY[:, :20]), "has 28x20 pixels, the model takes 28x28"),
}


@pytest.mark.parametrize("case", STRICT)
def test_strict_refuses_what_would_be_converted(tmp_path, case):
    make, words = STRICT[case]
    path = make(tmp_path)
    assert read_image(path, 1, (28, 28)).shape == (1, 28, 28)
    with pytest.raises(VQVAEError, match=words):
        read_image(path, 1, (28, 28), strict=True)


@pytest.mark.parametrize("limit, words", [("783", "has more than 783 pixels"), ("784", ""), ("x", "'x': it must be a")])
def test_the_limit_of_pixels_can_be_set(tmp_path, exported, monkeypatch, limit, words):
    monkeypatch.setenv("VQVAE_MAX_PIXELS", limit)
    for suffix in ("png", "jpg", "bmp"):
        path = cv_write(tmp_path / f"a.{suffix}", GRAY)
        for run in (run_python, run_cpp):
            result = run("encode", path, "--model", exported)
            assert result.returncode == (2 if words else 0)
            assert words in result.stderr.decode() and result.stderr.count(b"\n") == bool(words)


@pytest.mark.parametrize("case", ["missing", "folder", "webp", "alpha", "truncated jpeg", *STRICT])
def test_both_programs_print_the_same_line(tmp_path, exported, case):
    strict = ["--strict"] if case in STRICT else []
    path = {**BAD, **STRICT}[case][0](tmp_path)
    output = tmp_path / "out.png"
    output.write_bytes(b"keep me")
    results = [run("reconstruct", path, output, "--model", exported, *strict) for run in (run_python, run_cpp)]
    assert results[0].stderr == results[1].stderr
    for result in results:
        lines = result.stderr.decode().splitlines()
        assert result.returncode == 2 and result.stdout == b""
        assert len(lines) == 1 and lines[0].startswith("vqvae: error: ")
    assert output.read_bytes() == b"keep me"


@pytest.mark.parametrize(
    "name, image",
    [
        ("a.png", COLOUR),
        ("a.jpg", COLOUR),
        ("b.jpg", GRAY),
        ("a.bmp", COLOUR),
        ("small.png", GRAY[:, 3:20, 5:17]),
        ("large.jpg", COLOUR.repeat(3, axis=1).repeat(5, axis=2)),
        ("wide.png", GRAY.repeat(3, axis=2)[:, :20]),
    ],
)
def test_converted_images_give_the_same_codes_in_both_languages(tmp_path, exported, name, image):
    path = cv_write(tmp_path / name, image)
    results = [run("encode", path, "--model", exported) for run in (run_python, run_cpp)]
    assert results[0].returncode == results[1].returncode == 0
    assert results[0].stdout == results[1].stdout


@pytest.mark.parametrize("alpha", [0, 255], ids=["unused", "opaque"])
def test_a_bmp_without_transparency_is_read(tmp_path, exported, alpha):
    path = with_colours(tmp_path / "a.bmp", alpha)
    np.testing.assert_array_equal(read_image(path, 3, (28, 28)), COLOUR)
    plain = cv_write(tmp_path / "plain.bmp", COLOUR)
    np.testing.assert_array_equal(read_image(path, 1, (28, 28)), read_image(plain, 1, (28, 28)))
    results = [run_cpp("encode", file, "--model", exported, "--explain").stderr for file in (path, plain)]
    assert results[0] == results[1] != b""


def test_a_transparent_bmp_is_flattened(tmp_path, exported):
    path = with_colours(tmp_path / "a.bmp", GRAY)
    background = np.array([16, 192, 243]).reshape(3, 1, 1)
    flat = (GRAY.astype(int) * COLOUR + (255 - GRAY.astype(int)) * background + 127) // 255
    np.testing.assert_array_equal(read_image(path, 3, (28, 28), background="#10c0f3"), flat)
    plain = cv_write(tmp_path / "plain.bmp", flat.astype(np.uint8))
    gray = read_image(plain, 1, (28, 28))
    np.testing.assert_array_equal(read_image(path, 1, (28, 28), background="#10c0f3"), gray)
    words = ["--model", exported, "--explain", "--background", "#10c0f3"]
    assert run_cpp("encode", path, *words).stderr == run_cpp("encode", plain, *words).stderr != b""


BACKGROUNDS = ["foo", "White", "#fff", "#12345g", "#1234567", "112233", "# 12345", "white ", "#+12345", "it's"]


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_a_background_is_a_colour(tmp_path, background):
    words = f"background was given as '{background}': it must be black, white or #rrggbb"
    with pytest.raises(VQVAEError) as error:
        read_image(tmp_path / "no.png", 1, (28, 28), background=background)
    assert str(error.value) == words
    result = run_cpp("encode", tmp_path / "no.png", "--model", "nowhere", "--background", background)
    assert (result.returncode, result.stderr.decode()) == (2, f"vqvae: error: {words}\n")


@pytest.mark.parametrize("image", [np.zeros((1, 4, 4)), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)])
def test_write_png_refuses_what_is_no_image(tmp_path, image):
    with pytest.raises(VQVAEError, match=r"a PNG takes uint8 \(1 or 3, height, width\)"):
        write_png(tmp_path / "a.png", image)
    assert not (tmp_path / "a.png").exists()
