"""Print the cost of a codebook's number of rows: seconds of the k-means start, milliseconds per step, peak memory.

Usage: .venv/bin/python benchmarks/codebook.py [--rows 16,64,512,2048,8192] [--size 64]

vqvae_residual, colour, rows of 64 numbers, batch size 32, random images; each number of rows in a separate process.
"""
import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

from vqvae_gluon.runtime import use_all_cores

use_all_cores()

import numpy as np  # noqa: E402

from vqvae_gluon import Recipe  # noqa: E402
from vqvae_gluon.data import Dataset, Split  # noqa: E402
from vqvae_gluon.training.autoencoder import Autoencoder  # noqa: E402

_IMAGES, _BATCH, _STEPS = 600, 32, 8


def main() -> None:
    """Measure each number of rows and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default="16,64,512,2048,8192", help="numbers of rows (%(default)s)")
    parser.add_argument("--size", type=int, default=64, help="pixels a side (%(default)s)")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)  # measure this number here and print JSON
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one, options.size)))
        return
    print("| rows | k-means start | a step of 32 images | peak memory |\n|---|---|---|---|")
    for rows in map(int, options.rows.split(",")):
        command = [sys.executable, __file__, "--one", str(rows), "--size", str(options.size)]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()[-1])
        print(f"| {rows:,} | {found['start']:.1f} s | {found['step']:.0f} ms | {found['memory']:.0f} MiB |", flush=True)


def measure(rows: int, size: int) -> dict:
    """Return the seconds of the start, the median milliseconds per step and the peak memory in MiB."""
    images = np.random.RandomState(0).randint(256, size=(_IMAGES, 3, size, size)).astype(np.uint8)
    dataset = Dataset(Split(images), Split(images[:10]), Split(images[:10]))
    sizes = {"num_embeddings": rows, "embedding_dim": 64, "channels": 3, "image_size": (size, size)}
    trained = Autoencoder(Recipe(model="vqvae_residual", batch_size=_BATCH, **sizes), dataset)
    rng, meter = np.random.RandomState(0), trained.meter()
    begun = time.perf_counter()
    trained.start(rng)
    start = time.perf_counter() - begun
    steps = []
    for number in range(_STEPS):
        begun = time.perf_counter()
        trained.step(np.arange(_BATCH) + number, meter, rng)
        steps.append(1000 * (time.perf_counter() - begun))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"start": start, "step": statistics.median(steps[1:]), "memory": memory}


if __name__ == "__main__":
    main()
