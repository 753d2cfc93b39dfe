"""The embedded database's indexes, validators and explain, without sockets."""

from collections.abc import Callable
from typing import Any

import pytest
from bson import DatetimeMS

from sandbox.database import commands
from sandbox.database.commands.users import add_user
from sandbox.database.instance import Connection, Instance
from sandbox.database.values import decode, now

Document = dict[str, Any]
Run = Callable[..., Document]


@pytest.fixture
def instance() -> Instance:
    return Instance("127.0.0.1:27017")


@pytest.fixture
def run(instance: Instance) -> Run:
    """Run a command on the database `shop` as root; the reply, whatever it is."""
    connection = Connection(1, "127.0.0.1:1")
    connection.users["admin"] = add_user(
        instance, "root", "admin", "s3cret", [{"role": "root", "db": "admin"}]
    ).identifier

    def send(body: Document, database: str = "shop") -> Document:
        return commands.run(instance, connection, {**body, "$db": database})

    return send


def seed(run: Run, *documents: Document) -> None:
    assert run({"insert": "things", "documents": list(documents)})["n"] == len(documents)


def index(run: Run, key: Document, **options: Any) -> Document:
    name = options.pop("name", "_".join(f"{path}_{direction}" for path, direction in key.items()))
    return run({"createIndexes": "things", "indexes": [{"key": key, "name": name, **options}]})


def batch(reply: Document) -> list[Document]:
    assert reply["ok"] == 1.0, reply
    return [decode(raw.raw) for raw in reply["cursor"]["firstBatch"]]


def explain(run: Run, condition: Document, **options: Any) -> Document:
    reply = run(
        {"explain": {"find": "things", "filter": condition, **options}, "verbosity": "executionStats"}
    )
    assert reply["ok"] == 1.0, reply
    return reply


def stages(plan: Document) -> list[str]:
    """The stages' names from the top down."""
    below = [plan["inputStage"]] if "inputStage" in plan else plan.get("inputStages", [])
    return [plan["stage"], *(name for each in below for name in stages(each))]


def index_scan(plan: Document) -> Document:
    while plan["stage"] != "IXSCAN":
        plan = plan["inputStage"]
    return plan


def test_an_index_is_listed_as_it_was_asked_for_without_background(run: Run) -> None:
    reply = index(run, {"a": 1, "b.c": -1}, unique=True, background=True)
    assert (reply["numIndexesBefore"], reply["numIndexesAfter"]) == (1, 2)
    assert reply["createdCollectionAutomatically"] is True
    assert batch(run({"listIndexes": "things"})) == [
        {"v": 2, "key": {"_id": 1}, "name": "_id_"},
        {"v": 2, "key": {"a": 1, "b.c": -1}, "name": "a_1_b.c_-1", "unique": True},
    ]


def test_the_same_index_again_is_no_change(run: Run) -> None:
    index(run, {"a": 1}, unique=True)
    assert index(run, {"a": 1}, unique=True)["note"] == "all indexes already exist"


@pytest.mark.parametrize(
    ("key", "options", "code", "name"),
    [
        ({"a": 1}, {"unique": True}, 86, "IndexKeySpecsConflict"),
        ({"b": 1}, {"name": "a_1"}, 86, "IndexKeySpecsConflict"),
        ({"a": 1}, {"expireAfterSeconds": 5}, 85, "IndexOptionsConflict"),
        ({"a": 1}, {"name": "other"}, 85, "IndexOptionsConflict"),
        ({"a": 1}, {"name": "other", "expireAfterSeconds": 5}, 85, "IndexOptionsConflict"),
    ],
)
def test_an_index_in_conflict_with_one_that_is_there_is_refused(
    run: Run, key: Document, options: Document, code: int, name: str
) -> None:
    index(run, {"a": 1})
    reply = index(run, key, **options)
    assert (reply["code"], reply["codeName"]) == (code, name)
    assert len(batch(run({"listIndexes": "things"}))) == 2


