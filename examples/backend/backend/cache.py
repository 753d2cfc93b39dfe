"""Redis: the shared cache of the model lists."""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, cast

from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

if TYPE_CHECKING:
    from backend.metrics import Metrics
    from backend.settings import Settings

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 2.0
# A request waits this long for a connection of a busy pool before it goes on without the cache.
QUEUE_SECONDS = 1.0


class QueueingRedis(Redis):
    """Commands wait their turn for the pool's connections, first come, first served.

    The ordinary pool raises at its limit. The blocking one waits, but lets newcomers overtake: with five
    times more users than connections, some requests were measured to wait for a whole second.
    """

    def __init__(self, pool: BlockingConnectionPool) -> None:
        super().__init__(connection_pool=pool)
        self._turns = asyncio.Semaphore(pool.max_connections)

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            async with asyncio.timeout(QUEUE_SECONDS):
                await self._turns.acquire()
        except TimeoutError:
            raise RedisConnectionError(f"no free connection within {QUEUE_SECONDS:g} s") from None
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        finally:
            self._turns.release()


def connect(settings: "Settings") -> Redis:
    pool = BlockingConnectionPool.from_url(
        settings.redis_url,
        max_connections=settings.redis_pool_size,
        timeout=QUEUE_SECONDS,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        client_name=settings.instance_id.replace(" ", "-"),
    )
    return QueueingRedis(pool)


class ListCache:
    """Rendered lists under a key of their filters. Without Redis every read is a miss, and none fails."""

    def __init__(self, redis: Redis, seconds: int, metrics: "Metrics") -> None:
        self._redis = redis
        self._seconds = seconds
        self._metrics = metrics

    async def read(self, key: str) -> bytes | None:
        try:
            found = cast("bytes | None", await self._redis.get(key))
        except (RedisError, OSError) as error:
            self._failed("read", error)
            found = None
        (self._metrics.cache_misses if found is None else self._metrics.cache_hits).inc()
        return found

    async def write(self, key: str, body: bytes) -> None:
        try:
            await self._redis.set(key, body, ex=self._seconds)
        except (RedisError, OSError) as error:
            self._failed("write", error)

    async def forget(self, *keys: str) -> None:
        """Drop what a write has made stale; should Redis be away, it is stale for CACHE_TTL at most."""
        try:
            await self._redis.delete(*keys)
        except (RedisError, OSError) as error:
            self._failed("forget", error)

    def _failed(self, action: str, error: Exception) -> None:
        self._metrics.cache_errors.inc()
        logger.warning("cache unavailable", extra={"action": action, "error": type(error).__name__})
