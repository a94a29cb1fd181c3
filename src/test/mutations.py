"""Damage files in many ways and check that every command ends with a clear line or with a result.

Usage: .venv/bin/python src/test/mutations.py [--count 10000] [--seed 0] [--only NAME]     (after bash build.sh)

Mutation number n of a seed is always the same. Python commands run in a process of their own (server.py), so that a
signal, a hang or a lack of memory is noticed and attributed to the mutation that caused it; its input is kept then.
Commands of the C++ program run in separate processes.
"""
import argparse
import collections
import contextlib
import io
import json
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import numpy as np
from server import Server

from conftest import DIGITS, PROGRAM
from vqvae_gluon.data.image_format import PNG, chunk, chunks

DIGIT = DIGITS[3]
SECONDS = 20  # a command that takes longer is considered hung
MEMORY = 6 << 30  # bytes of address space; libmxnet alone takes a large part of it

_PEAK = 1500  # MiB of resident memory that all commands of one process together may take

Mutate = Callable[[random.Random, bytes], bytes]


class Target(NamedTuple):
    """A file to damage, and a command that reads it.

    ``words`` are the command's words, with {file}, {folder} (a copy of ``folder`` with the damaged ``file`` in it) and
    {out} as placeholders for paths. ``cpp``: whether the C++ program has the command.
    """

    name: str
    folder: Path
    file: str
    words: List[str]
    mutations: List[Mutate]
    cpp: bool = False


def truncate(rng: random.Random, content: bytes) -> bytes:
    """Cut off the end."""
    return content[: rng.randrange(len(content) + 1)]


def flip_bits(rng: random.Random, content: bytes) -> bytes:
    """Flip one to eight bits."""
    damaged = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def flip_early_bits(rng: random.Random, content: bytes) -> bytes:
    """Flip bits in the first 200 bytes, where sizes and types are stored."""
    return flip_bits(rng, content[:200]) + content[200:]


