"""The parsed query: a tree of predicates, each of which matches documents and describes itself.

`describe()` is what `explain` shows as `parsedQuery` and `filter`, in MongoDB's shape.
`matching.py` makes the tree; `planner.py` reads it to find the bounds of an index scan.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from bson import Regex

from sandbox.database.errors import Document
from sandbox.database.paths import reach, split
from sandbox.database.values import (
    MISSING,
    RANK_MAX_KEY,
    RANK_MIN_KEY,
    SortKey,
    is_number,
    same,
    sort_key,
    to_float,
    type_name,
)


class Predicate(ABC):
    @abstractmethod
    def matches(self, document: Any) -> bool:
        """Does the document satisfy it?"""

    @abstractmethod
    def test(self, value: Any) -> bool:
        """Does one single value satisfy it (an array's element under `$elemMatch`)?"""

    @abstractmethod
    def describe(self) -> Document:
        """In MongoDB's query language, normalised."""


class Everything(Predicate):
    """The empty filter, `{}`."""

    def matches(self, document: Any) -> bool:  # noqa: ARG002
        return True

    def test(self, value: Any) -> bool:  # noqa: ARG002
        return True

    def describe(self) -> Document:
        return {}


class Logical(Predicate):
    operator: str

    def __init__(self, children: Sequence[Predicate]) -> None:
        self.children = tuple(children)

    def describe(self) -> Document:
        return {self.operator: [child.describe() for child in self.children]}


class And(Logical):
    operator = "$and"

    def matches(self, document: Any) -> bool:
        return all(child.matches(document) for child in self.children)

    def test(self, value: Any) -> bool:
        return all(child.test(value) for child in self.children)


class Or(Logical):
    operator = "$or"

    def matches(self, document: Any) -> bool:
        return any(child.matches(document) for child in self.children)

    def test(self, value: Any) -> bool:
        return any(child.test(value) for child in self.children)


class Nor(Logical):
    operator = "$nor"

    def matches(self, document: Any) -> bool:
        return not any(child.matches(document) for child in self.children)

    def test(self, value: Any) -> bool:
        return not any(child.test(value) for child in self.children)


class Not(Predicate):
    def __init__(self, path: str, child: Predicate) -> None:
        self.path = path
        self.child = child

    def matches(self, document: Any) -> bool:
        return not self.child.matches(document)

    def test(self, value: Any) -> bool:
        return not self.child.test(value)

    def describe(self) -> Document:
        inside = self.child.describe()
        if len(inside) == 1 and self.path in inside:
            return {self.path: {"$not": inside[self.path]}}
        return {"$nor": [inside]}


class Leaf(Predicate):
    """A predicate on the values that one path reaches; one of them has to satisfy it."""

    expand = True

    def __init__(self, path: str) -> None:
        self.path = path
        self.parts = split(path)

    def matches(self, document: Any) -> bool:
        if len(self.parts) == 1:
            value = document.get(self.parts[0], MISSING)
            if not isinstance(value, list):
                return self.test(value)
        return any(self.test(value) for value in reach(document, self.parts, expand=self.expand))

    def describe(self) -> Document:
        return {self.path: self.condition()}

    @abstractmethod
    def condition(self) -> Any:
        """The right-hand side: `{"$gt": 5}`."""


class Comparison(Leaf):
    """`$eq`, `$gt`, `$gte`, `$lt`, `$lte`: between values of the same type, as MongoDB brackets them."""

    def __init__(self, path: str, operator: str, operand: Any) -> None:
        super().__init__(path)
        self.operator = operator
        self.operand = operand
        self.key: SortKey = sort_key(operand)
        self._crosses_types = self.key[0] in (RANK_MIN_KEY, RANK_MAX_KEY)

    def test(self, value: Any) -> bool:
        key = sort_key(value)
        operator = self.operator
        if operator == "$eq":
            return key == self.key
        if key[0] != self.key[0] and not self._crosses_types:
            return False
        if operator == "$gt":
            return key > self.key
        if operator == "$gte":
            return key >= self.key
        return key < self.key if operator == "$lt" else key <= self.key

    def condition(self) -> Any:
        return {self.operator: self.operand}


class RegexMatch(Leaf):
    """A string that the pattern is found in, or the very same regular expression stored as a value."""

    def __init__(self, path: str, pattern: str, options: str, compiled: re.Pattern[str]) -> None:
        super().__init__(path)
        self.pattern = pattern
        self.options = options
        self.compiled = compiled

    def test(self, value: Any) -> bool:
        if isinstance(value, str):
            return self.compiled.search(value) is not None
        return isinstance(value, Regex) and same(value, Regex(self.pattern, self.options))

    def condition(self) -> Any:
        return {"$regex": self.pattern, **({"$options": self.options} if self.options else {})}

    def literal_prefix(self) -> str:
        """The text every match starts with; "" if the pattern doesn't say (needs `^` and no options)."""
        if self.options or not self.pattern.startswith("^") or "|" in self.pattern:
            return ""
        text = re.match(r"[A-Za-z0-9_ @:/#-]*", self.pattern[1:])
        literal = text.group() if text else ""
        follows = self.pattern[1 + len(literal) : 2 + len(literal)]
        return literal[:-1] if follows in ("*", "?", "{") and follows else literal


class In(Leaf):
    """`$in`: equal to one of the operands, or matched by one of the regular expressions among them."""

    def __init__(self, path: str, operands: list[Any], patterns: Sequence[RegexMatch]) -> None:
        super().__init__(path)
        self.operands = operands
        self.patterns = tuple(patterns)
        self.keys = frozenset(sort_key(o) for o in operands if not isinstance(o, Regex))

    def test(self, value: Any) -> bool:
        return sort_key(value) in self.keys or any(pattern.test(value) for pattern in self.patterns)

    def condition(self) -> Any:
        return {"$in": self.operands}


class Exists(Leaf):
    expand = False

    def test(self, value: Any) -> bool:
        return value is not MISSING

    def condition(self) -> Any:
        return {"$exists": True}


class TypeIs(Leaf):
    def __init__(self, path: str, names: frozenset[str], operand: Any) -> None:
        super().__init__(path)
        self.names = names
        self.operand = operand

    def test(self, value: Any) -> bool:
        return type_name(value) in self.names

    def condition(self) -> Any:
        return {"$type": self.operand if isinstance(self.operand, list) else [self.operand]}


class Size(Leaf):
    expand = False

    def __init__(self, path: str, length: int) -> None:
        super().__init__(path)
        self.length = length

    def test(self, value: Any) -> bool:
        return isinstance(value, list) and len(value) == self.length

    def condition(self) -> Any:
        return {"$size": self.length}


class Modulo(Leaf):
    def __init__(self, path: str, divisor: int, remainder: int) -> None:
        super().__init__(path)
        self.divisor = divisor
        self.remainder = remainder

    def test(self, value: Any) -> bool:
        if not is_number(value):
            return False
        number = to_float(value) if not isinstance(value, int) else value
        if number != number or abs(number) == float("inf"):  # noqa: PLR0124 - NaN is not itself
            return False
        # MongoDB's remainder takes the sign of the dividend, Python's that of the divisor.
        whole = int(number)
        rest = abs(whole) % abs(self.divisor)
        return (rest if whole >= 0 else -rest) == self.remainder

    def condition(self) -> Any:
        return {"$mod": [self.divisor, self.remainder]}


class ElementMatches(Leaf):
    """`$elemMatch`: one element satisfies all of it; `of_objects` tells the two forms apart."""

    expand = False

    def __init__(self, path: str, child: Predicate, of_objects: bool, operand: Document) -> None:
        super().__init__(path)
        self.child = child
        self.of_objects = of_objects
        self.operand = operand

    def test(self, value: Any) -> bool:
        if not isinstance(value, list):
            return False
        if self.of_objects:
            return any(isinstance(item, dict) and self.child.matches(item) for item in value)
        return any(self.child.test(item) for item in value)

    def condition(self) -> Any:
        return {"$elemMatch": self.operand}


class Computed(Predicate):
    """`$expr` and `$jsonSchema`: a function of the whole document."""

    def __init__(self, function: Callable[[Any], bool], description: Document) -> None:
        self.function = function
        self.description = description

    def matches(self, document: Any) -> bool:
        return self.function(document)

    def test(self, value: Any) -> bool:
        return isinstance(value, dict) and self.function(value)

    def describe(self) -> Document:
        return self.description


def conjuncts(predicate: Predicate) -> Iterator[Predicate]:
    """The predicates which all have to hold, nested `$and`s flattened."""
    if isinstance(predicate, And):
        for child in predicate.children:
            yield from conjuncts(child)
    elif not isinstance(predicate, Everything):
        yield predicate


def equalities(predicate: Predicate) -> Document:
    """The fields that the query fixes to one value; an upsert starts from them."""
    fixed: Document = {}
    for part in conjuncts(predicate):
        if isinstance(part, Comparison) and part.operator == "$eq":
            fixed[part.path] = part.operand
        elif isinstance(part, In) and len(part.operands) == 1 and not part.patterns:
            fixed[part.path] = part.operands[0]
        elif isinstance(part, Or) and len(part.children) == 1:
            fixed.update(equalities(part.children[0]))
    return fixed
