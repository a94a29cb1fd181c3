"""From a run's checkpoints to the files that Python and C++ load."""
import json
import platform
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

import mxnet as mx
import numpy as np
from gluoncv.utils import export_block
from mxnet import gluon
from mxnet.gluon import Block, HybridBlock

from .. import __version__
from ..emadl.block import Network
from ..errors import VQVAEError
from ..evaluation.judge import judge_folder, judges
from ..files import parse_json, read_bytes, sha256, write_bytes
from ..model_files.component import CODEBOOK, codebook_digest
from ..model_files.folder import LOSS, NEWEST, ModelFolder, judge_part, prior_part
from ..model_files.parameters import Parameters, load_arrays
from ..model_zoo import get_model
from ..nn import VQVAE, Branches, ComponentNames, DecodingNetwork, EncodingNetwork, UpConvolution
from ..training.autoencoder import AUTOENCODER
from ..training.checkpoint import Checkpoint, checkpoint_path, list_checkpoints, load_checkpoint, set_weights
from ..training.history import History
from ..training.trained import Kind
from .loss import export_loss, vqvae_loss


def export_model(model: VQVAE, folder: Path, epoch: int = 0) -> None:
    """Write a model on the CPU as EMADL's files, under the number of an epoch.

    ``vqvae.Encoder/model_0-symbol.json`` and ``model_0-<epoch>.params`` (see :class:`EncodingNetwork`), the codebook
    alone as ``model_0-vectorquantize0-<epoch>.params``, and ``vqvae.Decoder/...`` (see :class:`DecodingNetwork`). The
    inputs are called ``data``. The model's layers take their plain form from now on.
    """
    model.apply(_use_plain_form)
    depth = model.quantizer.embedding_dim
    for name, network, shape in (
        (model.components.encoder, EncodingNetwork(model), model.image_shape),
        (model.components.decoder, DecodingNetwork(model), (depth, *model.codes_shape)),
    ):
        path = folder / name / "model_0"
        path.parent.mkdir(parents=True, exist_ok=True)
        export_network(path, network, shape, epoch)
    path = folder / model.components.encoder / f"model_0-vectorquantize0-{epoch:04d}.params"
    mx.nd.save(str(path), {CODEBOOK: model.quantizer.embeddings.data()})


def export_network(path: Path, network: HybridBlock, shape: Tuple[int, int, int], epoch: int = 0) -> None:
    """Write ``<path>-symbol.json`` and ``<path>-<epoch>.params`` of a network for inputs (N, *shape)."""
    export_block(str(path), network, shape, epoch, preprocess=None, layout="CHW")
    symbol_file, parameter_file = Path(f"{path}-symbol.json"), Path(f"{path}-{epoch:04d}.params")
    symbol, parameters = fold_constants(mx.sym.load(str(symbol_file)), load_arrays(parameter_file), shape)
    symbol = name_heads(symbol)
    # The graph takes any batch size and, being convolutional, would take any image size: the
    # size it was trained for must be written down for whoever loads it. 0 stands for any.
    symbol.get_internals()["data"]._set_attr(__shape__=str((0, *shape)))
    symbol.save(str(symbol_file))
    mx.nd.save(str(parameter_file), parameters)


def fold_constants(
    symbol: mx.sym.Symbol, parameters: Parameters, shape: Tuple[int, int, int]
) -> Tuple[mx.sym.Symbol, Parameters]:
    """Return a graph whose operators all depend on ``data`` (N, *shape), and its ``arg:``/``aux:`` parameters.

    What was computed from parameters alone, in every prediction anew, becomes a parameter under the operator's name:
    the same bits with fewer operators.
    """
    graph = json.loads(symbol.tojson())
    nodes, constant = graph["nodes"], []
    for node in nodes:
        varies = node["name"] == "data" or any(not constant[source] for source, *_ in node["inputs"])
        constant.append(not varies and "num_outputs" not in node.get("attrs", {}))  # a parameter is one array
    used = {source for number, node in enumerate(nodes) if not constant[number] for source, *_ in node["inputs"]}
    folded = [nodes[number] for number in sorted(used) if constant[number] and nodes[number]["op"] != "null"]
    internals = symbol.get_internals()
    outputs = mx.sym.Group([symbol, *(internals[f"{node['name']}_output"] for node in folded)])
    network = gluon.SymbolBlock(outputs, [mx.sym.var("data", dtype="float32")])
    network.collect_params().load_dict(parameters, mx.cpu())
    values = network(mx.nd.zeros((1, *shape)))[len(symbol.list_outputs()) :]
    for node, value in zip(folded, values):
        node.update(op="null", inputs=[], attrs={"__shape__": str(value.shape)})
    symbol = mx.sym.load_json(json.dumps(graph))
    parameters = dict(parameters, **{f"arg:{node['name']}": value for node, value in zip(folded, values)})
    inputs = symbol.list_inputs()
    return symbol, {name: value for name, value in parameters.items() if name.split(":", 1)[1] in inputs}


