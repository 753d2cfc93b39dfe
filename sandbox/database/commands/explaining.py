"""explain, around find, count, distinct, aggregate, update, delete and findAndModify."""

from __future__ import annotations

from sandbox.database import aggregation, execution, explain
from sandbox.database.commands.reading import aggregate_query, count_query, find_query
from sandbox.database.commands.registry import Context, check_fields, command, find, mapping, statements
from sandbox.database.commands.writing import (
    DELETE_STATEMENT,
    UPDATE_STATEMENT,
    parse_delete_statement,
    parse_update_statement,
)
from sandbox.database.errors import CommandError, Document, bad_value, type_mismatch
from sandbox.database.execution import Query
from sandbox.database.instance import VERSION

_VERBOSITIES = ("queryPlanner", "executionStats", "allPlansExecution")
_ACTIONS = {
    "find": "find", "count": "find", "distinct": "find", "aggregate": "find", "update": "update",
    "delete": "remove", "findAndModify": "update",
}  # fmt: skip


@command("explain", fields="verbosity")
def explain_command(context: Context, body: Document) -> Document:
    """What the inner command would do; it changes nothing, and doesn't count as a use of an index."""
    inner = body["explain"]
    if not isinstance(inner, dict) or not inner:
        raise type_mismatch("BSON field 'explain.explain' is the wrong type, expected type 'object'")
    verbosity = body.get("verbosity", "allPlansExecution")
    if verbosity not in _VERBOSITIES:
        raise bad_value(
            f"Enumeration value '{verbosity}' for field 'explain.verbosity' is not a valid value."
        )
    name = next(iter(inner))
    found = find(name)
    if name not in _ACTIONS:
        raise CommandError(20, f"Explain is not supported for the command: {name}")
    check_fields(found, inner)
    context.require(_ACTIONS[name], inner, context.database)
    query, projected, wrapper, rest = _query(inner, name)
    collection = context.instance.collection(context.database, inner[name])
    described = explain.explain(
        collection,
        f"{context.database}.{inner[name]}",
        query,
        verbosity=verbosity,
        projected=projected,
        wrapper=wrapper,
    )
    reply: Document = {"explainVersion": "1"}
    if rest:
        reply["stages"] = [{"$cursor": described}, *({stage: argument} for stage, argument in rest)]
    else:
        reply |= described
    host, _, port = context.instance.address.rpartition(":")
    return reply | {
        "command": {**inner, "$db": context.database},
        "serverInfo": {"host": host, "port": int(port), "version": VERSION, "gitVersion": "sandbox-embedded"},
    }


def _query(  # noqa: PLR0911 - one return per command
    inner: Document, name: str
) -> tuple[Query, Document | None, str | None, list[tuple[str, object]]]:
    """(query, projection, stage on top, pipeline stages after the query)"""
    if name == "find":
        query, projected = find_query(inner)
        return query, projected, None, []
    if name == "count":
        return count_query(inner), None, "COUNT", []
    if name == "distinct":
        return execution.parse(mapping(inner, "query")), None, None, []
    if name == "aggregate":
        stages = aggregation.stages(inner["pipeline"])
        if stages and stages[0][0] in aggregation.SOURCES:
            raise CommandError(20, f"Explain is not supported for a pipeline that starts with {stages[0][0]}")
        query, rest = aggregate_query(inner, stages)
        aggregation.parse(rest)
        return query, None, None, rest
    if name == "update":
        query, _ = parse_update_statement(_single(inner, "updates", UPDATE_STATEMENT))
        return query, None, "UPDATE", []
    if name == "delete":
        return parse_delete_statement(_single(inner, "deletes", DELETE_STATEMENT)), None, "DELETE", []
    query = execution.parse(mapping(inner, "query"), mapping(inner, "sort"), limit=1, hint=inner.get("hint"))
    return query, None, "DELETE" if inner.get("remove") else "UPDATE", []


def _single(inner: Document, field: str, allowed: str) -> Document:
    items = statements(inner, field, allowed)
    if len(items) != 1:
        raise CommandError(16, "explained write batches must be of size 1")
    return items[0]
