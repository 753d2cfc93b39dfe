"""An open-model HTTP/1.1 load generator on the standard library alone, so that it fits in a Lambda.

Arrivals follow a fixed schedule that never waits for answers. "Users" are keep-alive connections: an arrival
that finds all of them busy waits in the client, and its wait counts, because latency is measured from the
*scheduled* time (no coordinated omission). The client's own lag (sent minus scheduled, while a connection was
free) is reported too, so that a saturated client is never mistaken for a slow server.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cutover.domain.histogram import Histogram

_OPEN_AT_ONCE = 25  # handshakes that run side by side while the pool is opened
_ANSWER_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Target:
    """Where the load goes: connects to `host:port`, asks for (SNI and Host) `server_name`."""

    host: str
    port: int
    server_name: str
    paths: Sequence[str]
    headers: Mapping[str, str] = field(default_factory=dict)
    tls: bool = True

    def requests(self) -> Sequence[bytes]:
        """The requests as they go on the wire, one a path, used in turn."""
        more = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        return [
            f"GET {path} HTTP/1.1\r\nHost: {self.server_name}\r\nUser-Agent: cutover-load\r\n"
            f"Accept: */*\r\n{more}\r\n".encode()
            for path in self.paths
        ]


@dataclass(frozen=True)
class Schedule:
    """`rate` requests a second for `seconds`, over at most `users` connections."""

    rate: float
    users: int
    seconds: float
    timeout_seconds: float = 10.0


@dataclass(frozen=True)
class Answer:
    """One finished request. Times are `time.perf_counter()` seconds; `head` is the raw answer head."""

    scheduled: float
    sent: float
    done: float
    status: int
    head: bytes


@dataclass
class LoadResult:
    """What came of a run. `errors` are requests with no answer, by kind."""

    scheduled: int = 0
    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    latency: Histogram = field(default_factory=Histogram)
    lag: Histogram = field(default_factory=Histogram)
    cpu_seconds: float = 0.0

    @property
    def failed(self) -> int:
        """Requests that got no answer or an answer of 500 and above."""
        return sum(self.errors.values()) + sum(n for status, n in self.statuses.items() if status >= 500)

    def document(self) -> dict[str, Any]:
        """As JSON, with histograms, for merging elsewhere."""
        return {
            "scheduled": self.scheduled,
            "seconds": self.seconds,
            "statuses": {str(status): n for status, n in self.statuses.items()},
            "errors": dict(self.errors),
            "latency": self.latency.document(),
            "lag": self.lag.document(),
            "cpu_seconds": self.cpu_seconds,
        }


@dataclass
class _Job:
    scheduled: float
    request: bytes
    sent: float = 0.0
    waited: bool = False


class _Connection(asyncio.Protocol):
    """One keep-alive connection: one request at a time, the answer's length from its head."""

    def __init__(self, generator: LoadGenerator) -> None:
        self._generator = generator
        self.transport: asyncio.Transport | None = None
        self._buffer = b""
        self._length = -1  # of head and body together; -1: head not yet read, -2: chunked
        self._job: _Job | None = None
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    @property
    def open(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    def send(self, job: _Job) -> None:
        assert self.transport is not None
        self._job, self._length, self._buffer = job, -1, b""
        job.sent = time.perf_counter()
        self.transport.write(job.request)

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        if self._job is None:
            self._buffer = b""
            return
        if self._length == -1 and not self._read_head():
            return
        whole = (
            self._buffer.endswith(b"0\r\n\r\n") if self._length == -2 else len(self._buffer) >= self._length
        )
        if whole:
            self._finish(self._job)

    def _read_head(self) -> bool:
        end = self._buffer.find(_ANSWER_HEAD_END)
        if end < 0:
            return False
        self._head = self._buffer[:end].lower()
        start = self._head.find(b"content-length:")
        if start >= 0:
            stop = self._head.find(b"\r", start)
            self._length = end + 4 + int(self._head[start + 15 : stop if stop > 0 else None])
        else:
            self._length = -2 if b"transfer-encoding: chunked" in self._head else end + 4
        return True

    def _finish(self, job: _Job) -> None:
        self._job, self._buffer = None, b""
        self._generator.answered(job, int(self._head[9:12]), self._head)
        if b"connection: close" in self._head:
            transport = self.transport
            self._generator.closed(self)
            if transport:
                transport.close()
        else:
            self._generator.free(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio names it)
        self._generator.closed(self)
        if self._job is not None:
            job, self._job = self._job, None
            self._generator.unanswered(job, "reset")


class LoadGenerator:
    """Runs one schedule against one target. `on_answer` sees every answer as it comes (keep it cheap)."""

    def __init__(
        self, target: Target, schedule: Schedule, on_answer: Callable[[Answer], None] | None = None
    ) -> None:
        self._target, self._schedule, self._on_answer = target, schedule, on_answer
        self._requests = target.requests()
        self._context = ssl.create_default_context() if target.tls else None
        self._idle: deque[_Connection] = deque()
        self._waiting: deque[_Job] = deque()
        self._connections = self._opening = self._in_flight = 0
        self._stopped = False
        self._tasks: set[asyncio.Task[None]] = set()
        self.result = LoadResult()

    def stop(self) -> None:
        """Let no further request be scheduled; what is under way still ends."""
        self._stopped = True

    async def run(self) -> LoadResult:
        """Open the connections, follow the schedule, wait for the last answers (at most the timeout)."""
        users = self._schedule.users
        for opened in range(0, users, _OPEN_AT_ONCE):
            await asyncio.gather(*(self._open(None) for _ in range(min(_OPEN_AT_ONCE, users - opened))))
        cpu, start = time.process_time(), time.perf_counter()
        await self._follow_schedule(start)
        self.result.seconds = time.perf_counter() - start
        limit = time.perf_counter() + self._schedule.timeout_seconds
        while self._in_flight and time.perf_counter() < limit:
            await asyncio.sleep(0.01)
        if self._in_flight:
            self.result.errors["timeout"] += self._in_flight
        self.result.cpu_seconds = time.process_time() - cpu
        for connection in list(self._idle):
            if connection.transport:
                connection.transport.close()
        return self.result

    async def _follow_schedule(self, start: float) -> None:
        rate, end = self._schedule.rate, start + self._schedule.seconds
        number = 0
        while not self._stopped:
            due = start + number / rate
            if due >= end:
                return
            now = time.perf_counter()
            if due > now:
                await asyncio.sleep(due - now)
                continue
            self._in_flight += 1
            self.result.scheduled += 1
            self._arrive(_Job(due, self._requests[number % len(self._requests)]))
            number += 1

    def _arrive(self, job: _Job) -> None:
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                connection.send(job)
                return
        if self._connections + self._opening < self._schedule.users:
            task = asyncio.ensure_future(self._open(job))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            job.waited = True
            self._waiting.append(job)

    async def _open(self, job: _Job | None) -> None:
        self._opening += 1
        try:
            _, connection = await asyncio.wait_for(
                asyncio.get_running_loop().create_connection(
                    lambda: _Connection(self),
                    self._target.host,
                    self._target.port,
                    ssl=self._context,
                    server_hostname=self._target.server_name if self._context else None,
                ),
                self._schedule.timeout_seconds,
            )
        except (OSError, TimeoutError) as error:
            self._opening -= 1
            if job is not None:
                self.unanswered(job, f"connect: {type(error).__name__}")
            return
        self._opening -= 1
        self._connections += 1
        if job is None:
            self.free(connection)
        else:
            job.waited = True
            connection.send(job)

    def free(self, connection: _Connection) -> None:
        """The connection can take the next request."""
        if self._waiting and connection.open:
            connection.send(self._waiting.popleft())
        else:
            self._idle.append(connection)

    def closed(self, connection: _Connection) -> None:
        """The connection is gone; a waiting request gets one of its own."""
        if connection.transport is None:
            return
        connection.transport = None
        self._connections -= 1
        if self._waiting:
            self._arrive(self._waiting.popleft())

    def answered(self, job: _Job, status: int, head: bytes) -> None:
        """Count an answer."""
        done = time.perf_counter()
        self._in_flight -= 1
        self.result.statuses[status] += 1
        self.result.latency.add(done - job.scheduled)
        if not job.waited:
            self.result.lag.add(job.sent - job.scheduled)
        if self._on_answer:
            self._on_answer(Answer(job.scheduled, job.sent, done, status, head))

    def unanswered(self, job: _Job, kind: str) -> None:
        """Count a request that got no answer; its latency counts up to now."""
        self._in_flight -= 1
        self.result.errors[kind] += 1
        self.result.latency.add(time.perf_counter() - job.scheduled)
