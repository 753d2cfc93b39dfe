"""The grammar of metric math expressions.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<operator>==|!=|<=|>=|&&|\|\||[-+*/^()<>,\[\]]))"
)
# From loosest to tightest.
_LEVELS = (("OR", "||"), ("AND", "&&"), ("==", "!=", "<", ">", "<=", ">="), ("+", "-"), ("*", "/"))
_SAME = {"||": "OR", "&&": "AND"}


class ExpressionError(ValueError):
    """The expression can't be read or evaluated; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Number:
    value: float


@dataclass(frozen=True, slots=True)
class Reference:
    """The id of another query."""

    id: str


@dataclass(frozen=True, slots=True)
class Keyword:
    """REPEAT or LINEAR, FILL's modes."""

    name: str


@dataclass(frozen=True, slots=True)
class Negative:
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary:
    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Array:
    """[m1, m2]: several time series at once."""

    items: tuple[Node, ...]


Node = Number | Reference | Keyword | Negative | Binary | Call | Array


def references(node: Node) -> Iterator[str]:
    """The ids of the queries an expression uses."""
    match node:
        case Reference(id=name):
            yield name
        case Negative(operand=operand):
            yield from references(operand)
        case Binary(left=left, right=right):
            yield from references(left)
            yield from references(right)
        case Call(arguments=nodes) | Array(items=nodes):
            for each in nodes:
                yield from references(each)


@lru_cache(maxsize=512)
def parse(text: str) -> Node:
    """Raises ExpressionError, naming the expression and the place in it."""
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []
        position = 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if not match or match.lastgroup is None:
                raise ExpressionError(
                    f"Error in expression {text!r}: unexpected text at character {position}"
                )
            self.tokens.append((match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
            position = match.end()
        self.tokens.append(("end", "", len(text)))
        self.at = 0

    def whole(self) -> Node:
        node = self.level(0)
        if self.tokens[self.at][0] != "end":
            raise self.error("expected an operator or the end")
        return node

    def error(self, what: str) -> ExpressionError:
        _, token, position = self.tokens[self.at]
        found = f"{token!r} at character {position}" if token else "its end"
        return ExpressionError(f"Error in expression {self.text!r}: {what}, found {found}")

    def accept(self, *words: str) -> str | None:
        _, token, _ = self.tokens[self.at]
        if token in words:
            self.at += 1
            return token
        return None

    def expect(self, word: str) -> None:
        if self.accept(word) is None:
            raise self.error(f"expected {word!r}")

    def level(self, depth: int) -> Node:
        if depth == len(_LEVELS):
            return self.unary()
        left = self.level(depth + 1)
        while operator := self.accept(*_LEVELS[depth]):
            left = Binary(_SAME.get(operator, operator), left, self.level(depth + 1))
        return left

    def unary(self) -> Node:
        if self.accept("-"):
            return Negative(self.unary())
        base = self.primary()
        # The power binds to the right: 2^3^2 is 2^(3^2).
        return Binary("^", base, self.unary()) if self.accept("^") else base

    def primary(self) -> Node:
        kind, token, _ = self.tokens[self.at]
        if kind == "number":
            self.at += 1
            return Number(float(token))
        if kind == "name" and token not in {"AND", "OR"}:
            self.at += 1
            if self.accept("("):
                return Call(token, self.items(")"))
            return Keyword(token) if token in {"REPEAT", "LINEAR"} else Reference(token)
        if self.accept("("):
            node = self.level(0)
            self.expect(")")
            return node
        if self.accept("["):
            return Array(self.items("]"))
        raise self.error("expected a number, an id, a function or '('")

    def items(self, closing: str) -> tuple[Node, ...]:
        found: list[Node] = []
        if self.accept(closing):
            return ()
        while True:
            found.append(self.level(0))
            if self.accept(closing):
                return tuple(found)
            self.expect(",")
