"""The embedded database's queries, updates and aggregations, without sockets."""

from collections.abc import Callable
from typing import Any

import pytest
from bson import DatetimeMS, Decimal128, Int64, ObjectId, Regex

from sandbox.database import commands
from sandbox.database.commands.users import add_user
from sandbox.database.instance import Connection, Instance
from sandbox.database.values import decode

Document = dict[str, Any]
Run = Callable[..., Document]


@pytest.fixture
def run() -> Run:
    """Run a command on the database `shop` as root; the reply, whatever it is."""
    instance = Instance("127.0.0.1:27017")
    connection = Connection(1, "127.0.0.1:1")
    connection.users["admin"] = add_user(
        instance, "root", "admin", "s3cret", [{"role": "root", "db": "admin"}]
    ).identifier

    def send(body: Document, database: str = "shop") -> Document:
        return commands.run(instance, connection, {**body, "$db": database})

    return send


def seed(run: Run, *documents: Document) -> None:
    assert run({"insert": "things", "documents": list(documents)})["n"] == len(documents)


def ids(run: Run, condition: Document, **options: Any) -> list[Any]:
    reply = run({"find": "things", "filter": condition, **options})
    assert reply["ok"] == 1.0, reply
    return [raw["_id"] for raw in reply["cursor"]["firstBatch"]]


def update(run: Run, change: Any, condition: Document | None = None, **options: Any) -> Document:
    return run({"update": "things", "updates": [{"q": condition or {}, "u": change, **options}]})


def only(run: Run) -> Document:
    reply = run({"find": "things", "filter": {}, "projection": {"_id": 0}})
    (raw,) = reply["cursor"]["firstBatch"]
    return decode(raw.raw)


def aggregate(run: Run, *stages: Document) -> list[Document]:
    reply = run({"aggregate": "things", "pipeline": list(stages), "cursor": {}})
    assert reply["ok"] == 1.0, reply
    return [decode(raw.raw) for raw in reply["cursor"]["firstBatch"]]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"n": 1}, [1]),
        ({"n": 1.0}, [1]),
        ({"n": {"$gt": 1}}, [2]),
        ({"n": {"$gte": "a"}}, [3]),
        ({"n": {"$ne": 1}}, [2, 3, 4, 5, 6]),
        ({"n": None}, [4, 5]),
        ({"n": {"$exists": False}}, [4]),
        ({"n": {"$in": [1, Regex("^b")]}}, [1, 3]),
        ({"n": {"$nin": [1, 2]}}, [3, 4, 5, 6]),
        ({"n": {"$type": "number"}}, [1, 2]),
        ({"n": {"$not": {"$gt": 1}}}, [1, 3, 4, 5, 6]),
        ({"n": {"$elemMatch": {"b": 1, "c": 2}}}, [6]),
        ({"n.b": 3}, [6]),
        ({"n.1.c": 4}, [6]),
        ({"n": {"$size": 2}}, [6]),
        ({"n.b": {"$all": [1, 3]}}, [6]),
        ({"n": {"$mod": [2, 0]}}, [2]),
        ({"$or": [{"n": 1}, {"n": 2}]}, [1, 2]),
        ({"$nor": [{"n": 1}, {"n": 2}]}, [3, 4, 5, 6]),
        ({"$expr": {"$eq": ["$n", 2]}}, [2]),
        ({"n": Regex("^B", "i")}, [3]),
    ],
)
def test_a_filter_finds_what_mongodb_finds(run: Run, condition: Document, expected: list[int]) -> None:
    seed(
        run,
        {"_id": 1, "n": 1},
        {"_id": 2, "n": Int64(2)},
        {"_id": 3, "n": "b"},
        {"_id": 4},
        {"_id": 5, "n": None},
        {"_id": 6, "n": [{"b": 1, "c": 2}, {"b": 3, "c": 4}]},
    )
    assert ids(run, condition) == expected


