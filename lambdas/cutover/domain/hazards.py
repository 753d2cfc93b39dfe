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

LATER = 'remove the old one in a migration of kind = "contract"'
_INDEXES = {"create_index", "create_indexes", "drop_index", "drop_indexes"}
_SCHEMA_COMMANDS = {"createIndexes", "dropIndexes", "collMod", "create"}
_DROPS = {"drop", "drop_collection", "drop_database"}
_DELETES = {"delete_one", "delete_many", "find_one_and_delete", "delete"}
_INSERTS = {"insert_one", "insert_many"}
_WHOLE = {"update_many": "progress.update", "delete_many": "progress.delete"}
_HELPERS = {"update", "transform", "delete"}
# Applied twice they give something else than applied once.
_NOT_REPEATABLE = {"$inc", "$mul", "$push", "$pop", "$bit"}
_CONVERTERS = {"$toString", "$toInt", "$toLong", "$toDouble", "$toDecimal", "$toBool", "$toDate", "$convert"}
_TYPES = {"str": "string", "int": "int", "float": "double", "bool": "bool", "list": "array", "dict": "object"}


@dataclass(frozen=True)
class Write:
    """A field that gets a value of one BSON type; `collection` is None where the source does not tell."""

    collection: str | None
    field: str
    type: str
    line: int


@dataclass(frozen=True)
class _Call:
    """A method call; `arguments` with those of a function of the file that is handed to it."""

    method: str
    line: int
    collection: str | None
    is_helper: bool
    once: bool
    arguments: tuple[ast.expr | ast.FunctionDef, ...]


def look(source: str, filename: str, kind: Phase, used: Used) -> tuple[str, ...]:
    """One sentence for each hazard: FILE:LINE, what, why, and what to do instead. The source must parse.

    `down` takes away what `up` gave, so it may; but it too must be repeatable."""
    found: list[str] = []
    for function, call in _calls(ast.parse(source)):
        judge = _Judge(Phase.CONTRACT, {}) if function == "down" else _Judge(kind, used)
        found += [f"{filename}:{line}: {text}" for line, text in judge.of(call)]
    return tuple(dict.fromkeys(found))


def writes(source: str) -> tuple[Write, ...]:
    """The fields that `$set` gives a value whose type is plain to see: a constant, or str(…), int(…), …"""
    found = []
    for _, call in _calls(ast.parse(source)):
        for operator, line, changes in _operators(call):
            for name, value in changes if operator == "$set" else ():
                kind = _type(value)
                if kind is not None:
                    found.append(Write(call.collection, name, kind, line))
    return tuple(dict.fromkeys(found))


# -- reading the source


def _calls(tree: ast.Module) -> Iterator[tuple[str, _Call]]:
    """Every method call, with the name of the function of the file that it is in."""
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    for top in tree.body:
        name = top.name if isinstance(top, ast.FunctionDef) else ""
        for node in ast.walk(top):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                yield name, _call(node, node.func, functions)


def _call(node: ast.Call, function: ast.Attribute, functions: Mapping[str, ast.FunctionDef]) -> _Call:
    arguments: list[ast.expr | ast.FunctionDef] = [*node.args, *(keyword.value for keyword in node.keywords)]
    arguments += [functions[a.id] for a in arguments if isinstance(a, ast.Name) and a.id in functions]
    is_helper = isinstance(function.value, ast.Name) and function.value.id == "progress"
    once = any(k.arg == "once" and isinstance(k.value, ast.Constant) and k.value.value for k in node.keywords)
    collection = _collection(node, function)
    return _Call(function.attr, node.lineno, collection, is_helper, once, tuple(arguments))


def _collection(node: ast.Call, function: ast.Attribute) -> str | None:
    """The one of database["x"].method(), database.x.method() or progress.method("x")."""
    if isinstance(function.value, ast.Subscript):
        return _text(function.value.slice)
    if isinstance(function.value, ast.Attribute):
        return function.value.attr
    named = function.attr in _HELPERS or function.attr == "drop_collection"
    return _text(node.args[0]) if named and node.args else None


