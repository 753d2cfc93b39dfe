"""How many requests a client may make: a sliding window, counted in Redis by all instances together.

The window slides by weighting the previous minute's count with the share of it that is still inside
(the "sliding window counter"), so that a client cannot double its limit around the turn of a minute.
Refused requests are not counted: a client that waits for Retry-After is let in.
"""

import logging
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, Self

from redis.exceptions import RedisError

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from starlette.types import ASGIApp, Receive, Scope, Send

    from backend.metrics import Metrics

logger = logging.getLogger(__name__)

_UNITS = {"second": 1, "minute": 60, "hour": 3600}
_RATE = re.compile(rf"(\d+)/(\d*)({'|'.join(_UNITS)})", re.ASCII)
OFF = "off"
# Health checks and scrapes come at their own pace from the load balancer and the monitoring host.
UNLIMITED = frozenset({"/health", "/metrics", "/api/health", "/api/health/detailed"})

# KEYS: the previous and the current window (one hash slot). ARGV: weight, limit, time to live in seconds.
_TAKE = """
local previous = tonumber(redis.call('GET', KEYS[1]) or '0')
local current = tonumber(redis.call('GET', KEYS[2]) or '0')
if previous * tonumber(ARGV[1]) + current + 1 > tonumber(ARGV[2]) + 0.000001 then
  return {0, previous, current}
end
if redis.call('INCR', KEYS[2]) == 1 then redis.call('EXPIRE', KEYS[2], ARGV[3]) end
return {1, previous, current}
"""


@dataclass(frozen=True)
class Rate:
    limit: int
    seconds: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "5/minute" or "5/10second". Raises ValueError, with the text, for anything else."""
        found = _RATE.fullmatch(text)
        count, many = (int(found[1]), int(found[2] or 1)) if found else (0, 0)
        if not found or count < 1 or many < 1:
            raise ValueError(
                f"rate {text!r}: write COUNT/UNIT with a unit of {', '.join(_UNITS)}, or COUNT/10UNIT"
            )
        return cls(count, many * _UNITS[found[3]])


@dataclass(frozen=True)
class Window:
    """A moment's place in the windows of a rate."""

    index: int
    elapsed: float
    seconds: int

    @classmethod
    def at(cls, moment: float, rate: Rate) -> Self:
        index = int(moment // rate.seconds)
        return cls(index, moment - index * rate.seconds, rate.seconds)

    @property
    def previous_weight(self) -> float:
        return 1 - self.elapsed / self.seconds


@dataclass(frozen=True)
class Taken:
    """The counts as they stood before the request."""

    allowed: bool
    previous: int
    current: int


def allows(rate: Rate, window: Window, previous: int, current: int) -> bool:
    """The decision which the script takes inside Redis."""
    return previous * window.previous_weight + current + 1 <= rate.limit + 1e-6


def retry_after(rate: Rate, window: Window, previous: int, current: int) -> int:
    """Whole seconds until one more request is allowed, if none is made in the meantime."""
    room = rate.limit - 1
    if current <= room:
        moment = rate.seconds * (1 - (room - current) / previous) if previous else window.elapsed
    else:
        moment = rate.seconds + rate.seconds * (1 - room / current)
    return max(1, math.ceil(moment - window.elapsed))


class Counter(Protocol):
    async def take(self, key: str, rate: Rate, window: Window) -> Taken: ...


class RedisCounter:
    """Counts in Redis; the script makes reading, deciding and counting one step."""

    def __init__(self, redis: "Redis") -> None:
        self._take = redis.register_script(_TAKE)

    async def take(self, key: str, rate: Rate, window: Window) -> Taken:
        keys = [f"rate:{{{key}}}:{window.index - 1}", f"rate:{{{key}}}:{window.index}"]
        allowed, previous, current = await self._take(
            keys=keys, args=[f"{window.previous_weight:.6f}", rate.limit, rate.seconds * 2]
        )
        return Taken(bool(allowed), int(previous), int(current))


@dataclass(frozen=True)
class Limits:
    """Which rate holds for a path: its own rule, else the general one, else none."""

    rules: Mapping[str, Rate]
    general: Rate | None

    @classmethod
    def of(cls, rules: Mapping[str, str], per_minute: int) -> Self:
        general = Rate(per_minute, 60) if per_minute else None
        return cls({path: Rate.parse(rate) for path, rate in rules.items() if rate != OFF}, general)

    def for_path(self, path: str) -> tuple[str, Rate] | None:
        """The rule's name and rate; what lies below a path (`/api/models/7`) shares the path's rule."""
        if path in UNLIMITED:
            return None
        for rule, rate in self.rules.items():
            if path == rule or path.startswith(rule + "/"):
                return rule, rate
        return ("general", self.general) if self.general else None


class RateLimitMiddleware:
    """Answers 429 with Retry-After. Without Redis it lets requests pass: a cache must not stop the API."""

    def __init__(
        self,
        app: "ASGIApp",
        *,
        limits: Limits,
        counter: Counter,
        identify: Callable[["Scope"], str],
        metrics: "Metrics",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._app = app
        self._limits = limits
        self._counter = counter
        self._identify = identify
        self._metrics = metrics
        self._clock = clock

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        found = self._limits.for_path(scope["path"]) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        rule, rate = found
        window = Window.at(self._clock(), rate)
        try:
            taken = await self._counter.take(f"{rule}|{self._identify(scope)}", rate, window)
        except (RedisError, OSError) as error:
            self._metrics.rate_limit_unavailable.inc()
            logger.warning("rate limit not counted", extra={"rule": rule, "error": type(error).__name__})
            await self._app(scope, receive, send)
            return
        if taken.allowed:
            await self._app(scope, receive, send)
            return
        self._metrics.rate_limited(rule)
        await _refuse(send, rate, retry_after(rate, window, taken.previous, taken.current))


async def _refuse(send: "Send", rate: Rate, seconds: int) -> None:
    body = (
        f'{{"detail":"more than {rate.limit} requests in {rate.seconds} s: retry in {seconds} s"}}'.encode()
    )
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", str(seconds).encode()),
    ]
    await send({"type": "http.response.start", "status": 429, "headers": headers})
    await send({"type": "http.response.body", "body": body})
