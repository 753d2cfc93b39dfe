"""When an alarm changes its state: the evaluation of CloudWatch alarms.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    OK = "OK"
    ALARM = "ALARM"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"


class MissingData(StrEnum):
    """How an alarm treats missing data points (TreatMissingData)."""

    MISSING = "missing"
    IGNORE = "ignore"
    BREACHING = "breaching"
    NOT_BREACHING = "notBreaching"


@dataclass(frozen=True, slots=True)
class Band:
    """The limits of an anomaly detection band at one moment."""

    lower: float
    upper: float


_THRESHOLD_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": lambda value, limit: value > limit,
    "GreaterThanOrEqualToThreshold": lambda value, limit: value >= limit,
    "LessThanThreshold": lambda value, limit: value < limit,
    "LessThanOrEqualToThreshold": lambda value, limit: value <= limit,
}
_BAND_OPERATORS: dict[str, Callable[[float, Band], bool]] = {
    "GreaterThanUpperThreshold": lambda value, band: value > band.upper,
    "LessThanLowerThreshold": lambda value, band: value < band.lower,
    "LessThanLowerOrGreaterThanUpperThreshold": lambda value, band: not band.lower <= value <= band.upper,
}
THRESHOLD_OPERATORS = tuple(_THRESHOLD_OPERATORS)
BAND_OPERATORS = tuple(_BAND_OPERATORS)


def breaches(operator: str, value: float, threshold: float | Band) -> bool:
    """Whether `value` violates the threshold. Raises ValueError for an operator that does not fit it."""
    if isinstance(threshold, Band):
        if operator in _BAND_OPERATORS:
            return _BAND_OPERATORS[operator](value, threshold)
    elif operator in _THRESHOLD_OPERATORS:
        return _THRESHOLD_OPERATORS[operator](value, threshold)
    kind = "a band" if isinstance(threshold, Band) else "a number"
    raise ValueError(f"ComparisonOperator {operator!r} does not compare with {kind}")


@dataclass(frozen=True, slots=True)
class Rule:
    """What an alarm compares and how often it has to hold.

    `datapoints_to_alarm` is M and `evaluation_periods` N of "M out of N"; without M, all N have to breach.
    `samples_needed` is 0 unless the alarm ignores percentiles of low samples
    (EvaluateLowSampleCountPercentile is "ignore").
    """

    operator: str
    threshold: float | Band
    evaluation_periods: int = 1
    datapoints_to_alarm: int | None = None
    missing_data: MissingData = MissingData.MISSING
    samples_needed: float = 0.0

    @property
    def needed(self) -> int:
        return self.datapoints_to_alarm or self.evaluation_periods


@dataclass(frozen=True, slots=True)
class DataPoint:
    """A data point of the alarm's metric or expression. `start` is its period's, in CloudWatch seconds."""

    start: int
    value: float | None
    sample_count: float | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state an evaluation gives, and what it rests on.

    `evaluated` are the data points looked at, oldest first: real ones, and `filled` is how many missing ones
    were made up for by the alarm's treatment of missing data. `retained` says that the evaluation decides
    nothing, so that the alarm keeps its state.
    """

    state: State
    evaluated: tuple[DataPoint, ...]
    filled: int
    retained: bool = False


def evaluation_range(evaluation_periods: int) -> int:
    """How many data points an evaluation retrieves.

    AWS retrieves more than EvaluationPeriods but publishes one number only: 5 for 3. This gives that one, two
    more for short alarms and a third more for long ones.
    """
    return evaluation_periods + max(2, evaluation_periods // 3)


def cadence(period: int, evaluation_periods: int = 1) -> int:
    """Seconds between evaluations: 10 for short periods, 3600 for alarms on more than a day, else 60."""
    if period < 60:
        return 10
    return 3600 if period * evaluation_periods > 86400 else 60


def next_due(done: int, now: int, step: int) -> int:
    """The next moment to evaluate at after `done`: a multiple of `step` (all in CloudWatch seconds).

    Of several that passed while nobody evaluated (the machine slept) it is the last: alarms look at the
    present, not at what they would have said.
    """
    return max(done - done % step + step, now - now % step)


def window_starts(end: int, period: int, evaluation_periods: int) -> tuple[int, ...]:
    """The starts of the periods an evaluation at `end` looks at, oldest first.

    The window slides with the evaluations: a period of 5 minutes that ends at minute 6 began at minute 1.
    """
    count = evaluation_range(evaluation_periods)
    return tuple(end - back * period for back in range(count, 0, -1))


def decide(rule: Rule, window: Sequence[DataPoint], current: State) -> Verdict:
    """The state of an alarm whose evaluation range holds `window` (oldest first; `value` None is missing).

    - With at least N real data points the newest N of them decide, wherever in the range they lie.
    - With fewer, the missing ones are filled in as the alarm treats missing data. Filled in as `missing` or
      `ignore` they are neither good nor bad: any good data point makes OK; without one, `missing` alarms when
      the oldest bad data point is M or more periods old, and else lacks data; `ignore` keeps the state.
    """
    n, m = rule.evaluation_periods, rule.needed
    real = [each for each in window if each.value is not None]
    evaluated = tuple(real[-n:])
    filled = n - len(evaluated)
    if rule.samples_needed and any((each.sample_count or 0.0) < rule.samples_needed for each in evaluated):
        return Verdict(current, evaluated, filled, retained=True)
    bad = [
        each
        for each in evaluated
        if each.value is not None and breaches(rule.operator, each.value, rule.threshold)
    ]

    def verdict(state: State) -> Verdict:
        return Verdict(state, evaluated, filled)

    breaching = len(bad)
    if filled and rule.missing_data is MissingData.BREACHING:
        breaching += filled
    if breaching >= m:
        return verdict(State.ALARM)
    made_up = rule.missing_data in (MissingData.BREACHING, MissingData.NOT_BREACHING)
    if filled == 0 or len(bad) < len(evaluated) or made_up:
        return verdict(State.OK)
    if rule.missing_data is MissingData.IGNORE:
        return Verdict(current, evaluated, filled, retained=True)
    # TreatMissingData is missing, and every real data point (if there is any) is bad.
    if bad and age(bad[0], window) >= m:
        return verdict(State.ALARM)
    return verdict(State.INSUFFICIENT_DATA)


def age(point: DataPoint, window: Sequence[DataPoint]) -> int:
    """How many periods ago `point` was: 1 for the newest of the window."""
    return len(window) - [each.start for each in window].index(point.start)
