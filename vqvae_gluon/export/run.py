"""Export the checkpoints of a run to the files that Python and C++ load."""
import json
import platform
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any, Dict, Optional, Tuple, Union

import mxnet as mx
import numpy as np

from .. import __version__
from ..errors import VQVAEError
from ..evaluation.judge import judge_folder, judges
from ..files import sha256, write_bytes
from ..model_files.component import codebook_digest
from ..model_files.folder import LOSS, NEWEST, ModelFolder, judge_part, prior_part, read_manifest
from ..model_zoo import get_model
from ..nn import VQVAE, ComponentNames
from ..training.autoencoder import AUTOENCODER
from ..training.checkpoint import Checkpoint, checkpoint_path, list_checkpoints, load_checkpoint, set_weights
from ..training.history import History
from ..training.kind import Kind
from .loss import vqvae_loss
from .network import copy_network, export_model, select_epoch


def export_run(folder: Union[str, Path], prefix: str = NEWEST) -> Dict[str, Any]:
    """Export a run's best and last epoch to ``<folder>/model`` and return its manifest.

    The epoch with the lowest validation reconstruction error is also written as ``model_0_newest`` and under
    ``prefix``. If the run's data are those that the judge was trained on, the judge is copied next to the model. An
    earlier export is replaced once the new one is complete.

    Raises VQVAEError for a prefix that cannot begin a file name or that other files use, if the folder holds no
    checkpoint or a damaged one, or if it cannot be written to.
    """
    _check_prefix(prefix)
    folder = Path(folder)
    best, last = best_and_last(folder, AUTOENCODER)
    loss = vqvae_loss(best.recipe.beta, best.recipe.reconstruction_loss, best.recipe.error_weight)
    is_judged = judges(best.data_fingerprint)
    checkpoints = {last.epoch: last, best.epoch: best}
    models = {epoch: restore_model(found, checkpoint_path(folder, epoch)) for epoch, found in checkpoints.items()}
    try:
        with tempfile.TemporaryDirectory(dir=str(folder), prefix=".export-") as temporary:
            staged = Path(temporary) / "model"
            for epoch, model in models.items():
                export_model(model, staged, epoch)
            components = models[best.epoch].components
            for name in components:
                select_epoch(staged / name, best.epoch, loss)
                ModelFolder(staged, *components).load(name)  # MXNet does not report a full disk
            if is_judged:
                copy_network(judge_folder() / NEWEST, staged / judge_part(components.encoder) / NEWEST)
            if prefix != NEWEST:
                for part in staged.iterdir():
                    copy_network(part / NEWEST, part / prefix)
            prior = _keep_prior(folder, staged, components, models[best.epoch])
            manifest = _manifest(best, last, staged, components, prior)
            shutil.rmtree(folder / "model", ignore_errors=True)
            staged.rename(folder / "model")
    except (OSError, RuntimeError, VQVAEError) as error:  # gluoncv wraps MXNet's RuntimeError in another one
        reason = getattr(error, "strerror", None) or "MXNet could not save the model"
        raise VQVAEError(f"{folder}: cannot be written ({reason})") from None
    write_bytes(folder / "manifest.json", to_json(manifest))
    return manifest


def find_export(folder: Path) -> Optional[Dict[str, Any]]:
    """Return the manifest of a run if its export is complete and matches the checkpoints, else None."""
    best, last = best_and_last(folder, AUTOENCODER)
    components = get_model(best.recipe.model, **best.recipe.model_settings()).components
    path = folder / "manifest.json"
    manifest = _manifest(best, last, folder / "model", components, _known_prior(path))
    if f"model/{components.encoder}/{LOSS}" not in manifest["files"]:
        return None  # an earlier version exported no losses
    return manifest if path.is_file() and path.read_bytes() == to_json(manifest) else None


