"""PNG files: alpha is dropped or flattened, colour metadata is ignored, Exif orientation is applied as in JPEG files.

Python and C++ read the same bytes from each.
"""
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from conftest import export_newest, make_model, random_images, run_cpp
from vqvae_gluon import VQVAEError, read_image, write_png
from vqvae_gluon.data.image_file import read_pixels

SIDE = 28
NOISE = np.random.RandomState(0).randint(0, 256, (SIDE, SIDE, 4)).astype(np.uint8)
BACKGROUNDS = {"black": (0, 0, 0), "white": (255, 255, 255), "#10C0f3": (16, 192, 243)}
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def filtered(rows, step):
    """Filter rows (N, bytes) as in a PNG, with each of its five filters in turn; ``step`` is bytes per pixel."""
    rows = rows.astype(int)
    left = np.pad(rows, ((0, 0), (step, 0)))[:, :-step]
    up, corner = (np.pad(array, ((1, 0), (0, 0)))[:-1] for array in (rows, left))
    near = [np.abs(left + up - corner - array) for array in (left, up, corner)]
    paeth = np.where((near[0] <= near[1]) & (near[0] <= near[2]), left, np.where(near[1] <= near[2], up, corner))
    guesses = [np.zeros_like(rows), left, up, (left + up) // 2, paeth]
    return b"".join(
        bytes([n % 5]) + ((row - guesses[n % 5][n]) % 256).astype(np.uint8).tobytes() for n, row in enumerate(rows)
    )


def png(samples, colour_type, depth=8, interlaced=False, between=b""):
    """Return a PNG of samples (H, W, samples per pixel); ``between``: the chunks between header and pixels."""
    height, width, count = samples.shape
    rows = b""
    for x, y, right, down in PASSES if interlaced else [(0, 0, 1, 1)]:
        part = samples[y::down, x::right]
        if part.size:
            bits = np.unpackbits(part[..., None], axis=-1)[..., 8 - depth :]
            rows += filtered(np.packbits(bits.reshape(len(part), -1), axis=-1), max(1, count * depth // 8))
    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, interlaced)
    body = zlib.compress(rows)
    pixels = chunk(b"IDAT", body[:50]) + chunk(b"IDAT", body[50:])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + between + pixels + chunk(b"IEND", b"")


def keyed(samples, colour_type, depth, key):
    """Return the arguments of a PNG in which one colour is transparent, and its pixels (H, W, 4)."""
    colours = samples.astype(int) * 255 // ((1 << depth) - 1)
    alpha = np.where((samples == key).all(axis=2, keepdims=True), 0, 255)
    assert 0 < alpha.mean() < 255
    note = chunk(b"tRNS", struct.pack(f">{len(key)}H", *key))
    return (samples, colour_type, depth, note), np.concatenate([colours] * (3 // len(key)) + [alpha], axis=2)


def indexed(depth, alphas):
    """Return the arguments of a PNG with a palette whose first colours have these alphas, and its pixels."""
    palette = NOISE[:, :, :3].reshape(-1, 3)[: 1 << depth]
    indices = NOISE[:, :, 3:] & ((1 << depth) - 1)
    notes = chunk(b"PLTE", palette.tobytes()) + chunk(b"tRNS", bytes(alphas))
    opaque = np.full(len(palette), 255, np.uint8)
    opaque[: len(alphas)] = alphas
    return (indices, 3, depth, notes), np.dstack([palette[indices[:, :, 0]], opaque[indices[:, :, 0]]])


FEW = NOISE // 255 * 255 + NOISE % 2  # few colours, so that each occurs
ALPHA = {
    "gray and alpha": ((NOISE[:, :, 2:], 4), NOISE[:, :, [2, 2, 2, 3]]),
    "rgb and alpha": ((NOISE, 6), NOISE),
    "palette": indexed(8, range(0, 256, 2)),
    "palette of 16": indexed(4, [0, 128, 255, 7]),
    "palette of 2": indexed(1, [3]),
    "gray key": keyed(FEW[:, :, :1], 0, 8, (1,)),
    "gray key of 4 bits": keyed(NOISE[:, :, :1] >> 4, 0, 4, (9,)),
    "black and white key": keyed(NOISE[:, :, :1] >> 7, 0, 1, (1,)),
    "rgb key": keyed(FEW[:, :, :3], 2, 8, (1, 0, 1)),
}
OPAQUE = {
    "gray and alpha": (np.dstack([NOISE[:, :, 0], NOISE[:, :, 0] | 255]), 4),
    "rgb and alpha": (np.dstack([NOISE[:, :, :3], NOISE[:, :, 0] | 255]), 6),
    "palette": indexed(4, [255] * 16)[0],
    "palette with an unused colour": (NOISE[:, :, :1] % 2 + 1, *indexed(4, [0, 255])[0][1:]),
    "gray key": (NOISE[:, :, :1] | 1, 0, 8, chunk(b"tRNS", b"\0\2")),
    "rgb key": (NOISE[:, :, :3] | 1, 2, 8, chunk(b"tRNS", b"\0\1\0\1\0\2")),
}


def write(path, samples, colour_type, depth=8, between=b"", interlaced=False):
    path.write_bytes(png(samples, colour_type, depth, interlaced, between))
    return path


def flatten(pixels, background):
    """Flatten pixels (H, W, 4) as documented, to (3, H, W)."""
    pixels = pixels.astype(int)
    alpha = pixels[:, :, 3:]
    flat = (alpha * pixels[:, :, :3] + (255 - alpha) * np.array(background) + 127) // 255
    return flat.astype(np.uint8).transpose(2, 0, 1)


@pytest.fixture(scope="module")
def read_by_cpp(exported, tmp_path_factory):
    """A function that returns an image file as read by the C++ program: (channels, 28, 28) bytes."""
    folder = tmp_path_factory.mktemp("cpp")
    models = {1: exported, 3: export_newest(make_model(channels=3), folder / "model")}

    def read(path, channels, *flags):
        result = run_cpp("encode", path, "--model", models[channels], "--dump-input", folder / "input", *flags)
        assert result.returncode == 0, result.stderr
        tensor = np.fromfile(folder / "input", np.float32).reshape(channels, SIDE, SIDE)
        return np.round(tensor * 255).astype(np.uint8)

    return read


@pytest.mark.parametrize("interlaced", [False, True], ids=["", "interlaced"])
@pytest.mark.parametrize("kind", ALPHA)
def test_alpha_is_flattened(kind, interlaced, tmp_path, read_by_cpp):
    made, pixels = ALPHA[kind]
    path = write(tmp_path / "a.png", *made, interlaced=interlaced)
    for background, colour in BACKGROUNDS.items():
        flat = flatten(pixels, colour)
        write_png(tmp_path / "flat.png", flat)
        gray = read_image(tmp_path / "flat.png", 1, (SIDE, SIDE))
        for channels, expected in ((1, gray), (3, flat)):
            np.testing.assert_array_equal(read_image(path, channels, (SIDE, SIDE), background=background), expected)
            np.testing.assert_array_equal(read_by_cpp(path, channels, "--background", background), expected)


@pytest.mark.parametrize("interlaced", [False, True], ids=["", "interlaced"])
@pytest.mark.parametrize("kind", OPAQUE)
def test_an_opaque_channel_is_dropped(kind, interlaced, tmp_path, read_by_cpp):
    path = write(tmp_path / "a.png", *OPAQUE[kind], interlaced=interlaced)
    colours = np.array(Image.open(path).convert("RGBA").convert("RGB")).transpose(2, 0, 1)
    write_png(tmp_path / "plain.png", colours)
    for channels in (1, 3):
        expected = read_image(tmp_path / "plain.png", channels, (SIDE, SIDE))
        np.testing.assert_array_equal(read_image(path, channels, (SIDE, SIDE)), expected)
        np.testing.assert_array_equal(read_image(path, channels, (SIDE, SIDE), background="white"), expected)
        np.testing.assert_array_equal(read_by_cpp(path, channels), expected)


@pytest.mark.parametrize("height, width", [(1, 1), (1, 5), (4, 1), (3, 6), (9, 37)])
@pytest.mark.parametrize("kind", [4, 6])
def test_small_and_odd_sizes(kind, height, width, tmp_path, read_by_cpp):
    samples = np.random.RandomState(1).randint(0, 256, (height, width, kind - 2)).astype(np.uint8)
    pixels = samples if kind == 6 else samples[:, :, [0, 0, 0, 1]]
    path = write(tmp_path / "a.png", samples, kind, interlaced=True)
    np.testing.assert_array_equal(read_pixels(path, 3, background="white"), flatten(pixels, (255, 255, 255)))
    expected = read_image(path, 3, (SIDE, SIDE), background="white")
    np.testing.assert_array_equal(read_by_cpp(path, 3, "--background", "white"), expected)


def test_a_gray_background_keeps_gray_gray(tmp_path, read_by_cpp):
    path = write(tmp_path / "a.png", *ALPHA["gray and alpha"][0])
    gray = read_image(path, 1, (SIDE, SIDE), strict=True, background="#808080")
    np.testing.assert_array_equal(read_by_cpp(path, 1, "--strict", "--background", "#808080"), gray)
    with pytest.raises(VQVAEError, match="is a colour image"):
        read_image(path, 1, (SIDE, SIDE), strict=True, background="#808081")


GAMMA = chunk(b"gAMA", struct.pack(">I", 45455))
PRIMARIES = chunk(b"cHRM", struct.pack(">8I", 34567, 35850, 73470, 26530, 11520, 82640, 15660, 1770))
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
NOTES = {
    "gAMA": GAMMA,
    "sRGB": chunk(b"sRGB", b"\0"),
    "cHRM": PRIMARIES,
    "gAMA and cHRM": GAMMA + PRIMARIES,
    "iCCP": chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(PROFILE)),
    "sBIT and bKGD": chunk(b"sBIT", b"\3\3\3") + chunk(b"bKGD", bytes(6)),
}


@pytest.mark.parametrize("note", NOTES)
def test_the_pixels_alone_decide(note, tmp_path, read_by_cpp):
    plain = write(tmp_path / "plain.png", NOISE[:, :, :3], 2)
    noted = write(tmp_path / "noted.png", NOISE[:, :, :3], 2, between=NOTES[note])
    luma = np.tensordot(NOISE[:, :, :3].astype(float), [0.299, 0.587, 0.114], 1)
    for channels, near in ((1, luma[None]), (3, NOISE[:, :, :3].transpose(2, 0, 1))):
        expected = read_image(plain, channels, (SIDE, SIDE))
        assert np.abs(expected - near).max() < 1.01
        np.testing.assert_array_equal(read_image(noted, channels, (SIDE, SIDE)), expected)
        np.testing.assert_array_equal(read_by_cpp(noted, channels), expected)


def exif(orientation):
    found = Image.Exif()
    found[0x0100] = 5  # an entry before the orientation
    found[0x0112] = orientation
    return found


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_exif_turns_pictures_upright(suffix, orientation, tmp_path, read_by_cpp):
    path = tmp_path / f"a.{suffix}"
    lying = Image.fromarray(random_images(1, 3, (20, 29))[0].transpose(1, 2, 0))
    lying.save(path, exif=exif(orientation), quality=95)
    expected = np.array(ImageOps.exif_transpose(Image.open(path)), np.int16).transpose(2, 0, 1)
    pixels = read_pixels(path, 3)
    assert pixels.shape == expected.shape
    assert np.abs(pixels - expected).max() <= (0 if suffix == "png" else 3)  # another JPEG decoder
    for channels in (1, 3):
        stretched = read_image(path, channels, (SIDE, SIDE))
        np.testing.assert_array_equal(read_by_cpp(path, channels), stretched)


def test_what_is_flattened_is_turned(tmp_path, read_by_cpp):
    tiff = b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
    path = write(tmp_path / "a.png", *ALPHA["rgb and alpha"][0], between=chunk(b"eXIf", tiff))
    upright = np.rot90(flatten(NOISE, (255, 255, 255)), -1, (1, 2))
    np.testing.assert_array_equal(read_image(path, 3, (SIDE, SIDE), background="white"), upright)
    np.testing.assert_array_equal(read_by_cpp(path, 3, "--background", "white"), upright)


ENTRY = b"\x12\1\3\0\1\0\0\0\6\0\0\0"  # orientation 6
DAMAGED_EXIF = {
    "empty": b"",
    "two bytes": b"II",
    "another order": b"IM*\0\x08\0\0\0\1\0" + ENTRY,
    "another mark": b"II+\0\x08\0\0\0\1\0" + ENTRY,
    "directory far away": b"II*\0\xff\xff\xff\xff\1\0" + ENTRY,
    "directory at the end": b"II*\0\x16\0\0\0\1\0" + ENTRY,
    "no entries": b"II*\0\x08\0\0\0\0\0" + ENTRY,
    "half an entry": b"II*\0\x08\0\0\0\xff\xff" + ENTRY[:-1],
    "orientation 9": b"II*\0\x08\0\0\0\1\0" + ENTRY.replace(b"\6", b"\t"),
    "orientation 0": b"II*\0\x08\0\0\0\1\0" + ENTRY.replace(b"\6", b"\0"),
}


@pytest.mark.parametrize("case", DAMAGED_EXIF)
def test_damaged_exif_is_not_heeded(case, tmp_path, read_by_cpp):
    path = write(tmp_path / "a.png", NOISE[:, :, :1], 0, between=chunk(b"eXIf", DAMAGED_EXIF[case]))
    np.testing.assert_array_equal(read_image(path, 1, (SIDE, SIDE)), NOISE[None, :, :, 0])
    np.testing.assert_array_equal(read_by_cpp(path, 1), NOISE[None, :, :, 0])


def with_pixels(change):
    """Return a PNG with alpha whose compressed pixels are changed."""
    content = png(NOISE, 6)
    start = content.index(b"IDAT") - 4
    body = change(zlib.compress(zlib.decompress(content[start + 8 : start + 58] + content[start + 70 : -16])))
    return content[:start] + chunk(b"IDAT", body) + content[-12:]


TRNS = chunk(b"tRNS", b"\0\1")
PLTE = chunk(b"PLTE", bytes(6))
DAMAGED = {
    "two of tRNS": png(NOISE[:, :, :1], 0, between=TRNS + TRNS),
    "tRNS beside alpha": png(NOISE[:, :, :2], 4, between=TRNS),
    "tRNS of another length": png(NOISE[:, :, :1], 0, between=chunk(b"tRNS", b"\0\1\0")),
    "tRNS of gray for RGB": png(NOISE[:, :, :3], 2, between=TRNS),
    "tRNS before the palette": png(NOISE[:, :, :1] % 2, 3, between=TRNS + PLTE),
    "tRNS longer than the palette": png(NOISE[:, :, :1] % 2, 3, between=PLTE + chunk(b"tRNS", bytes(3))),
    "empty tRNS": png(NOISE[:, :, :1] % 2, 3, between=PLTE + chunk(b"tRNS", b"")),
    "tRNS after the pixels": png(NOISE[:, :, :1], 0)[:-12] + TRNS + chunk(b"IEND", b""),
    "pixels that end early": with_pixels(lambda body: zlib.compress(zlib.decompress(body)[:-1])),
    "pixels cut short": with_pixels(lambda body: body[:-20]),
    "pixels with a wrong checksum": with_pixels(lambda body: body[:-1] + bytes([body[-1] ^ 1])),
    "pixels that are no such": with_pixels(lambda body: b"hello, world"),
    "no compressed bytes": with_pixels(lambda body: b""),
    "another filter": with_pixels(lambda body: zlib.compress(b"\5" + zlib.decompress(body)[1:])),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_alpha_is_refused(case, tmp_path, exported):
    path = tmp_path / "a.png"
    path.write_bytes(DAMAGED[case])
    words = f"{path}: the image is truncated, damaged or of an unsupported kind"
    with pytest.raises(VQVAEError, match=f"^{re.escape(words)}$"):
        read_image(path, 1, (SIDE, SIDE), background="white")
    result = run_cpp("encode", path, "--model", exported, "--background", "white")
    assert (result.returncode, result.stderr.decode()) == (2, f"vqvae: error: {words}\n")