@pytest.mark.parametrize(
    ("condition", "code", "name", "words"),
    [
        ({"a": {"$foo": 1}}, 2, "BadValue", "unknown operator: $foo"),
        ({"a": {"$gt": 1, "b": 2}}, 2, "BadValue", "unknown operator: b"),
        ({"$foo": 1}, 2, "BadValue", "unknown top level operator: $foo"),
        ({"$or": []}, 2, "BadValue", "nonempty array"),
        ({"a": {"$in": 1}}, 2, "BadValue", "$in needs an array"),
        ({"a": {"$options": "i"}}, 2, "BadValue", "$options needs a $regex"),
        ({"a": {"$regex": "("}}, 51091, "Location51091", "invalid"),
        ({"a": {"$type": "nope"}}, 2, "BadValue", "Unknown type name alias: nope"),
        ({"$where": "1"}, 238, "NotImplemented", "$where"),
        ({"$jsonSchema": {"nope": 1}}, 9, "FailedToParse", "Unknown $jsonSchema keyword: nope"),
        ({"$expr": {"$nope": 1}}, 168, "InvalidPipelineOperator", "Unrecognized expression '$nope'"),
    ],
)
def test_a_filter_that_mongodb_refuses_is_refused_even_without_documents(
    run: Run, condition: Document, code: int, name: str, words: str
) -> None:
    reply = run({"find": "nothing", "filter": condition})
    assert (reply["ok"], reply["code"], reply["codeName"]) == (0.0, code, name)
    assert words in reply["errmsg"]


def test_values_of_all_types_sort_in_mongodbs_order(run: Run) -> None:
    ordered = [None, 1, 2.5, "a", {"x": 1}, b"\x01", ObjectId("0" * 24), True, DatetimeMS(0), Regex("a")]
    seed(run, *({"_id": position, "v": value} for position, value in reversed(list(enumerate(ordered)))))
    assert ids(run, {}, sort={"v": 1}) == list(range(len(ordered)))
    assert ids(run, {}, sort={"v": -1}) == list(reversed(range(len(ordered))))


def test_an_array_sorts_by_its_least_element_upwards_and_by_its_greatest_downwards(run: Run) -> None:
    seed(run, {"_id": 1, "v": [1, 9]}, {"_id": 2, "v": [2, 3]}, {"_id": 3, "v": []})
    assert ids(run, {}, sort={"v": 1}) == [3, 1, 2]
    assert ids(run, {}, sort={"v": -1}) == [1, 2, 3]


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        ({}, {"$set": {"a.b": 1}}, {"a": {"b": 1}}),
        ({"a": [1, 2]}, {"$set": {"a.1": 9}}, {"a": [1, 9]}),
        ({"a": 1, "b": 2}, {"$unset": {"a": ""}}, {"b": 2}),
        ({"a": 1}, {"$inc": {"a": 2, "b": 1}}, {"a": 3, "b": 1}),
        ({"a": Decimal128("0.1")}, {"$inc": {"a": Decimal128("0.2")}}, {"a": Decimal128("0.3")}),
        ({"a": 2**31 - 1}, {"$inc": {"a": 1}}, {"a": 2**31}),
        ({"a": 3}, {"$mul": {"a": 2, "b": 5}}, {"a": 6, "b": 0}),
        ({"a": 3}, {"$min": {"a": 2}, "$max": {"b": 1}}, {"a": 2, "b": 1}),
        ({"a": 1}, {"$rename": {"a": "c.d"}}, {"c": {"d": 1}}),
        ({"a": [1]}, {"$push": {"a": {"$each": [3, 2], "$sort": 1, "$slice": 2}}}, {"a": [1, 2]}),
        ({"a": [1]}, {"$addToSet": {"a": {"$each": [1.0, 2]}}}, {"a": [1, 2]}),
        ({"a": [1, 5, 9]}, {"$pull": {"a": {"$gt": 4}}}, {"a": [1]}),
        ({"a": [{"b": 1}, {"b": 2}]}, {"$pull": {"a": {"b": 1}}}, {"a": [{"b": 2}]}),
        ({"a": [1, 2, 1]}, {"$pullAll": {"a": [1]}}, {"a": [2]}),
        ({"a": [1, 2]}, {"$pop": {"a": -1}}, {"a": [2]}),
        ({"a": 1}, {"b": 2}, {"b": 2}),
        ({"a": 2}, [{"$set": {"b": {"$multiply": ["$a", 3]}}}, {"$unset": "a"}], {"b": 6}),
        ({"a": 1}, {"$setOnInsert": {"b": 1}}, {"a": 1}),
    ],
)
def test_an_update_changes_a_document_as_mongodb_does(
    run: Run, before: Document, change: Any, after: Document
) -> None:
    seed(run, before)
    reply = update(run, change)
    assert reply["ok"] == 1.0
    assert "writeErrors" not in reply
    assert only(run) == after


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"$foo": {"a": 1}}, 9),
        ({"$set": {"a": 1}, "$inc": {"a": 1}}, 40),
        ({"$set": {"a": 1, "a.b": 1}}, 40),
        ({"$inc": {"a": "x"}}, 14),
        ({"$inc": {"text": 1}}, 14),
        ({"$push": {"text": 1}}, 2),
        ({"$set": {"_id": 9}}, 66),
        ({"$set": {"text.b": 1}}, 28),
        ({"$set": {"a.$[].b": 1}}, 238),
        ([{"$match": {}}], 72),
    ],
)
def test_an_update_that_mongodb_refuses_is_a_write_error_and_changes_nothing(
    run: Run, change: Any, code: int
) -> None:
    seed(run, {"_id": 1, "text": "t"})
    reply = update(run, change)
    assert [error["code"] for error in reply["writeErrors"]] == [code]
    assert only(run) == {"text": "t"}


