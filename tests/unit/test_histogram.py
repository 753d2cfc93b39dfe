"""Edges of the histogram that a property would not name."""

import pytest

from cutover.domain.histogram import Histogram


def test_percentiles_of_nothing_are_refused_rather_than_zero():
    with pytest.raises(ValueError, match="no samples"):
        Histogram().percentiles_ms(95)


def test_a_clock_that_stepped_back_counts_as_zero():
    histogram = Histogram()
    histogram.add(-1)
    assert list(histogram.percentiles_ms(50)) == [0.0]
