"""A worker of the example backend that has served its share leaves without dropping a request."""

import asyncio
from typing import Any

import pytest

from backend.recycling import RecyclingMiddleware, limit_of
from backend.settings import Settings

NEEDED = {
    "MONGO_URL": "mongodb://db/",
    "REDIS_URL": "redis://cache/0",
    "JWT_SECRET": "k" * 32,
    "FILES_BUCKET": "staging-files",
}


def settings(workers: int, requests: int, jitter: int = 0) -> Settings:
    return Settings.from_environment(
        {
            **NEEDED,
            "UVICORN_WORKERS": str(workers),
            "UVICORN_MAX_REQUESTS": str(requests),
            "UVICORN_MAX_REQUESTS_JITTER": str(jitter),
        }
    )


async def serve(count: int, limit: int) -> tuple[list[bool], list[str]]:
    """Which of `count` answers say goodbye, and how often the worker was ended."""
    ended: list[str] = []
    goodbyes: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            goodbyes.append((b"connection", b"close") in message["headers"])

    worker = RecyclingMiddleware(app, limit, end=lambda: ended.append("ended"), seconds=0)
    for _ in range(count):
        await worker({"type": "http"}, None, send)  # type: ignore[arg-type]
    await asyncio.sleep(0.01)
    return goodbyes, ended


def test_a_worker_says_goodbye_on_every_answer_from_its_limit_on_and_ends_once() -> None:
    goodbyes, ended = asyncio.run(serve(5, limit=3))

    assert goodbyes == [False, False, True, True, True]
    assert ended == ["ended"]


def test_a_worker_below_its_limit_goes_on() -> None:
    assert asyncio.run(serve(2, limit=3)) == ([False, False], [])


def test_a_lone_worker_is_never_replaced() -> None:
    assert limit_of(settings(workers=1, requests=1000)) is None


def test_zero_means_no_limit() -> None:
    assert limit_of(settings(workers=4, requests=0)) is None


@pytest.mark.parametrize("_attempt", range(20))
def test_the_jitter_is_added_to_the_limit(_attempt: int) -> None:
    assert 1000 <= (limit_of(settings(workers=4, requests=1000, jitter=100)) or 0) <= 1100
