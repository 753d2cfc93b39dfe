"""An open-model HTTP/1.1 load generator on the standard library alone, so that it fits in a Lambda.

Arrivals follow a fixed schedule that never waits for answers. "Users" are keep-alive connections: an arrival
that finds all of them busy waits in the client, and its wait counts, because latency is measured from the
*scheduled* time (no coordinated omission). The client's own lag (sent minus scheduled, while a connection was
free) is reported too, so that a saturated client is never mistaken for a slow server.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cutover.adapters.load_connection import Connection, Job
from cutover.domain.load_plan import Mix, Scenario, Stage, of_paths
from cutover.domain.load_result import TOO_MANY, LoadResult

__all__ = ["Answer", "LoadGenerator", "LoadResult", "Schedule", "Target"]

_OPEN_AT_ONCE = 25  # handshakes that run side by side while the pool is opened
_SWEEP_SECONDS = 0.1
_LONGEST_PAUSE = 60.0


@dataclass(frozen=True)
class Target:
    """Where the load goes: connects to `host:port`, asks for (SNI and Host) `server_name`.

    Either `paths`, each as often as the other, or `scenarios`.
    """

    host: str
    port: int
    server_name: str
    paths: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    tls: bool = True
    scenarios: Sequence[Scenario] = ()

    def mix(self) -> Mix:
        return Mix(self.scenarios or of_paths(self.paths, self.server_name, self.headers))


@dataclass(frozen=True)
class Schedule:
    """`rate` requests a second for `seconds`, over at most `users` connections, after the stages of `ramp`.

    A request that has no answer `timeout_seconds` after it was due is given up. With `begin_at` (epoch
    seconds) the connections are opened at once, and the first request is sent then.
    """

    rate: float
    users: int
    seconds: float
    timeout_seconds: float = 10.0
    ramp: Sequence[Stage] = ()
    begin_at: float = 0.0


@dataclass(frozen=True)
class Answer:
    """One finished request. Times are `time.perf_counter()` seconds; `head` is the raw answer head in lower
    case. `status` is 0 when there was no answer; `failed` is anything but the right one, or a 429."""

    scheduled: float
    sent: float
    done: float
    status: int
    head: bytes
    failed: bool = False


class LoadGenerator:
    """Runs one schedule against one target. `on_answer` sees every answer as it comes (keep it cheap), and
    `on_end` every request that had none."""

    def __init__(
        self,
        target: Target,
        schedule: Schedule,
        on_answer: Callable[[Answer], None] | None = None,
        on_end: Callable[[Answer], None] | None = None,
    ) -> None:
        self._target, self._schedule = target, schedule
        self._on_answer, self._on_end = on_answer, on_end
        self._mix = target.mix()
        self._context = ssl.create_default_context() if target.tls else None
        self._idle: deque[Connection] = deque()
        self._waiting: deque[Job] = deque()
        self._all: set[Connection] = set()
        self._opening = self._in_flight = 0
        self._stopped = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._epoch = time.time() - time.perf_counter()
        self._stages = [*schedule.ramp, Stage(schedule.rate, schedule.seconds)]
        self.results = [LoadResult() for _ in self._stages]

    @property
    def result(self) -> LoadResult:
        """That of the whole rate, after the ramp."""
        return self.results[-1]

    def stop(self) -> None:
        """Let no further request be scheduled; what is under way still ends."""
        self._stopped = True

    async def run(self) -> LoadResult:
        """Open the connections, follow the schedule, wait for the last answers (at most the timeout)."""
        await self.open()
        return await self.follow(max(self._schedule.begin_at - self._epoch, time.perf_counter()))

    async def open(self) -> None:
        """Open all the connections, and send nothing yet."""
        users = self._schedule.users
        for opened in range(0, users, _OPEN_AT_ONCE):
            await asyncio.gather(*(self._open(None) for _ in range(min(_OPEN_AT_ONCE, users - opened))))

    async def follow(self, start: float) -> LoadResult:
        """Follow the schedule, whose first request is due at `start` (`time.perf_counter()` seconds).

        Those who begin together count from the same moment, however late each of them is woken."""
        await asyncio.sleep(start - time.perf_counter())
        sweeper = asyncio.ensure_future(self._sweep())
        for stage, result in zip(self._stages, self.results, strict=True):
            await self._follow(stage, result, start)
            start += stage.seconds
        while self._in_flight:
            await asyncio.sleep(0.01)
        sweeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sweeper
        for connection in list(self._all):
            if connection.transport:
                connection.transport.close()
        return self.result

    async def _follow(self, stage: Stage, result: LoadResult, start: float) -> None:
        result.began, cpu = start + self._epoch, time.process_time()
        end, sent = start + stage.seconds, 0
        while not self._stopped and (due := start + sent / stage.rate) < end:
            now = time.perf_counter()
            if due > now:
                await asyncio.sleep(due - now)
                continue
            scenario = self._mix.next(due)
            self._begin(Job(due, scenario, 0, result))
            sent += len(scenario.requests)
        if not self._stopped and (left := end - time.perf_counter()) > 0:
            await asyncio.sleep(left)
        result.seconds = time.perf_counter() - start
        result.cpu_seconds = time.process_time() - cpu
        result.busiest = result.cpu_seconds / result.seconds if result.seconds else 0.0

    def _begin(self, job: Job) -> None:
        self._in_flight += 1
        job.counts.scheduled += 1
        self._arrive(job)

    def _arrive(self, job: Job) -> None:
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                connection.send(job)
                return
        if len(self._all) + self._opening < self._schedule.users:
            task = asyncio.ensure_future(self._open(job))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            job.waited = True
            self._waiting.append(job)

    async def _open(self, job: Job | None) -> None:
        self._opening += 1
        try:
            _, connection = await asyncio.wait_for(
                asyncio.get_running_loop().create_connection(
                    lambda: Connection(self),
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
                self.unanswered(job, _kind(error))
            return
        self._opening -= 1
        self._all.add(connection)
        if job is None:
            self.free(connection)
        else:
            job.waited = True
            connection.send(job)

    async def _sweep(self) -> None:
        """Give up what is overdue, so that a server that hangs holds no connection for ever."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            oldest = time.perf_counter() - self._schedule.timeout_seconds
            while self._waiting and self._waiting[0].scheduled < oldest:
                self.unanswered(self._waiting.popleft(), "timeout")
            for connection in [each for each in self._all if each.job and each.job.scheduled < oldest]:
                connection.give_up("timeout")

    def free(self, connection: Connection) -> None:
        """The connection can take the next request."""
        if self._waiting and connection.open:
            connection.send(self._waiting.popleft())
        else:
            self._idle.append(connection)

    def closed(self, connection: Connection) -> None:
        """The connection is gone; a waiting request gets one of its own."""
        if connection.transport is None:
            return
        connection.transport = None
        self._all.discard(connection)
        if self._waiting:
            self._arrive(self._waiting.popleft())

    def answered(self, job: Job, status: int, head: bytes) -> None:
        """Count an answer, and go on with its scenario."""
        done = time.perf_counter()
        self._in_flight -= 1
        counts, request = job.counts, job.request
        counts.statuses[status] += 1
        counts.latency.add(done - job.scheduled)
        if not job.waited:
            counts.lag.add(job.sent - job.scheduled)
        right = status == request.expect
        if right:
            counts.exercised[request.scenario] += 1
            counts.per_second[int(done + self._epoch)] += 1
            if b"\r\nx-cache:" in head:
                counts.cache[_header(head, b"x-cache")] += 1
        elif status == TOO_MANY:
            self._mix.pause(request.scenario, done + _seconds(_header(head, b"retry-after")))
        else:
            counts.wrong[f"{status // 100}xx"] += 1
        if self._on_answer:
            failed = not right and status != TOO_MANY
            self._on_answer(Answer(job.scheduled, job.sent, done, status, head, failed))
        if right and job.step + 1 < len(job.scenario.requests):
            self._begin(Job(done, job.scenario, job.step + 1, counts, waited=True))

    def unanswered(self, job: Job, kind: str) -> None:
        """Count a request that got no answer; its latency counts up to now."""
        done = time.perf_counter()
        self._in_flight -= 1
        job.counts.errors[kind] += 1
        job.counts.latency.add(done - job.scheduled)
        if self._on_end:
            self._on_end(Answer(job.scheduled, job.sent, done, 0, b"", failed=True))


def _kind(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "tls"
    return "timeout" if isinstance(error, TimeoutError) else "connection"


def _header(head: bytes, name: bytes) -> str:
    _, _, rest = head.partition(b"\r\n" + name + b":")
    return rest.partition(b"\r\n")[0].strip().decode("latin-1")


def _seconds(text: str) -> float:
    """A Retry-After in seconds; a date, or none, is a minute."""
    return min(float(text), _LONGEST_PAUSE) if text.isdecimal() else _LONGEST_PAUSE
