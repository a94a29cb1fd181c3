"""The graph of a ``-symbol.json`` file, read without running any code, and the shapes and types of its ports."""
import contextlib
import json
import re
from itertools import chain
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import mxnet as mx
import numpy as np

from ..errors import VQVAEError
from ..files import parse_json

#: Operators that call functions of the program; _Native and _NDArray do so at an address that the graph gives.
_FOREIGN_OPERATORS = (
    *("Custom", "_npi_Custom", "_CustomFunction", "_NDArray", "_Native", "_CachedOp", "_CachedOpThreadSafe"),
    *("_backward_Custom", "_backward_CustomFunction", "_backward__NDArray", "_backward__Native", "_backward_CachedOp"),
)


def parse_symbol(path: Path, content: bytes) -> mx.sym.Symbol:
    """Return the graph in the ``content`` of a file; raise VQVAEError if it is damaged or could run code."""
    for name in _FOREIGN_OPERATORS:
        # MXNet's reader does not know \u escapes, so a name stands in the text as it is.
        if f'"{name}"'.encode() in content:
            raise VQVAEError(f"{path}: asks for the operator {name}, which could run code; it is refused")
    try:
        if not _is_graph(parse_json(path, content)):
            raise VQVAEError("")
        symbol = mx.sym.load_json(content.decode())
    except (mx.MXNetError, UnicodeDecodeError, VQVAEError):
        raise VQVAEError(f"{path}: is damaged or no MXNet graph") from None
    return symbol


def _is_graph(tree: Any) -> bool:
    """Return whether each node takes outputs of earlier nodes only: otherwise MXNet reads out of bounds."""

    def is_entry(entry: Any, count: int) -> bool:
        source, index = entry[:2]
        if not (type(source) is type(index) is int and 0 <= source < count and index >= 0):
            return False
        return index < int(nodes[source].get("attrs", {}).get("num_outputs", 1))

    try:
        nodes = tree["nodes"]
        inputs = ((entry, number) for number, node in enumerate(nodes) for entry in node["inputs"])
        heads = ((entry, len(nodes)) for entry in tree["heads"])
        if any(node.get("attrs", {}).get("__storage_type__", "0") != "0" for node in nodes):
            return False  # a sparse weight, which Gluon does not load
        return all(is_entry(entry, count) for entry, count in chain(inputs, heads))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        return False


def declared_shape(path: Path, symbol: mx.sym.Symbol, name: str, pattern: Tuple[Optional[int], ...]) -> Tuple[int, ...]:
    """Return the shape that a graph declares for an input, with 1 for any batch size."""
    if name not in symbol.list_arguments():
        raise VQVAEError(f"{path}: has no input named {name}")
    text = symbol.attr_dict().get(name, {}).get("__shape__", "")
    shape = tuple(int(side) for side in re.findall("[0-9]+", text) if len(side) < 10)
    fits = (side > 0 if wanted is None else side == wanted for side, wanted in zip(shape, pattern))
    if str(shape) != text or len(shape) != len(pattern) or not all(fits):
        raise VQVAEError(f"{path}: does not give the shape of {name}; export it with vqvae export")
    return tuple(side or 1 for side in shape)


def find_scores(symbol: mx.sym.Symbol) -> Optional[str]:
    """Return the name of the encoder's scores (N, K, h, w), of which the codes are the greatest row at each place.

    None if the graph does not choose codes as exported graphs do. The C++ function of this name finds the same node.
    """
    nodes = json.loads(symbol.tojson())["nodes"]
    for node in nodes:
        if node["name"] != "codes" or (node["op"], node.get("attrs")) != ("argmax", {"axis": "1"}):
            continue
        scores = nodes[node["inputs"][0][0]]
        if (scores["op"], scores.get("attrs")) != ("slice", {"begin": "(None,)", "end": "(None,)"}):
            continue
        if nodes[scores["inputs"][0][0]]["op"] == "Convolution":
            return str(scores["name"])
    return None


def infer_shapes(
    path: Path, symbol: mx.sym.Symbol, inputs: Dict[str, Tuple[int, ...]]
) -> Tuple[List[Tuple[int, ...]], ...]:
    """Return the shapes of a graph's arguments, outputs and auxiliary states."""
    known = symbol.list_arguments()
    try:
        with contextlib.redirect_stdout(None):  # MXNet prints its arguments there
            shapes = symbol.infer_shape(**{name: shape for name, shape in inputs.items() if name in known})
    except mx.MXNetError:
        shapes = (None,)
    if None in shapes:
        raise VQVAEError(f"{path}: the graph does not accept its own input shape")
    return shapes


def infer_type(output: mx.sym.Symbol) -> Optional[type]:
    """Return the type of a graph's only output for float32 inputs, or None if it does not take them."""
    try:
        types = output.infer_type(**dict.fromkeys(output.list_arguments(), np.float32))[1]
    except mx.MXNetError:
        return None
    return types[0] if types else None
