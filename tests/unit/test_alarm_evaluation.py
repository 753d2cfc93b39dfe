"""When an alarm changes its state: the documented examples, and the words CloudWatch gives for it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sandbox.alarms import reasons
from sandbox.alarms.evaluation import (
    BAND_OPERATORS,
    THRESHOLD_OPERATORS,
    Band,
    DataPoint,
    MissingData,
    Rule,
    State,
    breaches,
    cadence,
    decide,
    evaluation_range,
    next_due,
    window_starts,
)

RETAIN = "retain"
OK, ALARM, NO_DATA = State.OK, State.ALARM, State.INSUFFICIENT_DATA
TREATMENTS = (MissingData.MISSING, MissingData.IGNORE, MissingData.BREACHING, MissingData.NOT_BREACHING)
VALUES = {"0": 0.0, "X": 9.0, "-": None}


def window_of(drawn: str, period: int = 60) -> list[DataPoint]:
    """The data points that the documentation draws as `0 - X - X`, oldest first."""
    return [
        DataPoint(number * period, VALUES[sign], None if VALUES[sign] is None else 1.0)
        for number, sign in enumerate(drawn.split())
    ]


def rule_of(n: int, m: int | None, treatment: MissingData, **more: float) -> Rule:
    return Rule("GreaterThanThreshold", 5.0, n, m, treatment, **more)


# (data points, M, states for missing / ignore / breaching / notBreaching); N is 3, the range 5 data points.
# From https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html, today's
# tables and the rows of its earlier version that are not among them any more.
DOCUMENTED = [
    ("0 - X - X", 3, (OK, OK, OK, OK)),
    ("0 - - - -", 3, (OK, OK, OK, OK)),
    ("- - - - 0", 3, (OK, OK, OK, OK)),
    ("- - - - -", 3, (NO_DATA, RETAIN, ALARM, OK)),
    ("0 X X - X", 3, (ALARM, ALARM, ALARM, ALARM)),
    ("- - X - -", 3, (ALARM, RETAIN, ALARM, OK)),
    ("- - - - X", 3, (NO_DATA, RETAIN, ALARM, OK)),
    ("X - - - -", 3, (ALARM, RETAIN, ALARM, OK)),
    ("0 - X - X", 2, (ALARM, ALARM, ALARM, ALARM)),
    ("0 0 X 0 X", 2, (ALARM, ALARM, ALARM, ALARM)),
    ("0 - X - -", 2, (OK, OK, ALARM, OK)),
    ("- - - - 0", 2, (OK, OK, ALARM, OK)),
    ("- - - X -", 2, (ALARM, RETAIN, ALARM, OK)),
    ("- - - - X", 2, (NO_DATA, RETAIN, ALARM, OK)),
]


@pytest.mark.parametrize("current", list(State))
@pytest.mark.parametrize(("drawn", "m", "expected"), DOCUMENTED)
def test_the_documented_examples_of_missing_data_hold(
    drawn: str, m: int, expected: tuple[State | str, ...], current: State
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html"""
    for treatment, state in zip(TREATMENTS, expected, strict=True):
        verdict = decide(rule_of(3, m, treatment), window_of(drawn), current)
        if state == RETAIN:
            assert (verdict.retained, verdict.state) == (True, current), treatment
        else:
            assert (verdict.retained, verdict.state) == (False, state), treatment


@pytest.mark.parametrize(
    ("drawn", "m"), [("- - - - X", 3), ("- - - X -", 3), ("- - - X 0", 3), ("- - X - 0", 3), ("- - - - X", 2)]
)
def test_a_young_breach_alone_is_no_premature_alarm(drawn: str, m: int) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
    (Avoiding premature transitions to alarm state)"""
    assert decide(rule_of(3, m, MissingData.MISSING), window_of(drawn), OK).state is not ALARM


@pytest.mark.parametrize("treatment", TREATMENTS)
def test_complete_data_is_judged_by_the_newest_n_alone(treatment: MissingData) -> None:
    assert decide(rule_of(3, None, treatment), window_of("0 0 X X X"), OK).state is ALARM
    assert decide(rule_of(3, None, treatment), window_of("X X X X 0"), ALARM).state is OK
    assert decide(rule_of(3, 1, treatment), window_of("X X 0 0 0"), ALARM).state is OK


def test_a_percentile_of_too_few_samples_keeps_the_state_when_it_is_told_to() -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/percentiles-with-low-samples.html"""
    few = [DataPoint(0, 9.0, 19.0)]
    enough = [DataPoint(0, 9.0, 200.0)]
    rule = rule_of(1, None, MissingData.MISSING, samples_needed=200.0)
    assert decide(rule, few, OK).retained
    assert decide(rule, enough, OK).state is ALARM
    assert decide(rule_of(1, None, MissingData.MISSING), few, OK).state is ALARM


