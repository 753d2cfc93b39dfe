"""Updates: operators (`$set`, `$inc`, ...), whole replacements and pipelines.

https://www.mongodb.com/docs/manual/reference/operator/update/. An update is parsed before any document is
touched; applying it gives a new document and leaves the old one alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bson import Timestamp

from sandbox.database import matching
from sandbox.database.errors import (
    CommandError,
    Document,
    bad_value,
    failed_to_parse,
    not_implemented,
    type_mismatch,
)
from sandbox.database.ordering import sort_items
from sandbox.database.paths import get, put, remove, split
from sandbox.database.values import (
    MISSING,
    arithmetic,
    as_integer,
    decode,
    encode,
    is_number,
    now,
    render,
    same,
    sort_key,
    type_name,
)

Pipeline = Callable[[Document], Document]
Change = Callable[[Document, bool], None]  # (document to change in place, is it an upsert's insert?)


@dataclass(frozen=True)
class Update:
    """A parsed update. `apply` returns the new document; `inserting` switches `$setOnInsert` on."""

    changes: tuple[Change, ...] = ()
    replacement: Document | None = None
    pipeline: Pipeline | None = None

    def apply(self, document: Document, *, inserting: bool = False) -> Document:
        if self.replacement is not None:
            result = self._replaced(document)
        elif self.pipeline is not None:
            result = decode(encode(self.pipeline(document)))
            if "_id" in document:
                result = {"_id": result.get("_id", document["_id"]), **result}
        else:
            result = decode(encode(document))
            for change in self.changes:
                change(result, inserting)
        if "_id" in document and not same(result.get("_id", MISSING), document["_id"]):
            raise CommandError(
                66, "Performing an update on the path '_id' would modify the immutable field '_id'"
            )
        return result

    def _replaced(self, document: Document) -> Document:
        fresh = decode(encode(self.replacement or {}))
        if "_id" not in document:
            return fresh
        return {"_id": fresh.pop("_id", document["_id"]), **fresh}


def parse(specification: Any, pipeline: Callable[[list[Any]], Pipeline]) -> Update:
    """Parse `u` of an update statement; `pipeline` parses the list form (given by the aggregation module).

    Raises FailedToParse for an unknown operator, ConflictingUpdateOperators for two on the same path.
    """
    if isinstance(specification, list):
        return Update(pipeline=pipeline(specification))
    if not isinstance(specification, dict):
        raise failed_to_parse("Update argument must be either an object or an array")
    if not any(name.startswith("$") for name in specification):
        return Update(replacement=specification)
    changes: list[Change] = []
    taken: list[str] = []
    for name, fields in specification.items():
        if name not in _OPERATORS:
            raise failed_to_parse(
                f"Unknown modifier: {name}. Expected a valid update modifier or pipeline-style update "
                "specified as an array"
            )
        if not isinstance(fields, dict):
            raise failed_to_parse(
                f"Modifiers operate on fields but we found type {type_name(fields)} instead. For example: "
                f"{{$mod: {{<field>: ...}}}} not {{{name}: {render(fields)}}}"
            )
        for path, operand in fields.items():
            _check_path(path)
            paths = [path, operand] if name == "$rename" and isinstance(operand, str) else [path]
            for each in paths:
                _check_conflict(each, taken)
                taken.append(each)
            changes.append(_OPERATORS[name](path, operand))
    return Update(changes=tuple(changes))


def _check_path(path: str) -> None:
    parts = split(path)
    if any(not part for part in parts):
        raise CommandError(
            56, f"The update path '{path}' contains an empty field name, which is not allowed."
        )
    if any(part == "$" or part.startswith("$[") for part in parts):
        raise not_implemented(f"The positional operator in the update path '{path}'")
    if any(part.startswith("$") for part in parts):
        raise CommandError(
            52, f"The dollar ($) prefixed field in '{path}' is not allowed in an update's path."
        )


def _check_conflict(path: str, taken: list[str]) -> None:
    for other in taken:
        if path == other or path.startswith(other + ".") or other.startswith(path + "."):
            raise CommandError(40, f"Updating the path '{path}' would create a conflict at '{other}'")


def _set(path: str, operand: Any) -> Change:
    return lambda document, _: put(document, path, operand)


def _set_on_insert(path: str, operand: Any) -> Change:
    def change(document: Document, inserting: bool) -> None:
        if inserting:
            put(document, path, operand)

    return change


def _unset(path: str, _: Any) -> Change:
    return lambda document, _: remove(document, path)


def _arithmetic(operator: str, sign: str) -> Callable[[str, Any], Change]:
    verb = "increment" if sign == "+" else "multiply"

    def make(path: str, operand: Any) -> Change:
        if not is_number(operand):
            raise type_mismatch(f"Cannot {verb} with non-numeric argument: {{{path}: {render(operand)}}}")

        def change(document: Document, _: bool) -> None:
            value = get(document, path)
            if value is MISSING:
                value = 0
                if sign == "+":
                    put(document, path, operand)
                    return
            if not is_number(value):
                raise type_mismatch(
                    f"Cannot apply {operator} to a value of non-numeric type. "
                    f"{{_id: {render(document.get('_id'))}}} has the field '{path}' of non-numeric type "
                    f"{type_name(value)}"
                )
            put(document, path, arithmetic(sign, value, operand))

        return change

    return make


def _limit(smallest: bool) -> Callable[[str, Any], Change]:
    def make(path: str, operand: Any) -> Change:
        key = sort_key(operand)

        def change(document: Document, _: bool) -> None:
            value = get(document, path)
            if value is MISSING or (key < sort_key(value) if smallest else key > sort_key(value)):
                put(document, path, operand)

        return change

    return make


def _current_date(path: str, operand: Any) -> Change:
    if operand is True or operand == {"$type": "date"}:
        return lambda document, _: put(document, path, now())
    if operand == {"$type": "timestamp"}:
        return lambda document, _: put(document, path, Timestamp(int(now()) // 1000, 1))
    raise bad_value(
        f"{render(operand)} is not valid for $currentDate: use true or {{$type: 'date'|'timestamp'}}"
    )


def _rename(path: str, operand: Any) -> Change:
    if not isinstance(operand, str):
        raise bad_value(f"The 'to' field for $rename must be a string: {path}: {render(operand)}")
    _check_path(operand)

    def change(document: Document, _: bool) -> None:
        value = get(document, path)
        if value is not MISSING:
            remove(document, path)
            put(document, operand, value)

    return change


def _array(document: Document, path: str, operator: str) -> list[Any] | None:
    value = get(document, path)
    if value is MISSING:
        return None
    if not isinstance(value, list):
        raise bad_value(
            f"The field '{path}' must be an array but is of type {type_name(value)} in document "
            f"{{_id: {render(document.get('_id'))}}} ({operator})"
        )
    return value


def _push(path: str, operand: Any) -> Change:
    modifiers = operand if isinstance(operand, dict) and "$each" in operand else {"$each": [operand]}
    for name in modifiers:
        if name not in ("$each", "$position", "$slice", "$sort"):
            raise bad_value(f"Unrecognized clause in $push: {name}")
    items = modifiers["$each"]
    if not isinstance(items, list):
        raise bad_value(
            f"The argument to $each in $push must be an array but it was of type: {type_name(items)}"
        )
    position = as_integer(modifiers["$position"], "$position") if "$position" in modifiers else None
    keep = as_integer(modifiers["$slice"], "$slice") if "$slice" in modifiers else None

    def change(document: Document, _: bool) -> None:
        value = list(_array(document, path, "$push") or [])
        at = len(value) if position is None else position
        value[at:at] = items
        if "$sort" in modifiers:
            value = sort_items(value, modifiers["$sort"])
        if keep is not None:
            value = value[:keep] if keep >= 0 else value[keep:]
        put(document, path, value)

    return change


def _add_to_set(path: str, operand: Any) -> Change:
    items = [operand]
    if isinstance(operand, dict) and "$each" in operand:
        if list(operand) != ["$each"]:
            raise bad_value(f"Found unexpected fields after $each in $addToSet: {render(operand)}")
        items = operand["$each"]
        if not isinstance(items, list):
            raise type_mismatch("The argument to $each in $addToSet must be an array")

    def change(document: Document, _: bool) -> None:
        value = list(_array(document, path, "$addToSet") or [])
        present = {sort_key(item) for item in value}
        for item in items:
            if sort_key(item) not in present:
                present.add(sort_key(item))
                value.append(item)
        put(document, path, value)

    return change


def _pull(path: str, operand: Any) -> Change:
    if isinstance(operand, dict) and matching.is_operators(operand):
        predicate = matching.parse({"element": operand})

        def gone(item: Any) -> bool:
            return predicate.matches({"element": item})

    elif isinstance(operand, dict):
        fields = matching.parse(operand)

        def gone(item: Any) -> bool:
            return isinstance(item, dict) and fields.matches(item)

    else:
        key = sort_key(operand)

        def gone(item: Any) -> bool:
            return sort_key(item) == key

    return _without(path, "$pull", gone)


def _pull_all(path: str, operand: Any) -> Change:
    if not isinstance(operand, list):
        raise bad_value(f"$pullAll requires an array argument but was given a {type_name(operand)}")
    keys = {sort_key(item) for item in operand}
    return _without(path, "$pullAll", lambda item: sort_key(item) in keys)


def _without(path: str, operator: str, gone: Callable[[Any], bool]) -> Change:
    def change(document: Document, _: bool) -> None:
        value = _array(document, path, operator)
        if value is not None:
            put(document, path, [item for item in value if not gone(item)])

    return change


def _pop(path: str, operand: Any) -> Change:
    end = as_integer(operand, "$pop")
    if end not in (1, -1):
        raise failed_to_parse(f"$pop expects 1 or -1, found: {end}")

    def change(document: Document, _: bool) -> None:
        value = _array(document, path, "$pop")
        if value:
            put(document, path, value[:-1] if end == 1 else value[1:])

    return change


_OPERATORS: dict[str, Callable[[str, Any], Change]] = {
    "$set": _set,
    "$setOnInsert": _set_on_insert,
    "$unset": _unset,
    "$inc": _arithmetic("$inc", "+"),
    "$mul": _arithmetic("$mul", "*"),
    "$min": _limit(True),
    "$max": _limit(False),
    "$currentDate": _current_date,
    "$rename": _rename,
    "$push": _push,
    "$addToSet": _add_to_set,
    "$pull": _pull,
    "$pullAll": _pull_all,
    "$pop": _pop,
}
