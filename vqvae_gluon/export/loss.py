"""The loss graphs that EMADL's programs load with each network.

Their inputs are ``data0``, ``data1`` and so on, each with the batch as its first axis. They have no parameters.
"""
from pathlib import Path

import mxnet as mx

from ..files import write_bytes
from ..model_files.parameters import load_arrays
from ..training.loss import reconstruction_error


def vqvae_loss(beta: float, kind: str = "mse", error_weight: float = 1.0) -> mx.sym.Symbol:
    """Return EMADL's loss of a VQ-VAE: the heads ``total`` (N,), the training loss, and ``reconstruction`` (N,).

    Inputs: prediction and label (N, ...) in [0, 1], commitment loss (N,), codebook loss (N,). ``reconstruction`` is the
    reconstruction error, summed over an image and without its weight. ``beta``, ``kind`` ('mse' or 'bce') and
    ``error_weight``: see :class:`Recipe`.
    """
    with mx.name.NameManager():  # restarts its counters, so that equal graphs have equal names
        prediction, label, commitment, codebook = (mx.sym.var(f"data{i}") for i in range(4))
        error = reconstruction_error(mx.sym, prediction, label, kind)
        reconstruction = mx.sym.sum(error, axis=0, exclude=True, name="reconstruction")
        weighted = reconstruction if error_weight == 1 else reconstruction * error_weight
        total = mx.sym.elemwise_add(weighted, beta * commitment + codebook, name="total")
        return mx.sym.Group([total, reconstruction])


def judge_loss() -> mx.sym.Symbol:
    """Return a classifier's loss: the head ``loss`` (N,), minus the logarithm of the label's probability.

    Inputs: probabilities (N, K), labels (N,).
    """
    with mx.name.NameManager():
        probabilities, label = mx.sym.var("data0"), mx.sym.var("data1")
        return mx.sym.negative(mx.sym.log(mx.sym.pick(probabilities, label, axis=1)), name="loss")


def export_loss(path: Path, loss: mx.sym.Symbol) -> None:
    """Write ``<path>_loss-symbol.json`` and ``<path>_loss-0000.params``, an empty list of arrays.

    Raises VQVAEError if they cannot be written.
    """
    write_bytes(Path(f"{path}_loss-symbol.json"), loss.tojson().encode())
    parameters = Path(f"{path}_loss-0000.params")
    mx.nd.save(str(parameters), [])
    load_arrays(parameters)  # MXNet does not report a full disk
