"""Metric data queries: metrics with a statistic, and expressions over them.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDataQuery.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.alarms.expressions import ExpressionError, parse, references
from sandbox.alarms.metric_math import Grid, Series, evaluate
from sandbox.alarms.statistics import Samples, UnknownStatistic, check, statistic
from sandbox.alarms.store import Metric, MetricStore

_ID = re.compile(r"[a-z][a-zA-Z0-9_]*")
# The periods of high-resolution metrics; from a minute on, any multiple of it.
SHORT_PERIODS = (1, 5, 10, 20, 30)


class QueryError(ValueError):
    """The queries can't be answered; the message is the one the API gives."""


@dataclass(frozen=True, slots=True)
class MetricStat:
    """A metric, the length of its periods (CloudWatch seconds) and the statistic of each."""

    metric: Metric
    period: int
    statistic: str
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """Either a metric (`stat`) or an `expression` over other queries' ids."""

    id: str
    stat: MetricStat | None = None
    expression: str | None = None
    label: str | None = None
    period: int | None = None
    return_data: bool = True


@dataclass(frozen=True, slots=True)
class Result:
    """The data points of a query by the start of their period, and how many samples each was made of."""

    query: Query
    period: int
    values: Series
    sample_counts: Series = field(default_factory=dict)


def boolean(value: Any) -> bool:
    """A boolean member, which a template may hold as text."""
    return value.strip().lower() == "true" if isinstance(value, str) else bool(value)


def integer(member: str, value: Any) -> int:
    """A whole number, which a template may hold as text. Raises QueryError naming the member."""
    try:
        return int(value)
    except (TypeError, ValueError):
        raise QueryError(f"{member} {value!r} is not valid; it has to be a whole number") from None


def dimensions_of(members: Iterable[Mapping[str, Any]] | None) -> dict[str, str]:
    return {str(each["Name"]): str(each.get("Value", "")) for each in members or () if each.get("Name")}


def check_period(period: int) -> None:
    """Raises QueryError unless CloudWatch has periods of this length (seconds)."""
    if period not in SHORT_PERIODS and (period <= 0 or period % 60):
        raise QueryError(f"Period {period} is not valid; it has to be 1, 5, 10, 20, 30 or a multiple of 60")


def from_request(members: Sequence[Mapping[str, Any]]) -> tuple[Query, ...]:
    """Queries from the API's `MetricDataQueries` or an alarm's `Metrics`.

    Raises QueryError for an id that is missing, malformed or used twice, for a query that is neither or both
    of MetricStat and Expression, and for a period, statistic or expression CloudWatch does not know.
    """
    found = tuple(_query(each) for each in members)
    ids = [each.id for each in found]
    for name in ids:
        if ids.count(name) > 1:
            raise QueryError(f"The id {name!r} is used by more than one query")
    for each in found:
        if each.expression is not None:
            for name in references(parse_expression(each)):
                if name not in ids:
                    raise QueryError(f"Error in expression {each.id!r}: the id {name!r} does not exist")
    return found


def _query(member: Mapping[str, Any]) -> Query:
    name = str(member.get("Id") or "")
    if not _ID.fullmatch(name):
        raise QueryError(f"The query id {name!r} is not valid; it has to start with a lowercase letter")
    stat, expression = member.get("MetricStat"), member.get("Expression")
    if bool(stat) == bool(expression):
        raise QueryError(f"Query {name!r} has to have exactly one of MetricStat and Expression")
    period = integer("Period", member["Period"]) if member.get("Period") is not None else None
    if period is not None:
        check_period(period)
    return Query(
        id=name,
        stat=_stat(name, stat) if stat else None,
        expression=str(expression) if expression else None,
        label=str(member["Label"]) if member.get("Label") else None,
        period=period,
        return_data=boolean(member.get("ReturnData", True)),
    )


