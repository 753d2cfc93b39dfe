"""MongoDB (DocumentDB on AWS): one client per process, and how much of its pool is in use."""

import asyncio
from collections.abc import Mapping
from typing import Any

from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.monitoring import ConnectionPoolListener

from backend.metrics import Metrics
from backend.settings import Settings
from backend.trust import database_trust

CONNECT_MILLISECONDS = 3_000
QUEUE_MILLISECONDS = 2_000


def _trust(url: str) -> dict[str, str]:
    """The CA file for a connection over TLS; a URL that names its own keeps it."""
    over_tls = "tls=true" in url or "ssl=true" in url
    return {"tlsCAFile": database_trust()} if over_tls and "tlsCAFile=" not in url else {}


class PoolWatch(ConnectionPoolListener):
    """Follows the driver's pool events; `peak` is the most connections in use since the start."""

    def __init__(self, size: int, metrics: Metrics) -> None:
        self.size = size
        self.open = 0
        self.in_use = 0
        self.peak = 0
        self._metrics = metrics
        metrics.pool_size.set(size)

    def report(self) -> dict[str, float]:
        return {
            "size": self.size,
            "open": self.open,
            "in_use": self.in_use,
            "peak_in_use": self.peak,
            "use": round(self.in_use / self.size, 3),
        }

    def connection_created(self, _event: object) -> None:
        self.open += 1
        self._metrics.pool_open.inc()

    def connection_closed(self, _event: object) -> None:
        self.open -= 1
        self._metrics.pool_open.dec()

    def connection_checked_out(self, _event: object) -> None:
        self.in_use += 1
        self.peak = max(self.peak, self.in_use)
        self._metrics.pool_in_use.inc()

    def connection_checked_in(self, _event: object) -> None:
        self.in_use -= 1
        self._metrics.pool_in_use.dec()

    def pool_created(self, event: object) -> None: ...
    def pool_ready(self, event: object) -> None: ...
    def pool_cleared(self, event: object) -> None: ...
    def pool_closed(self, event: object) -> None: ...
    def connection_ready(self, event: object) -> None: ...
    def connection_check_out_started(self, event: object) -> None: ...
    def connection_check_out_failed(self, event: object) -> None: ...


class Database:
    """The collections of the service. Nothing connects before the first command."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.pool = PoolWatch(settings.database_pool_size, metrics)
        self._client: AsyncMongoClient[Mapping[str, Any]] = AsyncMongoClient(
            settings.mongo_url,
            maxPoolSize=settings.database_pool_size,
            waitQueueTimeoutMS=QUEUE_MILLISECONDS,
            connectTimeoutMS=CONNECT_MILLISECONDS,
            serverSelectionTimeoutMS=CONNECT_MILLISECONDS,
            # DocumentDB has none: https://docs.aws.amazon.com/documentdb/latest/developerguide/functional-differences.html
            retryWrites=False,
            # With the time zone: a date is written to JSON with its offset.
            tz_aware=True,
            appname=f"{settings.instance_id}/{settings.release_version}"[:128],
            event_listeners=[self.pool],
            **_trust(settings.mongo_url),
        )
        # Users read what they have just written, and lists are cached: a replica that lags would show.
        self._database = self._client.get_database(
            settings.database_name, read_preference=ReadPreference.PRIMARY
        )

    @property
    def users(self) -> AsyncCollection[Any]:
        return self._database["users"]

    @property
    def models(self) -> AsyncCollection[Any]:
        return self._database["models"]

    @property
    def evaluations(self) -> AsyncCollection[Any]:
        return self._database["evaluations"]

    @property
    def files(self) -> AsyncCollection[Any]:
        return self._database["files"]

    async def ping(self) -> None:
        """Ask as the application's user, in its database: a wrong password fails here too."""
        async with asyncio.timeout(CONNECT_MILLISECONDS / 1000):
            await self._database.command("ping")

    async def close(self) -> None:
        await self._client.close()