@pytest.mark.parametrize(
    ("key", "options", "code"),
    [
        ({}, {}, 67),
        ({"a": 0}, {}, 67),
        ({"a": "nope"}, {}, 67),
        ({"a": "text"}, {}, 238),
        ({"a.": 1}, {}, 67),
        ({"a": 1}, {"nope": 1}, 197),
        ({"a": 1}, {"collation": {"locale": "de"}}, 238),
        ({"a": 1}, {"sparse": True, "partialFilterExpression": {"a": 1}}, 67),
        ({"a": 1}, {"partialFilterExpression": {"a": {"$ne": 1}}}, 67),
        ({"a": 1}, {"expireAfterSeconds": -1}, 67),
        ({"a": 1, "b": 1}, {"expireAfterSeconds": 1}, 67),
        ({"_id": 1}, {"unique": True}, 197),
    ],
)
def test_a_wrong_index_specification_is_refused_and_creates_nothing(
    run: Run, key: Document, options: Document, code: int
) -> None:
    assert index(run, key, **options)["code"] == code
    assert batch(run({"listCollections": 1})) == []


def test_a_unique_index_refuses_a_duplicate_and_names_it(run: Run) -> None:
    index(run, {"email": 1}, unique=True)
    reply = run({"insert": "things", "documents": [{"email": "a@b.c"}, {"email": "a@b.c"}]})
    (error,) = reply["writeErrors"]
    assert error["code"] == 11000
    assert (error["keyPattern"], error["keyValue"]) == ({"email": 1}, {"email": "a@b.c"})
    assert error["errmsg"] == (
        'E11000 duplicate key error collection: shop.things index: email_1 dup key: { email: "a@b.c" }'
    )


def test_a_unique_index_on_duplicates_is_not_built_and_names_one(run: Run) -> None:
    seed(run, {"_id": 1, "a": 5}, {"_id": 2, "a": 5.0})
    reply = index(run, {"a": 1}, unique=True)
    assert (reply["code"], reply["codeName"]) == (11000, "DuplicateKey")
    assert (reply["keyPattern"], reply["keyValue"]) == ({"a": 1}, {"a": 5.0})
    assert [each["name"] for each in batch(run({"listIndexes": "things"}))] == ["_id_"]


def test_missing_fields_are_duplicates_unless_the_index_is_sparse_or_partial(run: Run) -> None:
    seed(run, {"_id": 1}, {"_id": 2})
    assert index(run, {"a": 1}, unique=True)["code"] == 11000
    assert index(run, {"a": 1}, unique=True, sparse=True)["ok"] == 1.0
    partial = {"b": {"$exists": True}}
    assert index(run, {"b": 1}, unique=True, partialFilterExpression=partial)["ok"] == 1.0


def test_an_update_into_a_duplicate_changes_nothing(run: Run) -> None:
    index(run, {"a": 1}, unique=True)
    seed(run, {"_id": 1, "a": 1}, {"_id": 2, "a": 2})
    reply = run({"update": "things", "updates": [{"q": {"_id": 2}, "u": {"$set": {"a": 1, "b": 1}}}]})
    assert reply["writeErrors"][0]["code"] == 11000
    assert batch(run({"find": "things", "filter": {"_id": 2}})) == [{"_id": 2, "a": 2}]
    assert batch(run({"find": "things", "filter": {"a": 2}})) == [{"_id": 2, "a": 2}]


def test_one_key_through_two_arrays_is_refused_and_through_one_array_is_paired(run: Run) -> None:
    index(run, {"a": 1, "b": 1})
    assert run({"insert": "things", "documents": [{"a": [1], "b": [2]}]})["writeErrors"][0]["code"] == 171
    index(run, {"a.x": 1, "a.y": 1}, unique=True)
    seed(run, {"a": [{"x": 1, "y": 2}, {"x": 3, "y": 4}]}, {"a": [{"x": 1, "y": 4}]})


