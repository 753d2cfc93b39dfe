"""Health: a cheap answer for load balancers, a detailed one for people and smoke tests (requirement C7a)."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Response

from backend.services import Services, ServicesDep

logger = logging.getLogger(__name__)
router = APIRouter(tags=["health"])

CHECK_SECONDS = 5.0
RETRY_SECONDS = 1.0


def _liveness(services: Services) -> tuple[int, dict[str, object]]:
    settings = services.settings
    identity = {"version": settings.release_version, "instance": settings.instance_id}
    if services.faults.unhealthy:
        return 503, {"status": "unhealthy", "reason": "FAULT=unhealthy", **identity}
    if services.readiness.waiting_for:
        return 503, {"status": "starting", "reason": services.readiness.waiting_for, **identity}
    return 200, {"status": "ok", **identity}


@router.get("/health")
@router.get("/api/health")
async def health(response: Response, services: ServicesDep) -> dict[str, object]:
    """Asks nobody else: 200 when this process serves, 503 while it starts or has turned sick."""
    response.status_code, body = _liveness(services)
    return body


@router.get("/api/health/detailed")
async def detailed(response: Response, services: ServicesDep) -> dict[str, object]:
    """Every dependency, asked now; 503 when one of them fails."""
    response.status_code, body = _liveness(services)
    names = ("mongodb", "redis", "file_storage")
    checks = (services.database.ping, services.redis.ping, services.storage.ping)
    results = await asyncio.gather(*(check(ask) for ask in checks))
    if not all(result["ok"] for result in results):
        response.status_code = 503
        body["status"] = "degraded"
    return {
        **body,
        "dependencies": dict(zip(names, results, strict=True)),
        "database_pool": services.database.pool.report(),
    }


async def check(ask: Callable[[], Awaitable[object]]) -> dict[str, object]:
    """{ok, latency_ms}, and the class of the error; its text is logged only: it may name hosts and users."""
    started = time.perf_counter()
    error: Exception | None = None
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await ask()
    except Exception as caught:
        error = caught
        logger.warning("dependency failed", extra={"error": type(error).__name__, "reason": str(error)[:300]})
    result: dict[str, object] = {
        "ok": error is None,
        "latency_ms": round((time.perf_counter() - started) * 1000, 2),
    }
    return result if error is None else result | {"error": type(error).__name__}


async def become_ready(services: Services) -> None:
    """Reach the database and the cache once; this opens their first connections before any traffic."""
    for name, ask in (("mongodb", services.database.ping), ("redis", services.redis.ping)):
        services.readiness.waiting_for = f"{name} has not answered yet"
        while not (await check(ask))["ok"]:
            await asyncio.sleep(RETRY_SECONDS)
    services.readiness.waiting_for = None
    logger.info("ready")
