"""Bad releases on purpose: a release's own configuration makes it fail under live traffic only.

A deployment is worth something only if it survives a release that passes every check beforehand and
breaks afterwards. Such a release is this same image with FAULT set in its environment file:

    FAULT            none | errors | slow | unhealthy | memory | cpu
                     idor | unsigned | expired | open | header | hsts | brittle | spoil
    FAULT_RATE       share of the live requests that are hit, 0..1 (for cpu: share of one core)
    FAULT_SECONDS    slow: added latency; cpu: how long one live request keeps the core busy
    FAULT_PORT       only requests whose X-Forwarded-Port is this port are live; empty: all but probes
    FAULT_MEGABYTES  memory: how much is leaked in all, 1 MB for each live request
    FAULT_AFTER      how many live requests each process answers soundly before the first that may be hit

The load balancer sets X-Forwarded-Port to the port of the listener that was called, and sends none with
its own health checks, so the test listener and the health checks see a sound release.
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/x-forwarded-headers.html
"""

import asyncio
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, assert_never

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_PROBES = frozenset({"/health", "/metrics"})
_MEGABYTE = 1024 * 1024


class FaultKind(StrEnum):
    NONE = "none"
    ERRORS = "errors"
    SLOW = "slow"
    UNHEALTHY = "unhealthy"
    MEMORY = "memory"
    CPU = "cpu"
    # What phase 5 has to find, on every listener and at once: another user's file is handed out, tokens with
    # `alg: none` or past their time are taken, no token at all is needed, one route lacks a header, a header
    # says something else, an odd id breaks the service.
    IDOR = "idor"
    UNSIGNED = "unsigned"
    EXPIRED = "expired"
    OPEN = "open"
    HEADER = "header"
    HSTS = "hsts"
    BRITTLE = "brittle"
    # What phase 7 has to find: a file comes down other than it went up.
    SPOIL = "spoil"


@dataclass(frozen=True)
class FaultPlan:
    """What goes wrong, and on which requests."""

    kind: FaultKind = FaultKind.NONE
    rate: float = 1.0
    seconds: float = 3.0
    port: int | None = None
    megabytes: int = 256
    after: int = 0

    @property
    def accepts(self) -> str | None:
        """Who is taken for a user that should not be: see `backend.tokens`."""
        holes = (FaultKind.UNSIGNED, FaultKind.EXPIRED, FaultKind.OPEN)
        return self.kind.value if self.kind in holes else None

    @staticmethod
    def kinds() -> tuple[str, ...]:
        return tuple(kind.value for kind in FaultKind)

    @staticmethod
    def kind_named(name: str) -> FaultKind:
        return FaultKind(name)

    def is_live(self, path: str, forwarded_port: str | None) -> bool:
        """Whether a request is live traffic: it came through the listener that FAULT_PORT names."""
        if self.port is None:
            return path not in _PROBES
        return forwarded_port == str(self.port)


class Faults:
    """The state of one process's fault: what it has leaked, whether it has turned sick."""

    def __init__(self, plan: FaultPlan, *, dice: Callable[[], float] = random.random) -> None:
        self.plan = plan
        self.unhealthy = False
        self.leaked: list[bytearray] = []
        self._dice = dice
        self._burner = _Burner(plan.rate)
        self._seen = 0

    def strikes(self) -> bool:
        return self._dice() < self.plan.rate

    async def before(self) -> int | None:
        """Do to one live request what the plan says; a status code means: answer with it at once."""
        self._seen += 1
        if self._seen <= self.plan.after:
            return None
        match self.plan.kind:
            case FaultKind.NONE | FaultKind.IDOR | FaultKind.UNSIGNED | FaultKind.EXPIRED | FaultKind.OPEN:
                pass
            case FaultKind.HEADER | FaultKind.HSTS | FaultKind.BRITTLE | FaultKind.SPOIL:
                pass
            case FaultKind.ERRORS:
                return 500 if self.strikes() else None
            case FaultKind.SLOW:
                if self.strikes():
                    await asyncio.sleep(self.plan.seconds)
            case FaultKind.UNHEALTHY:
                self.unhealthy = True
            case FaultKind.MEMORY:
                if len(self.leaked) < self.plan.megabytes and self.strikes():
                    # Written, not only reserved: untouched pages would not count as resident memory.
                    self.leaked.append(bytearray(b"\xff" * _MEGABYTE))
            case FaultKind.CPU:
                self._burner.burn(self.plan.seconds)
            case _ as never:
                assert_never(never)
        return None


def spoilt(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """As long as what was given, with the lowest bit of each chunk's first byte the other way round."""
    for chunk in chunks:
        yield bytes([chunk[0] ^ 1]) + chunk[1:] if chunk else chunk


class _Burner:
    """One thread that keeps a share of a core busy until the time bought by live requests runs out."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._until = 0.0
        self._lock = threading.Lock()
        self._running = False

    def burn(self, seconds: float) -> None:
        with self._lock:
            self._until = time.monotonic() + seconds
            if self._running:
                return
            self._running = True
        threading.Thread(target=self._run, name="fault-cpu", daemon=True).start()

    def _run(self) -> None:
        slice_seconds = 0.05
        while True:
            started = time.monotonic()
            with self._lock:
                if started >= self._until:
                    self._running = False
                    return
            while time.monotonic() - started < slice_seconds * self._share:
                sum(range(1000))
            time.sleep(slice_seconds * (1 - self._share))


class FaultMiddleware:
    """Stands in front of the routes; with FAULT=none it is not installed at all."""

    def __init__(self, app: "ASGIApp", faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] == "http" and self._faults.plan.is_live(scope["path"], _forwarded_port(scope)):
            status = await self._faults.before()
            if status is not None:
                body = b'{"detail":"fault injected by this release\'s FAULT setting"}'
                headers = [
                    (b"content-type", b"application/json"),
                    (b"content-length", str(len(body)).encode()),
                ]
                await send({"type": "http.response.start", "status": status, "headers": headers})
                await send({"type": "http.response.body", "body": body})
                return
        await self._app(scope, receive, send)


def _forwarded_port(scope: "Scope") -> str | None:
    for name, value in scope["headers"]:
        if name == b"x-forwarded-port":
            return str(value.decode("latin-1")).strip()
    return None
