"""A digit classifier that judges whether reconstructions are still readable."""
from pathlib import Path
from typing import Optional, Union

import mxnet as mx
import numpy as np

from ..data.dataset import batches
from ..files import parse_json, read_bytes
from ..model_files.component import load_component
from ..model_files.executor import Executor
from ..model_files.folder import PARAMETERS, SYMBOL, pretrained_folder

_HIDDEN = "lenet_relu2_fwd"  # the node whose output is the last hidden vectors


def judge_folder() -> Path:
    """Return the folder of the judge that comes with the package."""
    return pretrained_folder() / "judge"


def judges(data_fingerprint: str) -> bool:
    """Return whether the judge was trained on data with this fingerprint.

    Raises VQVAEError if its manifest is missing or damaged.
    """
    path = judge_folder() / "manifest.json"
    manifest = parse_json(path, read_bytes(path))
    return isinstance(manifest, dict) and manifest.get("data_fingerprint") == data_fingerprint


class Judge:
    """The LeNet in ``pre-trained/judge``, or the one in ``folder``; its manifest states its accuracy.

    Raises VQVAEError if its files are missing, damaged or not those of the manifest.
    """

    def __init__(self, folder: Optional[Union[str, Path]] = None, ctx: mx.Context = mx.cpu()) -> None:
        folder = Path(folder) if folder else judge_folder()
        component = load_component(folder / SYMBOL, folder / PARAMETERS, folder / "manifest.json")
        self._classes, self._hidden = Executor(component, ctx), Executor(component, ctx, _HIDDEN)

    def classify(self, images: np.ndarray) -> np.ndarray:
        """Return the digits (N,) of images (N, 1, 28, 28), float32 in [0, 1]."""
        return self._run(self._classes, images).argmax(axis=1)

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return the last hidden vectors (N, 128) float64, after the ReLU; ``images`` is as in :meth:`classify`."""
        return self._run(self._hidden, images).astype(np.float64)

    def accuracy(self, images: np.ndarray, labels: np.ndarray) -> float:
        """Return the share of images that are classified as their label."""
        return float((self.classify(images) == labels).mean())

    def _run(self, network: Executor, images: np.ndarray) -> np.ndarray:
        return np.concatenate([network(batch)[0] for batch in batches(images, 100)])