def test_an_upsert_starts_from_the_equalities_of_its_query(run: Run) -> None:
    reply = update(
        run, {"$set": {"b": 2}, "$setOnInsert": {"c": 3}}, {"_id": 7, "a": 1, "z": {"$gt": 1}}, upsert=True
    )
    assert (reply["n"], reply["nModified"]) == (1, 0)
    assert reply["upserted"] == [{"index": 0, "_id": 7}]
    assert only(run) == {"a": 1, "b": 2, "c": 3}


def test_an_update_to_the_same_values_matches_but_modifies_nothing(run: Run) -> None:
    seed(run, {"_id": 1, "a": 1})
    reply = update(run, {"$set": {"a": 1}})
    assert (reply["n"], reply["nModified"]) == (1, 0)


def test_an_ordered_insert_stops_at_the_first_error_and_an_unordered_one_goes_on(run: Run) -> None:
    batch = [{"_id": 1}, {"_id": 1}, {"_id": 2}]
    ordered = run({"insert": "things", "documents": batch})
    assert (ordered["n"], [error["index"] for error in ordered["writeErrors"]]) == (1, [1])
    unordered = run({"insert": "others", "documents": batch, "ordered": False})
    assert (unordered["n"], [error["index"] for error in unordered["writeErrors"]]) == (2, [1])
    assert unordered["writeErrors"][0]["keyValue"] == {"_id": 1}


def test_find_and_modify_gives_the_document_before_or_after(run: Run) -> None:
    seed(run, {"_id": 1, "n": 1})
    before = run({"findAndModify": "things", "query": {"_id": 1}, "update": {"$inc": {"n": 1}}})
    assert before["value"] == {"_id": 1, "n": 1}
    after = run({"findAndModify": "things", "query": {"_id": 1}, "update": {"$inc": {"n": 1}}, "new": True})
    assert after["value"] == {"_id": 1, "n": 3}
    assert after["lastErrorObject"] == {"n": 1, "updatedExisting": True}
    removed = run({"findAndModify": "things", "query": {"_id": 1}, "remove": True})
    assert removed["value"] == {"_id": 1, "n": 3}
    assert run({"count": "things"})["n"] == 0
    missing = run({"findAndModify": "things", "query": {"_id": 1}, "update": {"$inc": {"n": 1}}})
    assert missing["value"] is None


