"""Read a trained run from its folder: settings, history and exported model."""
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Union

import mxnet as mx

from ..deploy.predictor import Predictor
from ..deploy.sampler import Sampler
from ..errors import VQVAEError
from ..export.prior import FOLDER
from ..model_files.folder import ModelFolder, find_model, read_manifest
from ..recipes.autoencoder import Recipe
from ..training.autoencoder import AUTOENCODER
from ..training.history import read_history
from ..training.prior import PRIOR

Row = Dict[str, float]


class Run(NamedTuple):
    """A run: its ``name`` as given, the ``rows`` of its history, one per epoch, and that of the ``exported`` epoch.

    ``prior_rows`` are the rows of its prior's training; empty if there are none.
    """

    name: str
    folder: ModelFolder
    manifest: Dict[str, Any]
    recipe: Recipe
    rows: List[Row]
    exported: Row
    prior_rows: List[Row]

    def load(self, ctx: mx.Context = mx.cpu()) -> Union[Predictor, Sampler]:
        """Return the model, as a sampler if it has a prior; raise VQVAEError if it is damaged."""
        return Sampler(self.folder.path, ctx) if self.folder.prior else Predictor(self.folder.path, ctx)


def read_run(name: Union[str, Path]) -> Run:
    """Read the run in a folder.

    Raises VQVAEError if the folder holds no exported model, if its manifest or metrics are missing or damaged, or if
    the metrics lack the exported epoch.
    """
    folder = find_model(name)
    path = folder.manifest.parent
    for file, kept in ((folder.manifest, "settings"), (path / "metrics.csv", "history")):
        if not file.is_file():
            raise VQVAEError(f"{path}: holds no {file.name}, which keeps the {kept}; give a run of vqvae train")
    manifest, settings = read_manifest(folder.manifest), folder.read_origin()[0]
    rows = read_history(path / "metrics.csv", AUTOENCODER).rows
    exported = [row for row in rows if row["epoch"] == manifest.get("epoch")]
    if not exported:
        raise VQVAEError(f"{path / 'metrics.csv'}: lacks the epoch that {folder.manifest} names; export the run again")
    prior_metrics = path / FOLDER / "metrics.csv"
    prior_rows = read_history(prior_metrics, PRIOR).rows if folder.prior and prior_metrics.is_file() else []
    return Run(str(name), folder, manifest, Recipe.from_dict(settings), rows, exported[0], prior_rows)
