"""What the idle colour's instances needed while the load was on them (requirements C7b, E2)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cutover.domain.measures import Limits
from cutover.domain.target_resources import is_complete, judge_resources
from cutover.ports import TargetMetrics


def check_resources(
    group: str, load: Mapping[str, Any], instances: int, limits: Limits, *, metrics: TargetMetrics
) -> dict[str, Any]:
    """{gates, complete}. `load` tells when it began and ended, in epoch seconds; CloudWatch has a minute's
    figures only some time after it, so that an incomplete answer is worth another look."""
    began, ended = (datetime.fromtimestamp(float(load[name]), UTC) for name in ("began", "ended"))
    found = metrics.during(group, began, ended)
    gates = judge_resources(found, instances, limits)
    return {"gates": [gate.as_json() for gate in gates], "complete": is_complete(found, ended)}
