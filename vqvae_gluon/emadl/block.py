"""Turn a component into a Gluon block, layer by layer, with operators that this project trusts."""
from typing import Any, Callable, Dict, List, Optional, Tuple

import mxnet as mx
import numpy as np
from mxnet.gluon import HybridBlock, Parameter, nn

from ..errors import VQVAEError
from ..nn import UpConvolution, VectorQuantizer
from ..nn.branches import concatenate_channels
from ..nn.tensor import Operators, Tensor
from .component import Component, Layer
from .expressions import show
from .layers import StreamType
from .padding import Padding, pad
from .ports import shapes_agree

#: (F, inputs, whether in the exported form) -> outputs.
Step = Callable[[Operators, List[Tensor], bool], List[Tensor]]
Types = List[StreamType]


class Network(HybridBlock):
    """The block of a component; takes float32 arrays (N, *shape), one for each input, in the order of the ports.

    Returns an array for a single output, and a tuple in the order of the ports for several. The layers have Gluon's
    names and numbers: the first Convolution is ``conv0``. ``plain`` selects the form that is exported.

    Raises VQVAEError, when called, for a wrong number of inputs, a wrong shape or a wrong dtype.
    """

    def __init__(self, component: Component, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.component = component
        self.plain = False
        self._steps: List[Tuple[Step, Layer]] = []
        quantizers = 0
        with self.name_scope():
            for layer in component.layers:
                types = [component.streams[stream] for stream in layer.inputs]
                if layer.name == "VectorQuantize":
                    block: Optional[HybridBlock] = _vector_quantizer(types, layer.arguments, quantizers)
                    quantizers += 1
                else:
                    block = _BLOCKS[layer.name](types, layer.arguments) if layer.name in _BLOCKS else None
                if block is not None:
                    self.register_child(block)
                self._steps.append((_step(layer, types, block), layer))

    @property
    def output_bias(self) -> Parameter:
        """The bias (channels,) of the last layer, before the sigmoid; raises VQVAEError if the network has none."""
        bias = getattr(list(self._children.values())[-2:][0], "bias", None)
        ends = [layer.name for layer in self.component.layers[-2:]]
        if len(ends) < 2 or ends[0] not in ("Convolution", "UpConvolution") or ends[1] != "Sigmoid" or bias is None:
            raise VQVAEError(
                f"{self.component.path}: does not end in a convolution with a bias and Sigmoid(), so that output_bias "
                "cannot be 'mean'; choose --output-bias zero"
            )
        return bias

    def __call__(self, *inputs: Tensor) -> Any:
        if all(isinstance(x, mx.nd.NDArray) for x in inputs):
            self._check(inputs)
        outputs = super().__call__(*inputs)
        return tuple(outputs) if isinstance(outputs, list) else outputs  # a hybridized block returns a list

    def _check(self, inputs: Tuple[mx.nd.NDArray, ...]) -> None:
        wanted = self.component.input_types
        if len(inputs) != len(wanted):
            raise VQVAEError(f"{self.component.full_name} takes {len(wanted)} inputs, it was given {len(inputs)}")
        for x, kind in zip(inputs, wanted):
            if x.shape[1:] != kind.shape or not len(x):
                raise VQVAEError(f"{self.component.full_name} was given {x.shape}: it takes (N, {show(kind.shape)[1:]}")
            if x.dtype != np.float32:
                raise VQVAEError(f"{self.component.full_name} was given {np.dtype(x.dtype).name}: it takes float32")

    def hybrid_forward(self, F: Operators, *inputs: Tensor) -> Any:
        values: Dict[int, Any] = dict(enumerate(inputs))
        for step, layer in self._steps:
            values.update(zip(layer.outputs, step(F, [values[stream] for stream in layer.inputs], self.plain)))
        component = self.component
        outputs = [
            _as_declared(F, values[stream], component.streams[stream], kind)
            for stream, kind in zip(component.outputs_of, component.output_types)
        ]
        return outputs[0] if len(outputs) == 1 else tuple(outputs)


def build(component: Component, prefix: Optional[str] = None) -> Network:
    """Return a component's block, uninitialized; ``prefix`` starts its parameters' names (default: its own name)."""
    return Network(component, prefix=f"{component.name.lower()}_" if prefix is None else prefix)


def _as_declared(F: Operators, x: Tensor, kind: StreamType, declared: StreamType) -> Tensor:
    if kind.shape == declared.shape or not shapes_agree(kind.shape, declared.shape):
        return x  # a network without its quantizer ends before its port
    return F.reshape(x, shape=(0, *declared.shape))


def _step(layer: Layer, types: Types, block: Optional[HybridBlock]) -> Step:
    arguments = layer.arguments
    if block is None:
        return _FUNCTIONS[layer.name](types, arguments)
    if layer.name == "VectorQuantize":
        return lambda F, inputs, plain: [block(inputs[0]).quantized]
    if layer.name in ("Convolution", "Pooling"):
        # A convolution can pad evenly by itself; pooling would not treat its own padding as pixels.
        even = layer.name == "Convolution" and _even_padding(types, arguments)
        zeros = () if even else _zeros(types, arguments)
        return lambda F, inputs, plain: [block(_padded(F, inputs[0], zeros))]
    return lambda F, inputs, plain: [block(inputs[0])]


# ---- Padding


def _paddings(types: Types, arguments: Dict[str, Any]) -> List[Padding]:
    axes = zip(types[0].shape[1:], arguments["kernel"], arguments["stride"])
    return [pad(arguments["padding"], *axis) for axis in axes]


def _even_padding(types: Types, arguments: Dict[str, Any]) -> Optional[Tuple[int, ...]]:
    """Return the padding of both ends that gives the same numbers, or None if only an uneven one does."""
    paddings = _paddings(types, arguments)
    for padding, side, kernel, stride in zip(paddings, types[0].shape[1:], arguments["kernel"], arguments["stride"]):
        if (side + 2 * padding.before - kernel) // stride + 1 != padding.output:
            return None
    return tuple(padding.before for padding in paddings)


def _zeros(types: Types, arguments: Dict[str, Any]) -> Tuple[int, ...]:
    """Return the padding in the form of ``F.pad``, or () if there is none."""
    ends = tuple(end for padding in _paddings(types, arguments) for end in padding[:2])
    return (0, 0, 0, 0, *ends) if any(ends) else ()


def _padded(F: Operators, x: Tensor, zeros: Tuple[int, ...]) -> Tensor:
    return F.pad(x, mode="constant", pad_width=zeros, constant_value=0) if zeros else x


# ---- Layers with a Gluon block


def _convolution(types: Types, arguments: Dict[str, Any]) -> HybridBlock:
    return nn.Conv2D(
        arguments["channels"],
        arguments["kernel"],
        arguments["stride"],
        _even_padding(types, arguments) or (0, 0),
        use_bias=not arguments["no_bias"],
        in_channels=types[0].shape[0],
    )


def _up_convolution(types: Types, arguments: Dict[str, Any]) -> HybridBlock:
    channels, *sides = types[0].shape
    kernel, stride, valid = arguments["kernel"], arguments["stride"], arguments["padding"] == "valid"
    size = tuple(
        (side - 1) * step + long if valid else side * step for side, long, step in zip(sides, kernel, stride)
    )
    return UpConvolution(
        arguments["channels"], kernel, stride, channels, size, valid=valid, use_bias=not arguments["no_bias"]
    )


def _dense(types: Types, arguments: Dict[str, Any]) -> HybridBlock:
    shape, flatten = types[0].shape, arguments["flatten"]
    return nn.Dense(
        arguments["units"],
        use_bias=not arguments["no_bias"],
        flatten=flatten,
        in_units=int(np.prod(shape)) if flatten else shape[-1],
    )


def _pooling(types: Types, arguments: Dict[str, Any]) -> HybridBlock:
    # EMADL's zeros are pixels like any others: a maximum may be one of them, and a mean counts them.
    kind = nn.MaxPool2D if arguments["pool_type"] == "max" else nn.AvgPool2D
    return kind(arguments["kernel"], arguments["stride"])


def _global_pooling(types: Types, arguments: Dict[str, Any]) -> HybridBlock:
    return nn.GlobalMaxPool2D() if arguments["pool_type"] == "max" else nn.GlobalAvgPool2D()


def _vector_quantizer(types: Types, arguments: Dict[str, Any], number: int) -> HybridBlock:
    prefix = f"vectorquantize{number}_"
    return VectorQuantizer(arguments["num_embeddings"], types[0].shape[0], prefix=prefix)


_BLOCKS: Dict[str, Callable[[Types, Dict[str, Any]], HybridBlock]] = {
    "Convolution": _convolution,
    "UpConvolution": _up_convolution,
    "FullyConnected": _dense,
    "Pooling": _pooling,
    "GlobalPooling": _global_pooling,
    "Relu": lambda types, arguments: nn.Activation("relu"),
    "LeakyRelu": lambda types, arguments: nn.LeakyReLU(arguments["alpha"]),
    "Tanh": lambda types, arguments: nn.Activation("tanh"),
    "Sigmoid": lambda types, arguments: nn.Activation("sigmoid"),
    "Dropout": lambda types, arguments: nn.Dropout(arguments["p"]),
    "BatchNorm": lambda types, arguments: nn.BatchNorm(
        scale=not arguments["fix_gamma"], in_channels=types[0].shape[0]
    ),
}


# ---- Layers that are an operator


def _softmax(types: Types, arguments: Dict[str, Any]) -> Step:
    axis = arguments["axis"]
    return lambda F, inputs, plain: [F.softmax(inputs[0], axis=axis if axis < 0 else axis + 1)]


def _reshape(types: Types, arguments: Dict[str, Any]) -> Step:
    shape = arguments["shape"] if isinstance(arguments["shape"], tuple) else (arguments["shape"],)
    return lambda F, inputs, plain: [F.reshape(inputs[0], shape=(0, *shape))]


def _lrn(types: Types, arguments: Dict[str, Any]) -> Step:
    return lambda F, inputs, plain: [F.LRN(inputs[0], **arguments)]


def _concatenate(types: Types, arguments: Dict[str, Any]) -> Step:
    axis = arguments["axis"]
    if axis == 0 and len(types[0].shape) == 3:
        return lambda F, inputs, plain: [concatenate_channels(F, inputs, plain)]
    return lambda F, inputs, plain: [F.concat(*inputs, dim=axis + 1)]


def _add(types: Types, arguments: Dict[str, Any]) -> Step:
    def add(F: Operators, inputs: List[Tensor], plain: bool) -> List[Tensor]:
        total = inputs[0]
        for x in inputs[1:]:
            total = total + x
        return [total]

    return add


def _split(types: Types, arguments: Dict[str, Any]) -> Step:
    count = arguments["n"]
    width = types[0].shape[0] // count
    # F.split makes equal parts only; here the last one may be larger.
    ends = [*((part + 1) * width for part in range(count - 1)), None]
    return lambda F, inputs, plain: [
        F.slice_axis(inputs[0], axis=1, begin=part * width, end=end) for part, end in enumerate(ends)
    ]


def _one_hot(types: Types, arguments: Dict[str, Any]) -> Step:
    return lambda F, inputs, plain: [F.one_hot(F.reshape(inputs[0], shape=(-1,)), arguments["size"])]


_FUNCTIONS: Dict[str, Callable[[Types, Dict[str, Any]], Step]] = {
    "Softmax": _softmax,
    "Flatten": lambda types, arguments: lambda F, inputs, plain: [F.flatten(inputs[0])],
    "Identity": lambda types, arguments: lambda F, inputs, plain: inputs,
    "Lrn": _lrn,
    "Concatenate": _concatenate,
    "Add": _add,
    "Get": lambda types, arguments: lambda F, inputs, plain: inputs,
    "Split": _split,
    "OneHot": _one_hot,
    "Reshape": _reshape,
}
