"""What CloudWatch has kept, figure by figure, over days.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from cutover.adapters.aws import aws_errors
from cutover.domain.figures import Figure
from cutover.domain.observed import Points

#: A request may bring so many points, and hold so many queries.
MOST_POINTS, MOST_QUERIES = 100_800, 500


class CloudWatchHistory:
    def __init__(self, client: Any) -> None:
        self._client = client

    def read(
        self, figures: Mapping[str, Figure], since: datetime, until: datetime, period: timedelta
    ) -> Mapping[str, Points]:
        names = list(figures)
        found: dict[str, list[tuple[datetime, float]]] = {name: [] for name in names}
        if since >= until:
            return found
        at_once = max(1, min(MOST_QUERIES, MOST_POINTS // max(1, (until - since) // period + 1)))
        for start in range(0, len(names), at_once):
            self._read(names[start : start + at_once], figures, found, (since, until, period))
        return {name: sorted(points) for name, points in found.items()}

    def _read(
        self,
        names: list[str],
        figures: Mapping[str, Figure],
        found: dict[str, list[tuple[datetime, float]]],
        over: tuple[datetime, datetime, timedelta],
    ) -> None:
        since, until, period = over
        # A figure's name may be no id: those begin with a small letter and have no hyphen.
        ids = {f"m{index}": name for index, name in enumerate(names)}
        queries = [
            {"Id": identity, "MetricStat": _stat(figures[name], period)} for identity, name in ids.items()
        ]
        with aws_errors():
            pages = self._client.get_paginator("get_metric_data").paginate(
                MetricDataQueries=queries, StartTime=since, EndTime=until, ScanBy="TimestampAscending"
            )
            for page in pages:
                for result in page["MetricDataResults"]:
                    name = ids[result["Id"]]
                    factor = figures[name].factor
                    found[name] += [
                        (at, float(value) * factor)
                        for at, value in zip(result["Timestamps"], result["Values"], strict=True)
                    ]


def _stat(figure: Figure, period: timedelta) -> dict[str, Any]:
    return {
        "Metric": {
            "Namespace": figure.namespace,
            "MetricName": figure.metric,
            "Dimensions": [{"Name": name, "Value": value} for name, value in figure.dimensions.items()],
        },
        "Period": int(period.total_seconds()),
        "Stat": figure.statistic,
    }