def _stat(name: str, member: Mapping[str, Any]) -> MetricStat:
    metric = member.get("Metric") or {}
    if not metric.get("MetricName") or not metric.get("Namespace"):
        raise QueryError(f"Query {name!r} has to name MetricStat.Metric.Namespace and MetricName")
    period = integer("Period", member.get("Period") or 0)
    check_period(period)
    wanted = str(member.get("Stat") or "")
    try:
        check(wanted)
    except UnknownStatistic as error:
        raise QueryError(f"Query {name!r}: {error}") from error
    return MetricStat(
        Metric.of(metric["Namespace"], metric["MetricName"], dimensions_of(metric.get("Dimensions"))),
        period,
        wanted,
        str(member["Unit"]) if member.get("Unit") else None,
    )


def parse_expression(query: Query) -> Any:
    """The parsed expression of `query`. Raises QueryError naming the query."""
    try:
        return parse(query.expression or "")
    except ExpressionError as error:
        raise QueryError(f"Query {query.id!r}: {error}") from error


def grid(start: int, end: int, period: int) -> Grid:
    """The periods of a request for [start, end), in CloudWatch seconds.

    As GetMetricData's StartTime says, the start is rounded down to the whole minute, and for a period below a
    minute to a multiple of the period
    (https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html).
    """
    first = start - start % min(period, 60)
    return Grid(tuple(range(first, end, period)), period)


def statistics_of(stat: MetricStat, samples: Mapping[int, Samples]) -> Series:
    found = {at: statistic(each, stat.statistic) for at, each in samples.items()}
    return {at: number for at, number in found.items() if number is not None}


class Evaluation:
    """Answers the queries of one request from a store.

    `grids` gives the periods to look at for each length of period that the queries use.
    """

    def __init__(self, queries: Sequence[Query], store: MetricStore, grids: Mapping[int, Grid]) -> None:
        self._queries = {each.id: each for each in queries}
        self._store = store
        self._grids = grids
        self._done: dict[str, Result] = {}
        self._under_way: list[str] = []

    def result(self, name: str) -> Result:
        """The result of the query `name`.

        Raises QueryError when expressions form a circle, mix periods, or can't be computed.
        """
        if name not in self._done:
            if name in self._under_way:
                raise QueryError(
                    f"The expressions {' -> '.join([*self._under_way, name])} refer to each other"
                )
            self._under_way.append(name)
            query = self._queries[name]
            self._done[name] = self._metric(query, query.stat) if query.stat else self._expression(query)
            self._under_way.pop()
        return self._done[name]

    def _metric(self, query: Query, stat: MetricStat) -> Result:
        samples = self._store.aggregate(stat.metric, self._grids[stat.period].starts, stat.period, stat.unit)
        values = statistics_of(stat, samples)
        return Result(query, stat.period, values, {at: samples[at].sample_count for at in values})

    def _expression(self, query: Query) -> Result:
        node = parse_expression(query)
        used = {name: self.result(name) for name in references(node)}
        period = period_of(query, {each.period for each in used.values()})
        try:
            value = evaluate(node, {name: each.values for name, each in used.items()}, self._grids[period])
        except ExpressionError as error:
            raise QueryError(f"Query {query.id!r}: {error}") from error
        if not isinstance(value, dict):
            raise QueryError(
                f"Error in expression {query.id!r} [{query.expression}]: "
                "the result has to be a single time series"
            )
        return Result(query, period, value)


def period_of(query: Query, used: set[int]) -> int:
    """The period of an expression: that of what it uses, else its own, else a minute."""
    if len(used) > 1:
        raise QueryError(
            f"Query {query.id!r} mixes the periods {sorted(used)}; give its metrics the same one"
        )
    return next(iter(used), query.period or 60)


def periods(queries: Iterable[Query]) -> set[int]:
    """Each length of period that answering `queries` may need."""
    found = {60}
    for each in queries:
        found |= {each.stat.period} if each.stat else {each.period or 60}
    return found
