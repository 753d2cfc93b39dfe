"""Whatever a client sends, the embedded database answers with a result or with an error of MongoDB's."""

from typing import Any

from bson import Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.database import commands, wire
from sandbox.database.authorization import User
from sandbox.database.commands.registry import _COMMANDS
from sandbox.database.instance import Connection, Instance
from sandbox.database.values import decode, encode

OPERATORS = [
    "$eq", "$gt", "$in", "$nin", "$not", "$elemMatch", "$all", "$mod", "$size", "$type", "$regex", "$options",
    "$exists", "$and", "$or", "$expr", "$jsonSchema", "$set", "$inc", "$mul", "$push", "$pull", "$rename",
    "$each", "$slice", "$sort", "$pop", "$min", "$currentDate", "$addToSet", "$unset", "$match", "$group", "$project",
    "$unwind", "$sample", "$count", "$limit", "$add", "$divide", "$mod", "$cond", "$switch", "$map", "$filter",
    "$arrayElemAt", "$toInt", "$split", "$round", "$ne", "$natural", "$indexStats", "$collStats", "$abs", "$sum",
    "required", "properties", "items", "enum", "minimum", "bsonType", "additionalProperties",
]  # fmt: skip
names = st.sampled_from(
    ["a", "b", "a.b", "a.0", "_id", "", "x.y.z", "$a", "a.$", "path", "input", "in", *OPERATORS]
)
scalars = st.sampled_from(
    [
        None, True, False, 0, 1, -1, 2**31, Int64(2**62), 0.5, float("nan"), float("inf"), -0.0, "", "a", "$a", "$$ROOT",
        "$$nope", "(", b"x", ObjectId("0" * 24), Regex("a"), Decimal128("1.5"), Decimal128("NaN"), Decimal128("Infinity"),
        MinKey(), MaxKey(), Timestamp(1, 1), "string", "number", [], {},
    ]
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = [
    {"_id": 1, "a": 1, "b": "text"},
    {"_id": 2, "a": [1, {"b": 2}], "b": None},
    {"_id": 3, "a": {"b": [1, 2]}},
]


def fresh() -> tuple[Instance, Connection]:
    instance = Instance("127.0.0.1:27017")
    connection = Connection(1, "127.0.0.1:1", users={"admin": "admin.root"})
    instance.users["admin.root"] = User("root", "admin", {}, [{"role": "root", "db": "admin"}])
    commands.run(instance, connection, {"insert": "t", "documents": DOCUMENTS, "$db": "shop"})
    index = {"key": {"a.b": 1, "b": -1}, "name": "ab"}
    commands.run(instance, connection, {"createIndexes": "t", "indexes": [index], "$db": "shop"})
    return instance, connection


def check(body: dict[str, Any]) -> None:
    instance, connection = fresh()
    request = decode(encode({**body, "$db": "shop"}))
    reply = commands.run(instance, connection, request)
    assert reply.get("code") != 1, reply
    for error in reply.get("writeErrors", []):
        assert error["code"] != 1
    # The reply can be sent, and the indexes still hold what the documents say.
    wire.reply(wire.Request(1, {}, wants_reply=True, legacy=False), reply)
    for collection in instance.databases.get("shop", {}).values():
        for index in collection.indexes.values():
            assert index.entries == sorted(
                (key, record_id)
                for record_id, record in collection.records.items()
                for key in index.keys_of(record.document)
            )


fuzz = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@fuzz
@given(values, values)
def test_no_filter_or_sort_makes_the_server_fail(condition: Any, sort: Any) -> None:
    check({"find": "t", "filter": condition, "sort": sort})
    check({"find": "t", "filter": {"a": condition}})


@fuzz
@given(st.sampled_from([name for name in OPERATORS if name.startswith("$")]), names, values)
def test_no_update_makes_the_server_fail(operator: str, path: str, operand: Any) -> None:
    check({"update": "t", "updates": [{"q": {}, "u": {operator: {path: operand}}, "multi": True}]})
    check({"update": "t", "updates": [{"q": {path: operand}, "u": {"$set": {"z": 1}}, "upsert": True}]})
    check(
        {"findAndModify": "t", "query": {}, "update": [{"$set": {path: operand}}], "fields": {path: operand}}
    )


@fuzz
@given(st.lists(st.dictionaries(names, values, min_size=1, max_size=1), max_size=3), values)
def test_no_pipeline_makes_the_server_fail(pipeline: Any, expression: Any) -> None:
    check({"aggregate": "t", "pipeline": pipeline, "cursor": {}})
    check({"aggregate": "t", "pipeline": [{"$set": {"z": expression}}], "cursor": {}})
    check(
        {
            "aggregate": "t",
            "pipeline": [{"$group": {"_id": expression, "n": {"$sum": expression}}}],
            "cursor": {},
        }
    )


@fuzz
@given(st.sampled_from(sorted(_COMMANDS)), values, st.data())
def test_no_command_with_wrong_fields_makes_the_server_fail(
    name: str, target: Any, data: st.DataObject
) -> None:
    fields = sorted(_COMMANDS[name].fields)
    chosen = data.draw(st.dictionaries(st.sampled_from(fields), values, max_size=4)) if fields else {}
    needed = {field: data.draw(values) for field in _COMMANDS[name].required}
    check({name: data.draw(st.sampled_from(["t", target])), **needed, **chosen})
    check({"explain": {name: "t", **needed, **chosen}})


@fuzz
@given(st.dictionaries(names, values, max_size=3), values, st.booleans())
def test_no_index_or_document_makes_the_server_fail(key: Any, option: Any, unique: bool) -> None:
    specification = {"key": key, "name": "x", "unique": unique, "partialFilterExpression": option}
    check({"createIndexes": "t", "indexes": [specification]})
    check({"insert": "t", "documents": [key, {"a": option, "b": option}]})
    check({"create": "other", "validator": option})
