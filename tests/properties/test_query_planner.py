"""The planner never changes a result: with any indexes a query finds what a scan of the collection finds.

QUERIES=10000 runs more of the seeded part (default: 1000).
"""

import os
import random
from typing import Any

import pytest
from bson import Int64, MaxKey, MinKey, ObjectId, Regex
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.database import execution, ordering
from sandbox.database.collection import Collection
from sandbox.database.errors import CommandError
from sandbox.database.planner import CollectionScan, IndexScan, Union

QUERIES = int(os.environ.get("QUERIES", "1000"))
QUERIES_PER_COLLECTION = 20
FIELDS = ["a", "b", "c", "a.b", "a.c", "d.e", "a.0", "d"]
SCALARS: list[Any] = [
    None, True, False, 0, 1, 2, 3, 2.5, Int64(3), -1.0, float("nan"), float("inf"), "", "a", "ab", "b", "abc",
    ObjectId("0" * 24), b"x", {}, {"b": 1}, {"b": 1, "c": 2},
]  # fmt: skip
Predicate = dict[str, Any]


def random_value(rng: random.Random, depth: int = 0) -> Any:
    kind = rng.random()
    if depth < 2 and kind < 0.3:
        return [random_value(rng, depth + 1) for _ in range(rng.randint(0, 3))]
    if depth < 2 and kind < 0.55:
        return {name: random_value(rng, depth + 1) for name in rng.sample("bce", rng.randint(0, 3))}
    return random_scalar(rng)


def random_scalar(rng: random.Random) -> Any:
    """Mostly small numbers, so that conditions meet values, and two elements of an array two conditions."""
    return rng.choice(SCALARS) if rng.random() < 0.35 else rng.randint(0, 4)


def random_document(rng: random.Random, number: int) -> dict[str, Any]:
    names = rng.sample("abcd", rng.randint(0, 4))
    return {"_id": number, **{name: random_value(rng) for name in names}}


def random_index(rng: random.Random, number: int) -> dict[str, Any]:
    paths = rng.choice([["a"], ["a.b", "a.c"], rng.sample(FIELDS, rng.randint(1, 3))])
    specification: dict[str, Any] = {
        "key": {path: rng.choice([1, -1]) for path in paths},
        "name": f"index_{number}",
    }
    kind = rng.random()
    if kind < 0.15:
        specification["sparse"] = True
    elif kind < 0.4:
        specification["partialFilterExpression"] = rng.choice(
            [
                {"a": {"$exists": True}},
                {"a": {"$gt": 1}},
                {"b": {"$lte": "b"}},
                {"c": 1},
                {"c": None},
                {"$or": [{"a": 1}, {"b": {"$gte": 2}}]},
                {"a": {"$in": [1, 2, "a"]}},
                {"a.b": {"$type": "number"}},
            ]
        )
    return specification


def random_condition(rng: random.Random) -> Any:
    value = random_scalar(rng)
    operator = rng.choice(
        ["", "", "$eq", "range", "range", "range", "$gt", "$gte", "$lt", "$lte", "$ne", "$in", "$nin", "$exists", "range", "regex", "$type",
         "$elemMatch", "objects", "$not", "$all", "$size", "array", "extreme"]
    )  # fmt: skip
    if operator == "":
        return value
    if operator in ("$in", "$nin"):
        return {operator: [random_scalar(rng) for _ in range(rng.randint(0, 4))]}
    if operator == "$exists":
        return {"$exists": rng.random() < 0.6}
    if operator == "range":
        return {rng.choice(["$gt", "$gte"]): value, rng.choice(["$lt", "$lte"]): random_scalar(rng)}
    if operator == "regex":
        return rng.choice([Regex("^a"), Regex("b"), Regex("^AB", "i"), Regex("^ab*")])
    if operator == "$type":
        return {"$type": rng.choice(["number", "string", "null", "array", "object"])}
    if operator == "$elemMatch":
        return {"$elemMatch": {"$gte": value, "$lt": random_scalar(rng)}}
    if operator == "objects":
        return {"$elemMatch": {rng.choice("bc"): value, rng.choice("bc"): {"$gte": 1}}}
    if operator == "$not":
        return {"$not": {rng.choice(["$gt", "$lte", "$eq"]): value}}
    if operator == "$all":
        return {"$all": [value, random_scalar(rng)]}
    if operator == "$size":
        return {"$size": rng.randint(0, 2)}
    if operator == "array":
        return [random_scalar(rng) for _ in range(rng.randint(0, 2))]
    if operator == "extreme":
        return {rng.choice(["$gt", "$lt", "$gte"]): rng.choice([MinKey(), MaxKey()])}
    return {operator: value}


def random_filter(rng: random.Random, depth: int = 0) -> Predicate:
    paths = ["a.b", "a.c"] if rng.random() < 0.15 else rng.sample(FIELDS, rng.randint(0, 3))
    found: Predicate = {path: random_condition(rng) for path in paths}
    if depth == 0 and rng.random() < 0.3:
        name = rng.choice(["$or", "$and", "$nor"])
        branches = [random_filter(rng, 1) for _ in range(rng.randint(1, 3))]
        return {name: branches} if rng.random() < 0.5 else {**found, name: branches}
    return found


def build(documents: list[dict[str, Any]], indexes: list[dict[str, Any]]) -> Collection:
    collection = Collection("shop.things")
    for specification in indexes:
        try:
            collection.create_indexes([specification])
        except CommandError as error:
            if error.code != 85:  # the same index under another name
                raise
    for document in documents:
        try:
            collection.insert(document)
        except CommandError as error:
            if error.code not in (171, 16746):  # two arrays in one key; an ambiguous position
                raise
    return collection