@pytest.mark.parametrize(
    ("operator", "below", "at", "above"),
    [
        ("GreaterThanThreshold", False, False, True),
        ("GreaterThanOrEqualToThreshold", False, True, True),
        ("LessThanThreshold", True, False, False),
        ("LessThanOrEqualToThreshold", True, True, False),
    ],
)
def test_each_comparison_operator_compares_with_the_threshold(
    operator: str, below: bool, at: bool, above: bool
) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html"""
    assert [breaches(operator, value, 5.0) for value in (4.0, 5.0, 6.0)] == [below, at, above]


@pytest.mark.parametrize(
    ("operator", "below", "lower", "upper", "above"),
    [
        ("GreaterThanUpperThreshold", False, False, False, True),
        ("LessThanLowerThreshold", True, False, False, False),
        ("LessThanLowerOrGreaterThanUpperThreshold", True, False, False, True),
    ],
)
def test_each_band_operator_compares_with_the_band(
    operator: str, below: bool, lower: bool, upper: bool, above: bool
) -> None:
    band = Band(1.0, 5.0)
    assert [breaches(operator, value, band) for value in (0.0, 1.0, 5.0, 6.0)] == [below, lower, upper, above]


def test_an_operator_of_the_other_kind_is_an_error() -> None:
    for operator in THRESHOLD_OPERATORS:
        with pytest.raises(ValueError, match=operator):
            breaches(operator, 1.0, Band(0.0, 1.0))
    for operator in BAND_OPERATORS:
        with pytest.raises(ValueError, match=operator):
            breaches(operator, 1.0, 1.0)


def test_the_range_of_three_periods_is_the_documented_five() -> None:
    assert evaluation_range(3) == 5
    assert evaluation_range(1) == 3
    assert evaluation_range(30) == 40


def test_the_window_slides_with_the_evaluation() -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html

    A period of five minutes evaluated at minute 6 holds the data from minute 1 to 6.
    """
    assert window_starts(360, 300, 1)[-1] == 60
    assert window_starts(360, 60, 1) == (180, 240, 300)


def test_short_periods_are_evaluated_every_ten_seconds_and_long_ones_every_minute() -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html"""
    assert [cadence(10), cadence(30), cadence(60), cadence(300, 12)] == [10, 10, 60, 60]
    assert cadence(3600, 48) == 3600


def test_the_next_evaluation_is_when_the_next_period_closes() -> None:
    assert next_due(done=100, now=100, step=60) == 120
    assert next_due(done=120, now=121, step=60) == 180
    assert next_due(done=100, now=101, step=10) == 110


def test_an_evaluation_after_a_long_sleep_is_of_the_present() -> None:
    assert next_due(done=120, now=1000, step=60) == 960


START = datetime(2019, 10, 2, 16, 57, tzinfo=UTC)


def moment(second: float) -> datetime:
    return datetime.fromtimestamp(START.timestamp() + second, UTC)


def words(drawn: str, rule: Rule, current: State = OK) -> str:
    return reasons.text(rule, decide(rule, window_of(drawn), current), moment)


def test_the_reason_of_an_alarm_is_worded_as_in_the_documented_event() -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html"""
    rule = Rule("GreaterThanThreshold", 50.0, 1, 1)
    window = [DataPoint(120, 99.50160229693434, 5.0)]
    assert reasons.text(rule, decide(rule, window, OK), moment) == (
        "Threshold Crossed: 1 out of the last 1 datapoints [99.50160229693434 (02/10/19 "
        "16:59:00)] was greater "
        "than the threshold (50.0) (minimum 1 datapoint for OK -> ALARM transition)."
    )
    window = [DataPoint(120, 0.0666851903306472, 5.0)]
    assert reasons.text(rule, decide(rule, window, ALARM), moment) == (
        "Threshold Crossed: 1 out of the last 1 datapoints [0.0666851903306472 (02/10/19 16:59:00)] was not "
        "greater than the threshold (50.0) (minimum 1 datapoint for ALARM -> OK transition)."
    )


