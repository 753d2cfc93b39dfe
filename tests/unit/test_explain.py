"""Explain answers, in the shapes that the servers' documentation shows."""

from __future__ import annotations

from typing import Any

import pytest

from cutover.adapters.explain import explained

CLASSIC = {
    "explainVersion": "1",
    "queryPlanner": {
        "namespace": "test.evaluations",
        "indexFilterSet": False,
        "parsedQuery": {"user_id": {"$eq": "u1"}},
        "winningPlan": {
            "stage": "LIMIT",
            "limitAmount": 20,
            "inputStage": {
                "stage": "FETCH",
                "inputStage": {
                    "stage": "IXSCAN",
                    "keyPattern": {"user_id": 1, "created_at": -1},
                    "indexName": "user_newest",
                    "direction": "forward",
                },
            },
        },
        "rejectedPlans": [{"stage": "SORT", "inputStage": {"stage": "COLLSCAN"}}],
    },
    "ok": 1.0,
}
SLOT_BASED = {
    "explainVersion": "2",
    "queryPlanner": {
        "winningPlan": {
            "queryPlan": {
                "stage": "SORT",
                "planNodeId": 2,
                "sortPattern": {"score": 1},
                "memLimit": 104857600,
                "type": "simple",
                "inputStage": {"stage": "COLLSCAN", "planNodeId": 1, "filter": {}, "direction": "forward"},
            },
            "slotBasedPlan": {"slots": "$$RESULT=s4", "stages": "[2] sort [s6] [asc] [s4] …"},
        },
        "rejectedPlans": [],
    },
}
EITHER = {
    "queryPlanner": {
        "winningPlan": {
            "stage": "SUBPLAN",
            "inputStage": {
                "stage": "OR",
                "inputStages": [
                    {"stage": "IXSCAN", "indexName": "a_1"},
                    {"stage": "IXSCAN", "indexName": "b_1"},
                ],
            },
        }
    }
}
SHARDED = {
    "queryPlanner": {
        "winningPlan": {
            "stage": "SINGLE_SHARD",
            "shards": [{"shardName": "s0", "winningPlan": {"stage": "COLLSCAN"}}],
        }
    }
}
# As AWS's guide prints it: numbers are texts there.
DOCUMENTDB = {
    "queryPlanner": {
        "plannerVersion": 2,
        "namespace": "limit_test.test",
        "winningPlan": {
            "stage": "LIMIT_SKIP",
            "inputStage": {
                "stage": "SORT",
                "sortPattern": {"createdAt": 1},
                "inputStage": {
                    "stage": "IXSCAN",
                    "indexName": "companyname_1_createdAt_1_isDeleted_1",
                    "direction": "forward",
                    "indexCond": {"$and": [{"companyname": {"$eq": "ANYCOMPANY"}}]},
                },
            },
        },
    },
    "indexFilterSet": False,
    "indexFilterApplied": False,
    "executionStats": {"executionSuccess": True, "executionTimeMillis": "4.186"},
}
DOCUMENTDB_SCAN = {"queryPlanner": {"plannerVersion": 1, "winningPlan": {"stage": "COLLSCAN"}}}


@pytest.mark.parametrize(
    ("answer", "stages", "index", "scans", "sorts"),
    [
        (CLASSIC, ["LIMIT", "FETCH", "IXSCAN"], "user_newest", False, False),
        (SLOT_BASED, ["SORT", "COLLSCAN"], None, True, True),
        (EITHER, ["SUBPLAN", "OR", "IXSCAN", "IXSCAN"], "a_1", False, False),
        (SHARDED, ["SINGLE_SHARD", "COLLSCAN"], None, True, False),
        (
            DOCUMENTDB,
            ["LIMIT_SKIP", "SORT", "IXSCAN"],
            "companyname_1_createdAt_1_isDeleted_1",
            False,
            True,
        ),
        (DOCUMENTDB_SCAN, ["COLLSCAN"], None, True, False),
    ],
    ids=["classic", "slot-based", "either", "sharded", "documentdb", "documentdb-scan"],
)
def test_the_winning_plan_is_read_from_every_documented_shape(
    answer: dict[str, Any], stages: list[str], index: str | None, scans: bool, sorts: bool
) -> None:
    """https://www.mongodb.com/docs/v7.0/reference/explain-results/ and
    https://docs.aws.amazon.com/documentdb/latest/developerguide/performance-query-plan-analysis.html"""
    found = explained(answer)
    assert (list(found.stages), found.index, found.scans, found.sorts) == (stages, index, scans, sorts)


@pytest.mark.parametrize("answer", [{}, {"queryPlanner": {}}, {"stages": []}])
def test_another_shape_tells_nothing(answer: dict[str, Any]) -> None:
    assert list(explained(answer).stages) == []
