"""insert, update, delete and findAndModify."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.database import aggregation, execution, predicates, projection, updating
from sandbox.database.collection import Collection
from sandbox.database.commands.registry import Context, boolean, command, mapping, refuse, statements
from sandbox.database.errors import CommandError, Document, failed_to_parse, not_implemented, type_mismatch
from sandbox.database.paths import put
from sandbox.database.updating import Update

UPDATE_STATEMENT = "q u multi upsert collation arrayFilters hint c upsertSupplied"
DELETE_STATEMENT = "q limit hint collation"


def _run_batch(body: Document, items: list[Document], run: Callable[[int, Document], None]) -> list[Document]:
    """Run the statements one after another; the `writeErrors`. Ordered batches end at the first."""
    failures: list[Document] = []
    for position, item in enumerate(items):
        try:
            run(position, item)
        except CommandError as error:
            failures.append(error.write_error(position))
            if boolean(body, "ordered", True):
                break
    return failures


def _check_statement(item: Document) -> None:
    refuse(item, "arrayFilters", "c", "upsertSupplied")
    if item.get("collation") not in (None, {"locale": "simple"}):
        raise not_implemented("Collation")


@command(
    "insert", fields="ordered bypassDocumentValidation", required="documents", action="insert", write=True
)
def insert(context: Context, body: Document) -> Document:
    documents = statements(body, "documents", "")
    collection = context.instance.collection_or_create(context.database, body["insert"])
    bypass = _bypass(context, body)
    inserted = 0

    def run(_: int, document: Document) -> None:
        nonlocal inserted
        context.instance.operations["insert"] += 1
        collection.insert(document, bypass_validation=bypass)
        inserted += 1

    failures = _run_batch(body, documents, run)
    return {"n": inserted, **({"writeErrors": failures} if failures else {})}


def _bypass(context: Context, body: Document) -> bool:
    wanted = boolean(body, "bypassDocumentValidation")
    if wanted:
        context.require("bypassDocumentValidation", body, context.database)
    return wanted


def parse_update(specification: Any) -> Update:
    return updating.parse(specification, aggregation.parse_update)


def _upsert(collection: Collection, query: execution.Query, update: Update, bypass: bool) -> Any:
    """Insert what the query and the update say; the new `_id`."""
    base: Document = {}
    for path, value in predicates.equalities(query.predicate).items():
        put(base, path, value)
    if update.replacement is not None:
        base = {"_id": base["_id"]} if "_id" in base else {}
    return collection.insert(update.apply(base, inserting=True), bypass_validation=bypass)


@command(
    "update", fields="ordered bypassDocumentValidation let", required="updates", action="update", write=True
)
def update(context: Context, body: Document) -> Document:
    items = statements(body, "updates", UPDATE_STATEMENT)
    bypass = _bypass(context, body)
    matched = modified = 0
    upserted: list[Document] = []

    def run(position: int, item: Document) -> None:
        nonlocal matched, modified
        context.instance.operations["update"] += 1
        query, change = parse_update_statement(item, context.deadline)
        if boolean(item, "upsert"):
            collection: Collection | None = context.instance.collection_or_create(
                context.database, body["update"]
            )
        else:
            collection = context.instance.collection(context.database, body["update"])
        found = execution.run(collection, query)
        if collection is None:
            return
        for record_id, record in found:
            new = change.apply(record.document)
            modified += collection.replace(record_id, new, bypass_validation=bypass)
            matched += 1
        if not found and boolean(item, "upsert"):
            upserted.append({"index": position, "_id": _upsert(collection, query, change, bypass)})

    failures = _run_batch(body, items, run)
    reply: Document = {"n": matched + len(upserted), "nModified": modified}
    if upserted:
        reply["upserted"] = upserted
    return reply | ({"writeErrors": failures} if failures else {})


def parse_update_statement(item: Document, deadline: float | None = None) -> tuple[execution.Query, Update]:
    """One statement of an update command: what to find, and how to change it."""
    _check_statement(item)
    multi = boolean(item, "multi")
    change = parse_update(item.get("u"))
    if multi and change.replacement is not None:
        raise failed_to_parse("multi update is not supported for replacement-style update")
    query = execution.parse(
        mapping(item, "q"), limit=0 if multi else 1, hint=item.get("hint"), deadline=deadline
    )
    return query, change


@command("delete", fields="ordered let", required="deletes", action="remove", write=True)
def delete(context: Context, body: Document) -> Document:
    items = statements(body, "deletes", DELETE_STATEMENT)
    deleted = 0

    def run(_: int, item: Document) -> None:
        nonlocal deleted
        context.instance.operations["delete"] += 1
        query = parse_delete_statement(item, context.deadline)
        collection = context.instance.collection(context.database, body["delete"])
        for record_id, _record in execution.run(collection, query):
            if collection is not None:
                collection.delete(record_id)
                deleted += 1

    failures = _run_batch(body, items, run)
    return {"n": deleted, **({"writeErrors": failures} if failures else {})}


def parse_delete_statement(item: Document, deadline: float | None = None) -> execution.Query:
    _check_statement(item)
    if item.get("limit") not in (0, 1):
        raise failed_to_parse(f"The limit field in delete objects must be 0 or 1. Got {item.get('limit')}")
    return execution.parse(
        mapping(item, "q"), limit=int(item["limit"]), hint=item.get("hint"), deadline=deadline
    )


FIND_AND_MODIFY_FIELDS = (
    "query sort remove update new fields upsert bypassDocumentValidation arrayFilters hint collation let"
)


@command("findAndModify", "findandmodify", fields=FIND_AND_MODIFY_FIELDS, write=True)
def find_and_modify(context: Context, body: Document) -> Document:
    remove, change = _modification(body)
    context.require("find", body, context.database)
    context.require("remove" if remove else "update", body, context.database)
    upsert = boolean(body, "upsert")
    fields = mapping(body, "fields")
    project = projection.parse(fields) if fields else lambda document: document
    bypass = _bypass(context, body)
    name = body[next(iter(body))]
    instance = context.instance
    collection = (
        instance.collection_or_create(context.database, name)
        if upsert
        else instance.collection(context.database, name)
    )
    query = execution.parse(
        mapping(body, "query"),
        mapping(body, "sort"),
        limit=1,
        hint=body.get("hint"),
        deadline=context.deadline,
    )
    found = execution.run(collection, query)
    if collection is None or (not found and not upsert):
        last = {"n": 0} if remove else {"n": 0, "updatedExisting": False}
        return {"lastErrorObject": last, "value": None}
    if not found:
        identifier = _upsert(collection, query, _given(change), bypass)
        value = None
        if boolean(body, "new"):
            value = project(next(reversed(collection.records.values())).document)
        return {"lastErrorObject": {"n": 1, "updatedExisting": False, "upserted": identifier}, "value": value}
    record_id, record = found[0]
    if remove:
        collection.delete(record_id)
        return {"lastErrorObject": {"n": 1}, "value": project(record.document)}
    collection.replace(record_id, _given(change).apply(record.document), bypass_validation=bypass)
    shown = collection.records[record_id].document if boolean(body, "new") else record.document
    return {"lastErrorObject": {"n": 1, "updatedExisting": True}, "value": project(shown)}


def _modification(body: Document) -> tuple[bool, Update | None]:
    """(remove?, the update otherwise); raises FailedToParse for neither and for both."""
    refuse(body, "arrayFilters")
    remove = boolean(body, "remove")
    if remove and body.get("update") is not None:
        raise failed_to_parse("Cannot specify both an update and remove=true")
    if not remove and body.get("update") is None:
        raise failed_to_parse("Either an update or remove=true must be specified")
    if remove and boolean(body, "upsert"):
        raise failed_to_parse("Cannot specify both upsert=true and remove=true")
    if remove and boolean(body, "new"):
        raise failed_to_parse(
            "Cannot specify both new=true and remove=true; 'remove' always returns the deleted document"
        )
    return remove, None if remove else parse_update(body["update"])


def _given(change: Update | None) -> Update:
    if change is None:
        raise type_mismatch("the update is missing")
    return change
