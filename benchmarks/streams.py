"""Print the cost of training from record files instead of memory: peak memory by number of records, and images/s.

Usage: .venv/bin/python benchmarks/streams.py [--only memory,speed] [--records 2000,200000] [--rounds 5] [--quick]

Records are generated, 64 x 64 in colour as JPEG; each of a thousand images occurs many times. Peak memory is that of a
process that does everything a training does at that size: loading, k-means, some updates on random images, and
measuring the validation split; with the default of --memory, 2,000 records are kept in memory and 200,000 are streamed.
For images/s, the same records are kept in memory and streamed in turn, round after round, and the ratios within a round
count. "Decoding alone" reads them without training; with large images it is the limit.
"""
import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict

from vqvae_gluon.runtime import use_all_cores

use_all_cores()

import numpy as np  # noqa: E402
from mxnet.recordio import IRHeader, MXIndexedRecordIO, pack, pack_img  # noqa: E402

from vqvae_gluon import Recipe, load_dataset  # noqa: E402
from vqvae_gluon.data import Dataset, batches  # noqa: E402
from vqvae_gluon.training.autoencoder import Autoencoder  # noqa: E402

_SIDE, _BATCH, _DISTINCT = 64, 32, 1000
_UPDATES = 40  # of a process whose memory is measured
#: (model, pixels a side in the file, images a pass), the fastest model first
_SPEEDS = (("vqvae_emadl", 64, 1600), ("vqvae_residual", 64, 640), ("vqvae_emadl", 512, 320))


def main() -> None:
    """Measure and print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="memory,speed", help="memory, speed or both (default)")
    parser.add_argument("--records", default="2000,200000", help="numbers of records (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that everything works")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)  # measure the memory of this file here
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure_memory(Path(options.one[0]), float(options.one[1]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        if "memory" in options.only:
            counts = [200, 2000] if options.quick else list(map(int, options.records.split(",")))
            print_memory(Path(folder), counts, 0.01 if options.quick else 1.0)
        if "speed" in options.only:
            print_speed(Path(folder), options.rounds, 8 if options.quick else 1)


def write_records(path: Path, count: int, side: int) -> Path:
    """Write ``count`` records of blurred noise."""
    rng = np.random.RandomState(0)
    records = MXIndexedRecordIO(str(path.with_suffix(".idx")), str(path), "w")
    images = []
    for _ in range(min(count, _DISTINCT)):
        noise = rng.randint(0, 256, (8, 8, 3)).repeat(side // 8, axis=0).repeat(side // 8, axis=1)
        speckle = rng.randint(-16, 17, noise.shape)
        images.append(pack_img(IRHeader(0, 0.0, 0, 0), (noise + speckle).clip(0, 255).astype(np.uint8))[24:])
    for number in range(count):
        records.write_idx(number, pack(IRHeader(0, 0.0, number, 0), images[number % len(images)]))
    records.close()
    return path


def print_memory(folder: Path, counts: list, memory: float) -> None:
    """Print a row for each number of records, each measured in a separate process."""
    print("| records | as pixels | images are | peak memory | seconds |\n|---|---|---|---|---|")
    for count in counts:
        path = write_records(folder / f"{count}.rec", count, _SIDE)
        command = [sys.executable, __file__, "--one", str(path), str(memory)]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1])
        pixels = count * 3 * _SIDE**2 / 2**20
        row = (f"{count:,}", f"{pixels:,.0f} MiB", found["kind"], f"{found['MiB']:.0f} MiB", f"{found['seconds']:.0f}")
        print("| " + " | ".join(row) + " |", flush=True)


def measure_memory(path: Path, memory: float) -> Dict[str, object]:
    """Train a little on all records of a file; return how they are read, the peak memory in MiB and the seconds."""
    start = time.perf_counter()
    trained = _autoencoder("vqvae_emadl", load_dataset(str(path), 3, (_SIDE, _SIDE), memory=memory))
    rng, meter = np.random.RandomState(0), trained.meter()
    trained.start(rng)
    orders = list(batches(np.arange(trained.examples), _BATCH, rng))[:_UPDATES]
    for chosen in trained.ahead(orders):
        trained.step(chosen, meter, rng)
    trained.measure("validation")
    kind = "held" if isinstance(trained.dataset.train.images, np.ndarray) else "read"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"kind": kind, "MiB": peak, "seconds": time.perf_counter() - start}


def print_speed(folder: Path, rounds: int, share: int) -> None:
    """Print a row for each kind of training: medians over the rounds, with the smallest and the largest ratio."""
    print("| model | JPEG files | held, images/s | read | read / held | decoding alone |\n|---|---|---|---|---|---|")
    for model, side, count in _SPEEDS:
        path = write_records(folder / f"{side}-{count}.rec", count * 10 // 8 // share, side)
        data = [load_dataset(str(path), 3, (_SIDE, _SIDE), memory=memory) for memory in (1, 0)]
        held, read = (_autoencoder(model, dataset) for dataset in data)
        for trained in (held, read):
            trained.start(np.random.RandomState(0))
        works = {
            "held": lambda rng, trained=held: _train(trained, rng),
            "read": lambda rng, trained=read: _train(trained, rng),
            "alone": lambda rng, images=data[1].train.images: [None for _ in batches(images, _BATCH, rng)],
        }
        found = [_round(works, number, held.examples) for number in range(rounds + 1)][1:]
        ratios = [speeds["read"] / speeds["held"] for speeds in found]
        medians = {name: statistics.median(speeds[name] for speeds in found) for name in works}
        spread = f"{statistics.median(ratios):.2f} [{min(ratios):.2f} to {max(ratios):.2f}]"
        row = (model, f"{side} x {side}", *(f"{medians[name]:.0f}" for name in ("held", "read")), spread)
        print("| " + " | ".join(row) + f" | {medians['alone']:,.0f} |", flush=True)


def _round(works: Dict[str, Callable], number: int, examples: int) -> Dict[str, float]:
    """Return the images/s of each kind of work; they take turns, in reverse order every other round."""
    speeds = {}
    for name in list(works)[:: 1 if number % 2 else -1]:
        start = time.perf_counter()
        works[name](np.random.RandomState(number))
        speeds[name] = examples / (time.perf_counter() - start)
    return speeds


def _autoencoder(model: str, dataset: Dataset) -> Autoencoder:
    sizes = {"embedding_dim": 64, "channels": 3, "image_size": (_SIDE, _SIDE)}
    return Autoencoder(Recipe(model=model, batch_size=_BATCH, mixed_sizes="stretch", **sizes), dataset)


def _train(trained: Autoencoder, rng: np.random.RandomState) -> None:
    meter = trained.meter()
    for chosen in trained.ahead(batches(np.arange(trained.examples), _BATCH, rng)):
        trained.step(chosen, meter, rng)


if __name__ == "__main__":
    main()
