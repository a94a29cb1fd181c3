"""The part of a component between its name and its network: parameters, and ports with their types."""
import math
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from lark import Token, Tree

from .expressions import Value, evaluate, is_number, show
from .layers import DOMAINS, MOST_NUMBERS, StreamType
from .syntax import Node, Source, suggestion

_MOST_ELEMENTS = 100  # of a port array
_NAMES = {"B": "a truth value", "N": "a natural number", "Z": "a whole number", "Q": "a number"}


class ElementType(NamedTuple):
    """An element type, Q, Z, N or B, and the closed range of its values."""

    domain: str
    low: float = -math.inf
    high: float = math.inf

    def __str__(self) -> str:
        if (self.low, self.high) == (-math.inf, math.inf):
            return self.domain
        return f"{self.domain}({_bound(self.low)}:{_bound(self.high)})"

    def admits(self, value: Any) -> bool:
        """Return whether a value is of this type."""
        if self.domain == "B" or isinstance(value, bool):
            return self.domain == "B" and isinstance(value, bool)
        fits = is_number(value) and self.low <= value <= self.high
        return fits and (self.domain == "Q" or (isinstance(value, int) and (self.domain == "Z" or value >= 0)))


class Port(NamedTuple):
    """One port; ``type`` is that of its stream or, in an array of ``length`` elements, of each element's stream."""

    direction: str
    name: str
    element_type: ElementType
    type: StreamType
    length: Optional[int]
    node: Node

    @property
    def elements(self) -> List[str]:
        """The names of an array's elements, or the port's own."""
        return [self.name] if self.length is None else [f"{self.name}[{place}]" for place in range(self.length)]

    def describe(self) -> str:
        """Return name, element type and shape."""
        shape = ",".join(map(str, self.type.shape))
        return f"{self.name}{f'[{self.length}]' if self.length else ''}: {self.element_type}^{{{shape}}}"


def read_parameters(
    source: Source, title: Token, declared: Optional[Tree], given: Mapping[str, Value]
) -> Dict[str, Value]:
    """Return the values of a component's parameters: those given, otherwise their defaults.

    Raises VQVAEError for a parameter that does not exist, has no value, or has a value that its type does not admit.
    """
    values: Dict[str, Value] = {}
    for node in declared.children if declared else ():
        type_node, name, default = node.children
        if name in values:
            raise source.fault(name, f"parameter {name} is declared twice")
        kind = _read_element_type(source, type_node, values)
        if name in given:
            value = given[name]
        elif default is not None:
            value = evaluate(source, default.children[0], values)
        else:
            raise source.fault(name, f"parameter {name} has no default; give it a value")
        if not kind.admits(value):
            expected = f"{_NAMES[kind.domain]}, {kind}"
            raise source.fault(name, f"parameter {name} was given as {show(value)}: it must be {expected}")
        values[str(name)] = value
    for name in given:
        if name not in values:
            raise source.fault(title, f"{title} has no parameter {name!r}{suggestion(name, values)}")
    return values


def read_ports(source: Source, declarations: List[Tree], values: Mapping[str, Value]) -> List[Port]:
    """Return the ports in the order of the text; raise VQVAEError unless there is an input and an output."""
    ports: List[Port] = []
    names = set()
    for node in (port for declaration in declarations for port in declaration.children):
        direction, type_node, name, length = node.children
        if name in names:
            raise source.fault(name, f"port {name} is declared twice")
        names.add(str(name))
        shape_nodes = type_node.children[2].children if type_node.children[2] else []
        element_type = _read_element_type(source, type_node, values)
        # Q alone is one number.
        shape = tuple(_read_size(source, side, values, MOST_NUMBERS) for side in shape_nodes) or (1,)
        if math.prod(shape) > MOST_NUMBERS:
            raise source.fault(type_node, f"port {name} has {show(shape)}, more numbers than MXNet can hold")
        if len(shape) > 3:
            raise source.fault(type_node, f"port {name} has {len(shape)} axes: give 1 to 3, as in {{3,28,28}}")
        count = None if length is None else _read_size(source, length.children[0], values, _MOST_ELEMENTS)
        kind = StreamType(shape, element_type.domain)
        ports.append(Port(str(direction.children[0]), str(name), element_type, kind, count, name))
    for direction, word in (("in", "input"), ("out", "output")):
        if direction not in [port.direction for port in ports]:
            example = f"ports {direction} Q^{{10}} x"
            raise source.fault(declarations[0], f"there is no {word} port; declare one, as in {example}")
    return ports


def _read_size(source: Source, node: Node, values: Mapping[str, Value], most: int) -> int:
    size = evaluate(source, node, values)
    if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= most:
        raise source.fault(node, f"{show(size)} is no size: give a whole number from 1 to {most}")
    return size


def _read_element_type(source: Source, node: Tree, values: Mapping[str, Value]) -> ElementType:
    domain, bounds, _ = node.children
    if domain not in DOMAINS:
        raise source.fault(domain, f"unknown element type {str(domain)!r}: there are Q, Z, N and B")
    if bounds is None:
        return ElementType(str(domain))
    low, high = (_read_bound(source, bound, values) for bound in bounds.children)
    if not low <= high:
        raise source.fault(bounds, f"the range from {_bound(low)} to {_bound(high)} is empty")
    return ElementType(str(domain), low, high)


def _read_bound(source: Source, node: Tree, values: Mapping[str, Value]) -> float:
    sign = 1.0
    operand = node
    if operand.data == "unary" and operand.children[0].children[0] in ("-", "+"):
        sign = -1.0 if operand.children[0].children[0] == "-" else 1.0
        operand = operand.children[1]
    if operand.data == "name" and operand.children[0] == "oo":
        return sign * math.inf
    value: Any = evaluate(source, node, values)
    if not is_number(value):
        raise source.fault(node, f"{show(value)} is no bound: give a number, -oo or oo")
    return value


def _bound(value: float) -> str:
    return {math.inf: "oo", -math.inf: "-oo"}.get(value) or f"{value:g}"


def shapes_agree(first: Tuple[int, ...], second: Tuple[int, ...]) -> bool:
    """Return whether two shapes are the same to EMADL, as (10,) and (10, 1, 1) are."""

    def full(shape: Tuple[int, ...]) -> Tuple[int, ...]:
        return (*shape, 1, 1, 1)[: max(3, len(shape))]

    return full(first) == full(second)
