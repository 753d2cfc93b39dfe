"""A look at a migration's source before it is run: what would hurt the version that still runs, could not be
run a second time, or would hide from the plan.

Read from the syntax tree, so that nothing is executed. What a program may do is not decidable; the look finds
what is written plainly, which is how accidents are written. (A person who wants to deceive it can.)
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cutover.domain.schema import Phase

Used = Mapping[str, Mapping[str, str]]  # {collection: {field: who uses it}}

# Applied twice they give something else than applied once.
_NOT_REPEATABLE = {"$inc", "$mul", "$push", "$pop", "$bit"}
_INDEXES = {"create_index", "create_indexes", "drop_index", "drop_indexes"}
_SCHEMA_COMMANDS = {"createIndexes", "dropIndexes", "collMod", "create"}
_DROPS = {"drop", "drop_collection", "drop_database"}
_DELETES = {"delete_one", "delete_many", "find_one_and_delete", "delete"}
_INSERTS = {"insert_one", "insert_many"}
_WHOLE = {"update_many": "progress.update", "delete_many": "progress.delete"}
_HELPERS = {"update", "transform", "delete"}
_CONVERSIONS = {
    "str": "string",
    "int": "int",
    "float": "double",
    "bool": "bool",
    "list": "array",
    "dict": "object",
}
_CONVERTERS = {
    "$toString",
    "$toInt",
    "$toLong",
    "$toDouble",
    "$toDecimal",
    "$toBool",
    "$toDate",
    "$toObjectId",
    "$convert",
}


@dataclass(frozen=True)
class Write:
    """A field that gets a value of one BSON type; `collection` is None where the source does not tell."""

    collection: str | None
    field: str
    type: str
    line: int


@dataclass(frozen=True)
class _Found:
    call: ast.Call
    method: str
    collection: str | None


def look(source: str, filename: str, kind: Phase, used: Used) -> tuple[str, ...]:
    """One sentence for each hazard: FILE:LINE, what, why, and what to do instead. The source must parse."""
    found: list[str] = []
    for call in _calls(ast.parse(source)):
        for line, text in (*_of_call(call, kind, used), *_of_operators(call, kind, used)):
            found.append(f"{filename}:{line}: {text}")
    return tuple(dict.fromkeys(found))


def writes(source: str) -> tuple[Write, ...]:
    """The fields that `$set` gives a value whose type is plain to see: a constant, or str(…), int(…), …"""
    found = []
    for call in _calls(ast.parse(source)):
        for operator, line, changed in _operators(call.call):
            for name, value in changed if operator == "$set" else ():
                kind = _type(value)
                if kind is not None:
                    found.append(Write(call.collection, name, kind, line))
    return tuple(dict.fromkeys(found))


def _calls(tree: ast.Module) -> Iterator[_Found]:
    """Method calls, each with what it can be told about; and, as one call without a collection, dicts in
    functions that are handed to a helper."""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    told: set[str] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        method, collection = node.func.attr, _collection(node)
        yield _Found(node, method, collection)
        if method == "transform":
            for argument in (*node.args, *(keyword.value for keyword in node.keywords)):
                if isinstance(argument, ast.Name) and argument.id in functions:
                    told.add(argument.id)
                    body = ast.Call(node.func, [*node.args, *_dicts(functions[argument.id])], node.keywords)
                    yield _Found(ast.copy_location(body, node), method, collection)
    for name, function in functions.items():
        if name not in told and name not in ("up", "down"):
            attribute = ast.Attribute(ast.Name("progress"), "update")
            yield _Found(ast.Call(attribute, list(_dicts(function)), []), "", None)


def _dicts(function: ast.FunctionDef) -> Iterator[ast.Dict]:
    return (node for node in ast.walk(function) if isinstance(node, ast.Dict))


def _collection(call: ast.Call) -> str | None:
    """The collection of database["x"].method(), database.x.method() or progress.method("x")."""
    if not isinstance(call.func, ast.Attribute):
        return None
    owner = call.func.value
    if isinstance(owner, ast.Subscript):
        return _text(owner.slice)
    if isinstance(owner, ast.Attribute):
        return owner.attr
    takes_name = call.func.attr in _HELPERS or call.func.attr in ("drop_collection", "command")
    return _text(call.args[0]) if takes_name and call.args else None


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _users(used: Used, collection: str | None) -> dict[str, str]:
    """Who uses which field; of all collections when it is not known which."""
    tables = [used.get(collection, {})] if collection else list(used.values())
    return {name: user for table in tables for name, user in table.items()}


def _of_call(found: _Found, kind: Phase, used: Used) -> Iterator[tuple[int, str]]:
    method, line = found.method, found.call.lineno if found.method else 0
    helper = isinstance(found.call.func, ast.Attribute) and _is_progress(found.call.func)
    where = found.collection or "a collection"
    command = _command(found.call) if method == "command" else None
    if method in _INDEXES or command in _SCHEMA_COMMANDS:
        yield (
            line,
            (
                f"{command or method} in a migration hides from the plan; declare it in indexes.json or validators.json"
            ),
        )
    if method in _DROPS or command in ("drop", "dropDatabase"):
        yield from _of_drop(line, where, kind, found.collection, used)
    if method == "rename" and found.collection and not helper:
        yield (
            line,
            (
                f"renaming {where} takes it away from the version that runs; write to both, and drop the old one in a "
                "contract migration of a later release"
            ),
        )
    if method in _DELETES and kind is Phase.EXPAND:
        yield (
            line,
            (
                f"{method} on {where} in an expand migration: the running version may still want these documents, and "
                'undo can\'t bring them back; do it in a migration of kind = "contract"'
            ),
        )
    if method in _WHOLE and not helper:
        yield (
            line,
            (
                f"{method} on {where} is one statement over the whole collection, which can't be resumed and may "
                f"outlast its budget; use {_WHOLE[method]}, which works in batches"
            ),
        )
    if method in _INSERTS and not helper:
        yield (
            line,
            (
                f"{method} on {where} would insert again when the migration is resumed; use "
                "update_one({'_id': …}, {'$setOnInsert': …}, upsert=True)"
            ),
        )


def _of_drop(
    line: int, where: str, kind: Phase, collection: str | None, used: Used
) -> Iterator[tuple[int, str]]:
    users = _users(used, collection)
    if kind is Phase.EXPAND:
        yield (
            line,
            (
                f"dropping {where} in an expand migration takes it away from the version that runs; do it in a "
                'migration of kind = "contract"'
            ),
        )
    elif users:
        user = next(iter(users.values()))
        yield line, f"dropping {where}, which {user} uses; release a version without it first"


def _command(call: ast.Call) -> str | None:
    first = call.args[0] if call.args else None
    if isinstance(first, ast.Dict) and first.keys:
        return _text(first.keys[0])
    return _text(first)


def _is_progress(function: ast.Attribute) -> bool:
    return isinstance(function.value, ast.Name) and function.value.id == "progress"


def _operators(call: ast.Call) -> Iterator[tuple[str, int, list[tuple[str, ast.expr]]]]:
    """(operator, line, what it is applied to) of every update document among the arguments."""
    for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
        for node in ast.walk(argument):
            if not isinstance(node, ast.Dict):
                continue
            for key, value in zip(node.keys, node.values, strict=True):
                name = _text(key)
                if name and name.startswith("$") and isinstance(value, ast.Dict):
                    pairs = [(_text(k) or "", v) for k, v in zip(value.keys, value.values, strict=True)]
                    yield name, node.lineno, pairs


def _of_operators(found: _Found, kind: Phase, used: Used) -> Iterator[tuple[int, str]]:
    users = _users(used, found.collection)
    once = any(
        word.arg == "once" and isinstance(word.value, ast.Constant) and word.value.value is True
        for word in found.call.keywords
    )
    for operator, line, changed in _operators(found.call):
        if operator in _NOT_REPEATABLE and not once:
            yield (
                line,
                (
                    f"{operator} gives another result when it is applied again after a crash; use progress.update(…, "
                    "once=True)"
                ),
            )
        for name, value in changed:
            if operator == "$rename":
                yield from _of_rename(line, name, _text(value), kind, users)
            elif operator == "$unset" and (kind is Phase.EXPAND or name in users):
                yield line, _taken_away(f"$unset takes {name} away", name, kind, users)
            elif operator == "$set" and name in users and _converts(value):
                yield (
                    line,
                    (
                        f"the type of {name}, which {users[name]} uses, changes; write the converted value to a new "
                        "field, release a version that uses that, and remove the old one in a contract migration"
                    ),
                )


def _of_rename(
    line: int, name: str, new: str | None, kind: Phase, users: Mapping[str, str]
) -> Iterator[tuple[int, str]]:
    if kind is Phase.EXPAND or name in users:
        what = f"$rename takes {name} away" + (f" (to {new})" if new else "")
        yield line, _taken_away(what, name, kind, users)


def _taken_away(what: str, name: str, kind: Phase, users: Mapping[str, str]) -> str:
    user = users.get(name)
    if kind is Phase.CONTRACT:
        return f"{what}, but {user} of this release still uses it; release a version that does not first"
    why = f", which {user} uses" if user else ""
    return (
        f"{what}{why} while the old version runs; copy it to the new field here, and remove the old one in a "
        'migration of kind = "contract"'
    )


def _converts(value: ast.expr) -> bool:
    if isinstance(value, ast.Dict):
        return any(_text(key) in _CONVERTERS for key in value.keys)
    return False


def _type(value: ast.expr) -> str | None:
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return _CONVERSIONS.get(value.func.id)
    if not isinstance(value, ast.Constant) or value.value is None:
        return None
    return _CONVERSIONS.get(type(value.value).__name__)
