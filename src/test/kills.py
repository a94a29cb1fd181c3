"""Kill a training again and again and check that it ends with the weights of one that was never killed.

Usage: .venv/bin/python src/test/kills.py [--kills 25] [--seed 0] [--prior]     (after bash build.sh)

A kill is a SIGKILL at a random moment, in the middle of writing a file, or right after a file was put in place; or a
SIGINT or SIGTERM at a random moment, handled as by the command line. With --prior, a prior is trained.
"""
import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, List

import numpy as np

if TYPE_CHECKING:
    from vqvae_gluon.training.loop import Loop


def main() -> int:
    """Kill, resume and compare; print the outcome."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--prior", action="store_true")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--death", help=argparse.SUPPRESS)
    parser.add_argument("--epochs", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        train(options.train, options.death, options.epochs, options.prior)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        survived = kill_and_resume(Path(folder), options.kills, options.seed, options.prior)
    print(f"{survived} kills survived, the weights are the same")
    return 0


def kill_and_resume(folder: Path, kills: int, seed: int, prior: bool = False) -> int:
    """Train in ``folder``/killed with ``kills`` deaths and in ``folder``/whole without; return the number of deaths.

    ``prior``: train a prior instead of an autoencoder.
    """
    from vqvae_gluon.training.autoencoder import AUTOENCODER
    from vqvae_gluon.training.checkpoint import checkpoint_path, list_checkpoints, load_checkpoint
    from vqvae_gluon.training.prior import PRIOR

    kind = PRIOR if prior else AUTOENCODER
    rng = random.Random(seed)
    deaths: List[str] = []
    epochs = 4 * kills + 4
    while len(deaths) < kills:
        moments = (
            *(f"{kind} {rng.uniform(0, 1):.3f}" for kind in ("after", "SIGINT", "SIGTERM")),
            *(f"{kind} {rng.randint(1, 12)}" for kind in ("in", "replaced")),
        )
        death = rng.choice(moments)
        status = _run(folder / "killed", death, epochs, prior)
        assert status in (0, 130 if death.startswith("SIG") else -signal.SIGKILL), f"{death}: exit {status}"
        for epoch in list_checkpoints(folder / "killed"):
            load_checkpoint(checkpoint_path(folder / "killed", epoch), kind)
        deaths.append(death)
        print(f"{death}: epochs {list_checkpoints(folder / 'killed')}", flush=True)
        assert status, "the training ended before it was killed often enough: make it longer"
    assert _run(folder / "killed", "", epochs, prior) == _run(folder / "whole", "", epochs, prior) == 0
    killed, whole = folder / "killed", folder / "whole"
    assert list_checkpoints(killed) == list_checkpoints(whole)
    for epoch in list_checkpoints(whole):
        first, second = (load_checkpoint(checkpoint_path(run, epoch), kind) for run in (killed, whole))
        assert first.rows == second.rows and first.updates == second.updates
        for group in ("weights", "optimizer", "averages"):
            for name, array in getattr(first, group).items():
                assert (array == getattr(second, group)[name]).all(), f"epoch {epoch}: {group} {name} differ"
    files = [sorted(path.relative_to(run).as_posix() for path in run.rglob("*")) for run in (killed, whole)]
    assert files[0] == files[1], set(files[0]) ^ set(files[1])
    for name in ("metrics.csv", "loss_graph.png", "recipe.json"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    return len(deaths)


def _run(folder: Path, death: str, epochs: int, prior: bool) -> int:
    words = [sys.executable, __file__, "--train", str(folder), "--death", death, "--epochs", str(epochs)]
    words += ["--prior"] if prior else []
    return subprocess.run(words, stdout=subprocess.DEVNULL, timeout=300).returncode


def train(folder: Path, death: str, epochs: int, prior: bool = False) -> None:
    """Train on a few images of noise until ``death``.

    'after S', 'SIGINT S' and 'SIGTERM S' come after S seconds, 'in N' and 'replaced N' with the Nth file written.
    """
    from vqvae_gluon.runtime import STOPS, stop

    training = _prior_training(folder, epochs) if prior else _training(folder, epochs)
    kind, _, number = death.partition(" ")
    if kind == "after":
        threading.Timer(float(number), _die).start()
    elif kind == "in":
        os.fsync = _die_at(int(number), os.fsync)
    elif kind == "replaced":
        os.replace = _die_at(int(number), os.replace, after=True)
    elif kind:
        for stopping in STOPS:
            signal.signal(stopping, stop)
        threading.Timer(float(number), os.kill, (os.getpid(), signal.Signals[kind])).start()
    try:
        training.run()
    except KeyboardInterrupt:
        os._exit(130)


def _training(folder: Path, epochs: int) -> "Loop":
    from vqvae_gluon import Training, get_recipe
    from vqvae_gluon.data import Dataset, Split

    images = np.random.RandomState(0).randint(0, 256, (48, 1, 8, 8)).astype(np.uint8)
    dataset = Dataset(Split(images[:32]), Split(images[32:40]), Split(images[40:]))
    small = {"image_size": (8, 8), "num_embeddings": 8, "embedding_dim": 4, "batch_size": 8, "pictures": 1}
    recipe = get_recipe("ema").replace(num_epoch=epochs, checkpoint_period=1, **small)
    return Training(recipe, dataset, folder, resume=True)


def _prior_training(folder: Path, epochs: int) -> "Loop":
    from vqvae_gluon.data.codes import CodesDataset, CodesSplit
    from vqvae_gluon.recipes.prior import PriorRecipe
    from vqvae_gluon.training.loop import Loop
    from vqvae_gluon.training.prior import CodePrior

    rng = np.random.RandomState(0)
    splits = (CodesSplit(rng.randint(0, 8, (count, 2, 2)), rng.randint(0, 2, count)) for count in (32, 8))
    dataset = CodesDataset(*splits, num_embeddings=8, classes=("a", "b"), codebook="")
    small = {"width": 8, "layers": 1, "heads": 2, "batch_size": 8, "pictures": 1}
    recipe = PriorRecipe(num_epoch=epochs, checkpoint_period=2, **small)

    def decode(codes: np.ndarray) -> np.ndarray:
        return codes[:, None].repeat(4, axis=2).repeat(4, axis=3).astype(np.uint8) * 30

    return Loop(CodePrior(recipe, dataset, decode=decode), folder, resume=True)


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_at(number: int, function, after: bool = False):
    calls = 0

    def call(*arguments):
        nonlocal calls
        calls += 1
        if calls == number and not after:
            _die()
        function(*arguments)
        if calls == number:
            _die()

    return call


if __name__ == "__main__":
    sys.exit(main())
