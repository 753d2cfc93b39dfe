"""An open-model load on the test listener, and whether the answers were quick and right (requirement C6a)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cutover.domain.gates import Gate, Persona, Subject
from cutover.domain.measures import Limits
from cutover.ports import Load, LoadSummary

SUBJECT = Subject("C6a", Persona.PERFORMANCE)
# Of the rate that was asked for: below it the run was not the load that it claims to be.
ENOUGH_OF_THE_RATE = 0.95
# A client that is itself this late measures itself.
MOST_LAG_MS = 100.0


def load(port: int, wanted: Mapping[str, Any], limits: Limits, *, load: Load) -> dict[str, Any]:
    """{summary, gates}."""
    users, rate = int(wanted["users"]), float(wanted["requests_per_second"])
    summary = load.run(
        port=port, path=str(wanted["path"]), rate=rate, users=users, seconds=float(wanted["seconds"])
    )
    gates = [
        *(_latency(summary, measure, limits) for measure in ("p50", "p95", "p99")),
        *_failures(summary, limits),
        *_throughput(summary, rate, users, limits),
    ]
    return {"summary": asdict(summary), "gates": [gate.as_json() for gate in gates]}


def _latency(summary: LoadSummary, measure: str, limits: Limits) -> Gate:
    value: float = getattr(summary, f"{measure}_ms")
    if summary.requests and summary.lag_p95_ms > MOST_LAG_MS and not limits.threshold(measure).holds(value):
        late = f"{value:.0f} ms, but the client itself was {summary.lag_p95_ms:.0f} ms late"
        return limits.inconclusive(measure, late)
    return limits.judge(measure, _of(summary, value), samples=summary.requests)


def _failures(summary: LoadSummary, limits: Limits) -> list[Gate]:
    """Errors and availability are two sides of the same answers: what came, and came without an error."""
    share = summary.failed / summary.requests if summary.requests else 0.0
    evidence = {"requests": summary.requests, "failed": summary.failed}
    answered = summary.requests - summary.failed
    seen = f"{summary.failed} of {summary.requests} failed", f"{answered} of {summary.requests} answered"
    return [
        limits.judge(
            measure,
            _of(summary, value),
            samples=summary.requests,
            found=found if summary.requests else "",
            evidence=evidence,
        )
        for measure, value, found in (("errors", share, seen[0]), ("availability", 1 - share, seen[1]))
    ]


def _throughput(summary: LoadSummary, rate: float, users: int, limits: Limits) -> list[Gate]:
    reached = (summary.requests - summary.failed) / summary.seconds if summary.seconds else 0.0
    evidence = {"requests": summary.requests, "seconds": summary.seconds}
    return [
        SUBJECT.judge(
            "Throughput under load",
            reached >= rate * ENOUGH_OF_THE_RATE,
            found=f"{reached:.0f} answers a second",
            wanted=f"≥ {rate * ENOUGH_OF_THE_RATE:.0f} a second with {users} users",
            samples=summary.requests,
            evidence=evidence,
        ),
        limits.judge(
            "requests_per_second", _of(summary, reached), samples=summary.requests, evidence=evidence
        ),
        limits.judge("concurrent_users", _of(summary, float(users)), samples=summary.requests),
    ]


def _of(summary: LoadSummary, value: float) -> float | None:
    """A figure of no request at all is none."""
    return value if summary.requests else None
