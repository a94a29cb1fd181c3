"""A component: its text parsed, its layers expanded, and every shape inferred and checked."""
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple, Union

from ..errors import VQVAEError
from .expressions import Value, show
from .layers import LAYERS, Arguments, StreamType
from .network import Call, NetworkReader, Streams
from .ports import Port, read_parameters, read_ports
from .syntax import Source, read_text


class Layer(NamedTuple):
    """One layer of the expanded network; ``inputs`` and ``outputs`` are stream numbers."""

    name: str
    arguments: Arguments
    inputs: Tuple[int, ...]
    outputs: Tuple[int, ...]
    parameter_count: int

    def __str__(self) -> str:
        kind = LAYERS[self.name].arguments
        given = [(name, value) for name, value in self.arguments.items() if value != kind[name].default]
        return f"{self.name}({', '.join(f'{name}={show(value)}' for name, value in given)})"


class Component(NamedTuple):
    """A checked feed-forward network.

    ``streams`` are the types of all streams by number: first those of the input ports, in the order of the ports, then
    the outputs of each layer. ``outputs_of`` are the numbers of the streams that lead to the output ports, and
    ``parameters`` the component's own parameters with their values here.
    """

    path: str
    package: str
    name: str
    parameters: Dict[str, Value]
    inputs: Tuple[Port, ...]
    outputs: Tuple[Port, ...]
    layers: Tuple[Layer, ...]
    streams: Tuple[StreamType, ...]
    outputs_of: Tuple[int, ...]

    @property
    def full_name(self) -> str:
        """Package and name, as in ``vqvae.Encoder``."""
        return f"{self.package}.{self.name}"

    @property
    def input_types(self) -> Tuple[StreamType, ...]:
        """The types of the input ports; a port array has one for each element."""
        return tuple(port.type for port in self.inputs for _ in port.elements)

    @property
    def output_types(self) -> Tuple[StreamType, ...]:
        """The types of the output ports; a port array has one for each element."""
        return tuple(port.type for port in self.outputs for _ in port.elements)

    @property
    def parameter_count(self) -> int:
        """The number of values that training learns."""
        return sum(layer.parameter_count for layer in self.layers)

    def without_quantizer(self) -> Tuple["Component", Layer]:
        """Return an encoder up to its quantizer, and the quantizer.

        Raises VQVAEError unless the component has one input and one output port, and its only VectorQuantize is its
        last layer.
        """
        quantizers = [layer for layer in self.layers if layer.name == "VectorQuantize"]
        if len(quantizers) != 1 or len(self.input_types) != 1 or self.outputs_of != quantizers[0].outputs:
            raise VQVAEError(
                f"{self.path}: {self.full_name} is no encoder of a VQ-VAE: "
                "it must have one input, and end in its only VectorQuantize -> its one output"
            )
        layers = tuple(layer for layer in self.layers if layer is not quantizers[0])
        return self._replace(layers=layers, outputs_of=quantizers[0].inputs), quantizers[0]

    def describe(self) -> str:
        """Return the ports and layers as lines, with shapes and parameter counts, and the sum of these counts."""
        rows = [("in", port.describe(), "", "") for port in self.inputs]
        numbers = dict(enumerate(name for port in self.inputs for name in port.elements))
        before: Tuple[int, ...] = tuple(range(len(self.input_types)))
        for number, layer in enumerate(self.layers, 1):
            numbers.update({stream: str(number) for stream in layer.outputs})
            shapes = ", ".join(dict.fromkeys(str(self.streams[stream]) for stream in layer.outputs))
            source = "" if layer.inputs == before else f" of {', '.join(numbers[stream] for stream in layer.inputs)}"
            rows.append((str(number), str(layer) + source, shapes, f"{layer.parameter_count:,}"))
            before = layer.outputs
        names = [name for port in self.outputs for name in port.elements]
        for stream, name, kind in zip(self.outputs_of, names, self.output_types):
            source = "" if (stream,) == before else f" of {numbers[stream]}"
            rows.append(("out", name + source, str(kind), ""))
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        lines = [
            f"{row[0]:>{widths[0]}}  {row[1]:{widths[1]}}  {row[2]:{widths[2]}}  {row[3]:>{widths[3]}}".rstrip()
            for row in rows
        ]
        return "\n".join([self.full_name, *lines, f"parameters: {self.parameter_count:,}"])


def read(path: Union[str, Path], **parameters: Value) -> Component:
    """Read a component from a file, see :func:`parse`."""
    return parse(read_text(path), str(path), **parameters)


def parse(text: str, name: str, **parameters: Value) -> Component:
    """Return the component that EMADL text describes; ``name`` stands for the text in errors.

    ``parameters`` set the component's own parameters, in place of their defaults.

    Raises
    ------
    VQVAEError
        With a message that begins with ``NAME:LINE:COLUMN:``, for text that is not EMADL, for unsupported features, for
        unknown names and arguments, and for shapes and types that do not fit.
    """
    source = Source(name, text, "component")
    package, title, parameter_list, *rest = source.tree.children
    values = read_parameters(source, title, parameter_list, parameters)
    ports = read_ports(source, rest[:-1], values)
    inputs = tuple(port for port in ports if port.direction == "in")
    outputs = tuple(port for port in ports if port.direction == "out")
    reader = NetworkReader(source, values, inputs, outputs)
    reader.read(rest[-1])
    layers = tuple(_layer(call, reader.streams) for call in _used(reader.calls, reader.outputs_of))
    return Component(
        name,
        ".".join(package.children),
        str(title),
        values,
        inputs,
        outputs,
        layers,
        tuple(reader.streams),
        reader.outputs_of,
    )


def _used(calls: List[Call], outputs: Streams) -> List[Call]:
    """Return the layers that lead to an output: branches that ``[i]`` leaves out could not be trained."""
    wanted, used = set(outputs), []
    for call in reversed(calls):
        if wanted.intersection(call.outputs):
            wanted.update(call.inputs)
            used.append(call)
    return used[::-1]


def _layer(call: Call, streams: List[StreamType]) -> Layer:
    count = LAYERS[call.name].count([streams[stream] for stream in call.inputs], call.arguments)
    return Layer(call.name, call.arguments, call.inputs, call.outputs, count)
