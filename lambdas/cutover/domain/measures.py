"""The measures that a release is let in by (requirements C6, C7b, E1, E2): what each is called, whose it is,
whether it must hold, and against which field of [thresholds] it is held.

A step that measures one of them judges it with `Limits.judge`, so that threshold, unit and weight come from
the configuration alone; the Go/No-Go board has one row for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from cutover.domain.errors import MisconfiguredError
from cutover.domain.gates import Comparison, Gate, Persona, Threshold, Unit, Verdict, is_number, shown

MUST, SHOULD = "must", "should"


@dataclass(frozen=True)
class Measure:
    """`name` is also its key in [gates]; `field` its threshold's in [thresholds], and None where nothing but
    0 will do. With fewer than `fewest` samples nothing can be said: a 99th percentile of ten answers is their
    worst."""

    name: str
    title: str
    requirement: str
    persona: Persona
    field: str | None
    comparison: Comparison
    unit: Unit
    must: bool
    fewest: int = 1


_PERFORMANCE, _RELIABILITY, _SECURITY = Persona.PERFORMANCE, Persona.RELIABILITY, Persona.SECURITY
_BELOW, _ABOVE, _AT_LEAST = Comparison.BELOW, Comparison.ABOVE, Comparison.AT_LEAST
_MS, _SHARE = Unit.MILLISECONDS, Unit.SHARE

MEASURES: Mapping[str, Measure] = {
    each.name: each
    for each in (
        Measure("p50", "p50 latency", "C7b", _PERFORMANCE, "p50_ms", _BELOW, _MS, False, 20),
        Measure("p95", "p95 latency", "C6a, E1", _PERFORMANCE, "p95_ms", _BELOW, _MS, True, 20),
        Measure("p99", "p99 latency", "C7b", _PERFORMANCE, "p99_ms", _BELOW, _MS, False, 100),
        Measure("errors", "Errors", "C6a, E1", _RELIABILITY, "error_rate", _BELOW, _SHARE, True, 100),
        Measure("availability", "Availability", "E1", _RELIABILITY, "availability", _ABOVE, _SHARE, True),
        Measure(
            "findings",
            "Critical and high findings",
            "C5c, E1",
            _SECURITY,
            None,
            Comparison.AT_MOST,
            Unit.COUNT,
            True,
        ),
        Measure(
            "concurrent_users",
            "Concurrent users",
            "C6a, E2",
            _PERFORMANCE,
            "concurrent_users",
            _AT_LEAST,
            Unit.COUNT,
            False,
        ),
        Measure(
            "requests_per_second",
            "Throughput",
            "C6a, C7b, E2",
            _PERFORMANCE,
            "requests_per_second",
            _AT_LEAST,
            Unit.PER_SECOND,
            False,
        ),
        Measure("cpu", "CPU", "C7b, E2", _PERFORMANCE, "cpu", _BELOW, _SHARE, False),
        Measure("memory", "Memory", "C7b, E2", _PERFORMANCE, "memory", _BELOW, _SHARE, False),
        Measure("disk", "Disk busy", "C7b", _PERFORMANCE, "disk", _BELOW, _SHARE, False),
        Measure("cache_hit", "Cache hit", "E2", _PERFORMANCE, "cache_hit", _ABOVE, _SHARE, False),
        Measure("query_mean", "Mean query time", "C6b", _PERFORMANCE, "query_mean_ms", _BELOW, _MS, True),
        Measure("index_hit", "Index hit", "C6b", _PERFORMANCE, "index_hit", _ABOVE, _SHARE, True),
        Measure("pool_use", "Connections in use", "C6b", _PERFORMANCE, "pool_use", _BELOW, _SHARE, True),
    )
}


@dataclass(frozen=True)
class Limits:
    """An environment's thresholds, by their fields, and the weights that it sets otherwise."""

    thresholds: Mapping[str, float]
    weights: Mapping[str, str]

    @classmethod
    def read(cls, configuration: Mapping[str, Any]) -> Self:
        """From the tables [thresholds] and [gates]."""
        return cls(configuration.get("thresholds") or {}, configuration.get("gates") or {})

    def threshold(self, measure: str) -> Threshold:
        """Raises MisconfiguredError naming a field that the configuration lacks."""
        about = MEASURES[measure]
        limit = 0.0 if about.field is None else self.thresholds.get(about.field)
        if limit is None:
            raise MisconfiguredError(
                f"thresholds.{about.field}: the installed configuration lacks it; "
                "deploy the control plane again"
            )
        return Threshold(about.comparison, float(limit), about.unit)

    def must(self, measure: str) -> bool:
        """Whether the measure closes the deployment: as [gates] says, else as the requirements do."""
        weight = self.weights.get(measure)
        return MEASURES[measure].must if weight is None else weight != SHOULD

    def judge(
        self,
        measure: str,
        value: float | None,
        *,
        samples: int,
        found: str = "",
        evidence: Mapping[str, Any] | None = None,
        link: str = "",
    ) -> Gate:
        """The value against its threshold. A value that is None or no finite number, or rests on too few
        samples, is Inconclusive; `found` then says why, and else what was seen beside the value."""
        about, threshold = MEASURES[measure], self.threshold(measure)
        if value is None or not is_number(value):
            return self.inconclusive(measure, found or "no data", link=link)
        seen = shown(value, about.unit) + (f" ({found})" if found else "")
        if samples < about.fewest:
            few = f"{seen}: {samples} samples, and at least {about.fewest} are needed to say"
            return self.inconclusive(measure, few, link=link)
        return Gate(
            about.title,
            about.requirement,
            about.persona,
            Verdict.PASS if threshold.holds(value) else Verdict.FAIL,
            seen,
            str(threshold),
            samples,
            self.must(measure),
            measure=measure,
            threshold=threshold,
            evidence={"value": value, **(evidence or {})},
            link=link,
        )

    def inconclusive(self, measure: str, why: str, *, link: str = "") -> Gate:
        """Nothing can be said, and why."""
        about, threshold = MEASURES[measure], self.threshold(measure)
        return Gate(
            about.title,
            about.requirement,
            about.persona,
            Verdict.INCONCLUSIVE,
            why,
            str(threshold),
            0,
            self.must(measure),
            measure=measure,
            threshold=threshold,
            link=link,
        )