def _text(node: ast.AST | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _operators(call: _Call) -> Iterator[tuple[str, int, list[tuple[str, ast.expr]]]]:
    """(operator, line, [(field, value)]) of every update document among the arguments."""
    for argument in call.arguments:
        for node in (each for each in ast.walk(argument) if isinstance(each, ast.Dict)):
            for key, value in zip(node.keys, node.values, strict=True):
                name = _text(key)
                if name and name.startswith("$") and isinstance(value, ast.Dict):
                    changes = zip(value.keys, value.values, strict=True)
                    yield name, node.lineno, [(_text(k) or "a field", v) for k, v in changes]


def _type(value: ast.expr) -> str | None:
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return _TYPES.get(value.func.id)
    return _TYPES.get(type(value.value).__name__) if isinstance(value, ast.Constant) else None


def _converts(value: ast.expr) -> bool:
    return isinstance(value, ast.Dict) and any(_text(key) in _CONVERTERS for key in value.keys)


def _command(call: _Call) -> str | None:
    first = call.arguments[0] if call.method == "command" and call.arguments else None
    return _text(first.keys[0]) if isinstance(first, ast.Dict) and first.keys else _text(first)


# -- judging it


@dataclass(frozen=True)
class _Judge:
    kind: Phase
    used: Used

    def of(self, call: _Call) -> Iterator[tuple[int, str]]:
        texts = [
            self._schema(call), self._drop(call), self._rename(call), self._delete(call), _whole(call),
            _insert(call),
        ]  # fmt: skip
        yield from ((call.line, text) for text in texts if text)
        for operator, line, changes in _operators(call):
            if operator in _NOT_REPEATABLE and not call.once:
                text = f"{operator} gives another result when it is applied again after a crash"
                yield line, f"{text}; use progress.update(…, once=True)"
            for name, value in changes:
                change = self._change(operator, name, value, self._users(call.collection))
                if change:
                    yield line, change

    def _users(self, collection: str | None) -> dict[str, str]:
        """Who uses which field; of all collections when it is not known which."""
        tables = [self.used.get(collection, {})] if collection else list(self.used.values())
        return {name: user for table in tables for name, user in table.items()}

    def _schema(self, call: _Call) -> str | None:
        done = call.method if call.method in _INDEXES else _command(call)
        if done not in _INDEXES | _SCHEMA_COMMANDS:
            return None
        return f"{done} in a migration hides from the plan; declare it in indexes.json or validators.json"

    def _drop(self, call: _Call) -> str | None:
        if call.method not in _DROPS and _command(call) not in ("drop", "dropDatabase"):
            return None
        what, users = call.collection or "a collection", self._users(call.collection)
        if self.kind is Phase.EXPAND:
            return (
                f'dropping {what} takes it away from the running version; do it in one of kind = "contract"'
            )
        if users:
            user = next(iter(users.values()))
            return f"dropping {what}, which {user} uses; release a version without it first"
        return None

    def _rename(self, call: _Call) -> str | None:
        if call.method != "rename" or call.collection is None:
            return None
        what = f"renaming {call.collection} takes it away from the running version"
        return f"{what}; write to both, then {LATER}"

    def _delete(self, call: _Call) -> str | None:
        if call.method not in _DELETES or self.kind is not Phase.EXPAND:
            return None
        return (
            f"{call.method} in an expand migration: the running version may still want these documents, and "
            'undo can\'t bring them back; do it in a migration of kind = "contract"'
        )

    def _change(self, operator: str, name: str, value: ast.expr, users: Mapping[str, str]) -> str | None:
        if operator in ("$rename", "$unset") and (self.kind is Phase.EXPAND or name in users):
            user = users.get(name)
            if self.kind is Phase.CONTRACT:
                what = f"{operator} takes {name} away, but {user} of this release uses it"
                return f"{what}; release a version that does not first"
            why = f", which {user} uses" if user else ""
            what = f"{operator} takes {name} away{why} while the old version runs"
            return f"{what}; copy it to the new field here, and {LATER}"
        if operator == "$set" and name in users and _converts(value):
            what = f"the type of {name}, which {users[name]} uses, changes"
            return f"{what}; write it to a new field here, and {LATER}"
        return None


def _whole(call: _Call) -> str | None:
    if call.method not in _WHOLE or call.is_helper:
        return None
    return (
        f"{call.method} is one statement over the whole collection, which can't be resumed and may outlast "
        f"its budget; use {_WHOLE[call.method]}, which works in batches"
    )


def _insert(call: _Call) -> str | None:
    if call.method not in _INSERTS:
        return None
    return (
        f"{call.method} would insert again when the migration is resumed; use "
        'update_one({"_id": …}, {"$setOnInsert": …}, upsert=True)'
    )
