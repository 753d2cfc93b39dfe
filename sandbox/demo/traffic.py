"""The users of the demo: a steady load over TLS and keep-alive connections, in a process of its own.

It runs until SIGTERM and keeps a report of what users saw: answers and failures by version, and when each
version first and last answered. The report is one JSON file, replaced by rename a few times a second.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import json
import re
import signal
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cutover.adapters.load_generator import Answer, LoadGenerator, LoadResult, Schedule, Target
from cutover.domain.histogram import Histogram

_REPORT_SECONDS = 0.25
_KEPT_FAILURES = 50_000  # bounded memory; a report that reaches it says so
NOBODY = "nobody"  # has answered
_VERSION = re.compile(rb"\r\nx-release-version:\s*([^\r\n]*)")
_LONGEST_SECONDS = 1800.0  # nobody may forget this process


@dataclass
class Seen:
    """One version in the users' eyes. Times are seconds since the epoch: of its first and last answer, and
    when the latest of the requests that it has answered was sent."""

    answers: int = 0
    failed: int = 0
    first_at: float = 0.0
    last_at: float = 0.0
    last_sent_at: float = 0.0


@dataclass
class Report:
    """What users saw up to now."""

    versions: dict[str, Seen] = field(default_factory=dict)
    failures: list[tuple[float, str, str]] = field(default_factory=list)  # (at, version, what)
    recent: deque[tuple[float, float, str]] = field(default_factory=deque)  # (at, latency s, version)
    failures_dropped: int = 0

    def add(self, sent: float, at: float, latency: float, version: str, failure: str | None) -> None:
        """Count one request that was sent at `sent` and ended at `at`."""
        seen = self.versions.setdefault(version, Seen(first_at=at))
        seen.answers += 1
        seen.last_at = at
        seen.last_sent_at = max(seen.last_sent_at, sent)
        self.recent.append((at, latency, version))
        if failure:
            seen.failed += 1
            self._keep(at, version, failure)

    def lose(self, sent: float) -> None:
        """Keep one that had no answer; the generator counts them."""
        self._keep(sent, NOBODY, "no answer")

    def _keep(self, at: float, version: str, failure: str) -> None:
        if len(self.failures) < _KEPT_FAILURES:
            self.failures.append((at, version, failure))
        else:
            self.failures_dropped += 1

    def document(self, now: float, result: LoadResult) -> dict[str, Any]:
        """The report as JSON; `recent` covers the last second, `latency_ms` all of it."""
        while self.recent and self.recent[0][0] < now - 1:
            self.recent.popleft()
        errors, latency = result.errors, Histogram()
        percentiles = result.latency.percentiles_ms(50, 95, 99) if result.latency.samples else [None] * 3
        split: dict[str, int] = {}
        for _, seconds, version in self.recent:
            latency.add(seconds)
            split[version] = split.get(version, 0) + 1
        return {
            "at": now,
            "versions": {name: dataclasses.asdict(seen) for name, seen in self.versions.items()},
            "answers": sum(seen.answers for seen in self.versions.values()),
            "failed": sum(seen.failed for seen in self.versions.values()) + sum(errors.values()),
            "failures": self.failures,
            "failures_dropped": self.failures_dropped,
            "unanswered": dict(errors),
            "rps": len(self.recent),
            "split": split,
            "latency_ms": dict(zip(("p50", "p95", "p99"), percentiles, strict=True)),
            "p95_ms": latency.percentiles_ms(95)[0] if self.recent else None,
        }


async def _run(target: Target, schedule: Schedule, path: Path) -> None:
    report = Report()
    offset = time.time() - time.perf_counter()

    def see(answer: Answer) -> None:
        found = _VERSION.search(answer.head)
        failure = f"status {answer.status}" if answer.status >= 500 else None
        version = found[1].decode() if found else "no version"
        report.add(
            answer.sent + offset, answer.done + offset, answer.done - answer.scheduled, version, failure
        )

    def lose(answer: Answer) -> None:
        """What had no answer failed when it was sent: it was lost by whoever it went to then."""
        report.lose((answer.sent or answer.scheduled) + offset)

    generator = LoadGenerator(target, schedule, see, lose)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, generator.stop)
    running = asyncio.ensure_future(generator.run())
    while not running.done():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(running), _REPORT_SECONDS)
        _write(path, report.document(time.time(), generator.result))


def _write(path: Path, document: Mapping[str, Any]) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(document), encoding="utf-8")
    temporary.replace(path)


def main() -> None:
    """Run until SIGTERM, at most half an hour."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--server-name", required=True)
    parser.add_argument("--path", action="append", required=True)
    parser.add_argument("--rate", type=float, required=True, help="requests a second")
    parser.add_argument("--users", type=int, required=True, help="keep-alive connections")
    parser.add_argument("--report", type=Path, required=True)
    options = parser.parse_args()
    target = Target(options.host, options.port, options.server_name, options.path)
    asyncio.run(_run(target, Schedule(options.rate, options.users, _LONGEST_SECONDS), options.report))


if __name__ == "__main__":
    main()
