"""Replacing a worker after UVICORN_MAX_REQUESTS requests, without a client noticing.

uvicorn's own limit closes every idle connection at once, and a load balancer that is just sending its next
request into one answers 502. Here a worker first says goodbye: from its limit on, each answer carries
`Connection: close`, so the balancer opens its next connections to the other workers. Only then it ends,
and the supervisor starts its successor.
"""

import asyncio
import logging
import os
import random
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from backend.settings import Settings

logger = logging.getLogger(__name__)

# A busy connection sends its next request well within this time.
GOODBYE_SECONDS = 3.0


def end_this_worker() -> None:
    """uvicorn finishes the requests in flight on SIGTERM."""
    os.kill(os.getpid(), signal.SIGTERM)


def limit_of(settings: "Settings") -> int | None:
    """How many requests a worker serves; None: no end. A lone worker is never replaced: nobody stands in."""
    if not settings.uvicorn_max_requests or settings.uvicorn_workers == 1:
        return None
    # The jitter keeps workers that started together from ending together.
    return settings.uvicorn_max_requests + random.randint(0, settings.uvicorn_max_requests_jitter)  # noqa: S311


class RecyclingMiddleware:
    """Counts requests; past `limit` it says goodbye, and calls `end` when `seconds` have passed."""

    def __init__(
        self,
        app: "ASGIApp",
        limit: int,
        *,
        end: Callable[[], None] = end_this_worker,
        seconds: float = GOODBYE_SECONDS,
    ) -> None:
        self._app = app
        self._limit = limit
        self._end = end
        self._seconds = seconds
        self._served = 0

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self._served += 1
        if self._served == self._limit:
            logger.info("worker retires", extra={"served": self._served})
            asyncio.get_running_loop().call_later(self._seconds, self._end)
        await self._app(scope, receive, send if self._served < self._limit else _closing(send))


def _closing(send: "Send") -> "Send":
    async def send_closing(message: "Message") -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
        await send(message)

    return send_closing