def _check_prefix(prefix: str) -> None:
    if not re.fullmatch(r"\w[\w.-]*", prefix):
        raise VQVAEError(f"prefix {prefix!r} cannot begin a file name: give letters, digits, _, - or ., such as newest")
    if prefix.startswith("model_0") and prefix != NEWEST:
        raise VQVAEError(f"prefix {prefix!r} is taken: the epochs' files begin with model_0; choose another one")


def best_and_last(folder: Path, kind: Kind) -> Tuple[Checkpoint, Checkpoint]:
    """Return the best and the last checkpoint of a training; raise VQVAEError if there is none or one is damaged."""
    epochs = list_checkpoints(folder)
    if not epochs:
        raise VQVAEError(f"{folder}: holds no checkpoint; give the folder of a vqvae train run")
    last = load_checkpoint(checkpoint_path(folder, epochs[-1]), kind)
    best_epoch = int(History(kind, last.rows).best()["epoch"])
    if best_epoch == last.epoch:
        return last, last
    return load_checkpoint(checkpoint_path(folder, best_epoch), kind), last


def _known_prior(path: Path) -> Optional[Dict[str, Any]]:
    """Return what a manifest says of a prior, or None; also None if the manifest is damaged, as it is written again."""
    try:
        prior = read_manifest(path).get("prior")
    except VQVAEError:
        return None
    return prior if isinstance(prior, dict) else None


def to_json(manifest: Dict[str, Any]) -> bytes:
    """Return the bytes of a manifest file."""
    return (json.dumps(manifest, indent=2) + "\n").encode()


def describe_training(best: Checkpoint, last: Checkpoint) -> Dict[str, Any]:
    """Return what a manifest says of a training, given its best and last checkpoints."""
    return {
        "epoch": best.epoch,
        "metrics": best.rows[best.epoch],
        "last_epoch": last.epoch,
        "last_metrics": last.rows[last.epoch],
        "recipe": json.loads(last.recipe.to_json()),  # the newest: a resumed training may have more epochs
        "data_fingerprint": best.data_fingerprint,
    }


def _keep_prior(folder: Path, staged: Path, components: ComponentNames, model: VQVAE) -> Optional[Dict[str, Any]]:
    """Copy the prior of an earlier export with the same codebook, if any; return what the manifest says of it."""
    part = prior_part(components.encoder)
    prior = _known_prior(folder / "manifest.json")
    digest = codebook_digest(model.quantizer.embeddings.data().asnumpy())
    if not (prior and prior.get("codebook") == digest and (folder / "model" / part).is_dir()):
        return None
    shutil.copytree(folder / "model" / part, staged / part)
    return prior


def restore_model(checkpoint: Checkpoint, path: Path) -> VQVAE:
    """Return the Gluon model of the checkpoint at ``path``, on the CPU; raise VQVAEError if its weights do not fit."""
    model = get_model(checkpoint.recipe.model, **checkpoint.recipe.model_settings())
    model.initialize()
    set_weights(model, checkpoint.weights, path)
    return model


def _manifest(
    best: Checkpoint, last: Checkpoint, model: Path, components: ComponentNames, prior: Optional[Dict[str, Any]]
) -> Dict[str, Any]:
    manifest = {
        **describe_training(best, last),
        "components": components._asdict(),
        "versions": {
            "vqvae_gluon": __version__,
            "mxnet": mx.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
    return add_files(manifest, model, prior)


def add_files(manifest: Dict[str, Any], model: Path, prior: Optional[Dict[str, Any]]) -> Dict[str, Any]:
    """Return a manifest with the SHA-256 of each file in a model's folder and, if given, the entry of its prior."""
    files = sorted(path for path in model.rglob("*") if path.is_file())
    manifest = {**manifest, "files": {path.relative_to(model.parent).as_posix(): sha256(path) for path in files}}
    if prior:
        part = prior_part(manifest["components"]["encoder"])
        manifest.update(components={**manifest["components"], "prior": part}, prior=prior)
    return manifest
