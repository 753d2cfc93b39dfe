"""The load generator behind the port of the load step."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping

from cutover.adapters.load_generator import Answer, LoadGenerator, LoadResult, Schedule, Target
from cutover.domain.errors import NotReachableError
from cutover.domain.histogram import Histogram
from cutover.ports import LoadSummary, VersionAnswers

VERSION_HEADER = b"\r\nx-release-version:"


class OpenModelLoad:
    """Against the balancer's address, under the service's domain."""

    def __init__(self, address: str, domain: str) -> None:
        self._address = address
        self._domain = domain

    def run(self, *, port: int, path: str, rate: float, users: int, seconds: float) -> LoadSummary:
        result = self._generate(port, path, Schedule(rate=rate, users=users, seconds=seconds))
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

    def by_version(
        self, *, port: int, path: str, rate: float, users: int, seconds: float
    ) -> Mapping[str, VersionAnswers]:
        latency: defaultdict[str, Histogram] = defaultdict(Histogram)
        failed: Counter[str] = Counter()

        def note(answer: Answer) -> None:
            version = version_of(answer.head)
            latency[version].add(answer.done - answer.scheduled)
            failed[version] += answer.status >= 400

        result = self._generate(port, path, Schedule(rate=rate, users=users, seconds=seconds), note)
        found = {
            version: VersionAnswers(seen.samples, failed[version], seen.percentiles_ms(95)[0])
            for version, seen in latency.items()
        }
        if unanswered := sum(result.errors.values()):
            unnamed = found.get("", VersionAnswers(0, 0, 0.0))
            found[""] = VersionAnswers(
                unnamed.answers + unanswered, unnamed.failed + unanswered, unnamed.p95_ms
            )
        return found

    def _generate(
        self,
        port: int,
        path: str,
        schedule: Schedule,
        on_answer: Callable[[Answer], None] | None = None,
    ) -> LoadResult:
        target = Target(host=self._address, port=port, server_name=self._domain, paths=[path])
        return asyncio.run(LoadGenerator(target, schedule, on_answer).run())


def version_of(head: bytes) -> str:
    """The version that an answer's head (in lower case) names, "" when it names none."""
    _, found, rest = head.partition(VERSION_HEADER)
    return rest.partition(b"\r\n")[0].strip().decode("latin-1") if found else ""
