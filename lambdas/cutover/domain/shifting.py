"""Whether a release that has a share of the traffic may have more (requirement A5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cutover.domain.gates import Gate, Persona, Subject, Verdict, closed
from cutover.domain.health import Health

SUBJECT = Subject("A5", Persona.RELIABILITY)


@dataclass(frozen=True)
class Limits:
    """`error_rate` is a share, `p95_ms` milliseconds; with fewer than `fewest_answers` nothing is said."""

    error_rate: float
    p95_ms: float
    fewest_answers: int


@dataclass(frozen=True)
class Answers:
    """What a release answered to one comparison; None for a percentile of no answers."""

    version: str
    answers: int
    failed: int
    p95_ms: float | None

    def __str__(self) -> str:
        if self.p95_ms is None:
            return f"{self.version}: no answers"
        return f"{self.version}: {self.failed} of {self.answers} failed, p95 {self.p95_ms:.0f} ms"


def compare(new: Answers, old: Answers, unanswered: int, limits: Limits) -> list[Gate]:
    """The new release's errors and latency, with the old one's beside them.

    Requests without any answer can't be told apart by release; they count against the new one, because the
    old one was known to answer.
    """
    found = f"{new}; {old}" + (f"; {unanswered} requests were not answered" if unanswered else "")
    few = new.answers < limits.fewest_answers
    errors, latency = "Errors of the new release", "p95 latency of the new release"
    wanted_errors, wanted_latency = f"< {limits.error_rate:.3%}", f"< {limits.p95_ms:g} ms"
    failed = (new.failed + unanswered) / max(1, new.answers + unanswered)
    if few and failed < limits.error_rate:
        too_few = f"{found}: too few to say, {limits.fewest_answers} are needed"
        return [
            SUBJECT.inconclusive(errors, found=too_few, wanted=wanted_errors),
            SUBJECT.inconclusive(latency, found=too_few, wanted=wanted_latency),
        ]
    samples = new.answers + unanswered
    quick = new.p95_ms is not None and new.p95_ms < limits.p95_ms
    return [
        SUBJECT.judge(errors, failed < limits.error_rate, found=found, wanted=wanted_errors, samples=samples),
        SUBJECT.judge(latency, quick, found=found, wanted=wanted_latency, samples=new.answers),
    ]


def guard(standing: Sequence[str], missing: Sequence[str], health: Health, share: float) -> list[Gate]:
    """The alarms of the new colour and its targets. `standing`, `missing`: names of alarms in ALARM, and of
    those that are not there; `share`: how many of the targets must be healthy, 0 to 1."""
    alarms, targets = "Alarms of the new colour", "Targets of the new colour"
    quiet = "all there, none in ALARM"
    found = f"in ALARM: {', '.join(standing)}" if standing else "none in ALARM"
    if missing and not standing:
        first = SUBJECT.inconclusive(alarms, found=f"not there: {', '.join(missing)}", wanted=quiet)
    else:
        first = SUBJECT.judge(alarms, not standing, found=found, wanted=quiet)
    enough = health.healthy > 0 and health.share >= share
    return [
        first,
        SUBJECT.judge(targets, enough, found=str(health), wanted=f"≥ {share:.0%} healthy"),
    ]


def is_decided(gates: Sequence[Mapping[str, Any]]) -> bool:
    """Whether to stop looking before the share has baked: something failed. What is merely inconclusive may
    still become clear."""
    return any(gate["verdict"] == Verdict.FAIL for gate in closed(gates))
