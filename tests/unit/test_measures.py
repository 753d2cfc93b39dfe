"""The measures of the Go/No-Go board, and the gates that are judged by them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from config.thresholds import Gates, Thresholds
from cutover.domain.errors import MisconfiguredError
from cutover.domain.gates import Comparison, Threshold, Unit, Verdict, shown
from cutover.domain.measures import MEASURES, Limits

DEFAULTS = Limits.read({"thresholds": Thresholds().model_dump()})


def test_the_configuration_can_weigh_every_measure_and_nothing_else() -> None:
    assert set(Gates.model_fields) == set(MEASURES)


def test_every_threshold_belongs_to_a_measure() -> None:
    fields = {each.field for each in MEASURES.values()} - {None}
    assert fields == set(Thresholds.model_fields) - {"scan_documents"}


def test_the_defaults_are_the_figures_of_the_requirements() -> None:
    told = {name: (str(DEFAULTS.threshold(name)), DEFAULTS.must(name)) for name in MEASURES}
    assert told == {
        "p50": ("< 250 ms", False),
        "p95": ("< 500 ms", True),
        "p99": ("< 1000 ms", False),
        "errors": ("< 0.1%", True),
        "availability": ("> 99.9%", True),
        "findings": ("≤ 0", True),
        "concurrent_users": ("≥ 200", False),
        "requests_per_second": ("≥ 1,000 a second", False),
        "cpu": ("< 70%", False),
        "memory": ("< 80%", False),
        "disk": ("< 80%", False),
        "cache_hit": ("> 90%", False),
        "query_mean": ("< 50 ms", True),
        "index_hit": ("> 95%", True),
        "pool_use": ("< 80%", True),
    }


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_is_no_number_was_not_measured(measure: str, value: float | None) -> None:
    gate = DEFAULTS.judge(measure, value, samples=1000)
    assert (gate.verdict, gate.samples) == (Verdict.INCONCLUSIVE, 0)


@pytest.mark.parametrize("measure", MEASURES)
def test_too_few_samples_say_nothing_however_good_the_value_is(measure: str) -> None:
    about = MEASURES[measure]
    good = 0.0 if about.comparison in (Comparison.BELOW, Comparison.AT_MOST) else 1e9
    assert DEFAULTS.judge(measure, good, samples=about.fewest).verdict is Verdict.PASS
    assert DEFAULTS.judge(measure, good, samples=about.fewest - 1).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("measure", "at_the_limit"),
    [("p95", "Fail"), ("availability", "Fail"), ("concurrent_users", "Pass"), ("findings", "Pass")],
)
def test_a_value_at_its_limit_is_judged_as_the_requirement_words_it(measure: str, at_the_limit: str) -> None:
    limit = DEFAULTS.threshold(measure).limit
    assert DEFAULTS.judge(measure, limit, samples=1000).verdict == at_the_limit


def test_a_gate_carries_its_raw_numbers_its_threshold_and_where_more_is() -> None:
    gate = DEFAULTS.judge(
        "p95", 812.4, samples=900, found="of 3 workers", evidence={"workers": 3}, link="s3://bucket/load.json"
    ).as_json()
    assert gate["evidence"] == {"value": 812.4, "workers": 3}
    assert gate["threshold"] == {"comparison": "<", "limit": 500.0, "unit": "ms"}
    assert (gate["found"], gate["link"]) == ("812 ms (of 3 workers)", "s3://bucket/load.json")
    assert "phase" not in gate


def test_the_configuration_weighs_a_measure_otherwise() -> None:
    limits = Limits({"p95_ms": 500, "cpu": 0.7}, {"p95": "should", "cpu": "must"})
    assert (limits.must("p95"), limits.must("cpu"), limits.must("errors")) == (False, True, True)


def test_a_threshold_that_is_not_installed_is_named() -> None:
    with pytest.raises(MisconfiguredError, match=r"thresholds\.p99_ms: .* deploy the control plane again"):
        Limits({}, {}).judge("p99", 1.0, samples=1000)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (3.14159, Unit.MILLISECONDS, "3.1 ms"),
        (50, Unit.MILLISECONDS, "50 ms"),
        (1234.5, Unit.MILLISECONDS, "1234 ms"),
        (0.0002, Unit.SHARE, "0.02%"),
        (0.99987, Unit.SHARE, "99.99%"),
        (1249.6, Unit.PER_SECOND, "1,250 a second"),
        (99.25, Unit.PER_SECOND, "99.25 a second"),
        (1200, Unit.COUNT, "1,200"),
    ],
)
def test_values_are_told_with_their_units(value: float, unit: Unit, text: str) -> None:
    assert shown(value, unit) == text


@pytest.mark.parametrize(
    ("comparison", "below", "at", "above"),
    [
        (Comparison.BELOW, True, False, False),
        (Comparison.AT_MOST, True, True, False),
        (Comparison.ABOVE, False, False, True),
        (Comparison.AT_LEAST, False, True, True),
    ],
)
def test_a_threshold_knows_its_side(comparison: Comparison, below: bool, at: bool, above: bool) -> None:
    threshold = Threshold(comparison, 5, Unit.COUNT)
    assert (threshold.holds(4), threshold.holds(5), threshold.holds(6)) == (below, at, above)


def test_the_page_tells_every_measure() -> None:
    page = (Path(__file__).parents[2] / "docs" / "verification.md").read_text(encoding="utf-8")
    for each in MEASURES.values():
        weight = "must" if each.must else "should"
        row = f"| `{each.name}` | {each.title} | {each.requirement} | {each.persona} | {weight} | {DEFAULTS.threshold(each.name)} |"
        assert row in page, row
