"""The last hour of the live service in minutes, for the status page's lines."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from cutover.adapters.aws import aws_errors

MINUTES = 60
#: Name → (metric, statistic) of the load balancer.
#: https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
SERIES = {
    "requests": ("RequestCount", "Sum"),
    "errors": ("HTTPCode_Target_5XX_Count", "Sum"),
    "latency": ("TargetResponseTime", "p95"),
}


class BalancerTrends:
    """By the load balancer of a listener's ARN."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def last_hour(self, listener: str, now: datetime) -> dict[str, list[list[Any]]]:
        """[[minute in ISO 8601, value], …] by name, oldest first; a minute without data is not in it. Latency
        in milliseconds."""
        balancer = "/".join(listener.partition(":listener/")[2].split("/")[:3])
        queries = [
            {
                "Id": name,
                "MetricStat": {
                    "Metric": {
                        "Namespace": "AWS/ApplicationELB",
                        "MetricName": metric,
                        "Dimensions": [{"Name": "LoadBalancer", "Value": balancer}],
                    },
                    "Period": 60,
                    "Stat": statistic,
                },
            }
            for name, (metric, statistic) in SERIES.items()
        ]
        with aws_errors():
            answer = self._client.get_metric_data(
                MetricDataQueries=queries,
                StartTime=now - timedelta(minutes=MINUTES),
                EndTime=now,
                ScanBy="TimestampAscending",
            )
        found: dict[str, list[list[Any]]] = {}
        for result in answer["MetricDataResults"]:
            scale = 1000 if result["Id"] == "latency" else 1
            pairs = zip(result["Timestamps"], result["Values"], strict=True)
            found[result["Id"]] = [[at.isoformat(), round(value * scale, 1)] for at, value in pairs]
        return found
