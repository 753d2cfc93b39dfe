"""Reports from the sandbox's own CloudWatch, DynamoDB and Parameter Store, by the adapters that the functions
use, against the requests that they are about.

Three days of single requests, published as the containers' own publisher and the balancer publish them: one
that nobody saw, one with gaps, and one with a release in its middle and a gap. Every figure is counted again
here, from the requests and by the standard library's statistics.

The balancer publishes every minute:
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html ;
a request to CloudWatch holds up to 1000 metrics, a metric up to 150 values:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html .
"""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import pytest

from backend.colour_metrics import Counts, Window, entries
from config.model import load
from cutover.adapters.clock import SystemClock
from cutover.adapters.control import ParameterConfiguration
from cutover.adapters.journal import DynamoJournal
from cutover.adapters.metric_history import CloudWatchHistory
from cutover.domain.report import Kind
from cutover.domain.report_page import as_text, page_of
from cutover.domain.report_words import Speech
from cutover.domain.series import floored
from cutover.steps.report import Wish, make_report
from tests.sandbox.conftest import Emulator
from tests.unit.report_scene import DAY, TARGETS, WINDOW, Request, Scene

HOUR, FIVE, MINUTE = timedelta(hours=1), timedelta(minutes=5), timedelta(minutes=1)
# CloudWatch takes metrics of the last two weeks only, and shows the last minutes late.
END = floored(datetime.now(UTC) - 10 * MINUTE, DAY)
FULL, GAPS, EMPTY = END - DAY, END - 2 * DAY, END - 3 * DAY
NOON = FULL + DAY / 2
#: When somebody looked, by colour.
LOOKED = {
    "blue": [
        (GAPS + 2 * HOUR, GAPS + 3 * HOUR),
        (GAPS + 3 * HOUR + FIVE, GAPS + 4 * HOUR),
        (GAPS + 10 * HOUR, GAPS + 11 * HOUR),
        (FULL, NOON),
    ],
    "green": [(NOON - HOUR / 2, FULL + 18 * HOUR), (FULL + 21 * HOUR, END)],
}
SLOW_SECONDS = 2.0
# A report reads none of the others that the publisher tells.
READ = ("Requests", "Errors")
MOST_METRICS, MOST_VALUES = 1000, 150


@dataclass(frozen=True)
class Days:
    """`requests` is the truth, and `report(until)` what is told of the day that ends then."""

    requests: list[Request]
    report: Callable[[datetime], dict[str, Any]]

    def seen(self, since: datetime) -> list[Request]:
        """What users asked for on the day that begins then, and somebody saw."""
        return [
            each
            for each in self.requests
            if since <= each.at < since + DAY
            and each.colour == ("blue" if each.at < NOON else "green")
            and looked(each)
        ]


def looked(request: Request) -> bool:
    return any(since <= request.at < until for since, until in LOOKED[request.colour])


@pytest.fixture(scope="module")
def days(emulator: Emulator) -> Days:
    name = emulator.unique("reports")
    scene = Scene(journal=table(emulator, name))
    scene.deployed("v1", EMPTY - DAY, "blue", None)
    scene.deployed("v2", NOON, "green", "blue")
    scene.live("v2", NOON, "green")
    scene.traffic(GAPS, GAPS + 10 * HOUR + HOUR / 2, "blue", milliseconds=90, errors=0.01, seed=11)
    scene.traffic(FULL, NOON, "blue", milliseconds=60, errors=0.001, seed=12)
    # Green is under our own load before it is live, which is no user's.
    scene.traffic(NOON - HOUR / 2, NOON, "green", milliseconds=900, errors=0.5, seed=13)
    scene.traffic(NOON, END, "green", milliseconds=180, errors=0.002, seed=14)
    publish(emulator.client("cloudwatch"), name, scene.requests)

    parameter = f"/cutover/{name}/configuration"
    settings = json.dumps(load("staging").for_lambdas())
    emulator.client("ssm").put_parameter(Name=parameter, Value=settings, Type="String")

    def report(until: datetime) -> dict[str, Any]:
        return make_report(
            Wish(Kind.DAILY, until=until),
            name,
            journal=scene.journal,
            metrics=CloudWatchHistory(emulator.client("cloudwatch")),
            configuration=ParameterConfiguration(emulator.client("ssm"), parameter),
            clock=SystemClock(),
        )

    return Days(scene.requests, report)


