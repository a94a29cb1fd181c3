"""Encode, decode and generate with the files of `vqvae export-onnx`: NumPy and ONNX Runtime, no MXNet.

    pip install numpy onnxruntime
    python onnx_runtime.py encode MODEL digit.png              prints the codes, one row of the grid per line
    python onnx_runtime.py decode MODEL codes.txt out.png      codes.txt has such lines; - is standard input
    python onnx_runtime.py generate MODEL out.png --class 3 --count 20 --seed 1

MODEL is the folder that export-onnx wrote. The same image gives the codes of `vqvae encode`, and the same seed those of
`vqvae generate`, except for near ties: see docs/onnx.md. To do without an image library, this program reads only 8-bit
PNG files, gray or colour, that have the model's size and are not interlaced; your own program can read whatever it
likes.
"""
import argparse
import json
import struct
import sys
import zlib
from pathlib import Path
from typing import NoReturn

import numpy as np
import onnxruntime


class Model:
    """The three files, each loaded when it is first needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sessions: dict = {}

    def session(self, name: str) -> onnxruntime.InferenceSession:
        """Return a file ready to run: encoder, decoder or prior."""
        if name not in self._sessions:
            path = self._folder / f"{name}.onnx"
            if not path.is_file():
                missing = "; train a prior with vqvae prior first" if name == "prior" else ""
                fail(f"{path}: no such file; vqvae export-onnx writes it{missing}")
            self._sessions[name] = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        return self._sessions[name]

    def encode(self, images: np.ndarray) -> np.ndarray:
        """Return the codes (N, h, w) of images (N, C, H, W) uint8."""
        pixels = images.astype(np.float32) / np.float32(255)
        return self.session("encoder").run(["codes"], {"images": pixels})[0]

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Return the images (N, C, H, W) uint8 of codes (N, h, w)."""
        images = self.session("decoder").run(["images"], {"codes": codes.astype(np.int64)})[0]
        return np.rint(images * np.float32(255)).astype(np.uint8)

    @property
    def classes(self) -> "list[str]":
        """The names of the classes that the prior knows."""
        return json.loads(self.session("prior").get_modelmeta().custom_metadata_map["classes"])

    def generate(self, count: int, label: int, seed: int, temperature: float = 1.0, top_k: int = 0) -> np.ndarray:
        """Draw codes (count, h, w) of the class number ``label``; the number after the last one means any class.

        ``temperature`` 0 always takes the likeliest code. ``top_k`` draws among that many likeliest codes; 0: among
        all.
        """
        prior = self.session("prior")
        height, width = self.session("decoder").get_inputs()[0].shape[1:]
        names = [port.name for port in prior.get_outputs()]  # probabilities, keys0, values0 and so on
        kept = {f"past_{name}": np.zeros((count, *prior.get_outputs()[1].shape[1:]), np.float32) for name in names[1:]}
        inputs = {"class": np.full(count, label), "temperature": np.full((count, 1), temperature or 1, np.float32)}
        random = np.random.RandomState(seed).random_sample((count, height * width))
        codes = np.zeros((count, height * width), np.int64)
        before = np.full(count, prior.get_outputs()[0].shape[1])  # before the first place: K, which is not a code
        for place in range(height * width):
            step = {"previous_code": before, "place": np.full(count, place), **inputs, **kept}
            probabilities, *news = prior.run(names, step)
            kept = {f"past_{name}": new for name, new in zip(names[1:], news)}
            before = codes[:, place] = choose(probabilities, random[:, place], temperature, top_k)
        return codes.reshape(count, height, width)


def fail(message: str) -> NoReturn:
    """End the program with one line on standard error."""
    print(f"onnx_runtime.py: error: {message}", file=sys.stderr)
    sys.exit(2)


def choose(probabilities: np.ndarray, random: np.ndarray, temperature: float, top_k: int) -> np.ndarray:
    """Return codes (N,) drawn from probabilities (N, K) by random numbers (N,) in [0, 1)."""
    if temperature == 0:
        return probabilities.argmax(axis=1)
    weights = probabilities.astype(np.float64)
    if top_k:
        unlikely = np.argsort(-probabilities, axis=1, kind="stable")[:, top_k:]
        np.put_along_axis(weights, unlikely, 0.0, axis=1)
    sums = np.cumsum(weights, axis=1)
    return (sums <= random[:, None] * sums[:, -1:]).sum(axis=1)


