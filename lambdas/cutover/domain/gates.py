"""Gates: what was found against what is wanted, and whether that lets a deployment go on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, assert_never


class Verdict(StrEnum):
    """ "No data" has a name of its own: it is neither a pass nor a failure, and it closes a gate."""

    PASS = "Pass"  # noqa: S105  a verdict, not a password
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"


class Persona(StrEnum):
    """The three who judge a deployment (requirement A2)."""

    RELIABILITY = "reliability"
    PERFORMANCE = "performance"
    SECURITY = "security"


class Comparison(StrEnum):
    """How a value must stand to its limit."""

    BELOW = "<"
    AT_MOST = "≤"
    ABOVE = ">"
    AT_LEAST = "≥"


class Unit(StrEnum):
    """What a value counts. A share is 0 to 1, and told in per cent."""

    MILLISECONDS = "ms"
    SHARE = "share"
    PER_SECOND = "a second"
    COUNT = "count"


def shown(value: float, unit: Unit) -> str:
    """The value for a person: 180 ms, 0.02%, 1,250 a second, 200."""
    match unit:
        case Unit.MILLISECONDS:
            return f"{value:.{0 if value >= 100 else 1}f}".removesuffix(".0") + " ms"
        case Unit.SHARE:
            return f"{value * 100:.4g}%"
        case Unit.PER_SECOND:
            return f"{value:,.4g} a second" if value < 1000 else f"{value:,.0f} a second"
        case Unit.COUNT:
            return f"{value:,.10g}"
        case _ as unknown:
            assert_never(unknown)


@dataclass(frozen=True)
class Threshold:
    """A limit with its unit, and on which side of it a value must be."""

    comparison: Comparison
    limit: float
    unit: Unit

    def holds(self, value: float) -> bool:
        match self.comparison:
            case Comparison.BELOW:
                return value < self.limit
            case Comparison.AT_MOST:
                return value <= self.limit
            case Comparison.ABOVE:
                return value > self.limit
            case Comparison.AT_LEAST:
                return value >= self.limit
            case _ as unknown:
                assert_never(unknown)

    def __str__(self) -> str:
        return f"{self.comparison} {shown(self.limit, self.unit)}"


@dataclass(frozen=True)
class Gate:
    """One judged fact. `samples` is how many observations stand behind it; `must` gates close the
    deployment.

    `measure` is the line of `cutover.domain.measures` that it answers, if it does; `evidence` the raw
    numbers, and `link` where more of them are. `phase` is known when the phase is concluded.
    """

    name: str
    requirement: str
    persona: Persona
    verdict: Verdict
    found: str
    wanted: str
    samples: int
    must: bool = True
    phase: str = ""
    measure: str = ""
    threshold: Threshold | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    link: str = ""

    def as_json(self) -> dict[str, Any]:
        """Without what is empty: gates travel through the state machine, and its payloads are limited."""
        optional = ("phase", "measure", "threshold", "evidence", "link")
        return {key: value for key, value in asdict(self).items() if value or key not in optional}


@dataclass(frozen=True)
class Subject:
    """What a family of gates is about, so that each of them states only what differs."""

    requirement: str
    persona: Persona

    def judge(
        self,
        name: str,
        passed: bool,
        *,
        found: str,
        wanted: str,
        samples: int = 1,
        must: bool = True,
        measure: str = "",
        evidence: Mapping[str, Any] | None = None,
        link: str = "",
    ) -> Gate:
        """Pass or Fail; with no samples, Inconclusive whatever `passed` says."""
        if samples < 1:
            return self.inconclusive(
                name, found=found or "no data", wanted=wanted, must=must, measure=measure, link=link
            )
        verdict = Verdict.PASS if passed else Verdict.FAIL
        return Gate(
            name,
            self.requirement,
            self.persona,
            verdict,
            found,
            wanted,
            samples,
            must,
            measure=measure,
            evidence=evidence or {},
            link=link,
        )

    def inconclusive(
        self, name: str, *, found: str, wanted: str, must: bool = True, measure: str = "", link: str = ""
    ) -> Gate:
        return Gate(
            name,
            self.requirement,
            self.persona,
            Verdict.INCONCLUSIVE,
            found,
            wanted,
            0,
            must,
            measure=measure,
            link=link,
        )


def is_number(value: float | None) -> bool:
    """Whether there is a value at all: what is not a finite number was not measured."""
    return value is not None and math.isfinite(value)


def closed(gates: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The gates, in their JSON shape, that keep a deployment from going on: `must` and not Pass.

    An unknown verdict is closed too: only the word Pass opens a gate.
    """
    return [gate for gate in gates if gate.get("must", True) and gate.get("verdict") != Verdict.PASS]


def sentence(gate: Mapping[str, Any]) -> str:
    """One closed gate, for a person."""
    verb = "failed" if gate.get("verdict") == Verdict.FAIL else "is inconclusive"
    return (
        f"“{gate.get('name')}” ({gate.get('requirement')}) {verb}: "
        f"found {gate.get('found')}, wanted {gate.get('wanted')}"
    )
