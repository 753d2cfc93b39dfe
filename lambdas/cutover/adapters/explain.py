"""How a server says it would answer a query, in the shapes that there are.

MongoDB 7, the classic engine and the slot-based one: https://www.mongodb.com/docs/v7.0/reference/explain-results/
DocumentDB 5.0: https://docs.aws.amazon.com/documentdb/latest/developerguide/performance-query-plan-analysis.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cutover.database_ports import Explained

# Where a stage's own inputs are. What was rejected, filters and bounds are no part of the plan.
INSIDE = (
    "winningPlan",
    "queryPlan",
    "inputStage",
    "inputStages",
    "outerStage",
    "innerStage",
    "thenStage",
    "elseStage",
    "shards",
)


def explained(answer: Mapping[str, Any]) -> Explained:
    """From the answer to the command `explain`; without a stage where the shape is none of these."""
    stages = list(_stages(answer.get("queryPlanner") or {}))
    index = next((str(stage["indexName"]) for stage in stages if stage.get("indexName")), None)
    return Explained([str(stage["stage"]) for stage in stages], index)


def _stages(node: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(node, list):
        for each in node:
            yield from _stages(each)
    elif isinstance(node, Mapping):
        if "stage" in node:
            yield node
        for key in INSIDE:
            yield from _stages(node.get(key))