def name_heads(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """Return a graph in which each head that was a copy is gone, and its operator bears its name."""
    graph = json.loads(symbol.tojson())
    nodes = graph["nodes"]
    for head in graph["heads"]:
        copy = nodes[head[0]]
        if copy["op"] == "_copy":
            head[:] = copy["inputs"][0]
            source = nodes[head[0]]
            source["name"], copy["name"] = copy["name"], source["name"]
    return mx.sym.load_json(json.dumps(graph))


def select_epoch(part: Path, epoch: int, loss: mx.sym.Symbol) -> None:
    """Make an epoch that :func:`export_model` wrote to the folder ``part`` the newest, and write its loss beside it."""
    shutil.copyfile(part / "model_0-symbol.json", part / f"{NEWEST}-symbol.json")
    shutil.copyfile(part / f"model_0-{epoch:04d}.params", part / f"{NEWEST}-0000.params")
    export_loss(part / NEWEST, loss)


def copy_network(source: Path, target: Path) -> None:
    """Copy a network and its loss from the paths that begin with ``source`` to those that begin with ``target``."""
    target.parent.mkdir(exist_ok=True)
    for ending in ("-symbol.json", "-0000.params", "_loss-symbol.json", "_loss-0000.params"):
        shutil.copyfile(f"{source}{ending}", f"{target}{ending}")


def export_run(folder: Path, prefix: str = NEWEST) -> Dict[str, Any]:
    """Export a run's best and last epoch to ``<folder>/model`` and return its manifest.

    The epoch with the lowest validation reconstruction error becomes ``model_0_newest``, and that under ``prefix``
    too. Where the run's data are the judge's, the judge is put beside the model. An earlier export is replaced
    once the new one is whole.

    Raises VQVAEError for a prefix that no file name can start with or that other files have, if the folder holds no
    checkpoint or a damaged one, or cannot be written to.
    """
    _check_prefix(prefix)
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
                ModelFolder(staged, *components).load(name)  # MXNet does not say when a disk is full
            if is_judged:
                copy_network(judge_folder() / NEWEST, staged / judge_part(components.encoder) / NEWEST)
            if prefix != NEWEST:
                for part in staged.iterdir():
                    copy_network(part / NEWEST, part / prefix)
            prior = _keep_prior(folder, staged, components, models[best.epoch])
            manifest = _manifest(best, last, staged, components, prior)
            shutil.rmtree(folder / "model", ignore_errors=True)
            staged.rename(folder / "model")
    except (OSError, RuntimeError, VQVAEError) as error:  # gluoncv hides MXNet's RuntimeError in another one
        reason = getattr(error, "strerror", None) or "MXNet could not save the model"
        raise VQVAEError(f"{folder}: cannot be written ({reason})") from None
    write_bytes(folder / "manifest.json", to_json(manifest))
    return manifest


def find_export(folder: Path) -> Optional[Dict[str, Any]]:
    """Return the manifest of a run whose export is whole and that of its checkpoints, or nothing."""
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
    """Return the best and the last checkpoint of a training; raise VQVAEError if there is none, or a damaged one."""
    epochs = list_checkpoints(folder)
    if not epochs:
        raise VQVAEError(f"{folder}: holds no checkpoint; give the folder of a vqvae train run")
    last = load_checkpoint(checkpoint_path(folder, epochs[-1]), kind)
    best_epoch = int(History(kind, last.rows).best()["epoch"])
    if best_epoch == last.epoch:
        return last, last
    return load_checkpoint(checkpoint_path(folder, best_epoch), kind), last


def read_manifest(path: Path) -> Dict[str, Any]:
    """Return a manifest, empty where there is none; raise VQVAEError if it is damaged."""
    manifest = parse_json(path, read_bytes(path)) if path.exists() else {}
    if not isinstance(manifest, dict):
        raise VQVAEError(f"{path}: is damaged or no JSON")
    return manifest


def _known_prior(path: Path) -> Optional[Dict[str, Any]]:
    """Return what a manifest says of a prior, or nothing; one that is damaged says nothing, and is written anew."""
    try:
        prior = read_manifest(path).get("prior")
    except VQVAEError:
        return None
    return prior if isinstance(prior, dict) else None


def to_json(manifest: Dict[str, Any]) -> bytes:
    """Return a manifest as it is written."""
    return (json.dumps(manifest, indent=2) + "\n").encode()


def describe_training(best: Checkpoint, last: Checkpoint) -> Dict[str, Any]:
    """Return what a manifest says of the training whose best epoch is exported."""
    return {
        "epoch": best.epoch,
        "metrics": best.rows[best.epoch],
        "last_epoch": last.epoch,
        "last_metrics": last.rows[last.epoch],
        "recipe": json.loads(best.recipe.to_json()),
        "data_fingerprint": best.data_fingerprint,
    }


def _keep_prior(folder: Path, staged: Path, components: ComponentNames, model: VQVAE) -> Optional[Dict[str, Any]]:
    """Copy the prior of an earlier export of the same codebook, if any, and return what the manifest says of it."""
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
    """Return a manifest with the SHA-256 of each file in a model's folder and, if given, what is said of its prior."""
    files = sorted(path for path in model.rglob("*") if path.is_file())
    manifest = {**manifest, "files": {path.relative_to(model.parent).as_posix(): sha256(path) for path in files}}
    if prior:
        part = prior_part(manifest["components"]["encoder"])
        manifest.update(components={**manifest["components"], "prior": part}, prior=prior)
    return manifest


def _use_plain_form(block: Block) -> None:
    if isinstance(block, (Branches, Network, UpConvolution)):
        block.plain = True

