"""The load generator behind the port of the load steps. Nothing is sent before its aim is allowed."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

from cutover.adapters.load_generator import Answer, LoadGenerator, LoadResult, Schedule, Target
from cutover.domain.aim import Aim, Allowed
from cutover.domain.errors import NotReachableError
from cutover.domain.histogram import Histogram
from cutover.domain.judge import Arm, Block
from cutover.domain.load_plan import Scenario, Stage, of_paths
from cutover.ports import VersionAnswers

VERSION_HEADER = b"\r\nx-release-version:"


class OpenModelLoad:
    """Against the balancer's address, under the service's domain."""

    def __init__(self, aim: Aim, allowed: Allowed) -> None:
        self._aim, self._allowed = aim, allowed

    def run(
        self,
        *,
        port: int,
        scenarios: Sequence[Scenario],
        stages: Sequence[Stage],
        users: int,
        begin_at: float = 0.0,
    ) -> Sequence[LoadResult]:
        *ramp, whole = stages
        schedule = Schedule(whole.rate, users, whole.seconds, ramp=ramp, begin_at=begin_at)
        generator = LoadGenerator(self._target(port, scenarios), schedule)
        asyncio.run(generator.run())
        if not any(result.statuses for result in generator.results):
            errors = sum((result.errors for result in generator.results), Counter[str]())
            kinds = ", ".join(f"{count} × {kind}" for kind, count in errors.items()) or "nothing was sent"
            raise NotReachableError(f"no request was answered on port {port}: {kinds}")
        return generator.results

    def pair(
        self,
        *,
        new_port: int,
        old_port: int,
        scenarios: Sequence[Scenario],
        rate: float,
        users: int,
        seconds: float,
        block_seconds: float,
    ) -> Sequence[Block]:
        blocks: defaultdict[int, Block] = defaultdict(lambda: Block(Arm(), Arm()))
        began = 0.0

        def note(side: str) -> Callable[[Answer], None]:
            def see(answer: Answer) -> None:
                number = int((answer.scheduled - began) / block_seconds)
                arm: Arm = getattr(blocks[number], side)
                arm.latency.add(answer.done - answer.scheduled)
                arm.failed += answer.failed

            return see

        async def both() -> None:
            nonlocal began
            sides = []
            for side, port in (("new", new_port), ("old", old_port)):
                target, see = self._target(port, scenarios), note(side)
                sides.append(LoadGenerator(target, Schedule(rate, users, seconds), see, see))
            await asyncio.gather(*(side.open() for side in sides))
            began = time.perf_counter()
            await asyncio.gather(*(side.follow(began) for side in sides))

        asyncio.run(both())
        return [blocks[number] for number in sorted(blocks)]

    def by_version(
        self, *, port: int, path: str, rate: float, users: int, seconds: float
    ) -> Mapping[str, VersionAnswers]:
        latency: defaultdict[str, Histogram] = defaultdict(Histogram)
        failed: Counter[str] = Counter()

        def note(answer: Answer) -> None:
            version = version_of(answer.head)
            latency[version].add(answer.done - answer.scheduled)
            failed[version] += answer.status >= 400

        target = self._target(port, of_paths([path], self._aim.name))
        result = asyncio.run(LoadGenerator(target, Schedule(rate, users, seconds), note).run())
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

    def _target(self, port: int, scenarios: Sequence[Scenario]) -> Target:
        """Raises InvalidInputError for what is not the environment's own."""
        self._allowed.check(self._aim, port)
        return Target(self._aim.host, port, self._aim.name, scenarios=scenarios)


def version_of(head: bytes) -> str:
    """The version that an answer's head (in lower case) names, "" when it names none."""
    _, found, rest = head.partition(VERSION_HEADER)
    return rest.partition(b"\r\n")[0].strip().decode("latin-1") if found else ""