def swap_parts(rng: random.Random, content: bytes) -> bytes:
    """Swap two parts of equal length."""
    size = rng.randint(1, max(1, len(content) // 8))
    first, second = sorted(rng.randrange(max(1, len(content) - size)) for _ in range(2))
    if second < first + size:
        return content[::-1]
    parts = content[:first], content[first : first + size], content[first + size : second], content[second:]
    return parts[0] + parts[3][:size] + parts[2] + parts[1] + parts[3][size:]


def inflate_size(rng: random.Random, content: bytes) -> bytes:
    """Write a large number over four or eight bytes."""
    number = rng.choice([0x7FFFFFFF, 0xFFFFFFFF, 0x10000000, 1 << 40, (1 << 63) - 1, (1 << 64) - 1])
    width = 8 if number >> 32 else 4
    place = rng.randrange(max(1, min(len(content), rng.choice([64, 400, len(content)]))))
    return content[:place] + number.to_bytes(width, rng.choice(["big", "little"])) + content[place + width :]


def insert_noise(rng: random.Random, content: bytes) -> bytes:
    """Insert or append random bytes."""
    place = rng.choice([rng.randrange(len(content) + 1), len(content)])
    return content[:place] + bytes(rng.randrange(256) for _ in range(rng.randint(1, 100))) + content[place:]


def another_kind(rng: random.Random, content: bytes) -> bytes:
    """Return a file of another kind."""
    return rng.choice([b"", b"\0" * 1000, b"{}", b"[]", b"null", b"hello\n", DIGIT.read_bytes(), content + content])


BYTES: List[Mutate] = [
    truncate, flip_bits, flip_early_bits, swap_parts, inflate_size, insert_noise, another_kind,
]

_VALUES = [
    None, True, -1, 0, 1, 2, 10**6, 2**31, 2**63, 1e308, float("nan"), "", "x", "(0, 1, 28, 28)", "(1, 99999, 99999)",
    "1e9", "-1", "None", [], {}, [[0, 0, 0]], {"a": 1}, "\x00", "../../etc/passwd", "/etc/passwd", "é" * 100,
]


def change_json(rng: random.Random, content: bytes) -> bytes:
    """Replace, remove, rename, repeat or swap values somewhere in a JSON tree."""
    tree = json.loads(content)
    for _ in range(rng.randint(1, 3)):
        places = _places(tree)
        container, key = rng.choice(places)
        action = rng.choice(["replace", "replace", "remove", "rename", "exchange"])
        if action == "remove":
            del container[key]
        elif action == "rename" and isinstance(container, dict):
            container[rng.choice(["x", "op", "name", "attrs", "inputs", "codes", "data"])] = container.pop(key)
        elif action == "exchange":
            other, other_key = rng.choice(places)
            container[key], other[other_key] = other[other_key], container[key]
            if _is_cyclic(tree):
                return content[: len(content) // 2]
        else:
            value = container[key]
            if isinstance(value, (int, float)) and rng.random() < 0.5:
                container[key] = value * rng.choice([-1, 0, 2, 1000]) + rng.choice([0, 1, -1])
            else:
                container[key] = rng.choice(_VALUES)
        if not _places(tree):
            break
    return json.dumps(tree).encode()


def _places(tree: Any) -> List[Any]:
    found = []
    if isinstance(tree, dict):
        found += [(tree, key) for key in tree]
        for value in tree.values():
            found += _places(value)
    elif isinstance(tree, list):
        found += [(tree, index) for index in range(len(tree))]
        for value in tree:
            found += _places(value)
    return found


def _is_cyclic(tree: Any) -> bool:
    try:
        json.dumps(tree)
        return False
    except (ValueError, RecursionError):
        return True


def change_archive(rng: random.Random, content: bytes) -> bytes:
    """Replace, remove, rename or damage one array of an .npz file, and correct the checksums."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(sorted(members))
    action = rng.choice(["replace", "remove", "rename", "damage", "change"])
    if action == "remove":
        del members[name]
    elif action == "rename":
        members[rng.choice(["x", "../x.npy", "/x.npy", "weights/x.npy", "meta.npy"])] = members.pop(name)
    elif action == "damage":
        members[name] = rng.choice(BYTES)(rng, members[name])
    else:
        members[name] = _array(rng, members[name] if action == "change" else None)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for key, value in members.items():
            archive.writestr(zipfile.ZipInfo(key), value)
    return buffer.getvalue()


def _array(rng: random.Random, content: Optional[bytes]) -> bytes:
    array = np.zeros(rng.choice([(), (0,), (3,), (2, 7, 7), (64, 16), (1, 1, 1, 1)]), rng.choice("?bBhiqefdSU"))
    if content is not None:
        with contextlib.suppress(ValueError):
            array = np.load(io.BytesIO(content), allow_pickle=False)
            if array.dtype.kind == "U":
                array = np.array(change_json(rng, str(array).encode()).decode())
            elif array.size:
                array = array.copy()
                value = rng.choice([0, 255, 1, np.nan if array.dtype.kind == "f" else 7])
                array.flat[rng.randrange(array.size)] = b"../x" if array.dtype.kind == "S" else value
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def change_chunk(rng: random.Random, content: bytes) -> bytes:
    """Damage, remove, repeat or move one chunk of a PNG file, and correct the checksums."""
    parts = [(name, body) for name, body, _ in chunks(content)]
    place = rng.randrange(len(parts))
    name, body = parts.pop(place)
    action = rng.choice(["damage", "damage", "damage", "remove", "repeat", "move"])
    if action == "damage":
        parts.insert(place, (name, rng.choice(BYTES)(rng, body or b"\0")))
    elif action == "repeat":
        parts[place:place] = [(name, body)] * 2
    elif action == "move":
        parts.insert(rng.randrange(len(parts) + 1), (name, body))
    return PNG + b"".join(chunk(*part) for part in parts)


def make_targets(work: Path) -> List[Target]:
    """Make every kind of file in ``work`` and return the targets."""
    import mxnet as mx

    from vqvae_gluon import Predictor, Recipe, Training, get_recipe, write_png
    from vqvae_gluon.data.image_folder import load_folder
    from vqvae_gluon.deploy.bulk import encode_to_file
    from vqvae_gluon.deploy.encoding import encode_dataset
    from vqvae_gluon.export.prior import export_prior
    from vqvae_gluon.export.run import export_run
    from vqvae_gluon.recipes.prior import PriorRecipe
    from vqvae_gluon.training.loop import Loop
    from vqvae_gluon.training.prior import CodePrior

    images = np.random.RandomState(0).randint(0, 256, (40, 1, 28, 28)).astype(np.uint8)
    data = work / "data"
    data.mkdir()
    for number, image in enumerate(images):
        write_png(data / f"{number}.png", image)
    dataset = load_folder(data)
    small = {"num_epoch": 1, "batch_size": 8, "pictures": 0}
    recipe: Recipe = get_recipe("ema").replace(data=str(data), num_embeddings=8, **small)
    run = work / "run"
    with contextlib.redirect_stdout(io.StringIO()):
        Training(recipe, dataset, run).run()
        export_run(run)
        codes = encode_dataset(Predictor(run), dataset)
        Loop(CodePrior(PriorRecipe(width=8, layers=1, heads=2, **small), codes), run / "prior").run()
    export_prior(run, codes)
    bare = work / "bare"  # without a manifest, MXNet has to cope with the damage
    shutil.copytree(run / "model", bare / "model")
    pictures = work / "pictures"
    pictures.mkdir()
    for suffix in ("jpg", "bmp", "png"):
        _write_picture(pictures / f"a.{suffix}", images[0, 0])
    transparent = work / "transparent"
    transparent.mkdir()
    _write_transparent(transparent, images[:4, 0])
    texts = work / "texts"
    texts.mkdir()
    (texts / "codes.txt").write_text("0 1 2 3 4 5 6\n" * 7)
    np.save(texts / "images.npy", images[:4])
    encode_to_file(Predictor(run), texts / "images.npy", texts / "codes.npz")
    with contextlib.redirect_stderr(io.StringIO()):
        encode_to_file(Predictor(run), pictures, texts / "named.npz")
    shutil.copy(run / "recipe.json", texts / "recipe.json")
    mx.nd.waitall()
    encoder, decoder = "model/vqvae.Encoder/model_0_newest-", "model/vqvae.Decoder/model_0_newest-"
    prior = "model/vqvae.Prior/model_0_newest"
    checkpoint = "checkpoints/0000.npz"
    generate = ["generate", "{out}.png", "--count", "2", "--model", "{folder}"]
    score = ["score", str(pictures), "-o", "{out}.csv", "--model", "{folder}"]
    resume = ["prior", "{folder}", "--resume"]
    encode = ["encode", str(DIGIT), "--model", "{folder}"]
    show = ["train", "--recipe", "{file}", "--print-recipe"]
    flatten = ["reconstruct", "{file}", "{out}.png", "--background", "white"]
    reconstruct = ["reconstruct", str(DIGIT), "{out}.png", "--model", "{folder}"]
    model = ["--model", str(run)]
    return [
        *(
            Target(suffix, pictures, f"a.{suffix}", ["reconstruct", "{file}", "{out}.png", *model], BYTES, True)
            for suffix in ("png", "jpg", "bmp")
        ),
        *(
            Target(name, transparent, name, [*flatten, *model], [*BYTES, *[change_chunk] * 9], True)
            for name in ("rgba.png", "palette.png")
        ),
        Target("codes text", texts, "codes.txt", ["decode", "{file}", "{out}.png", *model], BYTES, True),
        Target("codes", texts, "codes.npz", ["decode", "{file}", "{out}.npy", *model], [*BYTES, change_archive]),
        Target("codes, names", texts, "named.npz", ["decode", "{file}", "{out}", *model], [*BYTES, change_archive]),
        Target("array", texts, "images.npy", ["encode", "{file}", "-o", "{out}.npz", *model], BYTES),
        Target("recipe", texts, "recipe.json", show, [*BYTES, change_json]),
        Target("checkpoint", run, checkpoint, ["export", "{folder}"], [*BYTES, change_archive]),
        Target("manifest", run, "manifest.json", encode, [*BYTES, change_json, change_json], True),
        Target("signed parameters", run, f"{encoder}0000.params", encode, BYTES, True),
        Target("encoder graph", bare, f"{encoder}symbol.json", encode, [*BYTES, *[change_json] * 4], True),
        Target("decoder graph", bare, f"{decoder}symbol.json", reconstruct, [*BYTES, *[change_json] * 4], True),
        Target("encoder parameters", bare, f"{encoder}0000.params", encode, BYTES, True),
        Target("decoder parameters", bare, f"{decoder}0000.params", reconstruct, BYTES, True),
        Target("manifest of a prior", run, "manifest.json", generate, [*BYTES, change_json, change_json], True),
        Target("signed parameters of a prior", run, f"{prior}-0000.params", generate, BYTES, True),
        Target("prior parameters", bare, f"{prior}-0000.params", generate, BYTES, True),
        Target("prior graph", bare, f"{prior}-symbol.json", score, [*BYTES, *[change_json] * 4]),
        Target("prior checkpoint", run, f"prior/{checkpoint}", resume, [*BYTES, change_archive]),
        Target("prior recipe", run, "prior/recipe.json", resume, [*BYTES, change_json]),
        Target("prior step", bare, f"{prior}_step-symbol.json", generate, [*BYTES, *[change_json] * 4], True),
    ]


def _write_picture(path: Path, image: np.ndarray) -> None:
    from PIL import Image  # installed with matplotlib

    Image.fromarray(image).save(path)


def _write_transparent(folder: Path, samples: np.ndarray) -> None:
    from PIL import Image

    orientation = Image.Exif()
    orientation[0x0112] = 6
    image = Image.fromarray(samples.transpose(1, 2, 0), "RGBA")
    image.save(folder / "rgba.png", exif=orientation)
    image.convert("RGB").quantize(16).save(folder / "palette.png", transparency=bytes(range(0, 160, 10)))


def mutate(target: Target, number: int, seed: int) -> bytes:
    """Return the damaged file of mutation ``number``."""
    rng = random.Random(f"{seed} {target.name} {number}")
    content = (target.folder / target.file).read_bytes()
    return rng.choice(target.mutations)(rng, content)


def prepare(target: Target, content: bytes, place: Path) -> List[str]:
    """Put the damaged file into an empty folder ``place`` and return the command that reads it."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    paths = {"file": place / target.file, "folder": place / "copy", "out": place / "out"}
    if any("{folder}" in word for word in target.words):
        shutil.copytree(target.folder, place / "copy")
        paths["file"] = place / "copy" / target.file
    paths["file"].parent.mkdir(parents=True, exist_ok=True)
    paths["file"].write_bytes(content)
    return [word.format(**paths) for word in target.words]


def fault_of(status: Optional[int], errors: str, place: Path) -> str:
    """Return what is wrong with how a command ended, or an empty string."""
    if status is None:
        return f"took more than {SECONDS} s"
    if status < 0:
        return f"ended by {signal.Signals(-status).name}"
    if "Traceback" in errors:
        return "traceback: " + errors.strip().splitlines()[-1]
    if status not in (0, 2):
        return f"exit {status}: {errors[-200:]}"
    lines = errors.strip().splitlines()
    if status == 2 and (len(lines) != 1 or not lines[0].startswith("vqvae: error: ")):
        return f"error of {len(lines)} lines: {errors[-300:]}"
    left = sorted(path.name for path in place.iterdir() if path.name.startswith((".", "out"))) if status else []
    return f"left {', '.join(left)}" if left else ""


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _run_program(words: List[str], timeout: float) -> subprocess.CompletedProcess:
    """Run the C++ program as :meth:`Server.run` runs the Python one."""
    command = [str(PROGRAM), *words]
    return subprocess.run(command, capture_output=True, timeout=timeout, preexec_fn=_limit_memory)


def _end_of(run: Callable[..., subprocess.CompletedProcess], words: List[str]) -> Tuple[Optional[int], str]:
    """Return a command's exit status, None for a hang, and its standard error."""
    try:
        result = run(words, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return None, ""
    return result.returncode, result.stderr.decode(errors="replace")


def run_mutations(count: int, seed: int, only: str = "", keep: Optional[Path] = None) -> Dict[str, Any]:
    """Try ``count`` mutations, alternating between the kinds of files; return counts and the faults found.

    If the C++ program has the command, it gets the same file and must end in the same way. Files that revealed a fault
    are kept in the folder ``keep``.
    """
    tried: Dict[str, int] = collections.Counter()
    ends: Dict[str, int] = collections.Counter()
    faults: List[str] = []
    server = Server(_limit_memory)
    with tempfile.TemporaryDirectory() as folder:
        targets = [target for target in make_targets(Path(folder)) if only in target.name]
        place = Path(folder) / "place"
        for number in range(count):
            target = targets[number % len(targets)]
            content = mutate(target, number, seed)
            found, statuses = [], {}
            for language, run in {"Python": server.run, "C++": _run_program}.items():
                if language == "C++" and not target.cpp:
                    continue
                statuses[language], errors = _end_of(run, prepare(target, content, place))
                fault = fault_of(statuses[language], errors, place)
                found += [f"{language}: {fault}"] if fault else []
                tried[f"{target.name}, {language}"] += 1
                ends["an error" if statuses[language] else "a result"] += 1
            if not found and len(set(statuses.values())) > 1:
                found.append(f"the languages end differently: {statuses}")
            for fault in found:
                faults.append(f"{number} ({target.name}): {fault}")
                print(faults[-1], flush=True)
            if found and keep:
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{seed}-{number}").write_bytes(content)
    server.close()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    if peak > _PEAK:
        faults.append(f"a command took {peak} MiB")
    return {"tried": dict(tried), "ends": dict(ends), "faults": faults, "peak_MiB": peak}


def main() -> int:
    """Run the mutations and print the outcome."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="kinds of files whose name holds this")
    parser.add_argument("--keep", type=Path, help="folder for the files that found a fault")
    options = parser.parse_args()
    result = run_mutations(options.count, options.seed, options.only, options.keep)
    for name, number in sorted(result["tried"].items()):
        print(f"{name:32} {number:6}")
    print(f"ended in {result['ends']}; peak memory {result['peak_MiB']} MiB; {len(result['faults'])} faults")
    return 1 if result["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
