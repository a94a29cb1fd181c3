"""Print how fast this machine trains and reconstructs: medians of interleaved rounds.

Usage: .venv/bin/python benchmarks/speed.py [--rounds 5] [--model DIR]     (after bash build.sh)

Everything runs on all cores. Training is the whole step: forward, backward, optimizer, codebook
averages and metrics. Absolute figures hold for one machine at one time; compare ratios.
"""
import argparse
import statistics
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, List

from vqvae_gluon.runtime import use_all_cores

use_all_cores()

import numpy as np  # noqa: E402

from vqvae_gluon import Predictor, Training, get_recipe, load_dataset  # noqa: E402
from vqvae_gluon.data import Dataset, Split  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
BULK = ROOT / "cpp" / "build" / "bulk"
TRAINING_IMAGES, BULK_IMAGES, SINGLE_IMAGES = 12_800, 10_000, 1_000


def main() -> None:
    """Run all measurements in turn, ``rounds`` times, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default=str(ROOT / "pre-trained"))
    options = parser.parse_args()
    dataset = load_dataset("mnist")
    with tempfile.TemporaryDirectory() as folder:
        measurements = _measurements(dataset, options.model, Path(folder))
        rounds: Dict[str, List[float]] = {name: [] for name in measurements}
        for _ in range(options.rounds + 1):
            for name, measure in measurements.items():
                rounds[name].append(measure())
    print(f"{'images/s':34} {'median':>9} {'min':>9} {'max':>9}")
    for name, values in rounds.items():
        counted = values[1:]  # the first round warms up
        print(f"{name:34} {statistics.median(counted):9.0f} {min(counted):9.0f} {max(counted):9.0f}")


def _measurements(dataset: Dataset, model: str, folder: Path) -> Dict[str, Callable[[], float]]:
    bulk, single = (Predictor(model, batch_size=size) for size in (100, 1))
    images = dataset.test.images[:BULK_IMAGES]
    few = images[:SINGLE_IMAGES]
    return {
        "training, batch 128": _training(dataset, 128, folder),
        "training, batch 500": _training(dataset, 500, folder),
        "reconstruct in bulk, Python": lambda: _rate(lambda: bulk.reconstruct(images), len(images)),
        "reconstruct in bulk, C++": lambda: _cpp(model, 100, images, folder),
        "reconstruct one by one, Python": lambda: _rate(lambda: single.reconstruct(few), len(few)),
        "reconstruct one by one, C++": lambda: _cpp(model, 1, few, folder),
    }


def _training(dataset: Dataset, batch_size: int, folder: Path) -> Callable[[], float]:
    part = dataset._replace(train=Split(dataset.train.images[:TRAINING_IMAGES]))
    training = Training(get_recipe("ema").replace(batch_size=batch_size), part, folder / str(batch_size))
    return lambda: _rate(lambda: training.train_epoch(np.random.RandomState(0)), TRAINING_IMAGES)


def _cpp(model: str, batch_size: int, images: np.ndarray, folder: Path) -> float:
    files = [folder / name for name in ("images", "codes", "reconstructions")]
    images.tofile(files[0])
    command = [str(word) for word in (BULK, model, batch_size, *files)]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return len(images) / float(result.stdout)


def _rate(work: Callable[[], object], images: int) -> float:
    start = time.perf_counter()
    work()
    return images / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
