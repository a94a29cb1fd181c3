"""An exported network: a graph and the parameters that belong to it."""
import hashlib
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

import mxnet as mx
import numpy as np
from mxnet import gluon

from ..errors import VQVAEError
from ..files import parse_json, read_bytes
from .graph import declared_shape, infer_shapes, infer_type, parse_symbol
from .parameters import Parameters, parse_arrays

CODEBOOK = "vectorquantize0_embeddings"

#: The shapes of a graph's inputs by name: 0 stands for any batch size, None for any other side.
Inputs = Dict[str, Tuple[Optional[int], ...]]


def image_input(_: mx.sym.Symbol) -> Inputs:
    """Return the input of an encoder, a decoder or a classifier."""
    return {"data": (0, None, None, None)}


class Component(NamedTuple):
    """One exported network, checked: its files, graph, ``arg:``/``aux:`` parameters and the shapes of its inputs.

    An input that takes any batch size has the shape of a batch of one.
    """

    symbol_file: Path
    parameter_file: Path
    symbol: mx.sym.Symbol
    parameters: Parameters
    inputs: Dict[str, Tuple[int, ...]]

    @property
    def arrays(self) -> Parameters:
        """The parameters, by their names in the graph."""
        return {name.partition(":")[2]: array for name, array in self.parameters.items()}

    @property
    def weights(self) -> Dict[str, np.ndarray]:
        """The trained parameters, by name: those of ``arrays`` that export did not compute from others."""
        about = self.symbol.attr_dict()
        return {name: array.asnumpy() for name, array in self.arrays.items() if "__lr_mult__" in about.get(name, {})}

    @property
    def codebook(self) -> np.ndarray:
        """The codebook of an encoder, (K, D) float32; raises VQVAEError if there is none."""
        if f"arg:{CODEBOOK}" not in self.parameters:
            raise VQVAEError(f"{self.parameter_file}: holds no codebook {CODEBOOK}")
        return self.parameters[f"arg:{CODEBOOK}"].asnumpy()

    @property
    def input_shape(self) -> Tuple[int, ...]:
        """The shape of ``data`` without the batch axis."""
        return self.inputs["data"][1:]

    def output_shape(self, head: str) -> Tuple[int, ...]:
        """Return the shape of a head for one input, without the batch axis.

        Raises VQVAEError if there is no such head, or if it does not give one float32 result for each input.
        """
        try:
            output = self.symbol.get_internals()[f"{head}_output"]
        except ValueError:
            raise VQVAEError(f"{self.symbol_file}: has no output named {head}") from None
        (batch, *shape), kind = infer_shapes(self.symbol_file, output, self.inputs)[1][0], infer_type(output)
        if batch != 1 or kind != np.float32:
            raise VQVAEError(
                f"{self.symbol_file}: gives {head} of shape {(batch, *shape)} and {kind} for one input: "
                f"expected (1, ...) and {np.float32}"
            )
        return tuple(shape)

    def head_shapes(self) -> List[Tuple[int, ...]]:
        """Return the shapes of all heads; raise VQVAEError if one is not float32."""
        if any(infer_type(output) != np.float32 for output in self.symbol):
            raise VQVAEError(f"{self.symbol_file}: MXNet cannot run the graph (an output is not float32)")
        return [tuple(shape) for shape in infer_shapes(self.symbol_file, self.symbol, self.inputs)[1]]

    def network(self, ctx: mx.Context, head: Optional[str] = None) -> gluon.SymbolBlock:
        """Return the network, ready to run on a device for any batch size.

        ``head`` selects a single output; operators that only the others need are left out. The inputs come in the order
        of ``inputs``.
        """
        outputs = self.symbol.get_internals()[f"{head}_output"] if head else self.symbol
        block = gluon.SymbolBlock(outputs, [mx.sym.var(name, dtype="float32") for name in self.inputs])
        block.collect_params().load_dict(self.parameters, ctx, ignore_extra=True)
        block.hybridize(static_alloc=True, static_shape=True)
        return block


def load_component(
    symbol_file: Path, parameter_file: Path, manifest: Path, inputs: Callable[[mx.sym.Symbol], Inputs] = image_input
) -> Component:
    """Read and check one exported network; ``inputs`` returns the inputs that its graph must have.

    Raises
    ------
    VQVAEError
        If a file is missing, damaged or not the one that the manifest (if there is one) names, or if graph and
        parameters do not belong together.
    """
    digests = _read_digests(manifest)
    contents = [_read_checked(file, manifest, digests) for file in (symbol_file, parameter_file)]
    symbol = parse_symbol(symbol_file, contents[0])
    parameters = parse_arrays(parameter_file, contents[1])
    shapes = {name: declared_shape(symbol_file, symbol, name, pattern) for name, pattern in inputs(symbol).items()}
    component = Component(symbol_file, parameter_file, symbol, parameters, shapes)
    _check_parameters(component)
    return component


def _read_digests(manifest: Path) -> Dict[str, str]:
    """Return the SHA-256 of each file that a manifest names; empty if there is no manifest."""
    if not manifest.exists():
        return {}
    digests = parse_json(manifest, read_bytes(manifest))
    digests = digests.get("files") if isinstance(digests, dict) else None
    if not isinstance(digests, dict):
        raise VQVAEError(f"{manifest}: is damaged or no JSON")
    return digests


def _read_checked(path: Path, manifest: Path, digests: Dict[str, str]) -> bytes:
    """Return the content of a file; raise VQVAEError, before it is parsed, if the manifest names another one."""
    content = read_bytes(path)
    name = path.relative_to(manifest.parent).as_posix()
    if name in digests and hashlib.sha256(content).hexdigest() != digests[name]:
        raise VQVAEError(f"{path}: is not the file that {manifest.name} names (SHA-256 differs); export it again")
    return content


def _check_parameters(component: Component) -> None:
    _, path, symbol, parameters, inputs = component
    arguments, _, states = infer_shapes(component.symbol_file, symbol, inputs)
    expected = {f"arg:{name}": shape for name, shape in zip(symbol.list_arguments(), arguments)}
    expected.update((f"aux:{name}", shape) for name, shape in zip(symbol.list_auxiliary_states(), states))
    for name in inputs:
        del expected[f"arg:{name}"]
    for name, shape in expected.items():
        if name not in parameters:
            raise VQVAEError(f"{path}: lacks {name}, which the graph needs; it is from another model")
        if parameters[name].shape != shape:
            raise VQVAEError(
                f"{path}: has {name} of shape {parameters[name].shape}, the graph needs {shape}; "
                "it is from another model"
            )
    extra = sorted(set(parameters) - set(expected))
    if extra:
        raise VQVAEError(f"{path}: holds {extra[0]}, which the graph does not know; it is from another model")


def codebook_digest(codebook: np.ndarray) -> str:
    """Return the SHA-256 of a codebook (K, D) float32, which codes share with the model that decodes them."""
    return hashlib.sha256(np.ascontiguousarray(codebook).tobytes()).hexdigest()
