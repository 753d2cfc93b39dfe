"""CloudWatch metrics: what is published lands in our store, and queries are answered from it.

ministack keeps raw points but knows no metric math, takes a query without dimensions for one over all of
them, and can't pass metrics of a compressed minute. It goes on listing metrics (ListMetrics).
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from ministack.services import cloudwatch

from sandbox.alarms import queries, statistics
from sandbox.alarms.clock import Clock
from sandbox.alarms.queries import Evaluation, MetricStat, Query, QueryError
from sandbox.alarms.statistics import Samples, StatisticSet
from sandbox.alarms.store import RETENTION_SECONDS, Metric, MetricStore
from sandbox.emulator.aws_query import Epoch, Response, error, request, response
from sandbox.emulator.context import Context, SeamError, replace, seam

# A request may not ask for more data points (GetMetricData) or statistics (GetMetricStatistics).
_MOST_DATA_POINTS = 100_800
_MOST_STATISTICS = 1_440


class Recorder:
    """The metrics of the sandbox's one account and region, and the clock they are read with."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.store = MetricStore()

    def record(
        self,
        namespace: str,
        name: str,
        dimensions: Mapping[str, str],
        *,
        timestamp: float,
        unit: str = "None",
        values: Sequence[float] = (),
        counts: Sequence[float] | None = None,
        statistic_set: StatisticSet | None = None,
    ) -> None:
        """Keep one datum: `values`, each as often as `counts` says, or a statistic set.

        `timestamp` is in real epoch seconds. Raises ValueError when counts and values differ in number.
        """
        weighted = list(zip(values, counts or [1.0] * len(values), strict=True))

        def fill(samples: Samples) -> None:
            for value, count in weighted:
                samples.add(float(value), float(count))
            if statistic_set is not None:
                samples.add_set(statistic_set)

        metric = Metric.of(namespace, name, dimensions)
        self.store.put(metric, self.clock.second(timestamp), fill, unit or "None")

    def drop_expired(self, now: float) -> None:
        self.store.drop_before(self.clock.second(now) - RETENTION_SECONDS)


_recorders: list[Recorder] = []


def recorder() -> Recorder:
    """The recorder of this emulator. Raises SeamError before `install`."""
    if not _recorders:
        raise SeamError("sandbox.emulator.metrics has to be installed before what uses its recorder")
    return _recorders[-1]


def install(context: Context) -> None:
    kept = Recorder(Clock(context.settings.minute_seconds))
    _recorders.append(kept)
    bucket = seam(cloudwatch, "_metric_bucket")
    key = seam(cloudwatch, "_dims_key")

    def list_metric(namespace: str, name: str, dimensions: dict[str, str], point: dict[str, Any]) -> None:
        """ListMetrics reads the newest point of each metric's bucket; more would only take memory."""
        bucket((namespace, name, key(dimensions)))[:] = [point]

    def store_datum(  # noqa: PLR0917 (ministack calls it by position)
        namespace: str,
        name: str,
        dimensions: dict[str, str],
        timestamp: float,
        unit: str | None,
        value: Any,
        values: Any,
        counts: Any,
        statistic_values: Any,
    ) -> None:
        kept.record(
            namespace,
            name,
            dimensions,
            timestamp=timestamp,
            unit=unit or "None",
            values=values if values is not None else [] if statistic_values else [float(value or 0)],
            counts=counts or None,
            statistic_set=_statistic_set(statistic_values) if statistic_values else None,
        )
        list_metric(namespace, name, dimensions, _point(timestamp, unit, dimensions))

    def record_metric(
        namespace: str,
        metric_name: str,
        value: float,
        unit: str = "None",
        dimensions: dict[str, str] | None = None,
    ) -> None:
        store_datum(
            namespace, metric_name, dict(dimensions or {}), time.time(), unit, value, None, None, None
        )

    def get_metric_data(params: Any, data: Any, is_cbor: bool, is_json: bool = False) -> Response:
        asked = request("GetMetricData", params, data, is_cbor, is_json)
        try:
            answer = metric_data(kept, asked)
        except QueryError as refusal:
            return error("ValidationError", str(refusal), is_cbor, is_json)
        return response("GetMetricData", answer, is_cbor, is_json)

    def get_metric_statistics(params: Any, data: Any, is_cbor: bool, is_json: bool = False) -> Response:
        asked = request("GetMetricStatistics", params, data, is_cbor, is_json)
        try:
            answer = metric_statistics(kept, asked)
        except (QueryError, statistics.UnknownStatistic) as refusal:
            return error("InvalidParameterValue", str(refusal), is_cbor, is_json)
        return response("GetMetricStatistics", answer, is_cbor, is_json)

    def put_metric_data(params: Any, data: Any, is_cbor: bool, is_json: bool = False) -> Response:
        asked = request("PutMetricData", params, data, is_cbor, is_json)
        for number, datum in enumerate(asked.get("MetricData") or [], 1):
            if fault := _fault(datum, f"MetricData.member.{number}"):
                return error("InvalidParameterValue", fault, is_cbor, is_json)
        answer: Response = put(params, data, is_cbor, is_json)
        return answer

    def evict() -> None:
        kept.drop_expired(time.time())

    def reset() -> None:
        forget()
        kept.store.clear()

    put = replace(cloudwatch, "_put_metric_data", put_metric_data)
    replace(cloudwatch, "_store_datum", store_datum)
    replace(cloudwatch, "record_metric", record_metric)
    replace(cloudwatch, "_get_metric_data", get_metric_data)
    replace(cloudwatch, "_get_metric_statistics", get_metric_statistics)
    replace(cloudwatch, "_evict_old_metrics", evict)
    forget = replace(cloudwatch, "reset", reset)


