"""Projections of `find`, `findAndModify` and `$project`: keep these fields, or all but those.

https://www.mongodb.com/docs/manual/reference/method/db.collection.find/#projection
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.database import expressions
from sandbox.database.errors import CommandError, Document, not_implemented, type_mismatch
from sandbox.database.paths import split, with_value
from sandbox.database.values import MISSING, is_number, render, truthy

Projection = Callable[[Document], Document]
Tree = dict[str, Any]

_FIND_ONLY = {"$slice", "$elemMatch", "$meta"}


def parse(specification: Any) -> Projection:
    """A function from a document to its projection; it never changes the document it is given.

    Raises Location31253/31254 for a mix of inclusion and exclusion, as MongoDB does.
    """
    if not isinstance(specification, dict):
        raise type_mismatch(f"projection must be an object, found: {render(specification)}")
    flat = _flatten(specification)
    computed = {path: expressions.parse(value) for path, value in flat.items() if not _is_flag(value)}
    flags = {path: truthy(value) for path, value in flat.items() if _is_flag(value)}
    with_id = flags.pop("_id", True) if "_id" not in computed else True
    including = (
        bool(computed) or any(flags.values()) or (not flags and flat.get("_id") not in (None, 0, False))
    )
    for path, kept in flags.items():
        if kept != including:
            word, code = ("exclusion", 31254) if not kept else ("inclusion", 31253)
            raise CommandError(
                code,
                f"Cannot do {word} on field {path} in {'inclusion' if including else 'exclusion'} projection",
            )
    tree = _tree([*flags, *computed])
    if not including:
        if not with_id:
            tree["_id"] = {}
        return lambda document: _exclude(document, tree)
    kept_tree = _tree(list(flags))
    if with_id and "_id" not in computed:
        kept_tree = {"_id": {}, **kept_tree}

    def include(document: Document) -> Document:
        result: Document = _include(document, kept_tree)
        for path, expression in computed.items():
            value = expressions.evaluate(expression, document)
            if value is not MISSING:
                result = with_value(result, split(path), value)
        return result

    return include


def is_simple(specification: Document) -> bool:
    """Only whole top-level fields? `explain` then calls the stage PROJECTION_SIMPLE."""
    return all(_is_flag(value) and "." not in path for path, value in specification.items())


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool) or is_number(value)


def _flatten(specification: Document, prefix: str = "") -> Document:
    """`{a: {b: 1}}` is `{"a.b": 1}`; expressions stay what they are."""
    flat: Document = {}
    for name, value in specification.items():
        if not name or name.startswith("$"):
            raise CommandError(16410, f"FieldPath field names may not start with '$' or be empty: '{name}'")
        path = prefix + name
        if name.endswith(".$") or ".$." in name:
            raise not_implemented("The positional projection")
        if isinstance(value, dict):
            first = next(iter(value), "")
            if first in _FIND_ONLY:
                raise not_implemented(f"The projection operator {first}")
            if not value:
                raise CommandError(
                    51270, "An empty sub-projection is not a valid value. Found empty object at path"
                )
            if not first.startswith("$"):
                flat |= _flatten(value, path + ".")
                continue
        flat[path] = value
    return flat


def _tree(paths: list[str]) -> Tree:
    tree: Tree = {}
    for path in paths:
        node = tree
        parts = split(path)
        for depth, part in enumerate(parts):
            last = depth == len(parts) - 1
            if part in node and (last or not node[part]):
                raise CommandError(31250, f"Path collision at {path}")
            node = node.setdefault(part, {})
    return tree


def _include(value: Any, tree: Tree) -> Any:
    result: Document = {}
    for name, inner in value.items():
        if name not in tree:
            continue
        below = tree[name]
        if not below:
            result[name] = inner
        elif isinstance(inner, dict):
            result[name] = _include(inner, below)
        elif isinstance(inner, list):
            result[name] = _include_items(inner, below)
    return result


def _include_items(items: list[Any], tree: Tree) -> list[Any]:
    kept: list[Any] = []
    for item in items:
        if isinstance(item, dict):
            kept.append(_include(item, tree))
        elif isinstance(item, list):
            kept.append(_include_items(item, tree))
    return kept


def _exclude(value: Any, tree: Tree) -> Any:
    if isinstance(value, list):
        return [_exclude(item, tree) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _exclude(inner, tree[name]) if name in tree else inner
        for name, inner in value.items()
        if name not in tree or tree[name]
    }