def test_the_reason_lists_the_telling_data_points_newest_first() -> None:
    assert words("0 0 X 0 X", rule_of(3, 2, MissingData.MISSING)) == (
        "Threshold Crossed: 2 out of the last 3 datapoints [9.0 (02/10/19 17:01:00), 9.0 "
        "(02/10/19 16:59:00)] "
        "were greater than the threshold (5.0) (minimum 2 datapoints for OK -> ALARM transition)."
    )
    assert words("0 0 X 0 0", rule_of(3, 2, MissingData.MISSING), ALARM) == (
        "Threshold Crossed: 2 out of the last 3 datapoints [0.0 (02/10/19 17:01:00), 0.0 "
        "(02/10/19 17:00:00)] "
        "were not greater than the threshold (5.0) (minimum 2 datapoints for ALARM -> OK transition)."
    )


def test_the_reason_tells_how_many_good_data_points_end_an_alarm() -> None:
    assert words("0 X X X 0", rule_of(3, 3, MissingData.MISSING), ALARM) == (
        "Threshold Crossed: 1 out of the last 3 datapoints [0.0 (02/10/19 17:01:00)] was not greater than the "
        "threshold (5.0) (minimum 1 datapoint for ALARM -> OK transition)."
    )


def test_the_reason_is_shorter_without_datapoints_to_alarm() -> None:
    assert words("0 0 0 X X", rule_of(2, None, MissingData.MISSING)) == (
        "Threshold Crossed: 2 datapoints [9.0 (02/10/19 17:01:00), 9.0 (02/10/19 17:00:00)] "
        "were greater than "
        "the threshold (5.0)."
    )


@pytest.mark.parametrize(
    ("drawn", "n", "m", "treatment", "expected"),
    [
        (
            "- - -",
            1,
            None,
            MissingData.BREACHING,
            "Threshold Crossed: no datapoints were received for 1 period and 1 missing datapoint "
            "was treated as "
            "[Breaching].",
        ),
        (
            "- - - - -",
            3,
            3,
            MissingData.NOT_BREACHING,
            "Threshold Crossed: no datapoints were received for 3 periods and 3 missing "
            "datapoints were treated "
            "as [NonBreaching].",
        ),
        (
            "- - 0 - -",
            3,
            2,
            MissingData.BREACHING,
            "Threshold Crossed: 1 datapoint was received for 3 periods and 2 missing datapoints "
            "were treated as "
            "[Breaching].",
        ),
        (
            "- - - 0",
            2,
            None,
            MissingData.BREACHING,
            "Threshold Crossed: 1 datapoint [0.0 (02/10/19 17:00:00)] was not greater than the "
            "threshold (5.0) "
            "and 1 missing datapoint was treated as [Breaching].",
        ),
        ("- - -", 1, None, MissingData.MISSING, "Insufficient Data: 1 datapoint was unknown."),
        ("- - - - - - -", 5, 5, MissingData.MISSING, "Insufficient Data: 5 datapoints were unknown."),
    ],
)
def test_the_reason_tells_what_missing_data_was_taken_for(
    drawn: str, n: int, m: int | None, treatment: MissingData, expected: str
) -> None:
    assert words(drawn, rule_of(n, m, treatment)) == expected


def reason_data(drawn: str, rule: Rule) -> dict[str, object]:
    window = window_of(drawn)
    return reasons.data(
        rule,
        decide(rule, window, OK),
        period=60,
        statistic="Sum",
        unit=None,
        queried=moment(300.985),
        window=tuple(each.start for each in window),
        moment=moment,
    )


def test_the_reason_data_has_the_documented_members() -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html"""
    assert reason_data("- - - 0 X", rule_of(2, 1, MissingData.MISSING)) == {
        "version": "1.0",
        "queryDate": "2019-10-02T17:02:00.985+0000",
        "startDate": "2019-10-02T17:00:00.000+0000",
        "statistic": "Sum",
        "period": 60,
        "recentDatapoints": [0.0, 9.0],
        "threshold": 5.0,
        "evaluatedDatapoints": [
            {"timestamp": "2019-10-02T17:01:00.000+0000", "sampleCount": 1.0, "value": 9.0},
            {"timestamp": "2019-10-02T17:00:00.000+0000", "sampleCount": 1.0, "value": 0.0},
        ],
    }


def test_the_reason_data_of_no_data_lists_the_moments_looked_at() -> None:
    found = reason_data("- - - -", rule_of(2, None, MissingData.MISSING))
    assert "startDate" not in found
    assert found["recentDatapoints"] == []
    assert found["evaluatedDatapoints"] == [
        {"timestamp": "2019-10-02T17:00:00.000+0000"},
        {"timestamp": "2019-10-02T16:59:00.000+0000"},
    ]
