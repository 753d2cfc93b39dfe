"""The load generator behind the port of the load step."""

from __future__ import annotations

import asyncio

from cutover.adapters.load_generator import LoadGenerator, Schedule, Target
from cutover.domain.errors import NotReachableError
from cutover.ports import LoadSummary


class OpenModelLoad:
    """Against the balancer's address, under the service's domain."""

    def __init__(self, address: str, domain: str) -> None:
        self._address = address
        self._domain = domain

    def run(self, *, port: int, path: str, rate: float, users: int, seconds: float) -> LoadSummary:
        target = Target(host=self._address, port=port, server_name=self._domain, paths=[path])
        result = asyncio.run(LoadGenerator(target, Schedule(rate=rate, users=users, seconds=seconds)).run())
        if not result.statuses:
            kinds = (
                ", ".join(f"{count} × {kind}" for kind, count in result.errors.items()) or "nothing was sent"
            )
            raise NotReachableError(f"no request was answered on port {port}: {kinds}")
        p50, p95, p99 = result.latency.percentiles_ms(50, 95, 99)
        wrong = sum(count for status, count in result.statuses.items() if status >= 400)
        lag = result.lag.percentiles_ms(95)[0] if result.lag.samples else 0.0
        return LoadSummary(
            requests=result.scheduled,
            failed=wrong + sum(result.errors.values()),
            seconds=result.seconds,
            p50_ms=p50,
            p95_ms=p95,
            p99_ms=p99,
            lag_p95_ms=lag,
        )
