"""What the routes work with: put together once per process, found at `app.state.services`."""

import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, cast

from fastapi import Depends, HTTPException, Request

from backend.cache import ListCache
from backend.database import Database
from backend.faults import Faults
from backend.metrics import Metrics
from backend.settings import Settings
from backend.storage import FileStorage
from backend.tokens import Tokens, User

if TYPE_CHECKING:
    from redis.asyncio import Redis


@dataclass
class Readiness:
    """Unready until database and cache were reached once: a wrong address or password never goes live.

    Afterwards their outages leave it ready: taking every instance out at once would help nobody.
    """

    waiting_for: str | None = "the first connections"


@dataclass(frozen=True)
class Services:
    settings: Settings
    metrics: Metrics
    database: Database
    redis: "Redis"
    cache: ListCache
    storage: FileStorage
    tokens: Tokens
    faults: Faults
    readiness: Readiness = field(default_factory=Readiness)


async def _services(request: Request) -> Services:
    return cast("Services", request.app.state.services)


async def _current_user(request: Request) -> User:
    user: User | None = request.scope.get("user")
    if user is None:
        raise HTTPException(401, "log in first: no valid bearer token", {"WWW-Authenticate": "Bearer"})
    return user


ServicesDep = Annotated[Services, Depends(_services)]
CurrentUser = Annotated[User, Depends(_current_user)]


def new_id() -> str:
    """32 hexadecimal digits in the order of creation, so that the index on `_id` sorts by age.

    The layout is UUID version 7's (RFC 9562, section 5.7): milliseconds first, then chance.
    """
    milliseconds = time.time_ns() // 1_000_000
    chance = int.from_bytes(os.urandom(10))
    value = milliseconds << 80 | 0x7 << 76 | (chance >> 4) & 0xFFF << 64 | 0b10 << 62 | chance & (1 << 62) - 1
    return f"{value:032x}"


def now() -> datetime:
    """To the millisecond, which is what MongoDB keeps."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
