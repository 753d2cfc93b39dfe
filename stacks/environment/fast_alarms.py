"""Alarms that do not wait for the balancer's minute: on the 10 s metrics that each instance publishes.

The containers count their own requests, errors and slow answers; `backend.colour_metrics` tells CloudWatch
what they counted, every 10 s and zeros too (docs/reliability.md says why it is done there). So a missing
datapoint means that nobody could look: the alarm then has INSUFFICIENT_DATA, which is neither OK nor ALARM.
"""

from typing import Any

from aws_cdk import aws_cloudwatch as cloudwatch

from config.model import Alarms
from stacks.naming import Colour, FastAlarmKind, Names

PERIOD_SECONDS = 10
NAMESPACE = "Cutover"
#: The p95 is above the limit when more than this share of the answers took longer.
SLOW_PERCENT = 5


def dimensions(names: Names, colour: Colour) -> dict[str, str]:
    """Those of a colour's metrics, as its instances publish them."""
    return {"Environment": names.environment, "Service": "backend", "Colour": colour}


def fast_rules(
    limits: Alarms, names: Names, colour: Colour
) -> dict[FastAlarmKind, tuple[str, dict[str, Any]]]:
    """Per kind: what it means in words, and the properties that say it to CloudWatch."""
    seconds = limits.fast_periods * PERIOD_SECONDS
    least = limits.fast_requests

    def rule(expression: str, threshold: float, *metrics: str) -> dict[str, Any]:
        query = cloudwatch.CfnAlarm.MetricDataQueryProperty
        counts = [
            query(
                id=metric.lower(),
                return_data=False,
                metric_stat=cloudwatch.CfnAlarm.MetricStatProperty(
                    metric=cloudwatch.CfnAlarm.MetricProperty(
                        namespace=NAMESPACE,
                        metric_name=metric,
                        dimensions=[
                            cloudwatch.CfnAlarm.DimensionProperty(name=name, value=value)
                            for name, value in dimensions(names, colour).items()
                        ],
                    ),
                    period=PERIOD_SECONDS,
                    stat="Sum",
                ),
            )
            for metric in metrics
        ]
        return {
            "metrics": [
                query(id="share", expression=expression, label=expression, return_data=True),
                *counts,
            ],
            "comparison_operator": "GreaterThanThreshold",
            "threshold": threshold,
            "evaluation_periods": limits.fast_periods,
            "datapoints_to_alarm": limits.fast_periods,
            "treat_missing_data": "missing",
        }

    # A share of a handful of requests says nothing: below the least, the window counts as sound.
    return {
        "fast-errors": (
            f"More than {limits.error_rate_percent:g} % of answers were 5xx for {seconds} s",
            rule(
                f"IF(requests >= {least}, 100*errors/requests, 0)",
                limits.error_rate_percent,
                "Requests",
                "Errors",
            ),
        ),
        "fast-latency": (
            f"p95 latency was above {limits.p95_seconds:g} s for {seconds} s",
            rule(f"IF(requests >= {least}, 100*slow/requests, 0)", SLOW_PERCENT, "Requests", "Slow"),
        ),
        "fast-silence": (
            f"More than half of the containers did not answer for {seconds} s",
            rule("100*silent/containers", 50, "Silent", "Containers"),
        ),
    }
