"""The predefined layers: their arguments, and the stream types that they produce.

Source: CNNArchLang's reference. Axis 0 is the channel axis; the language has no batch axis.
"""
import math
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from ..errors import VQVAEError
from .expressions import Value, is_number, show
from .padding import pad

Shape = Tuple[int, ...]
#: Values by argument name, of the types that the layer's arguments expect.
Arguments = Dict[str, Any]

#: Element types, each a subset of the next.
DOMAINS = ("B", "N", "Z", "Q")
#: The largest number of values in a stream for one input: MXNet counts with 32 bits.
MOST_NUMBERS = 2**31 - 1
#: The largest number of elements in a network: layers, branches and streams.
MOST_ELEMENTS = 10_000


class StreamType(NamedTuple):
    """What flows between layers: ``shape`` (channels, height, width) or (units,), and an element type."""

    shape: Shape
    domain: str = "Q"

    def __str__(self) -> str:
        return " x ".join(map(str, self.shape))


class Argument(NamedTuple):
    """The values that an argument accepts, in words and as a test, and its default (None: it is required)."""

    expected: str
    fits: Callable[[Any], bool]
    default: Optional[Value] = None


class LayerKind(NamedTuple):
    """One predefined layer.

    ``infer`` maps the types of the incoming streams and the arguments to the types of the outgoing streams, and raises
    VQVAEError if they do not fit. ``count`` returns the number of values that training learns.
    """

    arguments: Dict[str, Argument]
    infer: Callable[[List[StreamType], Arguments], List[StreamType]]
    count: Callable[[List[StreamType], Arguments], int] = lambda inputs, arguments: 0
    takes_many: bool = False


# ---- Arguments


def _is_whole(value: Any, least: int = 1, most: int = 2**31 - 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(_is_whole, value))


def _is_shape(value: Any) -> bool:
    return _is_whole(value) or (isinstance(value, tuple) and len(value) <= 5 and all(map(_is_whole, value)))


def _count() -> Argument:
    return Argument("a whole number of at least 1", _is_whole)


def _pair(default: Optional[Tuple[int, int]] = None) -> Argument:
    return Argument("two whole numbers of at least 1, as in (3,3)", _is_pair, default)


def _flag(default: bool) -> Argument:
    return Argument("true or false", lambda value: isinstance(value, bool), default)


def _number(default: float, expected: str = "a number", low: float = -math.inf, high: float = math.inf) -> Argument:
    return Argument(expected, lambda value: is_number(value) and low <= value <= high, default)


def _word(*words: str, default: Optional[str] = None) -> Argument:
    return Argument(" or ".join(f'"{word}"' for word in words), lambda value: value in words, default)


def _axis(least: int, default: int) -> Argument:
    return Argument(f"a whole number from {least} to 2", lambda value: _is_whole(value, least) and value <= 2, default)


# MXNet divides by the share that is kept: if nothing is kept, it gives NaN.
_PROBABILITY = Argument("a number of at least 0 and below 1", lambda value: is_number(value) and 0 <= value < 1, 0.5)
_PADDING = _word("same", "valid", "no_loss", default="same")


# ---- Types


def _image(inputs: List[StreamType]) -> Shape:
    shape = inputs[0].shape
    if len(shape) != 3:
        raise VQVAEError(f"takes (channels, height, width), it is given {show(shape)}")
    return shape


def _like(inputs: List[StreamType], arguments: Arguments) -> List[StreamType]:
    return [StreamType(inputs[0].shape)]


def _unchanged(inputs: List[StreamType], arguments: Arguments) -> List[StreamType]:
    return [inputs[0]]


def _window(inputs: List[StreamType], arguments: Arguments) -> List[StreamType]:
    channels, *sides = _image(inputs)
    sides = [
        pad(arguments["padding"], *axis).output for axis in zip(sides, arguments["kernel"], arguments["stride"])
    ]
    return [StreamType((arguments.get("channels", channels), *sides))]


def _up_convolution(inputs: List[StreamType], arguments: Arguments) -> List[StreamType]:
    _, *sides = _image(inputs)
    same = arguments["padding"] == "same"
    axes = zip(sides, arguments["kernel"], arguments["stride"])
    sides = [side * stride if same else (side - 1) * stride + kernel for side, kernel, stride in axes]
    return [StreamType((arguments["channels"], *sides))]