def read_png(path: str, shape: "tuple[int, int, int]") -> np.ndarray:
    """Return the pixels (C, H, W) of a PNG file with a model's image shape."""
    channels, height, width = shape
    content = Path(path).read_bytes()
    wanted = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2}[channels], 0, 0, 0)
    if content[:8] != b"\x89PNG\r\n\x1a\n" or content[16:29] != wanted:
        kind = {1: "gray", 3: "colour"}[channels]
        fail(f"{path}: give a PNG file, {width}x{height}, {kind}, 8 bits, not interlaced")
    place, packed = 8, b""
    while place < len(content):
        (length,), kind = struct.unpack_from(">I", content, place), content[place + 4 : place + 8]
        packed += content[place + 8 : place + 8 + length] if kind == b"IDAT" else b""
        place += length + 12
    rows = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + width * channels)
    pixels = np.zeros((height + 1, width * channels + channels), int)  # with zeros above and to the left
    for number, (kind, *row) in enumerate(rows.tolist(), 1):
        for column, value in enumerate(row, channels):
            left, above, corner = pixels[number, column - channels], *pixels[number - 1, [column, column - channels]]
            nearest = min((left, above, corner), key=lambda each: abs(left + above - corner - each))
            guess = (0, left, above, (left + above) // 2, nearest)[kind]
            pixels[number, column] = (value + guess) % 256
    return pixels[1:, channels:].reshape(height, width, channels).transpose(2, 0, 1).astype(np.uint8)


def write_png(path: str, pixels: np.ndarray) -> None:
    """Write pixels (C, H, W) uint8 as a PNG file."""
    channels, height, width = pixels.shape
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # each begins with its filter, none
    rows[:, 1:] = pixels.transpose(1, 2, 0).reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2}[channels], 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.tobytes())), (b"IEND", b""))
    content = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    Path(path).write_bytes(b"\x89PNG\r\n\x1a\n" + content)


def side_by_side(images: np.ndarray) -> np.ndarray:
    """Return images (N, C, H, W) as one image, in a nearly square grid with gray between them."""
    count, channels, height, width = images.shape
    columns = int(np.ceil(np.sqrt(count)))
    canvas = np.full((channels, -(-count // columns) * (height + 1) - 1, columns * (width + 1) - 1), 128, np.uint8)
    for number, image in enumerate(images):
        top, left = number // columns * (height + 1), number % columns * (width + 1)
        canvas[:, top : top + height, left : left + width] = image
    return canvas


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    encode, decode, generate = (commands.add_parser(name) for name in ("encode", "decode", "generate"))
    for command in (encode, decode, generate):
        command.add_argument("model", type=Path, help="folder of vqvae export-onnx")
    encode.add_argument("image", help="a PNG file of the model's size")
    decode.add_argument("codes", help="a file of codes, or - for standard input")
    for command in (decode, generate):
        command.add_argument("output", help="a PNG file")
    generate.add_argument("--class", dest="label", help="name of a class; default: any")
    generate.add_argument("--count", type=int, default=1, help="images, side by side (default: 1)")
    generate.add_argument("--seed", type=int, default=0, help="from 0 to 2^32 - 1 (default: 0)")
    generate.add_argument("--temperature", type=float, default=1.0, help="0: always the likeliest code (default: 1)")
    generate.add_argument("--top-k", type=int, default=0, help="draw among so many likeliest codes (default: all)")
    options = parser.parse_args()
    try:
        run(options, Model(options.model))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except (ValueError, zlib.error) as error:
        fail(str(error))


def run(options: argparse.Namespace, model: Model) -> None:
    """Run one of the three commands."""
    if options.command == "encode":
        image = read_png(options.image, tuple(model.session("encoder").get_inputs()[0].shape[1:]))
        for row in model.encode(image[None])[0]:
            print(*row)
        return
    if options.command == "decode":
        numbers = np.loadtxt(sys.stdin if options.codes == "-" else options.codes, np.int64, ndmin=2)
        codes = numbers.reshape(-1, *model.session("decoder").get_inputs()[0].shape[1:])
        if not numbers.size or codes.min() < 0:
            fail(f"{options.codes}: give codes, which are 0 or more")
    else:
        heat, known = options.temperature, model.session("prior").get_outputs()[0].shape[1]
        if not (heat == 0 or 1e-3 <= heat <= 1e3) or options.count < 1 or not 0 <= options.top_k <= known:
            fail(f"give a temperature of 0 or from 0.001 to 1000, a count of 1 or more, a top-k from 0 to {known}")
        if options.label is not None and options.label not in model.classes:
            fail(f"class {options.label} is unknown: the model has {', '.join(model.classes) or 'none'}")
        label = len(model.classes) if options.label is None else model.classes.index(options.label)
        codes = model.generate(options.count, label, options.seed, options.temperature, options.top_k)
    write_png(options.output, side_by_side(model.decode(codes)))


if __name__ == "__main__":
    main()
