"""Export networks to the files that Python and C++ load: graphs with named heads, and their parameters."""
import json
import shutil
from pathlib import Path
from typing import Any, Dict, List, Tuple

import mxnet as mx
from gluoncv.utils import export_block
from mxnet import gluon
from mxnet.gluon import Block, HybridBlock

from ..emadl.block import Network
from ..model_files.component import CODEBOOK
from ..model_files.folder import NEWEST
from ..model_files.parameters import Parameters, load_arrays
from ..nn import VQVAE, Branches, DecodingNetwork, EncodingNetwork, UpConvolution
from .loss import export_loss


def export_model(model: VQVAE, folder: Path, epoch: int = 0) -> None:
    """Write a model on the CPU as EMADL's files, under the number of an epoch.

    These are ``vqvae.Encoder/model_0-symbol.json`` and ``model_0-<epoch>.params`` (see :class:`EncodingNetwork`), the
    codebook alone as ``model_0-vectorquantize0-<epoch>.params``, and ``vqvae.Decoder/...`` (see
    :class:`DecodingNetwork`); the folders are named after the model's components. The inputs are called ``data``. The
    model's layers are switched to their plain form and stay in it.
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
    # The graph accepts any batch size and, being convolutional, any image size. The size that
    # it was trained for is recorded for programs that load it; 0 stands for any.
    symbol.get_internals()["data"]._set_attr(__shape__=str((0, *shape)))
    symbol.save(str(symbol_file))
    mx.nd.save(str(parameter_file), parameters)


def fold_constants(
    symbol: mx.sym.Symbol, parameters: Parameters, shape: Tuple[int, int, int]
) -> Tuple[mx.sym.Symbol, Parameters]:
    """Return a graph whose operators all depend on ``data`` (N, *shape), and its ``arg:``/``aux:`` parameters.

    Values that every prediction would compute again from parameters alone become parameters, named after their
    operators. The results are the same, bit for bit, with fewer operators.
    """
    graph = json.loads(symbol.tojson())
    nodes: List[Dict[str, Any]] = graph["nodes"]
    constant: List[bool] = []
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
    """Return a graph in which a head that is a copy is replaced by the copied operator, which takes the head's name."""
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
    """Make an epoch that :func:`export_model` wrote the newest of the folder ``part``, and write its loss beside it."""
    shutil.copyfile(part / "model_0-symbol.json", part / f"{NEWEST}-symbol.json")
    shutil.copyfile(part / f"model_0-{epoch:04d}.params", part / f"{NEWEST}-0000.params")
    export_loss(part / NEWEST, loss)


def copy_network(source: Path, target: Path) -> None:
    """Copy the files of a network and its loss, from paths that begin with ``source`` to ones with ``target``."""
    target.parent.mkdir(exist_ok=True)
    for ending in ("-symbol.json", "-0000.params", "_loss-symbol.json", "_loss-0000.params"):
        shutil.copyfile(f"{source}{ending}", f"{target}{ending}")


def _use_plain_form(block: Block) -> None:
    if isinstance(block, (Branches, Network, UpConvolution)):
        block.plain = True