def _fully_connected(inputs: List[StreamType], arguments: Arguments) -> List[StreamType]:
    shape = () if arguments["flatten"] else inputs[0].shape[:-1]
    return [StreamType((*shape, arguments["units"]))]


def _global_pooling(inputs: List[StreamType], arguments: Arguments) -> List[StreamType]:
    return [StreamType((_image(inputs)[0], 1, 1))]


def _flatten(inputs: List[StreamType], arguments: Arguments) -> List[StreamType]:
    return [inputs[0]._replace(shape=(math.prod(inputs[0].shape),))]


def _reshape(inputs: List[StreamType], arguments: Arguments) -> List[StreamType]:
    shape = arguments["shape"] if isinstance(arguments["shape"], tuple) else (arguments["shape"],)
    if math.prod(shape) != math.prod(inputs[0].shape):
        raise VQVAEError(f"cannot make {show(shape)} of {show(inputs[0].shape)}: the numbers are not as many")
    return [inputs[0]._replace(shape=shape)]


def _softmax(inputs: List[StreamType], arguments: Arguments) -> List[StreamType]:
    if not -1 <= arguments["axis"] < len(inputs[0].shape):
        raise VQVAEError(f"has no axis {arguments['axis']} in {show(inputs[0].shape)}")
    return _like(inputs, arguments)


def _widest(inputs: List[StreamType]) -> str:
    return max((stream.domain for stream in inputs), key=DOMAINS.index)


def _concatenate(inputs: List[StreamType], arguments: Arguments) -> List[StreamType]:
    axis, shapes = arguments["axis"], [stream.shape for stream in inputs]
    others = {shape[:axis] + shape[axis + 1 :] for shape in shapes}
    if len(others) > 1 or len(set(map(len, shapes))) > 1 or axis >= len(shapes[0]):
        raise VQVAEError(f"cannot join {', '.join(map(show, shapes))} along axis {axis}")
    shape = list(shapes[0])
    shape[axis] = sum(shape[axis] for shape in shapes)
    return [StreamType(tuple(shape), _widest(inputs))]


def _add(inputs: List[StreamType], arguments: Arguments) -> List[StreamType]:
    if len({stream.shape for stream in inputs}) > 1:
        raise VQVAEError(f"cannot add {' and '.join(show(stream.shape) for stream in inputs)}: give one shape")
    return [StreamType(inputs[0].shape, _widest(inputs))]


def _get(inputs: List[StreamType], arguments: Arguments) -> List[StreamType]:
    if arguments["index"] >= len(inputs):
        raise VQVAEError(f"takes stream {arguments['index']}, there are 0 to {len(inputs) - 1}")
    return [inputs[arguments["index"]]]


