"""Train the LeNet that judges reconstructions and write it to pre-trained/judge.

Usage: .venv/bin/python tools/train_judge.py [FOLDER]     (three minutes on two cores)

The last epoch is taken, the test split is looked at once, for the figure in the manifest.
"""
import json
import sys
from pathlib import Path

from vqvae_gluon.runtime import use_all_cores

use_all_cores()

import mxnet as mx  # noqa: E402
import numpy as np  # noqa: E402
from gluoncv.utils import LRScheduler  # noqa: E402
from mxnet import autograd, gluon  # noqa: E402
from mxnet.gluon import HybridBlock  # noqa: E402

from vqvae_gluon import emadl, load_dataset  # noqa: E402
from vqvae_gluon.data import Dataset, batches, to_unit  # noqa: E402
from vqvae_gluon.emadl import Network  # noqa: E402
from vqvae_gluon.evaluation.judge import Judge  # noqa: E402
from vqvae_gluon.export.loss import export_loss, judge_loss  # noqa: E402
from vqvae_gluon.export.network import export_network  # noqa: E402
from vqvae_gluon.files import sha256, write_bytes  # noqa: E402
from vqvae_gluon.model_files.folder import NEWEST  # noqa: E402

EPOCHS, BATCH, SEED = 12, 128, 0
TINY = 1e-12  # keeps the logarithm of a probability finite


class Reader(HybridBlock):
    """What is exported: the network, its head called ``softmax`` like the port."""

    def __init__(self, network: Network) -> None:
        super().__init__(prefix="")
        self.network = network

    def hybrid_forward(self, F, data):
        return F.identity(self.network(data), name="softmax")


def main(folder: Path) -> None:
    """Train, export and measure."""
    dataset = load_dataset("mnist")
    network = train(dataset.train.images, dataset.train.labels)
    export(network, dataset, folder)


def export(network: Network, dataset: Dataset, folder: Path) -> None:
    """Write a network's files and manifest to a folder and measure it."""
    folder.mkdir(parents=True, exist_ok=True)
    export_network(folder / NEWEST, Reader(network), (1, 28, 28))
    export_loss(folder / NEWEST, judge_loss())
    manifest = {
        "accuracy": {},
        "epochs": EPOCHS,
        "seed": SEED,
        "data_fingerprint": dataset.fingerprint(),
        "files": {path.name: sha256(path) for path in sorted(folder.glob(f"{NEWEST}*"))},
    }
    write_bytes(folder / "manifest.json", json.dumps(manifest, indent=2).encode())
    judge = Judge(folder)
    for name in ("train", "validation", "test"):
        split = dataset.split(name)
        manifest["accuracy"][name] = judge.accuracy(to_unit(split.images), split.labels)
    write_bytes(folder / "manifest.json", (json.dumps(manifest, indent=2) + "\n").encode())
    print(json.dumps(manifest["accuracy"]))


def train(images: np.ndarray, labels: np.ndarray) -> Network:
    """Return a LeNet trained on digits shifted by up to two pixels."""
    mx.random.seed(SEED)
    np.random.seed(SEED)
    network = emadl.build(emadl.read(emadl.LENET), "lenet_")
    network.initialize(mx.init.Xavier())
    network.hybridize(static_alloc=True)
    updates = EPOCHS * -(-len(images) // BATCH)
    schedule = LRScheduler("cosine", base_lr=2e-3, niters=updates)
    optimizer = mx.optimizer.Adam(learning_rate=2e-3, lr_scheduler=schedule)
    trainer = gluon.Trainer(network.collect_params(), optimizer)
    loss_function = gluon.loss.SoftmaxCrossEntropyLoss(from_logits=True)
    for epoch in range(EPOCHS):
        rng = np.random.RandomState([SEED, epoch])
        losses = []
        for chosen in batches(np.arange(len(images)), BATCH, rng):
            shift = tuple(rng.randint(-2, 3, size=2))
            data = mx.nd.array(to_unit(np.roll(images[chosen], shift, axis=(2, 3))))
            with autograd.record():
                loss = loss_function(mx.nd.log(network(data) + TINY), mx.nd.array(labels[chosen]))
            loss.backward()
            trainer.step(len(chosen))
            losses.append(loss.mean())
        print(f"epoch {epoch}: training loss {mx.nd.stack(*losses).mean().asscalar():.4f}", flush=True)
    return network


if __name__ == "__main__":
    default = Path(__file__).resolve().parent.parent / "pre-trained" / "judge"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
