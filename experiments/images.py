"""Ours beside vector-quantize-pytorch on photographs, emoji and solar cells. Answers for docs/images.md.

Usage: .venv/bin/pip install -e '.[experiments]'
       .venv/bin/python experiments/images.py             (some hours on one core; resumes if interrupted)
       .venv/bin/python experiments/images.py --report    (only the page, from the measurements so far)

Prepares the images, chooses the peer's settings, trains both in turn from look to look, scores solar cells, and writes
tables and pictures into docs/images.md and docs/images/. A result is computed anew if its settings, including ours,
have changed.
"""
import argparse
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Sequence

ROOT = Path(__file__).resolve().parent.parent
HERE, BENCHMARKS = ROOT / "experiments", ROOT / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # its worker processes and the peers' environment are used here, too

import numpy as np  # noqa: E402
import strange_cells  # noqa: E402
from environment import make_peers  # noqa: E402
from images_report import write_report  # noqa: E402
from worker import Worker  # noqa: E402

import image_sets  # noqa: E402
from vqvae_gluon import Recipe, VQVAEError, get_recipe  # noqa: E402
from vqvae_gluon.files import parse_json, read_bytes, write_bytes  # noqa: E402

#: The side, in pixels, of the square that one code covers.
STRIDES = {"photographs": 4, "emoji": 4, "cells-64": 4, "cells-128": 8}
STRANGE = "strange"
MODEL, WIDTH, CODES, DIMENSIONS, BATCH = "vqvae_residual", 128, 512, 64, 32

#: Where the search for the peer's settings starts; each stage changes the best so far.
PEER = {"learning_rate": 1e-3, "decay": 0.99, "commitment_weight": 0.25, "rotation_trick": False}
STAGES = (
    [{"learning_rate": rate, "decay": decay} for rate in (5e-4, 1e-3, 2e-3, 4e-3) for decay in (0.9, 0.99)],
    [{"commitment_weight": 1.0}],
    [{"rotation_trick": True}],
)
PICTURED = 8


class Work(NamedTuple):
    """One set of images: its ``name``, its .npz file, and the folder of its results."""

    name: str
    images: Path
    results: Path


def main() -> None:
    """Measure what has not been measured yet, and write the page."""
    options = _options()
    if not options.report:
        os.environ["OMP_NUM_THREADS"] = str(options.threads)
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(BENCHMARKS), os.environ.get("PYTHONPATH")]))
        for name in options.only:
            if name == STRANGE:
                measure_strange(options)
            else:
                measure(name, options)
    write_report(options.results, list(STRIDES))


def _options() -> argparse.Namespace:
    runs = Path("runs", "images")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=runs / "data", help="folder of the images (%(default)s)")
    parser.add_argument("--results", type=Path, default=runs / "results", help="folder of the results (%(default)s)")
    parser.add_argument("--updates", type=int, default=500, help="of a training, to whole passes (%(default)s)")
    parser.add_argument("--grid-updates", type=int, help="the same of the trainings that choose the peer's settings")
    parser.add_argument("--looks", type=int, default=20, help="validations of a training (%(default)s)")
    parser.add_argument("--seeds", type=_seeds, default=[0, 1, 2], metavar="SEED,...", help="(0,1,2)")
    parser.add_argument("--threads", type=int, default=1, help="of each contender (%(default)s)")
    names = [*STRIDES, STRANGE]
    parser.add_argument("--only", type=_names, default=names, metavar="NAME,...", help=", ".join(names))
    parser.add_argument("--report", action="store_true", help="measure nothing, only write the page")
    options = parser.parse_args()
    options.grid_updates = options.grid_updates or options.updates
    return options


def _seeds(text: str) -> List[int]:
    return [int(seed) for seed in text.split(",")]


def _names(text: str) -> List[str]:
    if not set(text.split(",")) <= {*STRIDES, STRANGE}:
        raise argparse.ArgumentTypeError(f"{text!r}: choose from {', '.join([*STRIDES, STRANGE])}")
    return text.split(",")


