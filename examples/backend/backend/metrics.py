"""What Prometheus scrapes, and the middleware that observes every request.

With several workers each process counts into its own memory-mapped files, and the worker that happens to
be scraped adds them up (https://prometheus.github.io/client_python/multiprocess/). The files belong to
worker slots, not to process ids: recycled workers (UVICORN_MAX_REQUESTS) go on with the counts of the one
they replace, and the directory does not grow.
"""

import fcntl
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

logger = logging.getLogger("backend.access")
router = APIRouter(tags=["monitoring"])

MULTIPROCESS_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
SLOW_SECONDS = 1.0
# Seconds. The goals (0.25 for P50, 0.5 for P95, 1.0 for P99) and the rollback's limit (2.0) are bounds.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0)
_UNMATCHED = "unmatched"
_PROBES = frozenset({"/health", "/metrics"})

disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """All metrics of one process. `shared` is the directory of a multi-worker run, else None."""

    def __init__(self, shared: str | None = None) -> None:
        self._shared = shared
        if shared:
            slot, self._slot_lock = _claim_slot(Path(shared))
            values.ValueClass = values.MultiProcessValue(lambda: slot)  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        if not shared:
            ProcessCollector(registry=registry)
            PlatformCollector(registry=registry)
        self.requests = Counter(
            "http_requests", "Requests answered.", ["method", "path", "status"], registry=registry
        )
        self.duration = Histogram(
            "http_request_duration_seconds",
            "From the first byte of a request to the last of its answer.",
            ["method", "path"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self.in_flight = Gauge(
            "http_requests_in_flight", "Being answered.", multiprocess_mode="livesum", registry=registry
        )
        self.cache_hits = Counter("cache_hits", "Lists answered from Redis.", registry=registry)
        self.cache_misses = Counter("cache_misses", "Lists answered from the database.", registry=registry)
        self.cache_errors = Counter("cache_errors", "Redis did not answer the cache.", registry=registry)
        self.refused = Counter("rate_limit_refused", "Answered with 429.", ["rule"], registry=registry)
        self.rate_limit_unavailable = Counter(
            "rate_limit_unavailable", "Let pass uncounted: Redis did not answer.", registry=registry
        )
        pool: dict[str, Any] = {"multiprocess_mode": "livesum", "registry": registry}
        self.pool_size = Gauge("db_pool_size", "Connections the pool may open.", **pool)
        self.pool_open = Gauge("db_pool_open", "Connections that are open.", **pool)
        self.pool_in_use = Gauge("db_pool_in_use", "Connections that are checked out.", **pool)

    def rate_limited(self, rule: str) -> None:
        self.refused.labels(rule).inc()

    def render(self) -> bytes:
        """The text of a scrape, over all workers."""
        registry = self._registry
        if self._shared:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, path=self._shared)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def _claim_slot(directory: Path) -> tuple[str, int]:
    """Lock the lowest free worker slot; the lock goes with the process, however that ends."""
    for number in range(1024):
        descriptor = os.open(directory / f"slot-{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        for stale in directory.glob(f"gauge_live*_{number}.db"):
            stale.unlink()
        return str(number), descriptor
    raise RuntimeError(f"no free worker slot in {directory}")


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    services = request.app.state.services
    if not services.settings.monitoring_enabled:
        return Response(status_code=404)
    return Response(services.metrics.render(), headers={"content-type": CONTENT_TYPE_LATEST})


class ObservingMiddleware:
    """Counts and times every request, logs the bad ones, and turns an unforeseen error into a plain 500."""

    def __init__(self, app: "ASGIApp", metrics: Metrics, template: "Callable[[Scope], str | None]") -> None:
        self._app = app
        self._metrics = metrics
        self._template = template

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def send_observed(message: "Message") -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = time.perf_counter()
        self._metrics.in_flight.inc()
        try:
            await self._app(scope, receive, send_observed)
        except Exception:
            logger.exception("unhandled error", extra=_request_fields(scope))
            if status:
                raise  # The answer has begun: only closing the connection can tell the client.
            status = 500
            await _answer_500(send)
        finally:
            seconds = time.perf_counter() - started
            self._metrics.in_flight.dec()
            self._record(scope, status or 499, seconds)

    def _record(self, scope: "Scope", status: int, seconds: float) -> None:
        path = self._template(scope) or _UNMATCHED
        method = scope["method"] if path != _UNMATCHED else "any"
        self._metrics.requests.labels(method, path, status).inc()
        self._metrics.duration.labels(method, path).observe(seconds)
        if path in _PROBES:
            level = logging.DEBUG  # Who probes sees the answer; a start would log an error for each.
        elif status >= 500:
            level = logging.ERROR
        elif seconds >= SLOW_SECONDS:
            level = logging.WARNING
        else:
            level = logging.DEBUG
        if logger.isEnabledFor(level):
            fields = {"status": status, "seconds": round(seconds, 4), "route": path}
            logger.log(level, "request", extra=fields | _request_fields(scope))


def _request_fields(scope: "Scope") -> dict[str, str]:
    fields = {"method": scope["method"], "path": scope["path"]}
    for name, value in scope["headers"]:
        if name == b"x-amzn-trace-id":
            fields["trace"] = value.decode("latin-1")
    return fields


async def _answer_500(send: "Send") -> None:
    body = b'{"detail":"internal error"}'
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})