def test_indexes_are_dropped_by_name_by_key_and_all_but_id(run: Run) -> None:
    for path in "abcd":
        index(run, {path: 1})
    assert run({"dropIndexes": "things", "index": "a_1"}) == {"nIndexesWas": 5, "ok": 1.0}
    assert run({"dropIndexes": "things", "index": {"b": 1}})["nIndexesWas"] == 4
    assert run({"dropIndexes": "things", "index": "nope"})["code"] == 27
    assert run({"dropIndexes": "things", "index": "_id_"})["code"] == 72
    assert run({"dropIndexes": "things", "index": "*"})["nIndexesWas"] == 3
    assert [each["name"] for each in batch(run({"listIndexes": "things"}))] == ["_id_"]
    assert run({"dropIndexes": "nothing", "index": "*"})["code"] == 26


def test_the_ttl_monitor_deletes_what_is_over_and_only_that(run: Run, instance: Instance) -> None:
    index(run, {"at": 1}, expireAfterSeconds=60)
    long_ago, just_now = DatetimeMS(int(now()) - 61_000), now()
    seed(run, {"_id": 1, "at": long_ago}, {"_id": 2, "at": just_now}, {"_id": 3, "at": "text"}, {"_id": 4})
    assert instance.expire_documents() == 1
    assert [each["_id"] for each in batch(run({"find": "things"}))] == [2, 3, 4]


def test_an_equality_is_answered_by_the_index_with_the_fewest_keys(run: Run) -> None:
    index(run, {"kind": 1})
    index(run, {"kind": 1, "n": 1})
    seed(run, *({"kind": "x", "n": n} for n in range(100)))
    reply = explain(run, {"kind": "x", "n": 7})
    plan = reply["queryPlanner"]["winningPlan"]
    assert stages(plan) == ["FETCH", "IXSCAN"]
    scan = index_scan(plan)
    assert scan["indexName"] == "kind_1_n_1"
    assert scan["indexBounds"] == {"kind": ['["x", "x"]'], "n": ["[7, 7]"]}
    assert [index_scan(each)["indexName"] for each in reply["queryPlanner"]["rejectedPlans"]] == ["kind_1"]
    statistics = reply["executionStats"]
    assert (statistics["nReturned"], statistics["totalKeysExamined"], statistics["totalDocsExamined"]) == (
        1,
        1,
        1,
    )


def test_a_query_without_an_index_scans_the_collection(run: Run) -> None:
    seed(run, *({"n": n} for n in range(50)))
    reply = explain(run, {"n": {"$lt": 5}}, sort={"n": -1}, limit=2)
    assert stages(reply["queryPlanner"]["winningPlan"]) == ["SORT", "COLLSCAN"]
    statistics = reply["executionStats"]
    assert (statistics["nReturned"], statistics["totalKeysExamined"], statistics["totalDocsExamined"]) == (
        2,
        0,
        50,
    )


def test_an_index_in_the_sorts_order_saves_the_sort_and_stops_at_the_limit(run: Run) -> None:
    index(run, {"kind": 1, "at": -1})
    seed(run, *({"kind": n % 2, "at": n} for n in range(100)))
    reply = explain(run, {"kind": 1}, sort={"at": 1}, limit=3)
    plan = reply["executionStats"]["executionStages"]
    assert stages(plan) == ["LIMIT", "FETCH", "IXSCAN"]
    assert index_scan(plan)["direction"] == "backward"
    assert reply["executionStats"]["totalDocsExamined"] == 3


@pytest.mark.parametrize(
    ("condition", "bounds"),
    [
        ({"a": {"$gt": 5}}, ["(5, inf.0]"]),
        ({"a": {"$gte": 1, "$lt": 3}}, ["[1, 3)"]),
        ({"a": {"$in": [3, 1]}}, ["[1, 1]", "[3, 3]"]),
        ({"a": {"$ne": 2}}, ["[MinKey, 2)", "(2, MaxKey]"]),
        ({"a": {"$lt": "b"}}, ['["", "b")']),
    ],
)
def test_bounds_are_shown_in_mongodbs_notation(run: Run, condition: Document, bounds: list[str]) -> None:
    index(run, {"a": 1})
    assert index_scan(explain(run, condition)["queryPlanner"]["winningPlan"])["indexBounds"] == {"a": bounds}