def measure(name: str, options: argparse.Namespace) -> None:
    """Choose the peer's settings for a set of images, and train both with each seed."""
    work = Work(name, image_sets.pack(name, options.data), options.results / name)
    work.results.mkdir(parents=True, exist_ok=True)
    peer = choose(work, options)
    with np.load(work.images) as arrays:
        examples, count = len(arrays["train"]), len(arrays["validation"])
        chosen = np.linspace(0, count - 1, PICTURED).round().astype(int).tolist()
        np.save(work.results / "originals.npy", arrays["validation"][chosen])
    epochs = passes(options.updates, examples)
    total = epochs * -(-examples // BATCH)
    stops = np.linspace(0, total, options.looks + 1).round().astype(int)[1:].tolist()
    for seed in options.seeds:
        recipe = our_recipe(name, str(options.data / name), epochs, seed)
        arguments = {"ours": {"recipe": json.loads(recipe.to_json())}, "peer": {**peer, "epochs": epochs, "seed": seed}}
        settings = {"threads": options.threads, "stops": stops, **arguments}
        pictured = chosen if seed == options.seeds[0] else []
        recall(work.results / f"seed-{seed}.json", settings, partial(race, work, arguments, stops, pictured))


def our_recipe(name: str, data: str, epochs: int, seed: int) -> Recipe:
    """Return this package's recipe for a set of images: its defaults, and the settings that the peer shares."""
    channels, side, _ = image_sets.SETS[name]
    sizes = {"channels": channels, "image_size": (side, side), "stride": STRIDES.get(name, 4)}
    codebook = {"num_embeddings": CODES, "embedding_dim": DIMENSIONS}
    return get_recipe("ema").replace(
        model=MODEL, data=data, batch_size=BATCH, num_epoch=epochs, seed=seed, **codebook, **sizes
    )


def passes(updates: int, examples: int) -> int:
    """Return the number of passes over the training images, at least one, that comes nearest to ``updates`` updates."""
    return max(1, round(updates / -(-examples // BATCH)))


def choose(work: Work, options: argparse.Namespace) -> Dict[str, Any]:
    """Return the peer's settings with the lowest validation MSE at the end of a training with the first seed."""
    with np.load(work.images) as arrays:
        examples = len(arrays["train"])
    epochs = passes(options.grid_updates, examples)
    fixed = {"width": WIDTH, "stride": STRIDES[work.name], "dim": DIMENSIONS, "codebook_size": CODES, "batch": BATCH}
    stops = [epochs * -(-examples // BATCH)]
    best, tried = {**fixed, **PEER}, []
    for number, stage in enumerate(STAGES):
        for place, change in enumerate(stage):
            peer = {**best, **change}
            arguments = {"peer": {**peer, "epochs": epochs, "seed": options.seeds[0]}}
            settings = {"change": change, "stops": stops, **arguments}
            path = work.results / f"grid-{number}-{place}.json"
            result = recall(path, settings, partial(race, work, arguments, stops))
            mse = result["looks"]["peer"][-1]["mse"]
            tried.append((mse if np.isfinite(mse) else np.inf, peer))
        best = min(tried, key=lambda one: one[0])[1]
    return best


def race(
    work: Work, arguments: Dict[str, Dict[str, Any]], stops: Sequence[int], pictured: Sequence[int] = ()
) -> Dict[str, Any]:
    """Train 'ours', 'peer' or both, taking turns from look to look; return the looks of each.

    A look holds the ``updates``, ``seconds`` and ``cpu_seconds`` of training so far and the metrics of the validation
    split. The reconstructions of the ``pictured`` validation images are written to the folder of results.
    """
    contenders = {"ours": (Path(sys.executable), "images_ours.py"), "peer": (make_peers(), "images_peer.py")}
    workers: Dict[str, Worker] = {}
    looks: Dict[str, List[Dict[str, float]]] = {name: [] for name in arguments}
    try:
        for name, settings in arguments.items():
            python, script = contenders[name]
            workers[name] = Worker(python, HERE / script, work.results, name)
            workers[name].call("begin", images=str(work.images.resolve()), **settings)
        for done, updates in zip(stops, np.diff([0, *stops]).tolist()):
            for name, worker in workers.items():
                figures = worker.call("advance", updates=updates)
                for clock in ("seconds", "cpu_seconds"):
                    figures[clock] += looks[name][-1][clock] if looks[name] else 0.0
                looks[name].append({"updates": done, **figures})
                print(f"{work.name}: {name}: {_short(looks[name][-1])}", flush=True)
        for name, worker in workers.items() if pictured else ():
            worker.call("reconstruct", chosen=list(pictured), path=f"{name}.npy")
    finally:
        for worker in workers.values():
            worker.close()
    return {"looks": looks}


def measure_strange(options: argparse.Namespace) -> None:
    """Train on sound solar cells with each seed, and score cells that may be defective."""
    name = strange_cells.SOUND
    folder = image_sets.prepare(name, options.data)
    epochs = passes(options.updates, len(list((folder / "train").iterdir())))
    for seed in options.seeds:
        recipe = our_recipe(name, str(folder), epochs, seed)
        settings = {"recipe": json.loads(recipe.to_json())}
        run = options.results / STRANGE / f"seed-{seed}"
        run.mkdir(parents=True, exist_ok=True)
        recall(run.with_suffix(".json"), settings, partial(strange_cells.measure, recipe, run))


def recall(path: Path, settings: Dict[str, Any], work: Callable[[], Dict[str, Any]]) -> Dict[str, Any]:
    """Return the result in a file if it has the same settings; otherwise do the work, and save its result with them."""
    if path.exists():
        result = parse_json(path, read_bytes(path))
        if result["settings"] == settings:
            return result
    result = {"settings": settings, **work()}
    write_bytes(path, (json.dumps(result, indent=1) + "\n").encode())
    return result


def _short(look: Dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in look.items())


if __name__ == "__main__":
    try:
        main()
    except VQVAEError as error:
        sys.exit(f"images.py: error: {error}")
