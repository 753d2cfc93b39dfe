"""An alarm as PutMetricAlarm describes it, checked, and its evaluation against a store.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.alarms import queries as metric_queries
from sandbox.alarms import reasons
from sandbox.alarms.evaluation import (
    BAND_OPERATORS,
    THRESHOLD_OPERATORS,
    DataPoint,
    MissingData,
    Rule,
    State,
    cadence,
    decide,
    window_starts,
)
from sandbox.alarms.metric_math import Grid
from sandbox.alarms.queries import (
    Evaluation,
    MetricStat,
    Query,
    QueryError,
    dimensions_of,
    integer,
    period_of,
)
from sandbox.alarms.statistics import UnknownStatistic, check, percentile_rank, samples_needed
from sandbox.alarms.store import Metric, MetricStore

# Alarms know no periods of 1 and 5 seconds.
_ALARM_PERIODS = (10, 20, 30)
_LONGEST_SECONDS = 7 * 86400


class AlarmError(ValueError):
    """The alarm can't be created as described; the message names the member, its value and the way out."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The state of an alarm after an evaluation, and CloudWatch's words for it.

    `retained` says that the evaluation decided nothing; then state and reason mean no change.
    """

    state: State
    reason: str
    reason_data: dict[str, Any]
    retained: bool


@dataclass(frozen=True, slots=True)
class AlarmDefinition:
    """What an alarm watches (the query `watched` of `queries`) and the rule it applies."""

    queries: tuple[Query, ...]
    watched: str
    period: int
    rule: Rule

    @property
    def cadence(self) -> int:
        """CloudWatch seconds between two evaluations."""
        return cadence(self.period, self.rule.evaluation_periods)

    @property
    def stat(self) -> MetricStat | None:
        """The metric watched; None when an expression is."""
        return next(each.stat for each in self.queries if each.id == self.watched)

    def evaluate(
        self, store: MetricStore, end: int, current: State, queried: datetime, moment: reasons.Moment
    ) -> Decision:
        """Decide on the periods that end at `end` (CloudWatch seconds) or before.

        `queried` is the real time of the evaluation, `moment` turns CloudWatch seconds into real moments.
        Raises QueryError when an expression can't be computed.
        """
        starts = window_starts(end, self.period, self.rule.evaluation_periods)
        result = Evaluation(self.queries, store, {self.period: Grid(starts, self.period)}).result(
            self.watched
        )
        window = [DataPoint(at, result.values.get(at), result.sample_counts.get(at)) for at in starts]
        verdict = decide(self.rule, window, current)
        reason_data = reasons.data(
            self.rule,
            verdict,
            period=self.period,
            statistic=self.stat.statistic if self.stat else None,
            unit=self.stat.unit if self.stat else None,
            queried=queried,
            window=starts,
            moment=moment,
        )
        return Decision(
            verdict.state, reasons.text(self.rule, verdict, moment), reason_data, verdict.retained
        )


def from_request(alarm: Mapping[str, Any]) -> AlarmDefinition:
    """The definition in PutMetricAlarm's members (or CloudFormation's properties, which have their names).

    Raises AlarmError.
    """
    try:
        queries = metric_queries.from_request(alarm["Metrics"]) if alarm.get("Metrics") else (_single(alarm),)
        watched, period = _watched(queries)
        _try_out(queries, watched, period)
        rule = _rule(alarm, queries, watched)
    except (QueryError, UnknownStatistic) as error:
        raise AlarmError(str(error)) from error
    if period not in _ALARM_PERIODS and (period <= 0 or period % 60):
        raise AlarmError(
            f"Period {period} is not valid for an alarm; it has to be 10, 20, 30 or a multiple of 60"
        )
    longest = _LONGEST_SECONDS if period >= 3600 else 86400
    if period * rule.evaluation_periods > longest:
        raise AlarmError(
            f"Metrics cannot be checked across more than {'a week' if longest > 86400 else 'a day'} "
            f"(EvaluationPeriods {rule.evaluation_periods} * Period {period} must be <= {longest})"
        )
    return AlarmDefinition(queries, watched, period, rule)


def _single(alarm: Mapping[str, Any]) -> Query:
    for member in ("MetricName", "Namespace", "Period"):
        if not alarm.get(member):
            raise AlarmError(
                f"{member} is missing: an alarm needs MetricName, Namespace and Period, or Metrics"
            )
    if bool(alarm.get("Statistic")) == bool(alarm.get("ExtendedStatistic")):
        raise AlarmError("Exactly one of Statistic and ExtendedStatistic has to be given")
    statistic = str(alarm.get("Statistic") or alarm["ExtendedStatistic"])
    check(statistic)
    metric = Metric.of(alarm["Namespace"], alarm["MetricName"], dimensions_of(alarm.get("Dimensions")))
    unit = str(alarm["Unit"]) if alarm.get("Unit") else None
    return Query("m1", MetricStat(metric, integer("Period", alarm["Period"]), statistic, unit))


def _watched(queries: tuple[Query, ...]) -> tuple[str, int]:
    """The query that returns data, and the one period of all."""
    returning = [each for each in queries if each.return_data]
    if len(returning) != 1:
        raise AlarmError(
            f"Exactly one of the alarm's Metrics has to have ReturnData true, not {len(returning)}: "
            f"{', '.join(each.id for each in returning) or 'none has'}"
        )
    watched = returning[0]
    return watched.id, period_of(watched, {each.stat.period for each in queries if each.stat})


def _try_out(queries: tuple[Query, ...], watched: str, period: int) -> None:
    """Raises QueryError for what would only show on evaluation: an unknown function, a scalar result."""
    trial, starts = MetricStore(), (period, 2 * period)
    for each in queries:
        if each.stat:
            for start in starts:
                trial.put_value(each.stat.metric, start, 1.0, each.stat.unit or "None")
    Evaluation(queries, trial, {period: Grid(starts, period)}).result(watched)


def _rule(alarm: Mapping[str, Any], queries: tuple[Query, ...], watched: str) -> Rule:
    operator = _one_of(alarm, "ComparisonOperator", (*THRESHOLD_OPERATORS, *BAND_OPERATORS), None)
    if operator in BAND_OPERATORS or alarm.get("ThresholdMetricId"):
        raise AlarmError(
            f"ComparisonOperator {operator!r} needs an anomaly detection band, which the sandbox "
            f"does not have; use one of {', '.join(THRESHOLD_OPERATORS)} with a Threshold"
        )
    threshold = _number(alarm.get("Threshold"))
    n = integer("EvaluationPeriods", alarm.get("EvaluationPeriods") or 0)
    if n < 1:
        raise AlarmError(f"EvaluationPeriods {n} is not valid; it has to be 1 or more")
    m = (
        integer("DatapointsToAlarm", alarm["DatapointsToAlarm"])
        if alarm.get("DatapointsToAlarm") is not None
        else None
    )
    if m is not None and not 1 <= m <= n:
        raise AlarmError(
            f"DatapointsToAlarm {m} is not valid; it has to be from 1 to EvaluationPeriods ({n})"
        )
    treatment = _one_of(alarm, "TreatMissingData", tuple(MissingData), MissingData.MISSING)
    low_samples = _one_of(alarm, "EvaluateLowSampleCountPercentile", ("evaluate", "ignore"), "evaluate")
    stat = next(each.stat for each in queries if each.id == watched)
    percentile = stat is not None and percentile_rank(stat.statistic) is not None
    return Rule(
        operator,
        threshold,
        n,
        m,
        MissingData(treatment),
        samples_needed(stat.statistic) if stat and percentile and low_samples == "ignore" else 0.0,
    )


def _number(threshold: Any) -> float:
    try:
        number = float(threshold)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise AlarmError(f"Threshold {threshold!r} is not valid; it has to be a number")
    return number


def _one_of(alarm: Mapping[str, Any], member: str, allowed: tuple[str, ...], default: str | None) -> str:
    value = alarm.get(member) or default
    if value not in allowed:
        raise AlarmError(f"{member} {value!r} is not valid; it has to be one of {', '.join(allowed)}")
    return str(value)
