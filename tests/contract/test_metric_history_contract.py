"""What CloudWatch keeps: figures with their statistics, in our units, and nothing for what nobody published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cutover.adapters.metric_history import CloudWatchHistory
from cutover.domain.colours import Colour
from cutover.domain.environment import Targets
from cutover.domain.figures import Figure, colour_figures
from cutover.domain.series import floored
from cutover.report_ports import MetricHistory
from tests.contract.fake_history import FakeHistory
from tests.unit.report_scene import TARGETS

MINUTE = timedelta(minutes=1)
# CloudWatch takes metrics of the last two weeks only.
START = floored(datetime.now(UTC) - timedelta(hours=2), timedelta(hours=1))
#: (how to put a sample: namespace, metric, dimensions, moment, values)
Put = Callable[..., None]


@pytest.fixture(params=["memory", "cloudwatch"])
def kept(request: pytest.FixtureRequest) -> tuple[MetricHistory, Put, str]:
    if request.param == "memory":
        history = FakeHistory()
        return history, history.put, "memory"
    aws = request.getfixturevalue("aws")
    client = aws.client("cloudwatch")

    def put(namespace: str, metric: str, dimensions: Mapping[str, str], at: datetime, *values: float) -> None:
        data: dict[str, Any] = {
            "MetricName": metric,
            "Dimensions": [{"Name": name, "Value": value} for name, value in dimensions.items()],
            "Timestamp": at,
            "Values": list(values),
        }
        client.put_metric_data(Namespace=namespace, MetricData=[data])

    return CloudWatchHistory(client), put, aws.unique("history")


def test_each_figure_has_its_statistic_in_our_unit(kept: tuple[MetricHistory, Put, str]) -> None:
    history, put, where = kept
    figures = colour_figures(where, Colour.BLUE, Targets(**TARGETS))
    for minute in range(3):
        at = START + minute * MINUTE
        requests, p95 = figures["requests"], figures["p95"]
        for second in (0, 10, 50):
            moment = at + timedelta(seconds=second)
            put(requests.namespace, requests.metric, requests.dimensions, moment, 5 + minute)
        balancer = {**p95.dimensions, "LoadBalancer": f"app/{where}/1"}
        put(p95.namespace, p95.metric, balancer, at, *(value / 1000 for value in range(1, 101)))
        put("AWS/EC2", "CPUUtilization", {"AutoScalingGroupName": where}, at, 20, 40)
    figures["p95"] = Figure(p95.namespace, p95.metric, "p95", balancer, 1000)
    figures["cpu"] = Figure("AWS/EC2", "CPUUtilization", "Average", {"AutoScalingGroupName": where}, 0.01)
    found = history.read(figures, START, START + 3 * MINUTE, MINUTE)
    assert list(found["requests"]) == [(START + minute * MINUTE, 3.0 * (5 + minute)) for minute in range(3)]
    assert [value for _, value in found["p95"]] == pytest.approx([95.05] * 3)
    assert [value for _, value in found["cpu"]] == pytest.approx([0.3] * 3)


def test_what_nobody_published_is_empty_and_a_gap_stays_one(kept: tuple[MetricHistory, Put, str]) -> None:
    history, put, where = kept
    dimensions = {"Environment": where, "Service": "backend", "Colour": "green"}
    figure = Figure("Cutover", "Requests", "Sum", dimensions)
    for minute in (0, 1, 8):
        put("Cutover", "Requests", dimensions, START + minute * MINUTE, 0 if minute == 1 else 7)
    found = history.read(
        {"requests": figure, "errors": Figure("Cutover", "Errors", "Sum", dimensions)},
        START,
        START + 10 * MINUTE,
        MINUTE,
    )
    assert [((at - START) // MINUTE, value) for at, value in found["requests"]] == [(0, 7), (1, 0), (8, 7)]
    assert list(found["errors"]) == []


def test_no_time_at_all_has_no_points(kept: tuple[MetricHistory, Put, str]) -> None:
    history, _, where = kept
    figure = Figure("Cutover", "Requests", "Sum", {"Environment": where})
    assert {
        name: list(points) for name, points in history.read({"a": figure}, START, START, MINUTE).items()
    } == {"a": []}


def test_more_than_one_request_holds_is_asked_in_several(kept: tuple[MetricHistory, Put, str]) -> None:
    """60 days of hours, for more figures than one GetMetricData brings."""
    history, put, where = kept
    dimensions = {"Environment": where, "Service": "backend", "Colour": "blue"}
    put("Cutover", "Requests", dimensions, START, 3)
    figures = {f"f-{number}": Figure("Cutover", "Requests", "Sum", dimensions) for number in range(80)}
    hour = timedelta(hours=1)
    found = history.read(figures, START - 1439 * hour, START + hour, hour)
    assert {name: list(points) for name, points in found.items()} == {
        name: [(START, 3.0)] for name in figures
    }
