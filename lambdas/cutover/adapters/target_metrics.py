"""An Auto Scaling group's figures in CloudWatch, minute by minute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from cutover.adapters.aws import aws_errors
from cutover.domain.target_resources import PERIOD, RESOURCES, Datapoint


class GroupMetrics:
    def __init__(self, client: Any) -> None:
        self._client = client

    def during(self, group: str, since: datetime, until: datetime) -> Mapping[str, Sequence[Datapoint]]:
        queries = [
            {
                "Id": name,
                "MetricStat": {
                    "Metric": {
                        "Namespace": metric.namespace,
                        "MetricName": metric.name,
                        "Dimensions": [{"Name": "AutoScalingGroupName", "Value": group}],
                    },
                    "Period": int(PERIOD.total_seconds()),
                    "Stat": metric.statistic,
                },
            }
            for name, metric in RESOURCES.items()
        ]
        found: dict[str, list[Datapoint]] = {name: [] for name in RESOURCES}
        with aws_errors():
            pages = self._client.get_paginator("get_metric_data").paginate(
                MetricDataQueries=queries, StartTime=since, EndTime=until, ScanBy="TimestampAscending"
            )
            for page in pages:
                for result in page["MetricDataResults"]:
                    found[result["Id"]] += [
                        Datapoint(at, float(value))
                        for at, value in zip(result["Timestamps"], result["Values"], strict=True)
                    ]
        return found