def table(emulator: Emulator, name: str) -> DynamoJournal:
    client = emulator.client("dynamodb")
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    )
    return DynamoJournal(client, name)


def publish(client: Any, environment: str, requests: Iterable[Request]) -> None:
    """What the containers tell of every ten seconds, zeros too, and the balancer of minutes with requests."""
    windows: dict[tuple[str, datetime], list[Request]] = defaultdict(list)
    minutes: dict[tuple[str, datetime], list[Request]] = defaultdict(list)
    for each in requests:
        windows[each.colour, floored(each.at, WINDOW)].append(each)
        if looked(each):
            minutes[each.colour, floored(each.at, MINUTE)].append(each)
    counted: list[dict[str, Any]] = []
    for colour, spans in LOOKED.items():
        where = {"Environment": environment, "Service": "backend", "Colour": colour}
        for since, until in spans:
            for index in range((until - since) // WINDOW):
                at = since + index * WINDOW
                counts = counted_of(windows.get((colour, at), []))
                told = entries(Window(counts, containers=2, silent=0), where, at.timestamp())
                counted += [entry for entry in told if entry["MetricName"] in READ]
    timed = [
        {
            "MetricName": "TargetResponseTime",
            "Dimensions": [
                {"Name": "LoadBalancer", "Value": "app/cutover-staging/50dc"},
                {"Name": "TargetGroup", "Value": TARGETS[colour].rpartition(":")[2]},
            ],
            "Timestamp": at,
            "Values": [each.milliseconds / 1000 for each in inside],
            "Unit": "Seconds",
        }
        for (colour, at), inside in minutes.items()
    ]
    assert max(len(entry["Values"]) for entry in timed) <= MOST_VALUES
    for namespace, data in (("Cutover", counted), ("AWS/ApplicationELB", timed)):
        for start in range(0, len(data), MOST_METRICS):
            client.put_metric_data(Namespace=namespace, MetricData=data[start : start + MOST_METRICS])


def counted_of(requests: list[Request]) -> Counts:
    slow = sum(each.milliseconds > SLOW_SECONDS * 1000 for each in requests)
    return Counts(len(requests), sum(each.failed for each in requests), slow)


def percentiles(requests: Iterable[Request], percent: int) -> dict[datetime, float]:
    """Of the five minutes, in milliseconds."""
    periods: dict[datetime, list[float]] = defaultdict(list)
    for each in requests:
        periods[floored(each.at, FIVE)].append(each.milliseconds)
    return {
        at: statistics.quantiles(times, n=100, method="inclusive")[percent - 1]
        for at, times in periods.items()
    }


def theil_sen(hours: dict[int, float]) -> float:
    """The median of the slopes between all pairs of hours."""
    return statistics.median((hours[b] - hours[a]) / (b - a) for a, b in combinations(sorted(hours), 2))


def by_hour(requests: Iterable[Request], since: datetime) -> dict[int, list[Request]]:
    hours: dict[int, list[Request]] = defaultdict(list)
    for each in requests:
        hours[(each.at - since) // HOUR].append(each)
    return hours


@pytest.fixture(scope="module")
def full(days: Days) -> dict[str, Any]:
    return days.report(END)


def test_totals_of_a_day_with_a_release_are_those_of_its_requests(days: Days, full: dict[str, Any]) -> None:
    seen = days.seen(FULL)
    failed = sum(each.failed for each in seen)
    assert failed > 0
    assert (full["totals"]["requests"], full["totals"]["errors"]) == (len(seen), failed)
    assert full["totals"]["error_rate"] == pytest.approx(failed / len(seen))
    assert full["totals"]["availability"] == pytest.approx(1 - failed / len(seen))
    assert full["figures"]["throughput"]["mean"] == pytest.approx(len(seen) / (21 * 3600))
    assert [each["colour"] for each in full["traffic"]] == ["blue", "green"]


@pytest.mark.parametrize("percent", [50, 95, 99])
def test_times_are_those_of_the_requests_period_by_period(
    days: Days, full: dict[str, Any], percent: int
) -> None:
    wanted = percentiles(days.seen(FULL), percent)
    found = full["figures"][f"p{percent}"]
    worst = max(wanted, key=lambda at: wanted[at])
    assert found["periods"] == len(wanted) == 252
    assert found["mean"] == pytest.approx(statistics.fmean(wanted.values()))
    assert found["median"] == pytest.approx(statistics.median(wanted.values()))
    assert found["lowest"] == pytest.approx(min(wanted.values()))
    assert found["highest"] == pytest.approx(wanted[worst])
    assert datetime.fromisoformat(found["highest_at"]) == worst


def test_slopes_are_those_of_the_hours_that_were_seen(days: Days, full: dict[str, Any]) -> None:
    seen = days.seen(FULL)
    p95: dict[int, list[float]] = defaultdict(list)
    for at, value in percentiles(seen, 95).items():
        p95[(at - FULL) // HOUR].append(value)
    hours = by_hour(seen, FULL)
    wanted = {
        "p95": theil_sen({hour: statistics.median(values) for hour, values in p95.items()}),
        "throughput": theil_sen({hour: len(inside) / 3600 for hour, inside in hours.items()}),
        "error_rate": theil_sen(
            {hour: sum(each.failed for each in inside) / len(inside) for hour, inside in hours.items()}
        ),
    }
    for name, slope in wanted.items():
        found = full["trends"][name]
        assert (found["blocks"], found["per_seconds"]) == (21, 3600), name
        assert found["slope"] == pytest.approx(slope, abs=1e-12), name
        assert found["low"] <= found["slope"] <= found["high"], name
    assert full["trends"]["p95"]["direction"] == "rising", "v2 is three times as slow as v1"


def test_the_gap_of_the_day_is_said(full: dict[str, Any]) -> None:
    (gap,) = full["coverage"]["gaps"]
    assert datetime.fromisoformat(gap["since"]) == FULL + 18 * HOUR
    assert datetime.fromisoformat(gap["until"]) == FULL + 21 * HOUR
    assert "No data for 36 of 288 periods of 300 s" in told(full)


def test_a_day_with_gaps_says_each_and_takes_quiet_time_for_none(days: Days) -> None:
    found, seen = days.report(FULL), days.seen(GAPS)
    gaps = [
        tuple((datetime.fromisoformat(each[end]) - GAPS) / HOUR for end in ("since", "until"))
        for each in found["coverage"]["gaps"]
    ]
    assert gaps == [(0, 2), (3, pytest.approx(3 + 1 / 12)), (4, 10), (11, 24)]
    assert (found["coverage"]["wanted"], found["coverage"]["seen"]) == (288, 35)
    assert "No data for 253 of 288 periods of 300 s" in told(found)
    failed = sum(each.failed for each in seen)
    assert failed > 0
    assert (found["totals"]["requests"], found["totals"]["errors"]) == (len(seen), failed)
    # Half an hour was seen in which nobody asked for anything.
    assert found["figures"]["throughput"]["lowest"] == 0
    assert found["figures"]["p95"]["periods"] == 29
    assert found["figures"]["throughput"]["mean"] == pytest.approx(len(seen) / (35 * 300))
    assert found["readiness"]["verdict"] != "ready"


def test_a_day_that_nobody_saw_is_empty_and_never_a_zero(days: Days) -> None:
    found = days.report(GAPS)
    assert (found["coverage"]["wanted"], found["coverage"]["seen"]) == (288, 0)
    assert set(found["totals"].values()) == {None}
    assert set(found["figures"].values()) == {None}
    assert {each["slope"] for each in found["trends"].values()} == {None}
    assert found["readiness"]["verdict"] != "ready"
    assert "No data: in none of the" in told(found)
    assert "데이터 없음" in as_text(page_of(found, Speech("ko", "Asia/Seoul")))


def told(report: dict[str, Any]) -> str:
    return as_text(page_of(report, Speech("en", "Asia/Seoul")))