def test_a_fetch_shows_as_its_filter_only_what_the_bounds_do_not_say(run: Run) -> None:
    index(run, {"a": 1, "b": 1})
    seed(run, {"a": 1, "b": 1, "c": 1})
    plan = explain(run, {"a": 1, "b": {"$gt": 0}, "c": 1})["queryPlanner"]["winningPlan"]
    assert plan["filter"] == {"c": {"$eq": 1}}
    assert "filter" not in explain(run, {"a": 1, "b": 1})["queryPlanner"]["winningPlan"]


def test_a_look_up_by_id_is_an_idhack_and_a_missing_collection_an_eof(run: Run) -> None:
    assert stages(explain(run, {})["queryPlanner"]["winningPlan"]) == ["EOF"]
    seed(run, {"_id": 1})
    assert stages(explain(run, {"_id": 1})["queryPlanner"]["winningPlan"]) == ["IDHACK"]


def test_an_or_uses_an_index_per_branch(run: Run) -> None:
    index(run, {"a": 1})
    index(run, {"b": 1})
    seed(run, {"a": 1, "b": 1}, {"a": 1}, {"b": 1}, {"c": 1})
    reply = explain(run, {"$or": [{"a": 1}, {"b": 1}]})
    assert stages(reply["queryPlanner"]["winningPlan"]) == ["SUBPLAN", "FETCH", "OR", "IXSCAN", "IXSCAN"]
    assert (reply["executionStats"]["nReturned"], reply["executionStats"]["totalDocsExamined"]) == (3, 3)


def test_a_partial_index_serves_only_queries_that_its_filter_covers(run: Run) -> None:
    index(run, {"a": 1}, partialFilterExpression={"live": True})
    seed(run, {"a": 1, "live": True}, {"a": 1})
    assert stages(explain(run, {"a": 1})["queryPlanner"]["winningPlan"]) == ["COLLSCAN"]
    covered = explain(run, {"a": 1, "live": True})["queryPlanner"]["winningPlan"]
    assert index_scan(covered)["isPartial"] is True


def test_a_hint_is_obeyed_and_must_name_an_index(run: Run) -> None:
    index(run, {"a": 1})
    index(run, {"b": 1})
    seed(run, {"a": 1, "b": 1})
    plan = explain(run, {"a": 1}, hint="b_1")["queryPlanner"]["winningPlan"]
    assert index_scan(plan)["indexName"] == "b_1"
    assert stages(explain(run, {"a": 1}, hint={"$natural": 1})["queryPlanner"]["winningPlan"]) == ["COLLSCAN"]
    assert run({"find": "things", "filter": {}, "hint": "nope"})["code"] == 2


def test_a_hidden_index_is_kept_up_to_date_but_not_used(run: Run) -> None:
    index(run, {"a": 1})
    reply = run({"collMod": "things", "index": {"name": "a_1", "hidden": True}})
    assert (reply["hidden_old"], reply["hidden_new"]) == (False, True)
    seed(run, {"a": 1})
    assert stages(explain(run, {"a": 1})["queryPlanner"]["winningPlan"]) == ["COLLSCAN"]
    run({"collMod": "things", "index": {"name": "a_1", "hidden": False}})
    assert explain(run, {"a": 1})["executionStats"]["totalKeysExamined"] == 1


def test_index_stats_count_queries_but_not_explains(run: Run) -> None:
    index(run, {"a": 1})
    seed(run, {"a": 1})
    run({"find": "things", "filter": {"a": 1}})
    explain(run, {"a": 1})
    found = batch(run({"aggregate": "things", "pipeline": [{"$indexStats": {}}], "cursor": {}}))
    assert {each["name"]: each["accesses"]["ops"] for each in found} == {"_id_": 0, "a_1": 1}


