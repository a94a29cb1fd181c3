"""Measure how training scales over processes of this machine, and estimate how it would scale over several machines.

Usage: .venv/bin/python benchmarks/scaling.py [--rounds 3] [--models vqvae_emadl,vqvae_residual] [--batches 64,512]

Three ways take turns in each round: one process on one core, two processes on one core each (as ``vqvae launch`` starts
them, all on loopback), one process on two cores. Prints images/s of the first way and the speedup of the others within
the same round; and the processor time per image of all processes, servers included, on which other work on the machine
has little effect (least with OMP_WAIT_POLICY=passive, because otherwise threads spin while they wait for a core).
Values are medians, with the lowest and the highest. The estimates are for machines with two cores: the time of a step
is the processor time of a machine's share of the batch and of a worker's communication, divided by both cores, plus the
transfer time of its bytes, without overlap.
"""
import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Tuple

if TYPE_CHECKING:
    from vqvae_gluon.launch.plan import Part

HERE = Path(__file__).resolve()
MODELS = {
    "vqvae_emadl": {},
    "vqvae_residual": {"channels": 3, "image_size": (64, 64), "num_embeddings": 512, "embedding_dim": 64},
}
ONE, TWO, BOTH = "one process, one core", "two processes, one core each", "one process, two cores"
_SECONDS = 4.0
_NETWORKS = {"1 Gbit/s": 125e6, "10 Gbit/s": 1250e6}
_MACHINES, _CORES = (2, 8, 64), 2


