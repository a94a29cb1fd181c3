"""Export the checkpoints of a prior to the files that Python and C++ load."""
import shutil
import tempfile
from pathlib import Path
from typing import Any, Dict, Optional, Tuple
from urllib.parse import quote

import mxnet as mx
import numpy as np

from ..data.codes import CodesDataset
from ..deploy.sampler import Sampler, step_inputs
from ..errors import VQVAEError
from ..files import read_bytes, write_bytes
from ..model_files.folder import PARAMETERS, STEP, SYMBOL, ModelFolder, find_model, prior_part, read_manifest
from ..model_files.parameters import load_arrays
from ..nn.prior import Prior
from ..nn.prior_step import PriorNetwork, PriorStep, fold_scales, unfold_scales
from ..sampling import step_shapes
from ..training.checkpoint import Checkpoint, checkpoint_path, set_weights
from ..training.prior import PRIOR, without_moved
from .network import name_heads
from .run import add_files, best_and_last, describe_training, to_json

#: The subfolder of a run in which its prior is trained.
FOLDER = "prior"
#: The shape and the attributes of each input of a graph, by name.
Inputs = Dict[str, Tuple[Tuple[int, ...], Dict[str, str]]]


def export_prior(run: Path, dataset: CodesDataset) -> Dict[str, Any]:
    """Export the best epoch of ``<run>/prior`` beside the run's encoder, and return the run's manifest.

    ``model/<package>.Prior/`` then holds the graph of all places as ``model_0_newest-symbol.json`` (codes ``data`` (N,
    h, w) and classes ``label`` (N,) -> ``logits`` (N, h * w, K)), the graph of one place as
    ``model_0_newest_step-symbol.json`` (see :class:`PriorStep`) and the parameters of both. The manifest lists these
    files and describes the training under ``prior``. ``dataset`` is the data that the prior was trained on.

    Raises VQVAEError if there is no such training, if it used other data or codes, or if the files cannot be written.
    """
    folder, training = find_model(run), run / FOLDER
    best, last = best_and_last(training, PRIOR)
    if best.data_fingerprint != dataset.fingerprint():
        raise VQVAEError(f"{training}: was trained on other data, or on other codes than the model now gives")
    prior = restore_prior(best, dataset, checkpoint_path(training, best.epoch))
    part = prior_part(folder.encoder)
    try:
        with tempfile.TemporaryDirectory(dir=str(run), prefix=".export-") as temporary:
            staged = Path(temporary) / part
            staged.mkdir()
            _write_graphs(prior, staged, dataset)
            shutil.rmtree(folder.path / part, ignore_errors=True)
            staged.rename(folder.path / part)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "MXNet could not save the prior"
        raise VQVAEError(f"{run}: cannot be written ({reason})") from None
    manifest = _manifest(folder, best, last, dataset)
    write_bytes(folder.manifest, to_json(manifest))
    return manifest


def find_prior_export(run: Path, dataset: CodesDataset) -> Optional[Dict[str, Any]]:
    """Return the manifest of a run if the export of its prior is complete and matches the checkpoints, else None."""
    folder = find_model(run)
    best, last = best_and_last(run / FOLDER, PRIOR)
    manifest = _manifest(folder, best, last, dataset)
    return manifest if folder.prior and read_bytes(folder.manifest) == to_json(manifest) else None


def restore_prior(checkpoint: Checkpoint, dataset: CodesDataset, path: Path) -> Prior:
    """Return the prior of the checkpoint at ``path``, on the CPU; raise VQVAEError if its weights do not fit."""
    shape = dataset.train.codes.shape[1:]
    prior = Prior(dataset.num_embeddings, shape, len(dataset.classes), **checkpoint.recipe.model_settings())
    prior.initialize()
    set_weights(prior, without_moved(prior, checkpoint.weights), path)
    return prior


def exported_weights(model: str) -> Dict[str, np.ndarray]:
    """Return the parameters, by name, of the prior in a run or model folder, in the form they have in training.

    The scales that were folded into them are taken out again, within rounding. Raises VQVAEError if there is no prior,
    or if it is damaged.
    """
    size, folder = Sampler(model).size, find_model(model)
    arrays = folder.load(folder.prior, STEP, step_inputs).arrays.items()
    return unfold_scales({name: array.asnumpy() for name, array in arrays}, size)


def _manifest(folder: ModelFolder, best: Checkpoint, last: Checkpoint, dataset: CodesDataset) -> Dict[str, Any]:
    about = {**describe_training(best, last), "classes": list(dataset.classes), "codebook": dataset.codebook}
    manifest = read_manifest(folder.manifest)
    # The first version named no components.
    manifest.setdefault("components", {"encoder": folder.encoder, "decoder": folder.decoder})
    return add_files(manifest, folder.path, about)


def _write_graphs(prior: Prior, folder: Path, dataset: CodesDataset) -> None:
    """Write both graphs of a prior, with its codebook and classes as attributes, and their parameters."""
    size = prior.size
    fold_scales(prior)
    marks = {"__codebook__": dataset.codebook}
    classes = {"__classes__": ",".join(quote(name, safe="") for name in dataset.classes)}
    whole: Inputs = {"data": ((0, *size.codes_shape), {}), "label": ((0,), {})}
    names = ["before", "place", "label", "temperature", "mask", *size.kept]
    step: Inputs = {name: (shape, {}) for name, shape in zip(names, step_shapes(size, 0))}
    step["before"][1].update(marks)
    step["label"][1].update(classes)
    for file, network, inputs in ((SYMBOL, PriorNetwork(prior), whole), (STEP, PriorStep(prior), step)):
        with mx.name.NameManager():  # restarts its counters, so that equal graphs have equal names
            variables = [
                mx.sym.var(name, shape=shape, dtype="float32", attr=attributes)
                for name, (shape, attributes) in inputs.items()
            ]
            heads = network(*variables)
        symbol = mx.sym.Group(list(heads)) if isinstance(heads, (list, tuple)) else heads
        write_bytes(folder / file, name_heads(symbol).tojson().encode())
    parameters = {f"arg:{name}": parameter.data() for name, parameter in prior.collect_params().items()}
    mx.nd.save(str(folder / PARAMETERS), parameters)
    load_arrays(folder / PARAMETERS)  # MXNet does not report a full disk