def check(collection: Collection, condition: Predicate, sort: dict[str, int], skip: int, limit: int) -> str:
    """Compare the planned query with the scan; the kind of access that was planned."""
    planned = execution.parse(condition, sort)
    access, losers = execution.plan(collection, planned)
    try:
        scanned = execution.run(collection, planned, CollectionScan())
    except CommandError as error:
        if error.code != 171:  # the sort goes through two arrays
            raise
        return "refused"
    expected = {record_id for record_id, _ in scanned}
    for candidate in [access, *losers]:
        statistics = execution.Statistics()
        found = execution.run(collection, planned, candidate, statistics)
        ids = [record_id for record_id, _ in found]
        assert len(ids) == len(set(ids)), f"twice the same document: {condition} by {candidate}"
        assert set(ids) == expected, f"{condition} by {candidate}"
        assert statistics.returned == len(ids)
        if sort:
            key = ordering.comparison_key(planned.order)
            keys = [key(record.document) for _, record in found]
            assert keys == sorted(keys), f"{condition} sorted by {sort} with {candidate}"
    # With _id to decide between equals, the order is total and a window of it can be compared too.
    total = {**sort, "_id": 1}
    window = execution.parse(condition, total, skip=skip, limit=limit)
    try:
        wanted = execution.run(collection, window, CollectionScan())
    except CommandError as error:
        if error.code != 171:
            raise
        return "refused"
    assert [i for i, _ in execution.run(collection, window)] == [i for i, _ in wanted]
    return type(access).__name__


def run_seed(seed: int) -> dict[str, int]:
    rng = random.Random(seed)
    documents = [random_document(rng, number) for number in range(rng.randint(0, 60))]
    collection = build(documents, [random_index(rng, number) for number in range(rng.randint(1, 5))])
    accesses: dict[str, int] = {}
    for _ in range(QUERIES_PER_COLLECTION):
        sort = {path: rng.choice([1, -1]) for path in rng.sample(FIELDS, rng.choice([0, 0, 1, 2]))}
        kind = check(collection, random_filter(rng), sort, rng.randint(0, 5), rng.randint(0, 5))
        accesses[kind] = accesses.get(kind, 0) + 1
        if collection.records and rng.random() < 0.3:
            record_id = rng.choice(list(collection.records))
            if rng.random() < 0.5:
                collection.delete(record_id)
            else:
                fresh = random_document(rng, 0)
                fresh["_id"] = collection.records[record_id].document["_id"]
                try:
                    collection.replace(record_id, fresh)
                except CommandError as error:
                    if error.code not in (171, 16746):
                        raise
    for index in collection.indexes.values():
        wanted = sorted(
            (key, record_id)
            for record_id, record in collection.records.items()
            for key in index.keys_of(record.document)
        )
        assert index.entries == wanted, f"{index.name} is not what a fresh build would give"
    return accesses


@pytest.mark.timeout(3600)
def test_random_queries_find_the_same_by_plan_and_by_scan() -> None:
    accesses: dict[str, int] = {}
    for seed in range(max(1, QUERIES // QUERIES_PER_COLLECTION)):
        for kind, number in run_seed(seed).items():
            accesses[kind] = accesses.get(kind, 0) + number
    # Without index scans among them the comparison would say nothing.
    assert accesses[IndexScan.__name__] > sum(accesses.values()) / 5, accesses
    assert accesses[Union.__name__] > 0, accesses


values = st.recursive(
    st.sampled_from(SCALARS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("bce"), inner, max_size=2),
    max_leaves=4,
)
documents = st.lists(st.dictionaries(st.sampled_from("abcd"), values, max_size=4), max_size=12)
conditions = st.one_of(
    values,
    st.builds(lambda o, v: {o: v}, st.sampled_from(["$gt", "$gte", "$lt", "$lte", "$eq", "$ne"]), values),
    st.builds(lambda low, high: {"$gte": low, "$lt": high}, values, values),
    st.builds(lambda each: {"$in": each}, st.lists(values, max_size=3)),
    st.builds(lambda each: {"$exists": each}, st.booleans()),
)
filters = st.dictionaries(st.sampled_from(FIELDS), conditions, max_size=3)
keys = st.dictionaries(st.sampled_from(FIELDS), st.sampled_from([1, -1]), min_size=1, max_size=3)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    documents,
    st.lists(keys, max_size=3),
    filters,
    st.dictionaries(st.sampled_from(FIELDS), st.sampled_from([1, -1]), max_size=2),
)
def test_any_query_finds_the_same_by_plan_and_by_scan(
    found: list[dict[str, Any]], patterns: list[dict[str, int]], condition: Predicate, sort: dict[str, int]
) -> None:
    numbered = [{"_id": number, **document} for number, document in enumerate(found)]
    collection = build(numbered, [{"key": key, "name": f"index_{n}"} for n, key in enumerate(patterns)])
    check(collection, condition, sort, 0, 3)


@given(values, values, values)
def test_the_order_of_values_is_total_and_transitive(first: Any, second: Any, third: Any) -> None:
    from sandbox.database.values import sort_key

    a, b, c = sort_key(first), sort_key(second), sort_key(third)
    assert (a < b) + (b < a) + (a == b) == 1
    if a <= b <= c:
        assert a <= c