def main() -> None:
    """Measure in rounds and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--batches", default="64,512")
    parser.add_argument("--measure", nargs=3, metavar=("MODEL", "BATCH", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(*options.measure)
        return
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}")
    ways = "two processes | one on two cores"
    print(f"| model | batch | images/s on one core | faster: {ways} | ms of processor an image | more in {ways} |")
    print("|---" * 8 + "|")
    paper: List[str] = []
    for model in options.models.split(","):
        for batch in map(int, options.batches.split(",")):
            rounds = [_round(model, batch) for _ in range(options.rounds)]
            rate, cost = (statistics.median(one[ONE][name] for one in rounds) for name in ("images/s", "seconds"))
            faster = [_spread([one[way]["images/s"] / one[ONE]["images/s"] for one in rounds]) for way in (TWO, BOTH)]
            dearer = [_spread([one[way]["seconds"] / one[ONE]["seconds"] for one in rounds]) for way in (TWO, BOTH)]
            cells = [f"`{model}`", str(batch), f"{rate:,.0f}", *faster, f"{1000 * cost:.2f}", *dearer]
            print(f"| {' | '.join(cells)} |", flush=True)
            more = statistics.median(one[TWO]["seconds"] - one[ONE]["seconds"] for one in rounds)
            paper += on_paper(model, batch, cost, max(0.0, more) * batch / 2, rounds[0][ONE]["bytes"])
    print(f"load of the machine after: {os.getloadavg()[0]:.1f}")
    print("| model | batch of all | network | MB a step | " + " | ".join(f"{n} machines" for n in _MACHINES) + " |")
    print("|---" * (4 + len(_MACHINES)) + "|")
    print("\n".join(paper))


def on_paper(model: str, batch: int, image: float, step: float, size: float) -> List[str]:
    """Return table rows with the estimated speedup of several machines over one.

    ``image`` is the processor time of an image in seconds, ``step`` the additional processor time per step of each of
    several workers; ``size`` is the number of bytes that a worker pushes, and pulls, in a step. With a server on each
    of N machines, each machine sends (N - 1) / N of them to the other servers and, as a server, as many back to the
    other workers.
    """
    rows = []
    for network, speed in _NETWORKS.items():
        times = [(batch / n * image + step) / _CORES + 2 * size * (n - 1) / n / speed for n in _MACHINES]
        faster = " | ".join(f"{batch * image / _CORES / seconds:.1f}" for seconds in times)
        rows.append(f"| `{model}` | {batch} | {network} | {2 * size / 1e6:.2f} | {faster} |")
    return rows


def _round(model: str, batch: int) -> Dict[str, Dict[str, float]]:
    return {ONE: _alone(model, batch, 1), TWO: _together(model, batch), BOTH: _alone(model, batch, 2)}


def _alone(model: str, batch: int, cores: int) -> Dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "figures.json")
        chosen = sorted(os.sched_getaffinity(0))[:cores]
        subprocess.run(
            _command(model, batch, out),
            check=True,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": str(cores)},
            preexec_fn=lambda: os.sched_setaffinity(0, chosen),
        )
        return json.loads(out.read_text())


def _together(model: str, batch: int) -> Dict[str, float]:
    from vqvae_gluon.launch.group import Group
    from vqvae_gluon.launch.plan import LOOPBACK, Host, free_port, make_plan

    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "figures.json")
        plan, command = make_plan((), 2, 1, [Host("", LOOPBACK)], free_port()), _command(model, batch, out)
        with Group([part._replace(command=command) if _works(part) else part for part in plan]) as group:
            fault = group.wait()
        if fault:
            sys.exit(fault)
        return json.loads(out.read_text())


def _works(part: "Part") -> bool:
    return part.variables["DMLC_ROLE"] == "worker"


def _command(model: str, batch: int, out: Path) -> List[str]:
    return [sys.executable, str(HERE), "--measure", model, str(batch), str(out)]


def measure(model: str, batch: str, out: str) -> None:
    """Train on noise for some seconds and, as worker 0, write images/s and the bytes that a worker pushes per step."""
    import mxnet as mx
    import numpy as np

    from vqvae_gluon import get_recipe
    from vqvae_gluon.data import Dataset, Split
    from vqvae_gluon.training.autoencoder import Autoencoder
    from vqvae_gluon.workers import join

    workers = join()
    recipe = get_recipe("ema").replace(model=model, batch_size=int(batch), **MODELS[model])
    rng = np.random.RandomState(0)
    images = rng.randint(0, 256, (recipe.batch_size, recipe.channels, *recipe.image_size)).astype(np.uint8)
    trained = Autoencoder(recipe, Dataset(*[Split(images)] * 3), workers=workers)
    meter, chosen = trained.meter(), np.arange(recipe.batch_size)

    def steps(count: int) -> Tuple[float, float]:
        start, used = time.perf_counter(), _processor_seconds()
        for _ in range(count):
            trained.step(chosen, meter, rng)
        mx.nd.waitall()
        workers.sum(np.zeros(1))  # all have got here
        return time.perf_counter() - start, _processor_seconds() - used

    steps(1)
    # As many steps as worker 0 finds right: all must make the same number.
    count = int(workers.from_first(np.array(max(1, round(_SECONDS / steps(1)[0])))))
    seconds, used = steps(count)
    if workers.first:
        moved = [parameter for parameter in trained.model.collect_params().values() if parameter.grad_req != "null"]
        numbers = sum(int(np.prod(parameter.shape)) for parameter in moved)
        numbers += recipe.num_embeddings * (recipe.embedding_dim + 1) + workers.count
        done = count * recipe.batch_size
        figures = {"images/s": done / seconds, "seconds": used / done, "bytes": 4 * numbers}
        Path(out).write_text(json.dumps(figures))


def _processor_seconds() -> float:
    """Return the CPU time in seconds of this process and those that train with it."""
    port, ticks = os.environ.get("DMLC_PS_ROOT_PORT", ""), 0
    for number in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            mark = f"\0DMLC_PS_ROOT_PORT={port}\0".encode()
            if number == str(os.getpid()) or (port and mark in Path("/proc", number, "environ").read_bytes()):
                words = Path("/proc", number, "stat").read_text().rpartition(")")[2].split()
                ticks += int(words[11]) + int(words[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _spread(values: List[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
