"""The status function over a journal in memory, and a deployment that is moved by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from cutover.domain.colours import Colour
from cutover.domain.records import LIVE, Live, Status, deployment_key, history_key
from cutover.domain.status_view import NAMES
from cutover.domain.times import text
from cutover.handlers import status
from tests.contract.fakes import TARGETS, FakeJournal


class Trends:
    """An hour of a calm service."""

    def last_hour(self, listener: str, now: datetime) -> dict[str, list[list[Any]]]:
        minutes = [(now - timedelta(minutes=n)).isoformat() for n in range(60, 0, -1)]
        return {
            "requests": [[at, 600 + 7 * (n % 9)] for n, at in enumerate(minutes)],
            "errors": [[at, n % 3] for n, at in enumerate(minutes)],
            "latency": [[at, 40 + n % 11] for n, at in enumerate(minutes)],
        }


class Stage:
    """`ask` calls the handler as the HTTP API does; the rest is what the steps would have written."""

    def __init__(self) -> None:
        self.journal = FakeJournal()
        self.version = self.id = ""
        self.started = ""
        self._wired = SimpleNamespace(
            variables=SimpleNamespace(cutover_environment="staging"),
            journal=self.journal,
            configuration={"window": {"start": "02:00", "end": "04:00", "zone": "Asia/Seoul"}},
            trends=Trends(),
            clock=SimpleNamespace(now=lambda: datetime.now(UTC)),
            status=status.Kept(),
            figures=status.Kept(),
        )

    def wiring(self) -> Any:
        # Every question reads anew: a test does not wait for what is kept.
        self._wired.status.until = self._wired.figures.until = 0.0
        return self._wired

    def ask(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: str = ""
    ) -> dict[str, Any]:
        event = {
            "rawPath": path,
            "headers": dict(headers or {}),
            "requestContext": {"http": {"method": method, "sourceIp": "192.0.2.7"}},
            "body": body,
        }
        return status.handler(event, None)

    def start(self, version: str, id: str = "d2") -> None:
        self.version, self.id, self.started = version, id, text(datetime.now(UTC))
        about = {"id": id, "version": version, "status": Status.RUNNING.value, "started": self.started}
        self.journal.items[deployment_key(id)] = {**about, "phases": [], "input": {"mode": "deploy"}}
        self.journal.items[history_key(self.started, id)] = dict(about)

    def finish_phase(self, number: int, *, verdict: str = "Pass", found: str = "212 ms") -> None:
        now = datetime.now(UTC)
        gate = {
            "name": f"{NAMES[number]}: what was found",
            "requirement": "C6a",
            "persona": "performance",
            "verdict": verdict,
            "found": found,
            "wanted": "below 500 ms",
            "must": True,
        }
        done = {
            "number": number,
            "name": NAMES[number],
            "started": text(now - timedelta(seconds=42)),
            "finished": text(now),
            "verdict": verdict,
            "gates": [gate],
        }
        self.record["phases"].append(done)

    def go_live(self, version: str, colour: Colour = Colour.BLUE, *, before: str | None = None) -> None:
        now = text(datetime.now(UTC))
        self.journal.items[LIVE] = Live(
            deployment=self.id or "d1",
            version=version,
            image="sha256:0",
            colour=colour,
            previous_deployment=None,
            previous_colour=colour.other if before else None,
            previous_version=before,
            previous_image=None,
            swapped_at=now,
            watch_until=now,
            healthy_share=0.5,
            targets=TARGETS,
        ).item()

    def succeed(self) -> None:
        self._end(Status.SUCCEEDED)

    def fail(self, cause: str) -> None:
        if not self.id:
            self.start("v2")
        self._end(Status.FAILED, cause=cause)

    def roll_back(self, cause: str) -> None:
        self._end(Status.ROLLED_BACK, cause=cause)

    @property
    def record(self) -> dict[str, Any]:
        return self.journal.items[deployment_key(self.id)]

    def _end(self, how: Status, **more: Any) -> None:
        ended = {"status": how.value, "finished": text(datetime.now(UTC)), **more}
        self.record.update(ended)
        self.journal.items[history_key(self.started, self.id)].update(ended)

    def kept(self) -> str:
        """The whole journal as text."""
        return json.dumps([list(self.journal.items.values())], default=str)
