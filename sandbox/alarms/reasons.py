"""The words and data with which CloudWatch explains a change of state (StateReason, StateReasonData).

The wording is that of the events in
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
and, for missing data, that of reasons which users quote; AWS does not document it as an interface.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sandbox.alarms.evaluation import Band, DataPoint, MissingData, Rule, State, Verdict, breaches

# The real moment (UTC) of a CloudWatch second.
Moment = Callable[[float], datetime]

_COMPARISONS = {
    "GreaterThanThreshold": "greater than the threshold",
    "GreaterThanOrEqualToThreshold": "greater than or equal to the threshold",
    "LessThanThreshold": "less than the threshold",
    "LessThanOrEqualToThreshold": "less than or equal to the threshold",
    "GreaterThanUpperThreshold": "greater than the upper thresholds",
    "LessThanLowerThreshold": "less than the lower thresholds",
    "LessThanLowerOrGreaterThanUpperThreshold": (
        "less than the lower thresholds or greater than the upper thresholds"
    ),
}
_FILLED_AS = {
    MissingData.BREACHING: "Breaching",
    MissingData.NOT_BREACHING: "NonBreaching",
    MissingData.MISSING: "Missing",
    MissingData.IGNORE: "Ignore",
}
VERSION = "1.0"


def timestamp(moment: datetime) -> str:
    """As CloudWatch writes moments into JSON: 2019-10-02T17:04:40.985+0000."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}+0000"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def text(rule: Rule, verdict: Verdict, moment: Moment) -> str:
    """The StateReason of the state that `verdict` gives."""
    if verdict.state is State.INSUFFICIENT_DATA:
        unknown = max(verdict.filled, 1)
        return f"Insufficient Data: {_plural(unknown, 'datapoint')} {_were(unknown)} unknown."
    head = "Thresholds Crossed" if isinstance(rule.threshold, Band) else "Threshold Crossed"
    alarming = verdict.state is State.ALARM
    telling = [each for each in verdict.evaluated if _breaching(rule, each) == alarming]
    missing = _missing(rule, verdict)
    if not telling:
        received = len(verdict.evaluated)
        received_text = _plural(received, "datapoint") if received else "no datapoints"
        return (
            f"{head}: {received_text} {'was' if received == 1 else 'were'} received for "
            f"{_plural(rule.evaluation_periods, 'period')}{missing}."
        )
    listed = ", ".join(
        f"{each.value} ({moment(each.start).strftime('%d/%m/%y %H:%M:%S')})" for each in reversed(telling)
    )
    crossed = (
        f"{_were(len(telling))} {'' if alarming else 'not '}{_COMPARISONS[rule.operator]} {_limits(rule)}"
    )
    if rule.datapoints_to_alarm is None:
        return f"{head}: {_plural(len(telling), 'datapoint')} [{listed}] {crossed}{missing}."
    minimum = rule.needed if alarming else rule.evaluation_periods - rule.needed + 1
    transition = "OK -> ALARM" if alarming else "ALARM -> OK"
    return (
        f"{head}: {len(telling)} out of the last {rule.evaluation_periods} datapoints [{listed}] "
        f"{crossed}{missing} "
        f"(minimum {_plural(minimum, 'datapoint')} for {transition} transition)."
    )


def _breaching(rule: Rule, point: DataPoint) -> bool:
    return point.value is not None and breaches(rule.operator, point.value, rule.threshold)


def _missing(rule: Rule, verdict: Verdict) -> str:
    if not verdict.filled:
        return ""
    count = verdict.filled
    treated = f"{_were(count)} treated as [{_FILLED_AS[rule.missing_data]}]"
    return f" and {_plural(count, 'missing datapoint')} {treated}"


def _limits(rule: Rule) -> str:
    if not isinstance(rule.threshold, Band):
        return f"({rule.threshold})"
    limits = {
        "GreaterThanUpperThreshold": [rule.threshold.upper],
        "LessThanLowerThreshold": [rule.threshold.lower],
    }.get(rule.operator, [rule.threshold.lower, rule.threshold.upper])
    return f"{limits}"


def data(
    rule: Rule,
    verdict: Verdict,
    *,
    period: int,
    statistic: str | None,
    unit: str | None,
    queried: datetime,
    window: tuple[int, ...],
    moment: Moment,
) -> dict[str, Any]:
    """The StateReasonData, not yet encoded as JSON.

    `statistic` is None for an expression; `window` holds the starts of the periods looked at, `queried` is
    the real moment of the evaluation. Without any data the newest EvaluationPeriods moments are listed.
    """
    real = verdict.evaluated
    found: dict[str, Any] = {"version": VERSION, "queryDate": timestamp(queried)}
    if real:
        found["startDate"] = timestamp(moment(real[0].start))
    if unit:
        found["unit"] = unit
    if statistic:
        found["statistic"] = statistic
    found["period"] = period
    found["recentDatapoints"] = [each.value for each in real]
    if isinstance(rule.threshold, Band):
        found["recentLowerThresholds"] = [rule.threshold.lower] * len(real)
        found["recentUpperThresholds"] = [rule.threshold.upper] * len(real)
    else:
        found["threshold"] = rule.threshold
    points = real or tuple(DataPoint(start, None) for start in window[-rule.evaluation_periods :])
    found["evaluatedDatapoints"] = [_evaluated(each, moment) for each in reversed(points)]
    return found


def _evaluated(point: DataPoint, moment: Moment) -> dict[str, Any]:
    found: dict[str, Any] = {"timestamp": timestamp(moment(point.start))}
    if point.sample_count is not None:
        found["sampleCount"] = point.sample_count
    if point.value is not None:
        found["value"] = point.value
    return found
