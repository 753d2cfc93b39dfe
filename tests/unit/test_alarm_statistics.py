"""The metric store and CloudWatch's statistics over it."""

from __future__ import annotations

import pytest

from sandbox.alarms.clock import Clock
from sandbox.alarms.statistics import (
    Samples,
    StatisticSet,
    UnknownStatistic,
    percentile_rank,
    samples_needed,
    statistic,
)
from sandbox.alarms.store import Metric, MetricStore

METRIC = Metric.of("Web", "Latency", {"Colour": "blue"})


def samples(*values: float) -> Samples:
    found = Samples()
    for value in values:
        found.add(value)
    return found


def test_the_basic_statistics_are_those_of_the_values() -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html"""
    given = samples(1.0, 2.0, 2.0, 7.0)
    assert {
        name: statistic(given, name) for name in ("SampleCount", "Sum", "Average", "Minimum", "Maximum")
    } == {
        "SampleCount": 4.0,
        "Sum": 12.0,
        "Average": 3.0,
        "Minimum": 1.0,
        "Maximum": 7.0,
    }


def test_values_and_counts_weigh_as_often_as_they_were_seen() -> None:
    given = Samples()
    given.add(10.0, 3)
    given.add(20.0, 1)
    assert statistic(given, "Average") == 12.5
    assert statistic(given, "SampleCount") == 4.0
    assert statistic(given, "p50") == 10.0


def test_statistic_sets_count_with_the_values() -> None:
    given = samples(1.0)
    given.add_set(StatisticSet(4, 40, 5, 20))
    assert statistic(given, "Sum") == 41.0
    assert statistic(given, "SampleCount") == 5.0
    assert statistic(given, "Average") == 8.2
    assert (statistic(given, "Minimum"), statistic(given, "Maximum")) == (1.0, 20.0)


def test_percentiles_need_raw_data() -> None:
    """A statistic set has none, except that all its samples are one value; negative values have none.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#Percentiles
    """
    differing, same = Samples(), Samples()
    differing.add_set(StatisticSet(4, 40, 5, 20))
    same.add_set(StatisticSet(4, 20, 5, 5))
    assert statistic(differing, "p95") is None
    assert statistic(same, "p95") == 5.0
    differing.add(7.0)
    assert statistic(differing, "p95") is None
    assert statistic(samples(-1.0, 3.0), "p95") is None


def test_percentiles_are_interpolated_between_the_two_closest_ranks() -> None:
    given = samples(*(float(value) for value in range(1, 101)))
    assert statistic(given, "p0") == 1.0
    assert statistic(given, "p50") == 50.5
    assert statistic(given, "p95") == pytest.approx(95.05)
    assert statistic(given, "p99") == pytest.approx(99.01)
    assert statistic(given, "p99.9") == pytest.approx(99.901)
    assert statistic(given, "p100") == 100.0


def test_no_samples_have_no_statistic() -> None:
    for name in ("Sum", "Average", "Minimum", "SampleCount", "p95"):
        assert statistic(Samples(), name) is None


@pytest.mark.parametrize("name", ["sum", "p101", "p", "tm95", "Median", "p95.12345678901", ""])
def test_an_unknown_statistic_is_an_error_that_names_it(name: str) -> None:
    with pytest.raises(UnknownStatistic, match=f"{name!r}"):
        statistic(samples(1.0), name)


def test_a_percentile_is_told_by_its_name() -> None:
    assert [percentile_rank(name) for name in ("p95", "p99.9", "p100", "p0", "Average")] == [
        95,
        99.9,
        100,
        0,
        None,
    ]


def test_samples_needed_for_a_significant_percentile() -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/percentiles-with-low-samples.html"""
    assert samples_needed("p99") == 1000
    assert samples_needed("p95") == 200
    assert samples_needed("p50") == 20
    assert samples_needed("p10") == 100
    assert samples_needed("Average") == 0


def test_each_set_of_dimensions_is_a_metric_of_its_own() -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#Dimension"""
    store = MetricStore()
    store.put_value(METRIC, 60, 1.0)
    store.put_value(Metric.of("Web", "Latency", {"Colour": "green"}), 60, 2.0)
    store.put_value(Metric.of("Web", "Latency", {"Colour": "blue", "Host": "a"}), 60, 3.0)
    store.put_value(Metric.of("Web", "Latency"), 60, 4.0)
    assert statistic(store.aggregate(METRIC, [60], 60)[60], "Sum") == 1.0
    assert statistic(store.aggregate(Metric.of("Web", "Latency"), [60], 60)[60], "Sum") == 4.0
    assert store.aggregate(Metric.of("Web", "Latency", {"Colour": "red"}), [60], 60) == {}


def test_a_period_holds_its_start_and_not_its_end() -> None:
    store = MetricStore()
    for second in (59, 60, 119, 120):
        store.put_value(METRIC, second, float(second))
    found = store.aggregate(METRIC, [0, 60, 120, 180], 60)
    assert {start: sorted(each.counts) for start, each in found.items()} == {
        0: [59.0],
        60: [60.0, 119.0],
        120: [120.0],
    }


def test_a_unit_that_is_named_selects_the_data_published_with_it() -> None:
    store = MetricStore()
    store.put_value(METRIC, 60, 1.0, "Seconds")
    store.put_value(METRIC, 60, 1000.0, "Milliseconds")
    assert statistic(store.aggregate(METRIC, [60], 60, "Milliseconds")[60], "Sum") == 1000.0
    assert statistic(store.aggregate(METRIC, [60], 60)[60], "Sum") == 1001.0
    assert store.aggregate(METRIC, [60], 60, "Count") == {}


def test_old_data_is_dropped_and_a_metric_without_data_with_it() -> None:
    store = MetricStore()
    store.put_value(METRIC, 60, 1.0)
    store.put_value(METRIC, 120, 2.0)
    store.drop_before(120)
    assert list(store.aggregate(METRIC, [60, 120], 60)) == [120]
    store.drop_before(121)
    assert store.metrics() == []


@pytest.mark.parametrize("minute_seconds", [60.0, 1.0, 0.5, 2.5])
def test_a_compressed_clock_keeps_whole_periods_whole(minute_seconds: float) -> None:
    clock = Clock(minute_seconds)
    base = clock.to_real(60 * (int(clock.to_cloudwatch(1_800_000_000.0)) // 60))
    second = clock.second(base)
    assert second % 60 == 0
    assert clock.second(base + minute_seconds) == second + 60
    assert clock.second(base + minute_seconds - 0.002) < second + 60
    assert clock.second_after(base) == second
    assert clock.datetime(second).timestamp() == pytest.approx(base, abs=0.001)