def test_distinct_looks_into_arrays(run: Run) -> None:
    seed(run, {"t": [2, 1]}, {"t": 2}, {"x": 1})
    assert run({"distinct": "things", "key": "t"})["values"] == [1, 2]


@pytest.mark.parametrize(
    ("projection", "expected"),
    [
        ({"a": 1}, {"_id": 1, "a": {"b": 1, "c": 2}}),
        ({"a.b": 1, "_id": 0}, {"a": {"b": 1}}),
        ({"a": 0}, {"_id": 1, "d": [{"e": 1, "f": 2}]}),
        ({"d.e": 0, "a": 0}, {"_id": 1, "d": [{"f": 2}]}),
        ({"d": {"f": 1}, "_id": False}, {"d": [{"f": 2}]}),
        ({"sum": {"$add": ["$a.b", "$a.c"]}, "_id": 0}, {"sum": 3}),
    ],
)
def test_a_projection_keeps_what_it_says(run: Run, projection: Document, expected: Document) -> None:
    seed(run, {"_id": 1, "a": {"b": 1, "c": 2}, "d": [{"e": 1, "f": 2}]})
    reply = run({"find": "things", "projection": projection})
    assert [decode(raw.raw) for raw in reply["cursor"]["firstBatch"]] == [expected]


def test_a_projection_may_not_mix_inclusion_and_exclusion(run: Run) -> None:
    assert run({"find": "things", "projection": {"a": 1, "b": 0}})["code"] == 31254


def test_a_pipeline_groups_unwinds_sorts_and_counts(run: Run) -> None:
    seed(
        run, {"_id": 1, "k": "x", "v": [1, 2]}, {"_id": 2, "k": "x", "v": [3]}, {"_id": 3, "k": "y", "v": []}
    )
    assert aggregate(
        run,
        {"$unwind": "$v"},
        {"$group": {"_id": "$k", "sum": {"$sum": "$v"}, "mean": {"$avg": "$v"}, "all": {"$push": "$v"}}},
        {"$sort": {"_id": 1}},
    ) == [{"_id": "x", "sum": 6, "mean": 2.0, "all": [1, 2, 3]}]
    assert aggregate(run, {"$match": {"k": "x"}}, {"$count": "n"}) == [{"n": 2}]
    assert aggregate(run, {"$sortByCount": "$k"})[0] == {"_id": "x", "count": 2}
    added = aggregate(run, {"$match": {"_id": 3}}, {"$set": {"a.b": {"$size": "$v"}}}, {"$unset": "v"})
    assert added == [{"_id": 3, "k": "y", "a": {"b": 0}}]
    assert aggregate(
        run, {"$match": {"_id": 3}}, {"$unwind": {"path": "$v", "preserveNullAndEmptyArrays": True}}
    ) == [{"_id": 3, "k": "y"}]
    assert len(aggregate(run, {"$sample": {"size": 2}})) == 2


def test_a_pipeline_never_changes_what_is_stored(run: Run) -> None:
    seed(run, {"_id": 1, "a": {"b": [1]}})
    aggregate(run, {"$set": {"a.b": 2, "a.c": 3}}, {"$unset": "a.b"})
    assert only(run) == {"a": {"b": [1]}}


@pytest.mark.parametrize(
    ("stage", "code"),
    [
        ({"$nope": {}}, 40324),
        ({"$lookup": {}}, 238),
        ({"$match": 1}, 15959),
        ({"$limit": 0}, 15958),
        ({"$sort": {}}, 15976),
        ({"$sort": {"a": 2}}, 15975),
        ({"$group": {"a": {"$sum": 1}}}, 15955),
        ({"$group": {"_id": 1, "a": {"$nope": 1}}}, 15952),
        ({"$project": {}}, 51272),
        ({"$count": ""}, 40157),
        ({"$match": {}, "$limit": 1}, 40323),
    ],
)
def test_a_stage_that_mongodb_refuses_is_refused(run: Run, stage: Document, code: int) -> None:
    reply = run({"aggregate": "things", "pipeline": [stage], "cursor": {}})
    assert (reply["ok"], reply["code"]) == (0.0, code)
