"""Print where the time of a training step goes, operator by operator, using MXNet's own profiler.

Usage: .venv/bin/python benchmarks/operators.py [--batch 128] [--model vqvae_emadl]

Operators run one by one here (no bulking) so that each is recorded: the sum is a little more than an ordinary step.
"""
import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Dict, Tuple

from vqvae_gluon.runtime import use_all_cores

use_all_cores()
os.environ["MXNET_EXEC_BULK_EXEC_TRAIN"] = "0"

import mxnet as mx  # noqa: E402
import numpy as np  # noqa: E402

from vqvae_gluon import Training, get_recipe, load_dataset  # noqa: E402
from vqvae_gluon.data import Split  # noqa: E402

_STEPS, _WARM_UP = 20, 5


def main() -> None:
    """Profile a few steps and print each operator's calls, milliseconds and share of a step."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--model", default="vqvae_emadl")
    options = parser.parse_args()
    times = profile(options.model, options.batch)
    total = sum(milliseconds for _, milliseconds in times.values())
    print(f"{'operator':36} {'calls':>6} {'ms':>8} {'share':>7}     a step of {options.batch} images")
    for name, (calls, milliseconds) in sorted(times.items(), key=lambda item: -item[1][1]):
        if milliseconds > 0.005 * total:
            print(f"{name:36} {calls:6.0f} {milliseconds:8.3f} {milliseconds / total:7.1%}")
    print(f"{'all operators':36} {'':6} {total:8.3f}")


def profile(model: str, batch: int) -> Dict[str, Tuple[float, float]]:
    """Return each operator's calls and milliseconds in one training step."""
    dataset = load_dataset("mnist")
    part = dataset._replace(train=Split(dataset.train.images[: batch * _STEPS]))
    warm_up = dataset._replace(train=Split(dataset.train.images[: batch * _WARM_UP]))
    with tempfile.TemporaryDirectory() as folder:
        training = Training(get_recipe("ema").replace(model=model, batch_size=batch), warm_up, Path(folder, "run"))
        training.train_epoch(np.random.RandomState(0))
        training.trained.dataset = part
        mx.profiler.set_config(
            profile_imperative=True, profile_symbolic=True, aggregate_stats=True, filename=str(Path(folder, "trace"))
        )
        mx.profiler.set_state("run")
        training.train_epoch(np.random.RandomState(0))
        mx.nd.waitall()
        mx.profiler.set_state("stop")
        statistics = json.loads(mx.profiler.dumps(format="json"))
    operators = statistics["Time"]["operator"]
    return {name: (entry["Count"] / _STEPS, entry["Total"] / _STEPS) for name, entry in operators.items()}


if __name__ == "__main__":
    main()
