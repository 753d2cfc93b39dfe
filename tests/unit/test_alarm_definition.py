"""Alarms as PutMetricAlarm describes them, from raw data to a decision.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from sandbox.alarms.definition import AlarmDefinition, AlarmError, Decision, from_request
from sandbox.alarms.evaluation import State
from sandbox.alarms.queries import Evaluation, QueryError, grid, periods
from sandbox.alarms.queries import from_request as queries_from_request
from sandbox.alarms.store import Metric, MetricStore

ERRORS = Metric.of("Web", "Errors", {"Colour": "green"})
REQUESTS = Metric.of("Web", "Requests", {"Colour": "green"})
DIMENSIONS = [{"Name": "Colour", "Value": "green"}]


def stat(name: str, period: int = 60, statistic: str = "Sum") -> dict[str, Any]:
    metric = {"Namespace": "Web", "MetricName": name, "Dimensions": DIMENSIONS}
    return {"Metric": metric, "Period": period, "Stat": statistic}


def single(**more: Any) -> dict[str, Any]:
    return {
        "AlarmName": "errors",
        "Namespace": "Web",
        "MetricName": "Errors",
        "Dimensions": DIMENSIONS,
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 5,
        "ComparisonOperator": "GreaterThanThreshold",
        **more,
    }


def ratio(**more: Any) -> dict[str, Any]:
    return {
        "AlarmName": "ratio",
        "Metrics": [
            {"Id": "errors", "MetricStat": stat("Errors"), "ReturnData": False},
            {"Id": "requests", "MetricStat": stat("Requests"), "ReturnData": False},
            {"Id": "share", "Expression": "100 * FILL(errors, 0) / requests"},
        ],
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        **more,
    }


def evaluate(alarm: AlarmDefinition, store: MetricStore, end: int, current: State = State.OK) -> Decision:
    def moment(second: float) -> datetime:
        return datetime.fromtimestamp(second, UTC)

    return alarm.evaluate(store, end, current, moment(end + 1), moment)


def test_an_alarm_sums_its_metric_over_the_period_that_has_closed() -> None:
    store, alarm = MetricStore(), from_request(single())
    for second in (60, 100, 119):
        store.put_value(ERRORS, second, 2.0)
    store.put_value(ERRORS, 120, 50.0)
    decision = evaluate(alarm, store, 120)
    assert decision.state is State.ALARM
    assert decision.reason_data["recentDatapoints"] == [6.0]
    assert decision.reason_data["statistic"] == "Sum"


def test_an_alarm_on_a_ratio_follows_it() -> None:
    store, alarm = MetricStore(), from_request(ratio())
    store.put_value(REQUESTS, 60, 1000.0)
    assert evaluate(alarm, store, 120).state is State.OK
    store.put_value(ERRORS, 61, 11.0)
    decision = evaluate(alarm, store, 120)
    assert decision.state is State.ALARM
    assert "1.1" in decision.reason
    assert "statistic" not in decision.reason_data


def test_a_ratio_without_requests_is_missing_data_and_not_zero() -> None:
    store, alarm = MetricStore(), from_request(ratio())
    store.put_value(ERRORS, 60, 11.0)
    assert evaluate(alarm, store, 120).state is State.INSUFFICIENT_DATA


def test_a_percentile_alarm_reads_the_percentile() -> None:
    store = MetricStore()
    alarm = from_request(single(Statistic=None, ExtendedStatistic="p95", Threshold=94))
    for value in range(1, 101):
        store.put_value(ERRORS, 60, float(value))
    assert evaluate(alarm, store, 120).state is State.ALARM
    low = from_request(
        single(
            Statistic=None, ExtendedStatistic="p95", Threshold=94, EvaluateLowSampleCountPercentile="ignore"
        )
    )
    assert evaluate(low, store, 120).retained  # p95 takes 200 samples to be significant


def test_only_data_of_the_alarms_unit_counts() -> None:
    store = MetricStore()
    store.put_value(ERRORS, 60, 9.0, "Percent")
    assert evaluate(from_request(single(Unit="Count")), store, 120).state is State.INSUFFICIENT_DATA
    assert evaluate(from_request(single(Unit="Percent")), store, 120).state is State.ALARM


@pytest.mark.parametrize(
    ("alarm", "told"),
    [
        (single(Period=45), "Period 45"),
        (single(Period=5), "Period 5"),
        (single(MetricName=None), "MetricName"),
        (single(Statistic=None), "Statistic"),
        (single(ExtendedStatistic="p95"), "Statistic and ExtendedStatistic"),
        (single(Statistic="Median"), "'Median'"),
        (single(EvaluationPeriods=0), "EvaluationPeriods 0"),
        (single(EvaluationPeriods=2, DatapointsToAlarm=3), "DatapointsToAlarm 3"),
        (single(DatapointsToAlarm=0), "DatapointsToAlarm 0"),
        (single(Threshold=None), "Threshold None"),
        (single(Threshold="high"), "Threshold 'high'"),
        (single(Threshold="nan"), "Threshold 'nan'"),
        (single(Period="a minute"), "Period 'a minute'"),
        (single(EvaluationPeriods="three"), "EvaluationPeriods 'three'"),
        (single(EvaluationPeriods=1, DatapointsToAlarm="one"), "DatapointsToAlarm 'one'"),
        (single(ComparisonOperator="Above"), "'Above'"),
        (single(ComparisonOperator="GreaterThanUpperThreshold"), "anomaly detection"),
        (single(TreatMissingData="fine"), "'fine'"),
        (single(EvaluateLowSampleCountPercentile="no"), "'no'"),
        (single(Period=300, EvaluationPeriods=289), "more than a day"),
        (ratio(Metrics=[{"Id": "m1", "MetricStat": stat("Errors"), "ReturnData": False}]), "ReturnData"),
        (ratio(Metrics=[{"Id": "e1", "Expression": "m1"}]), "'m1'"),
        (ratio(Metrics=[{"Id": "E", "MetricStat": stat("Errors")}]), "'E'"),
        (ratio(Metrics=[{"Id": "m1", "MetricStat": stat("Errors"), "Expression": "1"}]), "exactly one"),
        (
            ratio(
                Metrics=[
                    {"Id": "m1", "MetricStat": stat("Errors"), "ReturnData": False},
                    {"Id": "e1", "Expression": "SUM(m1)"},
                ]
            ),
            "single time series",
        ),
        (
            ratio(
                Metrics=[
                    {"Id": "m1", "MetricStat": stat("Errors"), "ReturnData": False},
                    {"Id": "e1", "Expression": "ANOMALY_DETECTION_BAND(m1, 2)"},
                ]
            ),
            "'ANOMALY_DETECTION_BAND'",
        ),
        (
            ratio(
                Metrics=[
                    {"Id": "m1", "MetricStat": stat("Errors", 60), "ReturnData": False},
                    {"Id": "m2", "MetricStat": stat("Errors", 120), "ReturnData": False},
                    {"Id": "e1", "Expression": "m1 + m2"},
                ]
            ),
            "mixes the periods [60, 120]",
        ),
        (
            ratio(
                Metrics=[
                    {"Id": "e1", "Expression": "e2 + 1"},
                    {"Id": "e2", "Expression": "e1 + 1", "ReturnData": False},
                ]
            ),
            "e1 -> e2 -> e1",
        ),
    ],
)
def test_an_alarm_that_cannot_be_evaluated_is_refused_with_its_fault(
    alarm: dict[str, Any], told: str
) -> None:
    with pytest.raises(AlarmError) as refused:
        from_request(alarm)
    assert told in str(refused.value)


def test_a_request_starts_at_the_whole_minute() -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html (StartTime)"""
    assert grid(125, 250, 60).starts == (120, 180, 240)
    assert grid(125, 250, 300).starts == (120,)
    assert grid(125, 145, 10).starts == (120, 130, 140)


