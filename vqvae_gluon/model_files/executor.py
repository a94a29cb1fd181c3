"""An exported network bound to its weights: the twin of the C++ class of this name, with the same bits.

MXNet's own executors run it, not Gluon's blocks, whose calls cost more (docs/performance.md). As in C++, a convolution
and the activation after it become one operator, and nothing else does. MXNet would also fuse a convolution with
BatchNorm, which changes bits; with an addition, which overwrites what others still read; and with an activation even
if another operator reads the convolution, which then gets the activation instead.
"""
import contextlib
import ctypes
import json
import os
import threading
from collections import OrderedDict
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence

import mxnet as mx
import numpy as np
from mxnet.base import _LIB, check_call

from .component import Component

#: A network stays bound for so many batch sizes, the last used ones: full batches, and the rests of a few calls.
_KEPT = 4
_BACKEND, _QUIET = "MXNET_SUBGRAPH_BACKEND", "MXNET_SUBGRAPH_VERBOSE"
#: How MXNet's fused operators are marked that are more than a convolution and its activation.
_MORE = ('"with_bn"', '"with_sum"', '"_sg_mkldnn_fully_connected"')

_binding = threading.Lock()  # of the environment, which all threads share


class _Bound(NamedTuple):
    """A network bound for a number of examples, the inputs that the caller writes to, and the outputs."""

    network: mx.executor.Executor
    inputs: List["_Input"]
    outputs: List["_Output"]

    def run(self) -> None:
        """Compute. MXNet's ``forward`` also looks up all outputs anew, a twelfth of a small network's time."""
        check_call(_LIB.MXExecutorForward(self.network.handle, ctypes.c_int(False)))


class _Input:
    """The memory of one input on a device.

    On a CPU it is written directly: a copy through MXNet's engine, which waits for a thread of its own, takes as long
    as a tenth of a small network.
    """

    def __init__(self, shape: Sequence[int], ctx: mx.Context) -> None:
        self.array = mx.nd.zeros(shape, ctx)
        self._values = _memory(self.array) if ctx.device_type == "cpu" else None

    def write(self, values: np.ndarray) -> None:
        """Let the next run have float32 values of this shape. No earlier run may still be under way."""
        if self._values is None:
            self.array._sync_copyfrom(values)
        else:
            self._values[...] = values


def _memory(array: mx.nd.NDArray) -> np.ndarray:
    """Return the memory of a float32 array on a CPU, to be used no longer than the array."""
    array.wait_to_read()
    address = ctypes.POINTER(ctypes.c_float)()
    check_call(_LIB.MXNDArrayGetData(array.handle, ctypes.byref(address)))
    return np.ctypeslib.as_array(address, array.shape)


class _Output:
    """One output on a device. Its array, shape and dtype do not change from run to run, so they are looked up once."""

    def __init__(self, array: mx.nd.NDArray) -> None:
        self._array, self._shape, self._dtype = array, array.shape, array.dtype

    def read(self, out: Optional[np.ndarray]) -> np.ndarray:
        """Wait for the output and return a copy of it, made in ``out`` if that is given."""
        values = np.empty(self._shape, self._dtype) if out is None else out
        memory = ctypes.c_void_p(values.ctypes.data)
        check_call(_LIB.MXNDArraySyncCopyToCPU(self._array.handle, memory, ctypes.c_size_t(values.size)))
        return values


class Executor:
    """Runs a network up to one of its heads, or all of them, for any number of examples.

    Any thread may call it; it computes for one at a time, and the others wait.

    Parameters
    ----------
    component : Component
        The network.
    ctx : mx.Context
        The device. Operators are fused on CPUs only.
    head : str, optional
        The only output that is computed; operators that it does not need are left out.
    """

    def __init__(self, component: Component, ctx: mx.Context = mx.cpu(), head: Optional[str] = None) -> None:
        self._ctx, self._inputs = ctx, component.inputs
        symbol = component.symbol.get_internals()[f"{head}_output"] if head else component.symbol
        self._symbol = _fused(symbol) if ctx.device_type == "cpu" and _BACKEND not in os.environ else symbol
        wanted = {*symbol.list_arguments(), *symbol.list_auxiliary_states()}
        arrays = component.arrays.items()
        self._weights = {name: array.as_in_context(ctx) for name, array in arrays if name in wanted}
        self._bound: OrderedDict[int, _Bound] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, *inputs: np.ndarray, out: Optional[np.ndarray] = None) -> List[np.ndarray]:
        """Return the head, or all of them, for float32 inputs (N, ...), given in the order of the component's.

        ``out``, contiguous float32 of the shape of the one head, is where its values are written, if given.
        """
        with self._lock:
            bound = self._bind(len(inputs[0]))
            for memory, values in zip(bound.inputs, inputs):
                memory.write(values)
            bound.run()
            return [output.read(out) for output in bound.outputs]

    def _bind(self, count: int) -> _Bound:
        """Return the network bound for ``count`` examples; the weights are the same for all counts."""
        if count in self._bound:
            self._bound.move_to_end(count)
            return self._bound[count]
        while len(self._bound) >= _KEPT:
            self._bound.popitem(last=False)
        inputs = {name: _Input((count, *shape[1:]), self._ctx) for name, shape in self._inputs.items()}
        arrays = {**self._weights, **{name: memory.array for name, memory in inputs.items()}}
        given = {name: arrays[name] for name in self._symbol.list_arguments()}
        states = {name: arrays[name] for name in self._symbol.list_auxiliary_states()}
        with _binding, _fusing_nothing():
            network = self._symbol.bind(self._ctx, given, grad_req="null", aux_states=states)
        self._bound[count] = _Bound(network, list(inputs.values()), [_Output(array) for array in network.outputs])
        return self._bound[count]


def _fused(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """Return a graph with each convolution and its activation as one operator, or the same graph if that is unsafe."""
    if not is_fusible(json.loads(symbol.tojson())):
        return symbol
    try:
        fused = symbol.get_backend_symbol("MKLDNN")
    except mx.MXNetError:  # MXNet built without oneDNN
        return symbol
    text = fused.tojson()
    is_same = fused.list_outputs() == symbol.list_outputs() and not any(more in text for more in _MORE)
    return fused if is_same else symbol


def is_fusible(graph: Dict[str, Any]) -> bool:
    """Return whether a graph gives the same numbers after MXNet has fused its convolutions."""
    nodes = graph["nodes"]
    entries = [entry for node in nodes for entry in node["inputs"]] + graph["heads"]
    readers = [0] * len(nodes)
    for source, *_ in entries:
        readers[source] += 1
    for node in nodes:
        for source, *_ in node["inputs"]:
            if nodes[source]["op"] != "Convolution":
                continue
            if node["op"] in ("LeakyReLU", "clip"):
                return False
            # The sigmoid of a fused convolution has other bits than the operator alone.
            kind = node.get("attrs", {}).get("act_type")
            if node["op"] == "Activation" and (kind not in ("relu", "tanh") or readers[source] > 1):
                return False
    return True


@contextlib.contextmanager
def _fusing_nothing() -> Iterator[None]:
    """Keep MXNet from fusing all it can when it binds a graph, and from reporting it, unless the user asked for it."""
    before = {name: os.environ.get(name) for name in (_BACKEND, _QUIET)}
    # The backend called "default" fuses the operators that it is given, which are none.
    os.environ.setdefault(_BACKEND, "default")
    os.environ.setdefault(_QUIET, "0")
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
