"""Aggregation pipelines: every stage is parsed, with MongoDB's errors, before the first document is read.

https://www.mongodb.com/docs/manual/reference/operator/aggregation-pipeline/. Leading `$match`, `$sort`,
`$skip` and `$limit` become the query, so that they use the indexes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from sandbox.database import expressions, grouping, matching, ordering, projection
from sandbox.database.errors import CommandError, Document, not_implemented
from sandbox.database.paths import get, split, with_value
from sandbox.database.values import MISSING, as_integer, is_number, render, type_name

Stage = Callable[[Sequence[Document]], Sequence[Document]]

# Only as the first stage of the command's pipeline; made by the command, which has the server's state.
SOURCES = ("$indexStats", "$collStats", "$currentOp")
_NOT_HERE = {
    "$bucket", "$bucketAuto", "$changeStream", "$densify", "$documents", "$facet", "$fill", "$geoNear",
    "$graphLookup", "$listSessions", "$listLocalSessions", "$lookup", "$merge", "$out", "$planCacheStats",
    "$redact", "$search", "$searchMeta", "$setWindowFields", "$unionWith", "$vectorSearch",
}  # fmt: skip
_IN_UPDATES = {"$set", "$addFields", "$unset", "$project", "$replaceRoot", "$replaceWith"}


def stages(pipeline: Any) -> list[tuple[str, Any]]:
    """The stages as (name, argument); raises Location40323/40324 or TypeMismatch."""
    if not isinstance(pipeline, list):
        raise CommandError(14, "'pipeline' option must be specified as an array")
    result: list[tuple[str, Any]] = []
    for stage in pipeline:
        if not isinstance(stage, dict):
            raise CommandError(14, "Each element of the 'pipeline' array must be an object")
        if len(stage) != 1:
            raise CommandError(40323, "A pipeline stage specification object must contain exactly one field.")
        ((name, argument),) = stage.items()
        if name in _NOT_HERE:
            raise not_implemented(f"The pipeline stage {name}")
        if name not in _STAGES and name not in SOURCES:
            raise CommandError(40324, f"Unrecognized pipeline stage name: '{name}'")
        result.append((name, argument))
    for position, (name, _) in enumerate(result):
        if name in SOURCES and position:
            raise CommandError(40602, f"{name} is only valid as the first stage in a pipeline.")
    return result


def parse(parsed: list[tuple[str, Any]]) -> Stage:
    """All stages as one function."""
    functions = [_STAGES[name](argument) for name, argument in parsed]

    def run(documents: Sequence[Document]) -> Sequence[Document]:
        for function in functions:
            documents = function(documents)
        return documents

    return run


def parse_update(pipeline: list[Any]) -> Callable[[Document], Document]:
    """A pipeline in an update: only stages that turn one document into one."""
    parsed = stages(pipeline)
    for name, _ in parsed:
        if name not in _IN_UPDATES:
            raise CommandError(72, f"{name} is not allowed to be used within an update")
    function = parse(parsed)
    return lambda document: function([document])[0]


def pushed_down(parsed: list[tuple[str, Any]]) -> tuple[Document, list[tuple[str, Any]]]:
    """The part at the start that is a query, as find's fields, and the stages that are left."""
    query: Document = {"filter": {}}
    rest = list(parsed)
    conditions: list[Any] = []
    while rest and rest[0][0] == "$match":
        conditions.append(_match_filter(rest.pop(0)[1]))
    if conditions:
        query["filter"] = conditions[0] if len(conditions) == 1 else {"$and": conditions}
    if rest and rest[0][0] == "$sort":
        query["sort"] = _sort_specification(rest.pop(0)[1])
    if rest and rest[0][0] == "$skip":
        query["skip"] = _count("$skip", rest.pop(0)[1], 15956)
    if rest and rest[0][0] == "$limit":
        query["limit"] = _limit_of(rest.pop(0)[1])
    return query, rest


def _sort_specification(argument: Any) -> Document:
    if not isinstance(argument, dict):
        raise CommandError(15973, "the $sort key specification must be an object")
    if not argument:
        raise CommandError(15976, "$sort stage must have at least one sort key")
    return argument


def _count(name: str, argument: Any, code: int) -> int:
    if not is_number(argument):
        raise CommandError(
            code, f"invalid argument to {name} stage: Expected a number in: {name}: {render(argument)}"
        )
    number = as_integer(argument, name)
    if number < 0:
        raise CommandError(
            code, f"invalid argument to {name} stage: Expected a non-negative number in: {name}: {number}"
        )
    return number


def _limit_of(argument: Any) -> int:
    number = _count("$limit", argument, 5107201)
    if number == 0:
        raise CommandError(15958, "the limit must be positive")
    return number


def _match_filter(argument: Any) -> Document:
    if not isinstance(argument, dict):
        raise CommandError(15959, "the match filter must be an expression in an object")
    return argument


def _match(argument: Any) -> Stage:
    matches = matching.parse(_match_filter(argument)).matches
    return lambda documents: [document for document in documents if matches(document)]


def _sort(argument: Any) -> Stage:
    order = ordering.parse(_sort_specification(argument))
    return lambda documents: ordering.sort_documents(documents, order)


def _limit(argument: Any) -> Stage:
    number = _limit_of(argument)
    return lambda documents: documents[:number]


def _skip(argument: Any) -> Stage:
    number = _count("$skip", argument, 15956)
    return lambda documents: documents[number:]


