"""The application put together: settings, services, routes, and the middlewares around them."""

import asyncio
import ctypes
import gc
import logging
import os
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from starlette.routing import Match

from backend import auth, cache, evaluations, files, health, logs, metrics, models, recycling
from backend.database import Database
from backend.faults import FaultKind, FaultMiddleware, Faults
from backend.metrics import MULTIPROCESS_DIRECTORY, Metrics, ObservingMiddleware
from backend.rate_limits import Counter, Limits, RateLimitMiddleware, RedisCounter
from backend.security import ResponseHeadersMiddleware
from backend.services import Services
from backend.settings import Settings
from backend.storage import FileStorage
from backend.tokens import IdentityMiddleware, Tokens, client_identity

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Scope

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0

_ROUTERS = tuple(module.router for module in (health, auth, models, evaluations, files, metrics))


# FAULT=header: one route among many lacks a header.
_BARE = re.compile(r"/api/models/.+")
# FAULT=hsts: browsers are told to forget that the site wants HTTPS.
_FORGET_HTTPS = {"Strict-Transport-Security": "max-age=0"}
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8


def _keep_memory_small() -> None:
    """Give large blocks (a password hash takes 16 MiB) back to the system, and share the heap of threads.

    Otherwise glibc raises its own threshold with the first such block and keeps all later ones:
    https://man7.org/linux/man-pages/man3/mallopt.3.html
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # None where the C library is not glibc
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1024 * 1024)
        mallopt(_M_ARENA_MAX, 2)


def create() -> "ASGIApp":
    """The factory that uvicorn calls in each worker."""
    _keep_memory_small()
    settings = Settings.from_environment(os.environ)
    logs.configure(
        settings.log_level, release_version=settings.release_version, instance_id=settings.instance_id
    )
    return build(settings)


def build(settings: Settings, counter: Counter | None = None) -> "ASGIApp":
    """The ASGI application; it connects to nothing before its first request or its lifespan."""
    services = _services(settings)
    app = FastAPI(
        title="AI model management",
        version=settings.release_version,
        lifespan=_lifespan,
        max_body_size=files.MAX_BODY_BYTES,
        # The pages would load their scripts from a CDN, which the Content-Security-Policy forbids.
        docs_url=None,
        redoc_url=None,
    )
    app.state.services = services
    for router in _ROUTERS:
        app.include_router(router)
    return _wrap(app, services, counter or RedisCounter(services.redis))


def _services(settings: Settings) -> Services:
    shared = Metrics(os.environ.get(MULTIPROCESS_DIRECTORY) or None)
    redis = cache.connect(settings)
    return Services(
        settings=settings,
        metrics=shared,
        database=Database(settings, shared),
        redis=redis,
        cache=cache.ListCache(redis, settings.cache_ttl, shared),
        storage=FileStorage(settings.files_bucket),
        tokens=Tokens(settings.jwt_secret, accepts=settings.fault.accepts),
        faults=Faults(settings.fault),
    )


def _wrap(app: FastAPI, services: Services, counter: Counter) -> "ASGIApp":
    """Pure ASGI, from the inside out: each costs microseconds, where BaseHTTPMiddleware costs a task."""
    settings = services.settings
    wrapped: ASGIApp = RateLimitMiddleware(
        app,
        limits=Limits.of(settings.rate_limits, settings.api_rate_limit),
        counter=counter,
        identify=client_identity,
        metrics=services.metrics,
    )
    wrapped = IdentityMiddleware(wrapped, services.tokens)
    if settings.fault.kind is not FaultKind.NONE:
        wrapped = FaultMiddleware(wrapped, services.faults)
    if settings.cors_origins:
        wrapped = CORSMiddleware(
            wrapped,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["X-Release-Version", "X-Instance-Id", "X-Cache", "Retry-After"],
        )
    if settings.monitoring_enabled:
        wrapped = ObservingMiddleware(wrapped, services.metrics, _template)
    if limit := recycling.limit_of(settings):
        wrapped = recycling.RecyclingMiddleware(wrapped, limit)
    return ResponseHeadersMiddleware(
        wrapped,
        release_version=settings.release_version,
        instance_id=settings.instance_id,
        bare=_BARE if settings.fault.kind is FaultKind.HEADER else None,
        others=_FORGET_HTTPS if settings.fault.kind is FaultKind.HSTS else None,
    )


def _template(scope: "Scope") -> str | None:
    """A request's route as a template (`/api/models/{model_id}`), which keeps the metrics' labels few."""
    route = scope.get("route")
    if route is None:
        # Refused before it was routed: by a rate limit, a fault or CORS.
        routes = (route for router in _ROUTERS for route in router.routes)
        route = next((route for route in routes if route.matches(scope)[0] is not Match.NONE), None)
    return getattr(route, "path", None)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    _spool_to(services.settings.upload_dir)
    # What is loaded by now stays: the collector need not walk through it again (see __main__).
    gc.freeze()
    gc.enable()
    connecting = asyncio.create_task(health.become_ready(services))
    # A worker that joins others serves at once. Without its database it starts all the same, to say why.
    await asyncio.wait({connecting}, timeout=CONNECT_SECONDS)
    yield
    connecting.cancel()
    with suppress(asyncio.CancelledError):
        await connecting
    await services.redis.aclose(close_connection_pool=True)
    await services.database.close()
    logger.info("stopped")


def _spool_to(directory: str) -> None:
    """Uploads above 1 MB wait on disk for their way to S3; UPLOAD_DIR says where."""
    try:
        path = Path(directory).resolve()
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        logger.info(
            "UPLOAD_DIR cannot be written: uploads spool to the temporary directory",
            extra={"directory": directory, "error": type(error).__name__},
        )
        return
    tempfile.tempdir = str(path)
