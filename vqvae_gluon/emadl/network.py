"""The expanded network of a component: its own layers are put in place, and repetitions written out."""
import math
from typing import Dict, List, Mapping, NamedTuple, Optional, Set, Tuple

from lark import Tree

from ..errors import VQVAEError
from .expressions import Sequence, Value, evaluate, evaluate_sequence, show, widen
from .layers import DOMAINS, FOREIGN_LAYERS, LAYERS, MOST_ELEMENTS, MOST_NUMBERS, Arguments, StreamType
from .ports import Port, shapes_agree
from .syntax import Node, Source, position, suggestion

_DEEPEST = 50  # nested layers of the component's own

#: The streams that flow from one element to the next, by number.
Streams = Tuple[int, ...]
Values = Mapping[str, Value]


class Call(NamedTuple):
    """One predefined layer in the expanded network."""

    name: str
    arguments: Arguments
    inputs: Streams
    outputs: Streams


class NetworkReader:
    """Walks the streams of a component once and records ``calls``, ``streams`` and ``outputs_of``."""

    def __init__(self, source: Source, values: Values, inputs: Tuple[Port, ...], outputs: Tuple[Port, ...]) -> None:
        self._source, self._values = source, values
        self._ports = {port.name: port for port in (*inputs, *outputs)}
        self.calls: List[Call] = []
        self.streams: List[StreamType] = []
        self._sources: Dict[str, Streams] = {}
        for port in inputs:
            self._sources[port.name] = tuple(self._stream(port.type) for _ in port.elements)
        self._sinks: Dict[str, List[Optional[int]]] = {port.name: [None] * len(port.elements) for port in outputs}
        self._read_elements: Dict[str, Set[int]] = {port.name: set() for port in inputs}
        self._definitions: Dict[str, Tree] = {}
        self._calling: List[Tree] = []
        self._elements = 0

    @property
    def outputs_of(self) -> Streams:
        """The numbers of the streams that lead to the output ports."""
        return tuple(stream for sinks in self._sinks.values() for stream in sinks if stream is not None)

    def read(self, implementation: Tree) -> None:
        """Read the network; raise VQVAEError if something is wrong with it."""
        nodes = [node for node in implementation.children if isinstance(node, Tree)]
        for node in (node for node in nodes if node.data == "definition"):
            self._define(node)
        for node in (node for node in nodes if node.data == "stream"):
            left = self._chain(node.children, (), self._values)
            if left:
                raise self._dead_end(node.children[-1])
        self._check_ports()

    # ---- Faults

    def _fault(self, node: Optional[Node], message: str) -> VQVAEError:
        if self._calling:
            line, column = position(self._calling[0])
            message += f" (in {self._calling[0].children[0]}, called at {line}:{column})"
        return self._source.fault(node, message)

    def _dead_end(self, node: Node) -> VQVAEError:
        return self._fault(node, f"the stream ends nowhere; lead it to an output port, {self._names_of('out')}")

    def _names_of(self, direction: str) -> str:
        return " or ".join(port.name for port in self._ports.values() if port.direction == direction)

    def _count(self, node: Node, number: int = 1) -> None:
        self._elements += number
        if self._elements > MOST_ELEMENTS:
            raise self._fault(node, f"the network has more than {MOST_ELEMENTS} elements")

    # ---- Streams

    def _stream(self, kind: StreamType) -> int:
        self.streams.append(kind)
        return len(self.streams) - 1

    def _chain(self, nodes: List[Node], streams: Streams, values: Values) -> Streams:
        for number, node in enumerate(nodes):
            self._count(node)
            if node.data == "call":
                streams = self._call(node, streams, values)
            elif node.data == "parallel":
                streams = self._parallel(node, streams, values)
            elif node.data == "get":
                index = evaluate(self._source, node.children[0].children[0], values)
                streams = self._layer(node, "Get", {"index": index}, streams)
            else:
                streams = self._variable(node, streams, values, first=not number)
        return streams

    def _parallel(self, node: Tree, streams: Streams, values: Values) -> Streams:
        joined: List[int] = []
        branches = [branch.children for branch in node.children]
        if streams and all(self._begins_with_input(branch) for branch in branches):
            raise self._fault(node, "the stream before these branches ends nowhere: each of them begins with a port")
        for branch in branches:
            flowing = self._chain(branch, streams, values)
            self._count(node, len(flowing))
            joined.extend(flowing)
        return tuple(joined)

    def _begins_with_input(self, branch: List[Node]) -> bool:
        if not branch or branch[0].data != "variable":
            return False
        port = self._ports.get(str(branch[0].children[0]))
        return port is not None and port.direction == "in"

    # ---- Ports

    def _variable(self, node: Tree, streams: Streams, values: Values, first: bool) -> Streams:
        name, index = node.children
        port = self._ports.get(str(name))
        if port is None:
            if name in self._definitions or name in LAYERS:
                raise self._fault(node, f"{name} is a layer: write {name}(...)")
            raise self._fault(node, f"unknown port {str(name)!r}{suggestion(name, self._ports)}")
        places = self._places(port, index, values)
        if port.direction == "out":
            return self._write(node, port, places, streams)
        if streams and not first:
            raise self._fault(node, f"the stream before input port {name} ends nowhere; begin a branch with the port")
        self._read_elements[port.name].update(places)
        return tuple(self._sources[port.name][place] for place in places)

    def _places(self, port: Port, index: Optional[Node], values: Values) -> List[int]:
        count = len(port.elements)
        if index is None:
            return list(range(count))
        place = evaluate(self._source, index.children[0], values)
        if port.length is None:
            raise self._fault(index, f"port {port.name} is no array: write {port.name}")
        if not isinstance(place, int) or isinstance(place, bool) or not 0 <= place < count:
            raise self._fault(index, f"port {port.name} has the elements 0 to {count - 1}, not {show(place)}")
        return [place]

    def _write(self, node: Tree, port: Port, places: List[int], streams: Streams) -> Streams:
        if len(streams) != len(places):
            wanted = "one stream" if len(places) == 1 else f"{len(places)} streams"
            raise self._fault(node, f"output port {port.name} takes {wanted}, it is given {len(streams)}")
        for place, stream in zip(places, streams):
            if self._sinks[port.name][place] is not None:
                raise self._fault(node, f"output port {port.elements[place]} is written twice")
            kind = self.streams[stream]
            if not shapes_agree(kind.shape, port.type.shape):
                raise self._fault(
                    node, f"output port {port.name} takes {show(port.type.shape)}, it is given {show(kind.shape)}"
                )
            if DOMAINS.index(kind.domain) > DOMAINS.index(port.type.domain):
                raise self._fault(node, f"output port {port.name} takes {port.type.domain}, it is given {kind.domain}")
            self._sinks[port.name][place] = stream
        return ()

    def _check_ports(self) -> None:
        for name, sinks in self._sinks.items():
            for element, stream in zip(self._ports[name].elements, sinks):
                if stream is None:
                    raise self._source.fault(self._ports[name].node, f"nothing leads to output port {element}")
        for name, places in self._read_elements.items():
            for place, element in enumerate(self._ports[name].elements):
                if place not in places:
                    raise self._source.fault(self._ports[name].node, f"input port {element} is not used")

    # ---- Layers

    def _define(self, node: Tree) -> None:
        name = node.children[0]
        if not name[0].islower():
            raise self._source.fault(name, f"{name} is a layer of your own: its name must begin with a small letter")
        if name in self._definitions:
            raise self._source.fault(name, f"layer {name} is defined twice")
        formals = [child.children[0] for child in node.children if isinstance(child, Tree) and child.data == "formal"]
        for number, formal in enumerate(formals):
            if formal in formals[:number]:
                raise self._source.fault(formal, f"layer {name} has the parameter {formal} twice")
        self._definitions[str(name)] = node

    def _call(self, node: Tree, streams: Streams, values: Values) -> Streams:
        name, *nodes = node.children
        arguments: Dict[str, Value] = {}
        sequences: Dict[str, Sequence] = {}
        for argument in (child for child in nodes if child is not None):
            key, value = str(argument.children[0].children[0]), argument.children[1]
            if key in arguments or key in sequences:
                raise self._fault(argument, f"{name} is given {key} twice")
            if value.data == "sequence":
                sequences[key] = evaluate_sequence(self._source, value, values, MOST_ELEMENTS)
                self._count(argument, sum(map(len, sequences[key].branches)))
            else:
                arguments[key] = evaluate(self._source, value, values)
        if self._is_removed(node, arguments):
            return streams
        series, width = (self._repetitions(node, arguments, sequences, key) for key in ("->", "|"))
        if 0 in (series, width):
            return streams
        if series > 1:
            sequences["->"] = Sequence((tuple(range(series)),))
        if width > 1:
            sequences["|"] = Sequence(((0,),) * width)
        copies = widen(self._source, node, sequences, MOST_ELEMENTS) if sequences else [[{}]]
        joined: List[int] = []
        for branch in copies:
            flowing = streams
            for varying in branch:
                self._count(node)
                flowing = self._one_call(node, {**arguments, **varying}, flowing)
            self._count(node, len(flowing))
            joined.extend(flowing)
        return tuple(joined)

    def _is_removed(self, node: Tree, arguments: Dict[str, Value]) -> bool:
        wanted = arguments.pop("?", True)
        if not isinstance(wanted, bool):
            raise self._fault(node, f"? was given as {show(wanted)}: it must be true or false")
        return not wanted

    def _repetitions(self, node: Tree, arguments: Dict[str, Value], sequences: Dict[str, Sequence], key: str) -> int:
        value = arguments.pop(key, 1)
        if key in sequences or not isinstance(value, int) or isinstance(value, bool) or value < 0:
            given = "a sequence" if key in sequences else show(value)
            raise self._fault(node, f"{key} was given as {given}: it must be a whole number of at least 0")
        if value > MOST_ELEMENTS:
            raise self._fault(node, f"{key} was given as {value}: the network may have {MOST_ELEMENTS} elements")
        return value

    def _one_call(self, node: Tree, arguments: Dict[str, Value], streams: Streams) -> Streams:
        if self._is_removed(node, arguments):
            return streams
        for key in ("->", "|"):  # the number of this copy
            arguments.pop(key, None)
        name = str(node.children[0])
        if name in self._definitions:
            return self._own_layer(node, name, arguments, streams)
        return self._layer(node, name, arguments, streams)

    def _own_layer(self, node: Tree, name: str, arguments: Dict[str, Value], streams: Streams) -> Streams:
        definition = self._definitions[name]
        if name in [str(call.children[0]) for call in self._calling]:
            raise self._fault(node, f"layer {name} contains itself")
        if len(self._calling) >= _DEEPEST:
            raise self._fault(node, f"more than {_DEEPEST} layers of your own stand within each other")
        formals = [child for child in definition.children if isinstance(child, Tree) and child.data == "formal"]
        self._check_names(node, name, arguments, [str(formal.children[0]) for formal in formals])
        values = dict(self._values)
        for formal in formals:
            key, default = formal.children
            if key in arguments:
                values[str(key)] = arguments[str(key)]
            elif default is not None:
                values[str(key)] = evaluate(self._source, default.children[0], values)
            else:
                raise self._fault(node, f"{name} needs {key}")
        body = next(child for child in definition.children if isinstance(child, Tree) and child.data == "stream")
        self._calling.append(node)
        streams = self._chain(body.children, streams, values)
        self._calling.pop()
        return streams

    def _layer(self, node: Tree, name: str, arguments: Dict[str, Value], streams: Streams) -> Streams:
        if name not in LAYERS:
            raise self._fault(node, self._unknown(name))
        kind = LAYERS[name]
        self._check_names(node, name, arguments, list(kind.arguments))
        complete: Arguments = {}
        for key, argument in kind.arguments.items():
            value = arguments.get(key, argument.default)
            if value is None:
                raise self._fault(node, f"{name} needs {key}, {argument.expected}")
            if not argument.fits(value):
                raise self._fault(node, f"{name} was given {key}={show(value)}: it must be {argument.expected}")
            complete[key] = value
        if not streams or (len(streams) > 1 and not kind.takes_many):
            hint = "begin with an input port" if not streams else "join them with Concatenate(), Add() or [i]"
            wanted = "streams" if kind.takes_many else "one stream"
            raise self._fault(node, f"{name} takes {wanted}, it is given {len(streams) or 'none'}; {hint}")
        try:
            kinds = kind.infer([self.streams[stream] for stream in streams], complete)
        except VQVAEError as error:
            raise self._fault(node, f"{name} {error}") from None
        for made in kinds:
            if math.prod(made.shape) > MOST_NUMBERS:
                raise self._fault(node, f"{name} gives {show(made.shape)}, more numbers than MXNet can hold")
        outputs = tuple(map(self._stream, kinds))
        taken = (streams[complete["index"]],) if name == "Get" else streams
        self.calls.append(Call(name, complete, taken, outputs))
        return outputs

    def _unknown(self, name: str) -> str:
        if name in FOREIGN_LAYERS:
            return f"{name} is {FOREIGN_LAYERS[name]}, which is not supported: give a feed-forward image network"
        if name in self._ports:
            return f"{name} is a port: write it without parentheses"
        return f"unknown layer {name!r}{suggestion(name, [*LAYERS, *self._definitions])}"

    def _check_names(self, node: Tree, name: str, arguments: Dict[str, Value], known: List[str]) -> None:
        for key in arguments:
            if key not in known:
                raise self._fault(node, f"{name} has no argument {key!r}{suggestion(key, known)}")
