"""Convert an exported network to an ONNX graph with MXNet's exporter, and correct what the exporter gets wrong."""
import json
import tempfile
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Dict, Sequence

import mxnet as mx
import numpy as np

from ..errors import VQVAEError
from ..model_files.component import Component

if TYPE_CHECKING:
    import onnx

#: The operator set of 2020, which every ONNX Runtime since 1.8 supports, in the file format of 2021. MXNet's exporter
#: writes these operators but labels them as the newest set.
OPSET, IR_VERSION = 13, 8

INSTALL = "run pip install 'vqvae-gluon[onnx]'"
#: The prefix of every name inside a network, so that none clashes with an input or output of the file.
INSIDE = "network/"

_INPUT = "input."  # no clash: names of layers have no dots
_VECTORS = "__vectors__"


def find_onnx() -> ModuleType:
    """Return the library ``onnx``; raise VQVAEError if it is missing or too new for MXNet's exporter."""
    try:
        import onnx
    except ImportError:
        raise VQVAEError(f"onnx is not installed: {INSTALL}") from None
    try:
        import onnx.mapping
    except ImportError:
        message = f"onnx {onnx.__version__} is too new for MXNet's exporter, which needs 1.14.1 to 1.18: {INSTALL}"
        raise VQVAEError(message) from None
    return onnx


def convert(component: Component, heads: Sequence[str]) -> "onnx.ModelProto":
    """Return a network's graph up to the given heads, for any batch size ``N``.

    All names are those of the network with the prefix :data:`INSIDE`; those of inputs also end in ``.input``. Raises
    VQVAEError if an operator has no ONNX form, or if onnx is missing.
    """
    onnx = find_onnx()
    from mxnet import onnx as exporter

    _teach()
    internals = component.symbol.get_internals()
    symbol = _corrected(mx.sym.Group([internals[f"{head}_output"] for head in heads]), component)
    wanted = symbol.list_inputs()
    parameters = {name: array for name, array in component.arrays.items() if name in wanted}
    shapes = [component.inputs[name[len(_INPUT) :]] for name in wanted if name.startswith(_INPUT)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "network.onnx")
        try:
            any_batch = [("N", *shape[1:]) for shape in shapes]
            exporter.export_model(
                symbol, parameters, shapes, np.float32, str(path), dynamic=True, dynamic_input_shapes=any_batch
            )
        except (AttributeError, NotImplementedError, KeyError, ValueError) as error:
            message = f"{component.symbol_file}: has no ONNX form: MXNet's exporter says {error}"
            raise VQVAEError(message) from None
        model = onnx.load(str(path))
    model.ir_version = IR_VERSION
    model.opset_import[0].version = OPSET
    _drop_weights(model.graph)
    for output in model.graph.output:
        shape = component.output_shape(output.name)
        output.CopyFrom(onnx.helper.make_tensor_value_info(output.name, onnx.TensorProto.FLOAT, ("N", *shape)))
    model = onnx.compose.add_prefix(model, INSIDE)
    for name in component.inputs:
        rename(model.graph, f"{INSIDE}{_INPUT}{name}", f"{INSIDE}{name}.input")
    return model


def _corrected(symbol: mx.sym.Symbol, component: Component) -> mx.sym.Symbol:
    """Return an equivalent graph without what the exporter gets wrong or does not support."""
    graph = json.loads(symbol.tojson())
    internals = symbol.get_internals()
    known = {name: shape for name, shape in component.inputs.items() if name in symbol.list_arguments()}
    shapes = dict(zip(internals.list_outputs(), internals.infer_shape(**known)[1]))
    for node in graph["nodes"]:
        if node["op"] == "null" and node["name"] in component.inputs:
            # An output with the same name, such as a decoder's data, would be lost.
            node["name"] = f"{_INPUT}{node['name']}"
        elif node["op"] == "L2Normalization" and len(shapes[f"{node['name']}_output"]) == 2:
            node["attrs"][_VECTORS] = "True"  # see _teach
    return mx.sym.load_json(json.dumps(graph))


def _teach() -> None:
    """Let the exporter accept the normalization of vectors: it supports another mode that gives the same for them."""
    from mxnet.onnx.mx2onnx._export_onnx import MXNetGraph  # private, but MXNet has had its last release

    known = MXNetGraph.registry_[12]["L2Normalization"]

    def convert_normalization(node: Dict[str, Any], **context: Any) -> Any:
        of_vectors = {"mode": "channel"} if _VECTORS in node["attrs"] else {}
        return known({**node, "attrs": {**node["attrs"], **of_vectors}}, **context)

    MXNetGraph.registry_.setdefault(OPSET, {})["L2Normalization"] = convert_normalization


def _drop_weights(graph: "onnx.GraphProto") -> None:
    """Remove the weights from the inputs of a graph: a runtime cannot fold weights that a caller may replace.

    Weights that no node reads are removed altogether, because a runtime would warn about them.
    """
    read = {name for node in graph.node for name in node.input}
    weights = {weight.name: weight for weight in graph.initializer}
    del graph.initializer[:]
    graph.initializer.extend(weight for name, weight in weights.items() if name in read)
    kept = [port for port in graph.input if port.name not in weights]
    del graph.input[:]
    graph.input.extend(kept)


def rename(graph: "onnx.GraphProto", old: str, new: str) -> None:
    """Rename an input, an output or a value between nodes."""
    for node in graph.node:
        for names in (node.input, node.output):
            names[:] = [new if name == old else name for name in names]
    for port in (*graph.input, *graph.output):
        if port.name == old:
            port.name = new
