"""What has to be done about the difference between a wanted schema and the one that is there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cutover.domain.errors import MisconfiguredError
from cutover.domain.queries import read_queries
from cutover.domain.schema import Action, Present, Schema, Validator, plan_schema, read_schema
from cutover.domain.tightening import tighter

EMAIL = {"name": "email", "keys": [["email", 1]]}


def schema(indexes: Any = None, validators: Any = None) -> Schema:
    return read_schema(indexes or {}, validators or {})


def there(indexes: Any, **documents: int) -> Present:
    return Present(indexes=schema(indexes).indexes, documents=documents)


def planned(wanted: Schema, present: Present, queries: Any = ()) -> list[Action]:
    return list(plan_schema(wanted, present, read_queries(queries)))


def test_what_is_there_as_it_is_wanted_needs_nothing() -> None:
    assert planned(schema({"users": [EMAIL]}), there({"users": [EMAIL]}, users=9)) == []


def test_what_nobody_declares_is_left_alone() -> None:
    assert (
        planned(schema({"users": [EMAIL]}), there({"users": [EMAIL, {"name": "x", "keys": [["x", 1]]}]}))
        == []
    )


@pytest.mark.parametrize(
    "found",
    [
        {"name": "email", "keys": [["email", -1]]},
        {"name": "other_name", "keys": [["email", 1]]},
        {"name": "email", "keys": [["email", 1]], "unique": True},
        {"name": "email", "keys": [["email", 1]], "sparse": True},
        {"name": "email", "keys": [["email", 1]], "partial": {"a": 1}},
        {"name": "email", "keys": [["email", 1]], "expire_after_seconds": 5},
        {"name": "email", "keys": [["email", 1], ["b", 1]]},
    ],
)
def test_name_keys_direction_and_options_all_count(found: dict[str, Any]) -> None:
    (action,) = planned(schema({"users": [EMAIL]}), there({"users": [found]}, users=9))
    assert (action.do, action.phase, action.risk, action.replaces) == (
        "rebuild",
        "expand",
        "high",
        (found["name"],),
    )
    assert '"rebuild": true' in action.blocked


def test_the_order_of_the_keys_counts() -> None:
    both = {"name": "n", "keys": [["a", 1], ["b", 1]]}
    turned = {"name": "n", "keys": [["b", 1], ["a", 1]]}
    (action,) = planned(schema({"c": [both]}), there({"c": [turned]}))
    assert action.do == "rebuild"


def test_a_rebuild_is_let_through_over_nothing_or_when_it_is_allowed() -> None:
    turned = {"users": [{"name": "email", "keys": [["email", -1]]}]}
    assert planned(schema({"users": [EMAIL]}), there(turned))[0].blocked == ""
    allowed = schema({"users": [{**EMAIL, "rebuild": True}]})
    assert planned(allowed, there(turned, users=9))[0].blocked == ""


def test_a_unique_index_over_documents_is_a_high_risk_and_comes_after_the_others() -> None:
    wanted = schema({"users": [{**EMAIL, "unique": True}, {"name": "z", "keys": [["z", 1]]}]})
    assert [(a.name, a.risk) for a in planned(wanted, there({}, users=5))] == [
        ("z", "low"),
        ("email", "high"),
    ]
    assert {a.risk for a in planned(wanted, there({}))} == {"none"}


def test_a_later_expiry_expands_and_an_earlier_one_contracts() -> None:
    def index(seconds: int) -> Any:
        return {"events": [{"name": "at", "keys": [["at", 1]], "expire_after_seconds": seconds}]}

    (later,) = planned(schema(index(20)), there(index(10), events=1))
    (earlier,) = planned(schema(index(5)), there(index(10), events=1))
    assert (later.do, later.phase) == ("expire", "expand")
    assert (earlier.do, earlier.phase, earlier.risk) == ("expire", "contract", "high")
    assert "deleted at once" in earlier.reason


GONE = {"users": [{"name": "email", "drop": True}]}
BY_EMAIL = [{"name": "by e-mail", "collection": "users", "filter": {"email": 1}}]


def test_a_declared_drop_waits_for_contract() -> None:
    (action,) = planned(schema(GONE), there({"users": [EMAIL]}, users=9))
    assert (action.do, action.phase, action.blocked) == ("drop", "contract", "")
    assert planned(schema(GONE), there({})) == []


def test_an_index_that_a_query_of_the_release_needs_is_not_dropped() -> None:
    (action,) = planned(schema(GONE), there({"users": [EMAIL]}), BY_EMAIL)
    assert "“by e-mail”" in action.blocked
    wider = {"users": [*GONE["users"], {"name": "wider", "keys": [["email", 1], ["a", 1]]}]}
    found = there({"users": [EMAIL, wider["users"][1]]})
    (action,) = planned(schema(wider), found, BY_EMAIL)
    assert action.blocked == ""


def test_an_index_that_was_used_is_not_dropped_unless_another_serves() -> None:
    found = there({"users": [EMAIL]}, users=9)
    used = Present(found.indexes, documents=found.documents, uses={("users", "email"): 7})
    (action,) = planned(schema(GONE), used)
    assert "used 7 times" in action.blocked


def test_a_new_validator_over_documents_waits_for_contract() -> None:
    wanted = schema(validators={"users": {"schema": {"required": ["email"]}}})
    assert planned(wanted, there({}))[0].phase == "expand"
    (action,) = planned(wanted, there({}, users=3))
    assert (action.do, action.phase) == ("validate", "contract")
    assert "email becomes required" in action.reason


def test_a_looser_validator_expands() -> None:
    before = Validator("users", json.dumps({"required": ["a", "b"]}, separators=(",", ":")))
    wanted = schema(validators={"users": {"schema": {"required": ["a"]}}})
    (action,) = planned(wanted, Present(validators=(before,), documents={"users": 3}))
    assert action.phase == "expand"
    none = schema(validators={"users": None})
    (action,) = planned(none, Present(validators=(before,), documents={"users": 3}))
    assert (action.phase, str(action)) == ("expand", "unvalidate users")


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ({}, {"required": ["a"]}, ["a becomes required"]),
        ({"required": ["a"]}, {}, []),
        ({"properties": {"a": {"bsonType": "string"}}}, {"properties": {"a": {"bsonType": "int"}}},
         ["a must be int (was string)"]),
        ({"properties": {"a": {"bsonType": "int"}}}, {"properties": {"a": {"bsonType": ["int", "null"]}}}, []),
        ({"properties": {"a": {"bsonType": "int"}}}, {"properties": {"a": {"bsonType": "number"}}}, []),
        ({"properties": {"a": {"bsonType": "number"}}}, {"properties": {"a": {"bsonType": "int"}}},
         ["a must be int (was number)"]),
        ({"properties": {"a": {"enum": [1, 2]}}}, {"properties": {"a": {"enum": [1, 2, 3]}}}, []),
        ({"properties": {"a": {"enum": [1, 2]}}}, {"properties": {"a": {"enum": [1]}}}, ["a must be one of 1"]),
        ({"properties": {"a": {"minimum": 1}}}, {"properties": {"a": {"minimum": 0}}}, []),
        ({"properties": {"a": {"maximum": 1}}}, {"properties": {"a": {"maximum": 0}}}, ["a: maximum 0 (was 1)"]),
        ({}, {"additionalProperties": False}, ["the document must have no other fields"]),
        ({"additionalProperties": False, "properties": {"a": {}, "b": {}}},
         {"additionalProperties": False, "properties": {"a": {}}}, ["b is no longer allowed"]),
        ({}, {"title": "words"}, []),
        ({}, {"patternProperties": {}}, ["the document: patternProperties changes"]),
        ({}, {"properties": {"a": {"items": {"bsonType": "int"}}}}, ["a.[] must be int"]),
    ],
)  # fmt: skip
def test_a_schema_is_tighter_where_it_refuses_more(before: Any, after: Any, says: list[str]) -> None:
    assert tighter(before, after) == says


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"name": "h", "keys": [["a", "hashed"]]}, "'hashed' is not supported"),
        ({"name": "h", "keys": [["a", "2d"]]}, "'2d' is not supported"),
        ({"name": "w", "keys": [["$**", 1]]}, "no wildcard indexes"),
        ({"name": "c", "keys": [["a", 1]], "collation": {"locale": "de"}}, "DocumentDB 8.0"),
        ({"name": "h", "keys": [["a", 1]], "hidden": True}, "can't be hidden"),
        ({"name": "p", "keys": [["a", 1]], "partial": {"a": {"$in": [1]}}}, "$in is not supported"),
        ({"name": "p", "keys": [["a", 1]], "partial": {"$or": [{"a": 1}]}}, "$or is not supported"),
        ({"name": "p", "keys": [["a", 1]], "partial": {"$and": [{"$and": []}]}}, "$and below the top"),
        ({"name": "f", "keys": [[f"f{n}", 1] for n in range(33)]}, "33 fields; at most 32"),
        ({"name": "n" * 300, "keys": [["a", 1]]}, "255 bytes"),
    ],
)
def test_documentdbs_limits_are_refused_with_their_source(entry: dict[str, Any], says: str) -> None:
    with pytest.raises(MisconfiguredError, match=r"https://docs\.aws\.amazon\.com/documentdb/") as refused:
        schema({"c": [entry]})
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("indexes", "says"),
    [
        ({"c": [EMAIL, EMAIL]}, "declared twice"),
        ({"c": [EMAIL, {**EMAIL, "name": "x"}]}, "email and x have the same keys"),
        ({"c": [EMAIL, {"name": "email", "drop": True}]}, "declared twice"),
        ({"c": [{**EMAIL, "drop": True}]}, "drop stands alone"),
        ({"c": [{**EMAIL, "uniqe": True}]}, "uniqe is not known"),
        (
            {"c": [{"name": "e", "keys": [["a", 1], ["b", 1]], "expire_after_seconds": 1}]},
            "only an index of one",
        ),
        ({"c": [{"name": "e", "keys": [["a", 2]]}]}, "wanted {collection:"),
    ],
)
def test_what_can_not_be_declared_is_refused(indexes: Any, says: str) -> None:
    with pytest.raises(MisconfiguredError) as refused:
        schema(indexes)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("validators", "says"),
    [
        ({"c": {}}, "does not fit"),
        ({"c": {"schema": {}, "levle": "strict"}}, "does not fit"),
        ({"c": {"schema": {}, "level": "off"}}, "level 'off'"),
        ({"c": {"schema": {"$expr": 1}}}, "$expr: a validator holds a JSON schema"),
        ([], "does not fit"),
    ],
)
def test_a_validator_that_does_not_fit_is_refused(validators: Any, says: str) -> None:
    with pytest.raises(MisconfiguredError) as refused:
        read_schema({}, validators)
    assert says in str(refused.value)