def test_a_request_for_two_metrics_of_different_periods_is_answered() -> None:
    store = MetricStore()
    store.put_value(ERRORS, 60, 1.0)
    store.put_value(ERRORS, 130, 2.0)
    wanted = queries_from_request(
        [{"Id": "a", "MetricStat": stat("Errors", 60)}, {"Id": "b", "MetricStat": stat("Errors", 120)}]
    )
    grids = {period: grid(60, 180, period) for period in periods(wanted)}
    evaluation = Evaluation(wanted, store, grids)
    assert evaluation.result("a").values == {60: 1.0, 120: 2.0}
    assert evaluation.result("b").values == {60: 3.0}


def test_an_id_may_be_used_once_only() -> None:
    with pytest.raises(QueryError, match="'a' is used by more than one"):
        queries_from_request([{"Id": "a", "MetricStat": stat("Errors")}] * 2)


def test_breaches_with_gaps_count_as_consecutive_unless_the_gaps_are_filled() -> None:
    """An error count that is not published while it is 0 leaves gaps, and 3 of 3 then looks past them.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html (enough real data
    points in the evaluation range are evaluated, however missing data is treated)
    """
    store = MetricStore()
    for minute in range(5):
        store.put_value(REQUESTS, minute * 60, 100.0)
        if minute % 2 == 0:
            store.put_value(ERRORS, minute * 60, 50.0)
    metrics = ratio()["Metrics"]
    shared: dict[str, Any] = {
        "EvaluationPeriods": 3,
        "DatapointsToAlarm": 3,
        "TreatMissingData": "notBreaching",
    }
    with_gaps = from_request(
        ratio(Metrics=[*metrics[:2], {"Id": "e", "Expression": "100*errors/requests"}], **shared)
    )
    filled = from_request(ratio(**shared))
    assert evaluate(with_gaps, store, 300).state is State.ALARM
    assert evaluate(filled, store, 300).state is State.OK
