"""The histogram against exact arithmetic on the same values."""

import math

from hypothesis import given
from hypothesis import strategies as st

from cutover.domain.histogram import Histogram

durations = st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=300)


def exact_percentile_ms(values: list[float], percent: float) -> float:
    ordered = sorted(int(v * 1e6) for v in values)
    return ordered[max(1, math.ceil(len(ordered) * percent / 100)) - 1] / 1000


@given(durations, st.floats(1, 100))
def test_a_percentile_is_within_two_percent_of_the_exact_one(values, percent):
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    (found,) = histogram.percentiles_ms(percent)
    assert math.isclose(found, exact_percentile_ms(values, percent), rel_tol=0.02, abs_tol=0.001)


@given(durations, durations)
def test_merged_workers_answer_as_one_worker_that_saw_everything(left, right):
    one, other, whole = Histogram(), Histogram(), Histogram()
    for value in left:
        one.add(value)
        whole.add(value)
    for value in right:
        other.add(value)
        whole.add(value)
    one.merge(Histogram.of(other.document()))
    assert one == whole
