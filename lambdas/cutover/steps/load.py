"""An open-model load on the test listener, and whether the answers were quick and right (requirement C6a)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cutover.domain.gates import Gate, Persona, Subject
from cutover.ports import Load, LoadSummary

SUBJECT = Subject("C6a", Persona.PERFORMANCE)
# Of the rate that was asked for: below it the run was not the load that it claims to be.
ENOUGH_OF_THE_RATE = 0.95
# A client that is itself this late measures itself.
MOST_LAG_MS = 100.0


def load(
    port: int, wanted: Mapping[str, Any], thresholds: Mapping[str, Any], *, load: Load
) -> dict[str, Any]:
    """{summary, gates}."""
    summary = load.run(
        port=port,
        path=str(wanted["path"]),
        rate=float(wanted["requests_per_second"]),
        users=int(wanted["users"]),
        seconds=float(wanted["seconds"]),
    )
    gates = [
        _latency(summary, float(thresholds["p95_ms"])),
        _errors(summary, float(thresholds["error_rate"])),
        _throughput(summary, float(wanted["requests_per_second"]), int(wanted["users"])),
    ]
    return {"summary": asdict(summary), "gates": [gate.as_json() for gate in gates]}


def _latency(summary: LoadSummary, limit: float) -> Gate:
    name, wanted = "p95 latency under load", f"< {limit:g} ms"
    found = f"p50 {summary.p50_ms:.0f}, p95 {summary.p95_ms:.0f}, p99 {summary.p99_ms:.0f} ms"
    if summary.requests and summary.lag_p95_ms > MOST_LAG_MS and summary.p95_ms >= limit:
        late = f"{found}, but the client itself was {summary.lag_p95_ms:.0f} ms late"
        return SUBJECT.inconclusive(name, found=late, wanted=wanted)
    return SUBJECT.judge(name, summary.p95_ms < limit, found=found, wanted=wanted, samples=summary.requests)


def _errors(summary: LoadSummary, limit: float) -> Gate:
    share = summary.failed / summary.requests if summary.requests else 0.0
    return SUBJECT.judge(
        "Errors under load",
        share < limit,
        found=f"{summary.failed} of {summary.requests} ({share:.3%})",
        wanted=f"< {limit:.3%}",
        samples=summary.requests,
    )


def _throughput(summary: LoadSummary, rate: float, users: int) -> Gate:
    reached = (summary.requests - summary.failed) / summary.seconds if summary.seconds else 0.0
    return SUBJECT.judge(
        "Throughput under load",
        reached >= rate * ENOUGH_OF_THE_RATE,
        found=f"{reached:.0f} answers a second",
        wanted=f"≥ {rate * ENOUGH_OF_THE_RATE:.0f} a second with {users} users",
        samples=summary.requests,
    )
