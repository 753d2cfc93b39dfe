"""Metrics that a log line carries: no call, and nothing to wait for.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

NAMESPACE = "Cutover"
#: How long a deployment has held the environment's lock, told at every phase's end.
LOCK_HELD = "LockHeldSeconds"


def embedded(environment: str, values: Mapping[str, float], at: datetime) -> dict[str, Any]:
    """The line, for namespace Cutover by Environment. A metric's unit is the word that its name ends in."""
    return {
        "_aws": {
            "Timestamp": round(at.timestamp() * 1000),
            "CloudWatchMetrics": [
                {
                    "Namespace": NAMESPACE,
                    "Dimensions": [["Environment"]],
                    "Metrics": [{"Name": name, "Unit": _unit(name)} for name in values],
                }
            ],
        },
        "Environment": environment,
        **values,
    }


def _unit(name: str) -> str:
    if name.endswith("Rate"):
        return "None"
    return next((unit for unit in ("Milliseconds", "Seconds") if name.endswith(unit)), "Count")
