"""One keep-alive connection of the load generator: a request at a time, the answer's length from its head."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

from cutover.domain.load_plan import Request, Scenario
from cutover.domain.load_result import LoadResult

_HEAD_END = b"\r\n\r\n"
_HEAD_UNREAD, _CHUNKED = -1, -2


@dataclass(slots=True)
class Job:
    """A request on its way. Times are `time.perf_counter()` seconds; `counts` is where it is counted.

    `waited`: in the client, for a connection, which is the server's doing and not the client's lag.
    """

    scheduled: float
    scenario: Scenario
    step: int
    counts: LoadResult
    sent: float = 0.0
    waited: bool = False

    @property
    def request(self) -> Request:
        return self.scenario.requests[self.step]


class Owner(Protocol):
    """Who is told what became of a job."""

    def free(self, connection: Connection) -> None: ...
    def closed(self, connection: Connection) -> None: ...
    def answered(self, job: Job, status: int, head: bytes) -> None: ...
    def unanswered(self, job: Job, kind: str) -> None: ...


class Connection(asyncio.Protocol):
    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self.transport: asyncio.Transport | None = None
        self.job: Job | None = None
        self._buffer = b""
        self._length = _HEAD_UNREAD  # of head and body together
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    @property
    def open(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    def send(self, job: Job) -> None:
        assert self.transport is not None
        self.job, self._length, self._buffer = job, _HEAD_UNREAD, b""
        job.sent = time.perf_counter()
        self.transport.write(job.request.wire)

    def give_up(self, kind: str) -> None:
        """Nobody waits for this answer any longer."""
        job, self.job = self.job, None
        if self.transport is not None:
            transport = self.transport
            self._owner.closed(self)
            transport.abort()
        if job is not None:
            self._owner.unanswered(job, kind)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if self.job is None:
            self._buffer = b""
            return
        if self._length == _HEAD_UNREAD and not self._read_head():
            return
        if self._length == _CHUNKED:
            whole = self._buffer.endswith(b"0\r\n\r\n")
        else:
            whole = len(self._buffer) >= self._length
        if whole:
            self._finish(self.job)

    def _read_head(self) -> bool:
        end = self._buffer.find(_HEAD_END)
        if end < 0:
            return False
        self._head = self._buffer[:end].lower()
        start = self._head.find(b"content-length:")
        if start >= 0:
            stop = self._head.find(b"\r", start)
            self._length = end + 4 + int(self._head[start + 15 : stop if stop > 0 else None])
        else:
            self._length = _CHUNKED if b"transfer-encoding: chunked" in self._head else end + 4
        return True

    def _finish(self, job: Job) -> None:
        self.job, self._buffer = None, b""
        self._owner.answered(job, int(self._head[9:12]), self._head)
        if b"connection: close" in self._head:
            transport = self.transport
            self._owner.closed(self)
            if transport:
                transport.close()
        else:
            self._owner.free(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio names it)
        job, self.job = self.job, None
        self._owner.closed(self)
        if job is not None:
            self._owner.unanswered(job, "connection")
