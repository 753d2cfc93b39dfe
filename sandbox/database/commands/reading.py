"""find, getMore, killCursors, count, distinct and aggregate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sandbox.database import aggregation, execution, projection
from sandbox.database.collection import Collection
from sandbox.database.commands.registry import Context, boolean, command, integer, mapping, refuse
from sandbox.database.commands.statistics import collection_stage, index_stage, operations_stage
from sandbox.database.errors import CommandError, Document, failed_to_parse, type_mismatch
from sandbox.database.execution import Query
from sandbox.database.paths import reach, split
from sandbox.database.values import MISSING, as_integer, is_number, sort_key

FIND_FIELDS = (
    "filter projection sort skip limit batchSize singleBatch hint allowDiskUse noCursorTimeout "
    "allowPartialResults collation let max min returnKey showRecordId tailable awaitData oplogReplay"
)


def batch_size(options: Document) -> int | None:
    return integer(options, "batchSize") if "batchSize" in options else None


def find_query(body: Document, deadline: float | None = None) -> tuple[Query, Document | None]:
    """A find command's query and its projection, both parsed."""
    refuse(body, "max", "min", "returnKey", "showRecordId", "tailable", "awaitData", "oplogReplay")
    query = execution.parse(
        mapping(body, "filter"),
        mapping(body, "sort"),
        skip=integer(body, "skip"),
        limit=integer(body, "limit"),
        hint=body.get("hint"),
        deadline=deadline,
    )
    return query, mapping(body, "projection") or None


@command("find", fields=FIND_FIELDS, action="find")
def find(context: Context, body: Document) -> Document:
    context.instance.operations["query"] += 1
    query, projected = find_query(body, context.deadline)
    project = projection.parse(projected) if projected else None
    found = execution.run(context.instance.collection(context.database, body["find"]), query)
    documents: list[Any] = (
        execution.records(found) if project is None else [project(record.document) for _, record in found]
    )
    cursor = context.instance.open_cursor(
        f"{context.database}.{body['find']}",
        documents,
        context.owner,
        batch_size(body),
        single_batch=boolean(body, "singleBatch"),
    )
    return {"cursor": cursor}


@command("getMore", fields="collection batchSize", required="collection")
def get_more(context: Context, body: Document) -> Document:
    context.instance.operations["getmore"] += 1
    cursor_id = body["getMore"]
    if not isinstance(cursor_id, int):
        raise type_mismatch("BSON field 'getMore.getMore' is the wrong type, expected type 'long'")
    namespace = f"{context.database}.{body['collection']}"
    return {"cursor": context.instance.continue_cursor(cursor_id, namespace, context.owner, batch_size(body))}


@command("killCursors", fields="cursors", required="cursors", action="killCursors")
def kill_cursors(context: Context, body: Document) -> Document:
    cursors = body["cursors"]
    if not isinstance(cursors, list) or not all(isinstance(cursor, int) for cursor in cursors):
        raise type_mismatch("BSON field 'killCursors.cursors' must be an array of longs")
    killed = {cursor_id: context.instance.kill_cursor(cursor_id) for cursor_id in cursors}
    return {
        "cursorsKilled": [i for i, was in killed.items() if was],
        "cursorsNotFound": [i for i, was in killed.items() if not was],
        "cursorsAlive": [],
        "cursorsUnknown": [],
    }


COUNT_FIELDS = "query limit skip hint collation fields"


def count_query(body: Document, deadline: float | None = None) -> Query:
    limit = body.get("limit") or 0
    if not is_number(limit):
        raise type_mismatch("BSON field 'count.limit' is the wrong type, expected type 'long'")
    return execution.parse(
        mapping(body, "query"),
        skip=integer(body, "skip"),
        limit=abs(as_integer(limit, "limit")),
        hint=body.get("hint"),
        deadline=deadline,
    )


@command("count", fields=COUNT_FIELDS, action="find")
def count(context: Context, body: Document) -> Document:
    query = count_query(body, context.deadline)
    collection = context.instance.collection(context.database, body["count"])
    everything = not body.get("query") and not query.skip and not query.limit and query.hint is None
    if everything and collection is not None:
        return {"n": len(collection.records)}
    return {"n": len(execution.run(collection, query))}


@command("distinct", fields="key query collation", required="key", action="find")
def distinct(context: Context, body: Document) -> Document:
    if not isinstance(body["key"], str):
        raise type_mismatch("BSON field 'distinct.key' is the wrong type, expected type 'string'")
    query = execution.parse(mapping(body, "query"), deadline=context.deadline)
    found = execution.run(context.instance.collection(context.database, body["distinct"]), query)
    parts = split(body["key"])
    values: dict[Any, Any] = {}
    for _, record in found:
        for whole in reach(record.document, parts, expand=False):
            for value in whole if isinstance(whole, list) else [whole]:
                if value is not MISSING:
                    values.setdefault(sort_key(value), value)
    return {"values": [values[key] for key in sorted(values)]}


AGGREGATE_FIELDS = "pipeline cursor explain allowDiskUse hint bypassDocumentValidation collation let"


def aggregate_query(
    body: Document, stages: list[tuple[str, Any]], deadline: float | None = None
) -> tuple[Query, list[tuple[str, Any]]]:
    """The query that the pipeline starts with, and the stages after it."""
    pushed, rest = aggregation.pushed_down(stages)
    query = execution.parse(
        pushed["filter"],
        pushed.get("sort"),
        skip=pushed.get("skip", 0),
        limit=pushed.get("limit", 0),
        hint=body.get("hint"),
        deadline=deadline,
    )
    return query, rest


@command("aggregate", fields=AGGREGATE_FIELDS, required="pipeline")
def aggregate(context: Context, body: Document) -> Document:
    stages = aggregation.stages(body["pipeline"])
    if boolean(body, "explain"):
        raise CommandError(
            238, "Use the explain command around aggregate: the 'explain' option is not implemented"
        )
    if not isinstance(body.get("cursor"), dict):
        raise failed_to_parse(
            "The 'cursor' option is required, except for aggregate with the explain argument"
        )
    for option in body["cursor"]:
        if option != "batchSize":
            raise CommandError(40415, f"BSON field 'cursor.{option}' is an unknown field.")
    documents, namespace = _source(context, body, stages)
    cursor = context.instance.open_cursor(namespace, documents, context.owner, batch_size(body["cursor"]))
    return {"cursor": cursor}


def _source(
    context: Context, body: Document, stages: list[tuple[str, Any]]
) -> tuple[Sequence[Document | bytes], str]:
    target = body["aggregate"]
    first, argument = stages[0] if stages else ("", None)
    if target == 1 and not isinstance(target, str):
        if first != "$currentOp":
            raise CommandError(
                73, "{aggregate: 1} is not valid for a pipeline that doesn't start with $currentOp"
            )
        documents = operations_stage(context, body, argument)
        return aggregation.parse(stages[1:])(documents), f"{context.database}.$cmd.aggregate"
    if first == "$currentOp":
        raise CommandError(73, "$currentOp must be run against the 'admin' database with {aggregate: 1}")
    collection: Collection | None = context.instance.collection(context.database, target)
    namespace = f"{context.database}.{target}"
    if first in aggregation.SOURCES:
        make = {"$indexStats": index_stage, "$collStats": collection_stage}[first]
        return aggregation.parse(stages[1:])(make(context, body, argument)), namespace
    context.require("find", body, context.database)
    query, rest = aggregate_query(body, stages, context.deadline)
    after = aggregation.parse(rest)
    found = execution.run(collection, query)
    return (after(execution.Documents(found)) if rest else execution.records(found)), namespace
