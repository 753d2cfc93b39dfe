"""The query gate: scans and sorts of large collections, mean, index hit and pool."""

from __future__ import annotations

from typing import Any

import pytest

from cutover.domain.measures import Limits
from cutover.domain.queries import NamedQuery
from cutover.steps.check_queries import check_queries
from tests.contract.fakes import FakeDatabase

LIMITS = Limits.read({"thresholds": {"query_mean_ms": 50, "index_hit": 0.95, "pool_use": 0.8}})
EMAIL = NamedQuery("by e-mail", "users", {"email": {"from_sample": "email"}})
NEWEST = NamedQuery(
    "newest", "evaluations", {"user.id": {"from_sample": "user.id"}, "status": "done"}, (("created_at", -1),)
)


def filled(documents: int = 1001, **more: Any) -> FakeDatabase:
    rows = {
        "users": {"u1": {"_id": "u1", "email": "x"}},
        "evaluations": {"e1": {"_id": "e1", "user": {"id": "u1"}, "created_at": 1}},
    }
    return FakeDatabase(documents=rows, sizes=dict.fromkeys(rows, documents), **more)


def gates(database: FakeDatabase, *queries: NamedQuery) -> dict[str, dict[str, Any]]:
    told = check_queries(queries or (EMAIL, NEWEST), LIMITS, 1000, queries=database)["gates"]
    assert {gate["requirement"] for gate in told} == {"C6b"}
    return {gate["name"]: gate for gate in told}


def verdicts(database: FakeDatabase) -> dict[str, str]:
    return {name: gate["verdict"] for name, gate in gates(database).items()}


def test_queries_that_use_their_indexes_and_are_quick_pass_with_their_samples() -> None:
    found = gates(filled())
    assert {gate["verdict"] for gate in found.values()} == {"Pass"}
    assert {name: gate["samples"] for name, gate in found.items()} == {
        "Query: by e-mail": 20,
        "Query: newest": 20,
        "Mean query time": 40,
        "Index hit": 2,
        "Connections in use": 2,
    }


def test_a_query_is_asked_with_the_values_of_a_document_that_is_there() -> None:
    database = filled()
    gates(database)
    assert [query.filter for query in database.asked] == [{"email": "x"}, {"user.id": "u1", "status": "done"}]


@pytest.mark.parametrize(
    ("stages", "words"),
    [
        (("COLLSCAN",), "a scan of the whole collection"),
        (("SORT", "FETCH", "IXSCAN"), "a sort in memory"),
        (("SORT", "COLLSCAN"), "a scan of the whole collection and a sort in memory"),
    ],
)
def test_a_large_collection_is_neither_scanned_nor_sorted(stages: tuple[str, ...], words: str) -> None:
    gate = gates(filled(1001, stages=stages))["Query: newest"]
    assert gate["verdict"] == "Fail"
    assert gate["found"].startswith(f"{words} (")
    assert "1,001 documents" in gate["found"]


def test_a_small_collection_may_be_sorted_in_memory() -> None:
    assert set(verdicts(filled(1000, stages=("SORT", "FETCH", "IXSCAN"))).values()) == {"Pass"}


def test_a_scan_counts_against_the_index_hits_whatever_the_size() -> None:
    found = verdicts(filled(3, stages=("COLLSCAN",)))
    assert (found["Query: by e-mail"], found["Index hit"]) == ("Pass", "Fail")


def test_slow_queries_close_the_gates() -> None:
    found = verdicts(filled(taken=50.0))
    assert (found["Query: newest"], found["Mean query time"]) == ("Fail", "Fail")


def test_empty_collections_are_no_data() -> None:
    assert set(verdicts(FakeDatabase()).values()) == {"Inconclusive"}


def test_no_queries_at_all_are_no_data() -> None:
    told = check_queries((), LIMITS, 1000, queries=filled())["gates"]
    assert {gate["verdict"] for gate in told} == {"Inconclusive"}


def test_a_sample_without_the_field_is_no_data() -> None:
    found = gates(filled(), NamedQuery("odd", "users", {"words.count": {"from_sample": "words.count"}}))
    assert found["Query: odd"]["verdict"] == "Inconclusive"
    assert found["Query: odd"]["found"] == "the sample document of users lacks words.count"


def test_a_plan_of_no_known_shape_is_no_data() -> None:
    assert verdicts(filled(stages=()))["Query: newest"] == "Inconclusive"


@pytest.mark.parametrize(
    ("used", "verdict"), [((80, 100), "Fail"), (None, "Inconclusive"), ((0, 0), "Inconclusive")]
)
def test_connections_are_judged_when_the_server_tells(used: tuple[int, int] | None, verdict: str) -> None:
    assert verdicts(filled(used=used))["Connections in use"] == verdict
