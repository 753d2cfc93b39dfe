"""What is found out about a rollback afterwards: by our own 10 s metrics, and through the live listener."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from cutover.adapters.aws import aws_errors
from cutover.domain.colours import Colour
from cutover.domain.errors import NotReachableError

PERIOD_SECONDS = 10
#: High-resolution data points are kept for three hours; then a minute's are left.
#: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#metrics-retention
KEPT = timedelta(hours=3)
#: What counts as a bad request, and as a container that does not answer at all.
BAD = ("Errors", "Slow", "Silent")


class ColourMeasurements:
    """Namespace Cutover, by Environment, Service and Colour (examples/backend/backend/colour_metrics.py)."""

    def __init__(self, client: Any, environment: str, service: str = "backend") -> None:
        self._client = client
        self._where = {"Environment": environment, "Service": service}

    def bad(self, colour: Colour, since: datetime, until: datetime) -> Sequence[tuple[datetime, float]]:
        """How much was bad in each 10 s that data were published for, oldest first."""
        dimensions = [
            {"Name": name, "Value": value} for name, value in {**self._where, "Colour": colour.value}.items()
        ]
        queries = [
            {
                "Id": name.lower(),
                "MetricStat": {
                    "Metric": {"Namespace": "Cutover", "MetricName": name, "Dimensions": dimensions},
                    "Period": PERIOD_SECONDS,
                    "Stat": "Sum",
                },
            }
            for name in BAD
        ]
        counts: dict[datetime, float] = {}
        with aws_errors():
            pages = self._client.get_paginator("get_metric_data").paginate(
                MetricDataQueries=queries,
                StartTime=max(since, until - KEPT),
                EndTime=until + timedelta(seconds=PERIOD_SECONDS),
            )
            for page in pages:
                for result in page["MetricDataResults"]:
                    for at, value in zip(result["Timestamps"], result["Values"], strict=True):
                        counts[at] = counts.get(at, 0.0) + value
        return sorted(counts.items())


class ProbeVisitor:
    """The probe function, which stands inside the network."""

    def __init__(self, client: Any, function: str) -> None:
        self._client = client
        self._function = function

    def last_answer(self, version: str) -> datetime | None:
        """When the live listener last answered with `version`; None if it never did. Raises
        NotReachableError when the probe could not look, or still saw the version at its end."""
        event = json.dumps({"action": "gone", "version": version}).encode()
        with aws_errors():
            answer = self._client.invoke(FunctionName=self._function, Payload=event)
            document = json.loads(answer["Payload"].read())
        if "FunctionError" in answer:
            raise NotReachableError(str(document.get("errorMessage", document)))
        seen = document.get("last_at")
        return datetime.fromisoformat(seen) if seen else None