def _count_stage(argument: Any) -> Stage:
    if not isinstance(argument, str) or not argument:
        raise CommandError(
            40156 if not isinstance(argument, str) else 40157, "the count field must be a non-empty string"
        )
    if argument.startswith("$"):
        raise CommandError(40158, "the count field cannot be a $-prefixed path")
    if "." in argument:
        raise CommandError(40160, "the count field cannot contain '.'")
    return lambda documents: [{argument: len(documents)}] if documents else []


def _project(argument: Any) -> Stage:
    if not isinstance(argument, dict):
        raise CommandError(15969, "$project specification must be an object")
    if not argument:
        raise CommandError(
            51272, "Invalid $project :: caused by :: projection specification must have at least one field"
        )
    project = projection.parse(argument)
    return lambda documents: [project(document) for document in documents]


def _add_fields(argument: Any) -> Stage:
    if not isinstance(argument, dict):
        raise CommandError(
            40272, f"$addFields specification stage must be an object, got {type_name(argument)}"
        )
    if not argument:
        raise CommandError(
            40177, "Invalid $addFields :: caused by :: specification must have at least one field"
        )
    fields = [(split(path), expressions.parse(value)) for path, value in argument.items()]

    def add(document: Document) -> Document:
        result = document
        for parts, expression in fields:
            result = with_value(result, parts, expressions.evaluate(expression, document))
        return result

    return lambda documents: [add(document) for document in documents]


def _unset(argument: Any) -> Stage:
    paths = argument if isinstance(argument, list) else [argument]
    if not paths or not all(isinstance(path, str) and path for path in paths):
        raise CommandError(31120, "$unset specification must be a string or an array of strings")
    project = projection.parse(dict.fromkeys(paths, 0))
    return lambda documents: [project(document) for document in documents]


def _replace_root(argument: Any) -> Stage:
    if not isinstance(argument, dict) or list(argument) != ["newRoot"]:
        raise CommandError(
            40229, "expected an object as specification for $replaceRoot stage, with the field newRoot"
        )
    return _replace_with(argument["newRoot"])


def _replace_with(argument: Any) -> Stage:
    expression = expressions.parse(argument)

    def replace(document: Document) -> Document:
        value = expressions.evaluate(expression, document)
        if not isinstance(value, dict):
            raise CommandError(
                40228,
                f"'newRoot' expression must evaluate to an object, but resulting value was: {render(value)}",
            )
        return value

    return lambda documents: [replace(document) for document in documents]


def _unwind(argument: Any) -> Stage:
    options = argument if isinstance(argument, dict) else {"path": argument}
    for option in options:
        if option not in ("path", "includeArrayIndex", "preserveNullAndEmptyArrays"):
            raise CommandError(28811, f"unrecognized option to $unwind stage: {option}")
    path = options.get("path")
    if not isinstance(path, str):
        raise CommandError(28808, f"expected a string as the path for $unwind stage, got {type_name(path)}")
    if not path.startswith("$") or len(path) < 2:
        raise CommandError(28818, f"path option to $unwind stage should be prefixed with a '$': {path}")
    parts = split(path[1:])
    position_name = options.get("includeArrayIndex")
    preserve = options.get("preserveNullAndEmptyArrays", False)
    if not isinstance(preserve, bool):
        raise CommandError(
            28809, "expected a boolean for the preserveNullAndEmptyArrays option to $unwind stage"
        )

    def numbered(document: Document, position: int | None) -> Any:
        return with_value(document, split(position_name), position) if position_name else document

    def run(documents: Sequence[Document]) -> Sequence[Document]:
        result: list[Document] = []
        for document in documents:
            value = get(document, path[1:])
            if isinstance(value, list) and value:
                result += [numbered(with_value(document, parts, item), at) for at, item in enumerate(value)]
            elif isinstance(value, list) or value is None or value is MISSING:
                if preserve:
                    kept = with_value(document, parts, MISSING) if isinstance(value, list) else document
                    result.append(numbered(kept, None))
            else:
                result.append(numbered(document, None))
        return result

    return run


def _sample(argument: Any) -> Stage:
    if not isinstance(argument, dict) or list(argument) != ["size"] or not is_number(argument["size"]):
        raise CommandError(28745, "the $sample stage specification must be an object with the number 'size'")
    size = as_integer(argument["size"], "size")
    if size <= 0:
        raise CommandError(28747, "size argument to $sample must be a positive integer")
    return lambda documents: random.sample(documents, min(size, len(documents)))


def _sort_by_count(argument: Any) -> Stage:
    if not (isinstance(argument, dict) or (isinstance(argument, str) and argument.startswith("$"))):
        raise CommandError(
            40148, "the sortByCount field must be defined as a $-prefixed path or an expression"
        )
    return parse([("$group", {"_id": argument, "count": {"$sum": 1}}), ("$sort", {"count": -1})])


_STAGES: dict[str, Callable[[Any], Stage]] = {
    "$match": _match,
    "$sort": _sort,
    "$limit": _limit,
    "$skip": _skip,
    "$count": _count_stage,
    "$project": _project,
    "$set": _add_fields,
    "$addFields": _add_fields,
    "$unset": _unset,
    "$replaceRoot": _replace_root,
    "$replaceWith": _replace_with,
    "$unwind": _unwind,
    "$sample": _sample,
    "$sortByCount": _sort_by_count,
    "$group": grouping.parse,
}