def _fault(datum: Mapping[str, Any], where: str) -> str | None:
    """Why PutMetricData refuses a datum, or None."""
    given = [name for name in ("Value", "Values", "StatisticValues") if datum.get(name) is not None]
    if len(given) != 1:
        found = ", ".join(given) or "none"
        return f"{where} has to have exactly one of Value, Values and StatisticValues; it has {found}"
    values, counts = datum.get("Values"), datum.get("Counts")
    numbers = [
        datum.get("Value"),
        *(values or []),
        *(counts or []),
        *(datum.get("StatisticValues") or {}).values(),
    ]
    # SDKs send what JSON has no number for as text: "NaN", "Infinity".
    if any(not math.isfinite(float(each)) for each in numbers if each is not None):
        return f"{where} holds NaN or an infinite number, which CloudWatch does not take"
    if values is not None and counts and len(values) != len(counts):
        return f"The parameters {where}.Values and {where}.Counts must be of the same size."
    return None


def _point(timestamp: float, unit: str | None, dimensions: dict[str, str]) -> dict[str, Any]:
    return {"Timestamp": timestamp, "Value": 0.0, "Unit": unit or "None", "Dimensions": dict(dimensions)}


def _statistic_set(values: Mapping[str, Any]) -> StatisticSet:
    return StatisticSet(
        float(values.get("SampleCount", 0)),
        float(values.get("Sum", 0)),
        float(values.get("Minimum", 0)),
        float(values.get("Maximum", 0)),
    )


def _span(kept: Recorder, asked: Mapping[str, Any]) -> tuple[int, int]:
    """StartTime and EndTime in CloudWatch seconds; the end is exclusive."""
    parse = seam(cloudwatch, "_parse_ts")
    start, end = parse(asked.get("StartTime")), parse(asked.get("EndTime"))
    if start is None or end is None:
        raise QueryError("StartTime and EndTime have to be given")
    if start >= end:
        raise QueryError("The parameter StartTime must be less than the parameter EndTime.")
    return kept.clock.second(start), kept.clock.second_after(end)


def metric_data(kept: Recorder, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of GetMetricData. Raises QueryError."""
    wanted = queries.from_request(asked.get("MetricDataQueries") or [])
    start, end = _span(kept, asked)
    grids = {period: queries.grid(start, end, period) for period in queries.periods(wanted)}
    evaluation = Evaluation(wanted, kept.store, grids)
    newest_first = asked.get("ScanBy", "TimestampDescending") != "TimestampAscending"
    results = []
    for query in (each for each in wanted if each.return_data):
        values = evaluation.result(query.id).values
        moments = sorted(values, reverse=newest_first)
        results.append(
            {
                "Id": query.id,
                "Label": _label(query),
                "Timestamps": [Epoch(kept.clock.to_real(at)) for at in moments],
                "Values": [values[at] for at in moments],
                "StatusCode": "Complete",
            }
        )
    if sum(len(each["Values"]) for each in results) > _MOST_DATA_POINTS:
        raise QueryError(f"A request returns at most {_MOST_DATA_POINTS} data points; ask for a shorter span")
    return {"MetricDataResults": results, "Messages": []}


def _label(query: Query) -> str:
    return query.label or (query.stat.metric.name if query.stat else query.id)


def metric_statistics(kept: Recorder, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of GetMetricStatistics. Raises QueryError or UnknownStatistic."""
    plain, extended = asked.get("Statistics") or [], asked.get("ExtendedStatistics") or []
    if not plain and not extended:
        raise QueryError(
            "At least one of the parameters Statistics and ExtendedStatistics must be specified."
        )
    for name in (*plain, *extended):
        statistics.check(name)
    period = int(asked.get("Period") or 0)
    queries.check_period(period)
    start, end = _span(kept, asked)
    grid = queries.grid(start, end, period)
    if len(grid.starts) > _MOST_STATISTICS:
        raise QueryError(
            f"You have requested up to {len(grid.starts)} datapoints, which exceeds the limit of "
            f"{_MOST_STATISTICS}."
        )
    metric = Metric.of(
        str(asked.get("Namespace")),
        str(asked.get("MetricName")),
        queries.dimensions_of(asked.get("Dimensions")),
    )
    unit = asked.get("Unit") or None
    found = kept.store.aggregate(metric, grid.starts, period, unit)
    by_name = {
        name: queries.statistics_of(MetricStat(metric, period, name), found) for name in (*plain, *extended)
    }
    shown = unit or kept.store.unit(metric)
    points = []
    for at in sorted(found):
        point: dict[str, Any] = {"Timestamp": Epoch(kept.clock.to_real(at)), "Unit": shown}
        point |= {name: by_name[name][at] for name in plain if at in by_name[name]}
        if more := {name: by_name[name][at] for name in extended if at in by_name[name]}:
            point["ExtendedStatistics"] = more
        points.append(point)
    return {"Datapoints": points, "Label": metric.name}
