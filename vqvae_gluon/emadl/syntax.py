"""Turn text into a syntax tree, and a fault into one line that says where it is."""
import difflib
from functools import lru_cache
from pathlib import Path
from typing import Iterable, Optional, Set, Tuple, Union

from lark import Lark, Token, Tree, UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from ..errors import VQVAEError
from ..files import read_bytes

Node = Union[Tree, Token]

_LONGEST = 1 << 14  # letters; a component is a page or two, and this many take at most a second
_LONGEST_MESSAGE = 500
_LARGEST = 2**53  # whole numbers up to this are exact as floats, too
_DEEPEST = 100  # nested parentheses and operators
#: Words of the language that are not supported, and what they do.
_FOREIGN_WORDS = {
    "timed": "'timed' unrolls a recurrent network",
    "layer": "'layer' declares a layer instance",
    ".": "'.' takes a part of a layer instance",
    "import": "'import' takes in another component",
    "instance": "'instance' places a component inside another",
    "connect": "'connect' wires components together",
}
_OPERATORS = {"||", "&&", "==", "!=", "<", ">", "<=", ">=", "+", "-", "*", "/", "%"}
_TERMINALS = {"NAME": "a name", "NUMBER": "a number", "STRING": "a text in quotes", "SIGN": "'-'", "$END": "the end"}


class Source:
    """A text, its name in errors, and its tree; faults are VQVAEErrors that begin with ``NAME:LINE:COLUMN:``."""

    def __init__(self, name: Union[str, Path], text: str, start: str) -> None:
        self.name = str(name)
        self._text = text
        if len(text) > _LONGEST:
            raise VQVAEError(f"{self.name}:1:1: is longer than {_LONGEST} letters; a component is a page or two")
        try:
            self.tree: Tree = _parser().parse(text, start=start)
        except UnexpectedInput as error:
            raise self._unexpected(error) from None
        self._check_depth()

    def fault(self, node: Optional[Node], message: str) -> VQVAEError:
        """Return the error for the text at a node."""
        return self._error(*position(node), message)

    def _error(self, line: int, column: int, message: str) -> VQVAEError:
        # Characters of the text might break the line or control a terminal.
        shown = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in message)
        if len(shown) > _LONGEST_MESSAGE:
            shown = f"{shown[:_LONGEST_MESSAGE]}..."
        return VQVAEError(f"{self.name}:{line}:{column}: {shown}")

    def number(self, token: Token) -> Union[int, float]:
        """Return the value of a number; raise VQVAEError for one beyond 2^53."""
        value = int(token) if token.isdigit() and len(token) < 40 else float(token)
        return self.checked(token, value)

    def checked(self, node: Node, value: Union[int, float]) -> Union[int, float]:
        """Return ``value``, the number at a node; raise VQVAEError if it is beyond 2^53."""
        if not abs(value) <= _LARGEST:
            raise self.fault(node, f"a number was given beyond {_LARGEST}")
        return value

    def _unexpected(self, error: UnexpectedInput) -> VQVAEError:
        line, column, expected = max(error.line, 1), max(error.column, 1), set()
        words = [(str(token), token.line, token.column) for token in error.token_history or () if token]
        if self._text.startswith("/*", error.pos_in_stream or 0):
            return self._error(line, column, "this comment does not end")
        if isinstance(error, UnexpectedCharacters) and error.char == '"':
            return self._error(line, column, "this text in quotes does not end")
        if isinstance(error, UnexpectedCharacters):
            found, expected = repr(error.char), error.allowed
        elif isinstance(error, UnexpectedToken) and error.token.type != "$END":
            found, expected = repr(str(error.token)), error.accepts or error.expected
            words.append((str(error.token), line, column))
        else:
            found, expected = "end of the text", error.accepts or error.expected
            # The token of the end has the position of the last word.
            line, column = error.token.end_line or 1, error.token.end_column or 1
        for word, its_line, its_column in words:
            if word in _FOREIGN_WORDS:
                message = f"{_FOREIGN_WORDS[word]}, which is not supported: give one feed-forward network"
                return self._error(its_line, its_column, message)
        return self._error(line, column, f"unexpected {found}; expected {_listed(expected or set())}")

    def _check_depth(self) -> None:
        level, depth = [self.tree], 0
        while level:
            if depth > _DEEPEST:
                raise self.fault(level[0], "is nested too deeply")
            level = [child for node in level for child in node.children if isinstance(child, Tree)]
            depth += 1


def read_text(path: Union[str, Path]) -> str:
    """Return a file's text without a byte order mark; raise VQVAEError if it cannot be read."""
    return read_bytes(path).decode("utf-8-sig", "replace")


def position(node: Optional[Node]) -> Tuple[int, int]:
    """Return the line and column, from 1, of a token or of a tree's first token."""
    if isinstance(node, Token):
        return node.line, node.column
    if node is not None and getattr(node.meta, "line", None):
        return node.meta.line, node.meta.column
    return 1, 1


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return '; did you mean X?' for a misspelt word, or '; there are X, Y'."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, 1, 0.6) or [
        name for name in known if name.lower() == word.lower()
    ]
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are {', '.join(known)}" if known else "; there are none"


@lru_cache(maxsize=1)
def _parser() -> Lark:
    grammar = Path(__file__).with_name("grammar.lark").read_text()
    return Lark(grammar, parser="lalr", start=["component", "configuration"], propagate_positions=True)


def _listed(terminals: Set[str]) -> str:
    patterns = {terminal.name: terminal.pattern for terminal in _parser().terminals}
    known = {_TERMINALS.get(name) or patterns[name].value for name in terminals if name in {*_TERMINALS, *patterns}}
    if len(known & _OPERATORS) > 2:
        known = known - _OPERATORS | {"an operator"}
    words = sorted(word if word in {*_TERMINALS.values(), "an operator"} else repr(word) for word in known)
    return ", ".join(words[:-1]) + " or " + words[-1] if len(words) > 1 else "".join(words) or "something else"