def test_a_pipelines_match_and_sort_use_the_index(run: Run) -> None:
    index(run, {"a": 1})
    seed(run, *({"a": n} for n in range(20)))
    pipeline = [
        {"$match": {"a": {"$gte": 18}}},
        {"$sort": {"a": -1}},
        {"$group": {"_id": None, "n": {"$sum": 1}}},
    ]
    reply = run({"explain": {"aggregate": "things", "pipeline": pipeline, "cursor": {}}})
    cursor = reply["stages"][0]["$cursor"]
    assert stages(cursor["queryPlanner"]["winningPlan"]) == ["FETCH", "IXSCAN"]
    assert cursor["executionStats"]["totalDocsExamined"] == 2


def test_explaining_a_write_changes_nothing(run: Run) -> None:
    seed(run, {"_id": 1, "a": 1})
    deletion = {"delete": "things", "deletes": [{"q": {"a": 1}, "limit": 0}]}
    plan = run({"explain": deletion})["executionStats"]["executionStages"]
    assert (plan["stage"], plan["nWouldDelete"]) == ("DELETE", 1)
    assert run({"count": "things"})["n"] == 1


SCHEMA = {
    "$jsonSchema": {
        "bsonType": "object",
        "required": ["name"],
        "properties": {
            "name": {"bsonType": "string", "minLength": 2},
            "age": {"bsonType": "int", "minimum": 0},
        },
    }
}


@pytest.mark.parametrize("wrong", [{}, {"name": 1}, {"name": "a"}, {"name": "ab", "age": -1}])
def test_a_validator_refuses_a_wrong_document_and_says_why(run: Run, wrong: Document) -> None:
    assert run({"create": "things", "validator": SCHEMA})["ok"] == 1.0
    (error,) = run({"insert": "things", "documents": [wrong]})["writeErrors"]
    assert error["code"] == 121
    assert error["errInfo"]["details"]["schemaRulesNotSatisfied"]
    seed(run, {"name": "ab", "age": 3})


def test_a_moderate_validator_leaves_documents_alone_that_were_wrong_before(run: Run) -> None:
    seed(run, {"_id": 1}, {"_id": 2, "name": "ab"})
    assert run({"collMod": "things", "validator": SCHEMA, "validationLevel": "moderate"})["ok"] == 1.0
    change = {"$set": {"name": 5}}
    assert run({"update": "things", "updates": [{"q": {"_id": 1}, "u": change}]})["nModified"] == 1
    reply = run({"update": "things", "updates": [{"q": {"_id": 2}, "u": change}]})
    assert reply["writeErrors"][0]["code"] == 121
    assert run({"collMod": "things", "validationLevel": "off"})["ok"] == 1.0
    assert run({"update": "things", "updates": [{"q": {"_id": 2}, "u": change}]})["nModified"] == 1


def test_collections_are_created_listed_and_dropped(run: Run) -> None:
    assert run({"create": "things", "validator": {"a": {"$gt": 1}}})["ok"] == 1.0
    assert run({"create": "things"})["code"] == 48
    assert run({"create": "bad", "validator": {"a": {"$nope": 1}}})["code"] == 2
    assert run({"create": "bad", "capped": True, "size": 1})["code"] == 238
    assert run({"create": "a$b"})["code"] == 73
    (listed,) = batch(run({"listCollections": 1}))
    assert (listed["name"], listed["options"]["validator"]) == ("things", {"a": {"$gt": 1}})
    seed(run, {"a": 2})
    databases = run({"listDatabases": 1}, "admin")["databases"]
    assert [(each["name"], each["empty"]) for each in databases] == [("shop", False)]
    assert run({"collStats": "things"})["count"] == 1
    assert run({"dbStats": 1})["objects"] == 1
    assert run({"drop": "things"})["ns"] == "shop.things"
    assert run({"drop": "things"}) == {"ok": 1.0}
    assert run({"listDatabases": 1}, "admin")["databases"] == []