def _split(inputs: List[StreamType], arguments: Arguments) -> List[StreamType]:
    (channels, *sides), count = inputs[0].shape, arguments["n"]
    if count > channels:
        raise VQVAEError(f"cannot split {channels} channels into {count}")
    parts = [channels // count] * (count - 1)
    return [inputs[0]._replace(shape=(part, *sides)) for part in (*parts, channels - sum(parts))]


def _one_hot(inputs: List[StreamType], arguments: Arguments) -> List[StreamType]:
    if math.prod(inputs[0].shape) != 1 or inputs[0].domain == "Q":
        given = f"{inputs[0].domain}^{{{','.join(map(str, inputs[0].shape))}}}"
        raise VQVAEError(f"takes one whole number, Z^{{1}}, it is given {given}")
    return [StreamType((arguments["size"],), "N")]


def _count_weights(inputs: List[StreamType], arguments: Arguments) -> int:
    channels = inputs[0].shape[0]
    return arguments["channels"] * (math.prod(arguments["kernel"]) * channels + (not arguments["no_bias"]))


def _count_units(inputs: List[StreamType], arguments: Arguments) -> int:
    shape = inputs[0].shape
    width = math.prod(shape) if arguments["flatten"] else shape[-1]
    return arguments["units"] * (width + (not arguments["no_bias"]))


_CONVOLUTION = {
    "kernel": _pair(),
    "channels": _count(),
    "stride": _pair((1, 1)),
    "padding": _PADDING,
    "no_bias": _flag(False),
}
_POOL_TYPE = _word("max", "avg")

LAYERS: Dict[str, LayerKind] = {
    "Convolution": LayerKind(_CONVOLUTION, _window, _count_weights),
    "UpConvolution": LayerKind(
        {**_CONVOLUTION, "padding": _word("same", "valid", default="same")}, _up_convolution, _count_weights
    ),
    "FullyConnected": LayerKind(
        {"units": _count(), "no_bias": _flag(False), "flatten": _flag(True)}, _fully_connected, _count_units
    ),
    "Pooling": LayerKind(
        {"pool_type": _POOL_TYPE, "kernel": _pair(), "stride": _pair((1, 1)), "padding": _PADDING}, _window
    ),
    "GlobalPooling": LayerKind({"pool_type": _POOL_TYPE}, _global_pooling),
    "Relu": LayerKind({}, _like),
    "LeakyRelu": LayerKind({"alpha": _number(0, "a number of at least 0", low=0)}, _like),
    "Tanh": LayerKind({}, _like),
    "Sigmoid": LayerKind({}, _like),
    "Softmax": LayerKind({"axis": _axis(-1, default=-1)}, _softmax),
    "Flatten": LayerKind({}, _flatten),
    "Identity": LayerKind({}, _unchanged),
    "Dropout": LayerKind({"p": _PROBABILITY}, _like),
    "Lrn": LayerKind(
        {
            "nsize": Argument("an odd whole number", lambda value: _is_whole(value) and value % 2 == 1),
            "knorm": _number(2),
            "alpha": _number(0.0001),
            "beta": _number(0.75),
        },
        lambda inputs, arguments: [StreamType(_image(inputs))],
    ),
    "BatchNorm": LayerKind(
        {"fix_gamma": _flag(True)},
        _like,
        lambda inputs, arguments: inputs[0].shape[0] * (1 if arguments["fix_gamma"] else 2),
    ),
    "Concatenate": LayerKind({"axis": _axis(0, default=0)}, _concatenate, takes_many=True),
    "Add": LayerKind({}, _add, takes_many=True),
    "Get": LayerKind(
        {"index": Argument("a whole number of at least 0", lambda value: _is_whole(value, 0))}, _get, takes_many=True
    ),
    "Split": LayerKind(
        {"n": Argument(f"a whole number from 1 to {MOST_ELEMENTS}", lambda value: _is_whole(value, 1, MOST_ELEMENTS))},
        _split,
    ),
    "OneHot": LayerKind({"size": _count()}, _one_hot),
    "Reshape": LayerKind({"shape": Argument("whole numbers of at least 1, as in (16,7,7)", _is_shape)}, _reshape),
    "VectorQuantize": LayerKind(
        {"num_embeddings": _count(), "beta": _number(0.25, "a number of at least 0", low=0)},
        lambda inputs, arguments: [StreamType(_image(inputs))],
        lambda inputs, arguments: arguments["num_embeddings"] * inputs[0].shape[0],
    ),
}

_FOREIGN_KINDS = {
    "a recurrent layer": ("RNN", "LSTM", "GRU", "Embedding", "BeamSearch", "GreedySearch", "ArgMax"),
    "an attention layer": ("DotProductSelfAttention", "PositionEncoding", "LayerNorm"),
    "a memory layer": ("EpisodicMemory", "LargeMemory"),
    "a graph layer": ("GraphConv", "GATConv", "GraphAvgPool", "GraphSumPool"),
    "an architecture search": ("AdaNet",),
    "a network from a file": ("LoadNetwork",),
    "a layer of volumes": ("Convolution3D", "UpConvolution3D", "Pooling3D"),
    "a layer of Gaussian autoencoders or of agents": ("Reparameterize", "SACSquashedGaussian"),
    "a layer of sequences and matrices": (
        *("Dot", "Repeat", "Squeeze", "ExpandDims", "SwapAxes", "ReduceSum", "BroadcastAdd", "BroadcastMultiply"),
        *("ImgResize", "Crop"),
    ),
}
#: Layers of the language that are not supported, and what they are.
FOREIGN_LAYERS = {name: kind for kind, names in _FOREIGN_KINDS.items() for name in names}
