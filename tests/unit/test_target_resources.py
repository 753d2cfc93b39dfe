"""CPU, memory and disk under a load: the worst minute is judged, and no datapoint is no pass."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cutover.domain.measures import Limits
from cutover.domain.target_resources import VOLUME_BYTES, Datapoint, is_complete, judge_resources
from cutover.steps.target_resources import check_resources
from tests.contract.fakes import FakeTargetMetrics
from tests.contract.scenes import THRESHOLDS

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
LIMITS = Limits(THRESHOLDS, {})
LOAD = {"began": NOON.timestamp(), "ended": NOON.timestamp() + 90}


def minutes(*values: float) -> list[Datapoint]:
    return [Datapoint(NOON + timedelta(minutes=number), value) for number, value in enumerate(values)]


def verdicts(found: dict[str, list[Datapoint]], instances: int = 2) -> dict[str, str]:
    return {gate.measure: gate.verdict.value for gate in judge_resources(found, instances, LIMITS)}


QUIET = {
    "cpu": minutes(30, 40),
    "memory": minutes(50, 60),
    "read": minutes(0, 0),
    "written": minutes(1e6, 1e6),
}


def test_instances_at_ease_pass() -> None:
    assert verdicts(QUIET) == {"cpu": "Pass", "memory": "Pass", "disk": "Pass"}


@pytest.mark.parametrize(
    ("name", "values", "measure"),
    [
        ("cpu", (30, 70.5), "cpu"),
        ("memory", (85, 50), "memory"),
        ("written", (0, 2 * 60 * VOLUME_BYTES * 0.85), "disk"),
    ],
)
def test_one_bad_minute_is_enough(name: str, values: tuple[float, ...], measure: str) -> None:
    found = verdicts({**QUIET, name: minutes(*values)})

    assert {key for key, verdict in found.items() if verdict != "Pass"} == {measure}
    assert found[measure] == "Fail"


@pytest.mark.parametrize(
    ("name", "measure"), [("cpu", "cpu"), ("memory", "memory"), ("read", "disk"), ("written", "disk")]
)
def test_a_figure_that_cloudwatch_does_not_have_is_inconclusive(name: str, measure: str) -> None:
    found = verdicts({key: points for key, points in QUIET.items() if key != name})

    assert {key for key, verdict in found.items() if verdict != "Pass"} == {measure}
    assert found[measure] == "Inconclusive"


def test_it_is_complete_when_the_minute_of_the_loads_end_is_there() -> None:
    assert is_complete(QUIET, NOON + timedelta(seconds=90))
    assert not is_complete(QUIET, NOON + timedelta(seconds=125))
    assert not is_complete({**QUIET, "memory": []}, NOON + timedelta(seconds=90))


def test_the_loads_own_time_is_asked_for() -> None:
    metrics = FakeTargetMetrics()
    answer: dict[str, Any] = check_resources("green-group", LOAD, 2, LIMITS, metrics=metrics)

    assert metrics.asked == [("green-group", NOON, NOON + timedelta(seconds=90))]
    assert answer["complete"]
    assert {gate["verdict"] for gate in answer["gates"]} == {"Pass"}
