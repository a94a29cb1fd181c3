"""Evaluate expressions and argument sequences."""
import operator
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Tuple, Union

from lark import Token, Tree

from .syntax import Node, Source, suggestion

#: A number, a truth value, a text or a tuple of numbers.
Value = Union[int, float, bool, str, Tuple[Any, ...]]

_ARITHMETIC: Dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "%": operator.mod,
    "/": operator.truediv,
}
_COMPARISONS: Dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


class Sequence(NamedTuple):
    """An argument's values: one list for each parallel branch, its values in series; a branch may be empty."""

    branches: Tuple[Tuple[Value, ...], ...]


def show(value: Value) -> str:
    """Return a value as EMADL writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"({','.join(map(show, value))})"
    return f'"{value}"' if isinstance(value, str) else str(value)


def is_number(value: Value) -> bool:
    """Return whether a value is a number; true and false are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def evaluate(source: Source, node: Node, names: Mapping[str, Value]) -> Value:
    """Return the value of an expression; ``names`` are the parameters it may use.

    Whole numbers stay whole: 28/4 is 7, 7/2 is 3.5. Raises VQVAEError for unknown names and for operands that do not
    fit.
    """
    return _Evaluation(source, names).value(node)


def evaluate_sequence(source: Source, node: Tree, names: Mapping[str, Value], longest: int) -> Sequence:
    """Return the values of a sequence such as [1->2|3], or of a closed range such as [1->..->4], in steps of one.

    Raises VQVAEError for a range of more than ``longest`` values.
    """
    serials = [list(serial.children) for serial in node.children]
    joined = [item for serial in serials for item in serial]
    if not any(_is_dots(item) for item in joined):
        values = [[evaluate(source, item, names) for item in serial] for serial in serials]
        return Sequence(tuple(map(tuple, values)))
    in_series = len(serials) == 1
    if len(joined) != 3 or not _is_dots(joined[1]) or len(serials) not in (1, 3):
        raise source.fault(node, "a range has a first and a last value, as in [1->..->4] or [1|..|4]")
    first, last = (evaluate(source, joined[place], names) for place in (0, 2))
    if not (isinstance(first, int) and isinstance(last, int)) or isinstance(first, bool) or isinstance(last, bool):
        raise source.fault(node, f"a range was given from {show(first)} to {show(last)}: give whole numbers")
    if first > last:
        return Sequence(((),))  # which removes the layer
    if last - first >= longest:
        raise source.fault(node, f"a range has {last - first + 1} values: at most {longest} are allowed")
    numbers = tuple(range(first, last + 1))
    return Sequence((numbers,) if in_series else tuple((number,) for number in numbers))


def _is_dots(node: Node) -> bool:
    return isinstance(node, Tree) and node.data == "dots"


class _Evaluation:
    def __init__(self, source: Source, names: Mapping[str, Value]) -> None:
        self._source, self._names = source, names

    def value(self, node: Node) -> Value:
        return getattr(self, f"_{node.data}")(node, *node.children)

    def _number(self, node: Tree, token: Token) -> Value:
        return self._source.number(token)

    def _string(self, node: Tree, token: Token) -> Value:
        return str(token[1:-1])

    def _name(self, node: Tree, token: Token) -> Value:
        if token in ("true", "false"):
            return token == "true"
        if token not in self._names:
            raise self._source.fault(node, f"unknown parameter {str(token)!r}{suggestion(token, self._names)}")
        return self._names[token]

    def _tuple(self, node: Tree, *items: Tree) -> Value:
        return tuple(self._number_of(item) for item in items)

    def _unary(self, node: Tree, sign: Tree, operand: Tree) -> Value:
        symbol = sign.children[0]
        if symbol == "!":
            return not self._truth_of(operand)
        value = self._number_of(operand)
        return -value if symbol == "-" else value

    def _binary(self, node: Tree, left: Tree, sign: Tree, right: Tree) -> Value:
        symbol = str(sign.children[0])
        if symbol in ("==", "!="):
            values = [self.value(left), self.value(right)]
            alike = len({isinstance(value, bool) for value in values}) == 1  # 1 is not true
            return _COMPARISONS[symbol](*values) if alike else symbol == "!="
        first, second = self._number_of(left), self._number_of(right)
        if symbol in _COMPARISONS:
            return _COMPARISONS[symbol](first, second)
        if symbol in "/%" and second == 0:
            raise self._source.fault(right, f"{show(first)} {symbol} 0 is impossible")
        if symbol == "/" and isinstance(first, int) and isinstance(second, int) and first % second == 0:
            return first // second
        return self._source.checked(node, _ARITHMETIC[symbol](first, second))

    def _binary_and(self, node: Tree, left: Tree, right: Tree) -> Value:
        return self._truth_of(left) and self._truth_of(right)

    def _binary_or(self, node: Tree, left: Tree, right: Tree) -> Value:
        return self._truth_of(left) or self._truth_of(right)

    def _number_of(self, node: Tree) -> Any:
        value = self.value(node)
        if not is_number(value):
            raise self._source.fault(node, f"{show(value)} stands where a number is expected")
        return value

    def _truth_of(self, node: Tree) -> bool:
        value = self.value(node)
        if not isinstance(value, bool):
            raise self._source.fault(node, f"{show(value)} stands where true or false is expected")
        return value


def widen(
    source: Source, node: Node, sequences: Mapping[str, Sequence], most: int
) -> List[List[Dict[str, Value]]]:
    """Return the values of several sequences at each place: parallel branches of places in series, at most ``most``.

    A sequence with one branch is repeated for all branches of another, and a single value for all places of a series.
    Raises VQVAEError if the sequences still differ in shape, or for more than ``most`` places.
    """
    width = max(len(sequence.branches) for sequence in sequences.values())
    wide = {}
    for name, sequence in sequences.items():
        branches = sequence.branches * width if len(sequence.branches) == 1 else sequence.branches
        if len(branches) != width:
            raise source.fault(node, f"the sequence of {name} has {len(branches)} branches, another has {width}")
        wide[name] = branches
    serial = {name: tuple(map(len, branches)) for name, branches in wide.items()}
    longest = max(serial.values(), key=lambda lengths: (max(lengths), lengths))
    for name, lengths in serial.items():
        # Only a single value may be stretched to a series, and an empty branch cannot be stretched.
        stretched = tuple(own if other == 0 or own != 1 else other for own, other in zip(lengths, longest))
        if (max(lengths) > 1 and lengths != longest) or stretched != longest:
            raise source.fault(node, f"the sequence of {name} cannot be widened to the length of another")
    if sum(longest) > most:
        raise source.fault(node, f"the sequences make {sum(longest)} layers: at most {most} are allowed")
    return [
        [
            {name: wide[name][branch][place if serial[name][branch] > 1 else 0] for name in wide}
            for place in range(longest[branch])
        ]
        for branch in range(width)
    ]
