"""Which release users have been told of before it comes (requirement A4): a day ahead at the least."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from cutover.domain.errors import InvalidInputError
from cutover.domain.times import text
from cutover.domain.window import Hours

NOTICE = timedelta(hours=24)


@dataclass(frozen=True)
class Announcement:
    """A pending release. `opening` and `announced_at` are ISO 8601 in UTC."""

    version: str
    opening: str
    by: str
    announced_at: str

    @classmethod
    def read(cls, item: Mapping[str, Any] | None) -> Self | None:
        """None where nothing is announced, or no longer."""
        if item is None or item.get("withdrawn_at"):
            return None
        return cls(*(str(item[name]) for name in ("version", "opening", "by", "announced_at")))

    def pending(self, now: datetime) -> bool:
        """Its hour has not come."""
        return datetime.fromisoformat(self.opening) > now

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def opening_for(at: str | None, hours: Hours, now: datetime) -> str:
    """The moment that users are told of: `at`, or else the first opening of the window that leaves them a
    day. Raises InvalidInputError for a moment that is too near or outside the window."""
    if at is None:
        return text(hours.next_opening(now + NOTICE))
    try:
        moment = datetime.fromisoformat(at)
    except ValueError as error:
        raise InvalidInputError(f"at: {at!r} is no moment; write one like 2026-03-06T02:00+09:00") from error
    if moment.tzinfo is None:
        raise InvalidInputError(f"at: {at!r} has no zone; write one like 2026-03-06T02:00+09:00")
    if moment < now + NOTICE:
        raise InvalidInputError(
            f"at: {at!r} is less than 24 hours ahead; the window opens next after that at "
            f"{text(hours.next_opening(now + NOTICE))}"
        )
    if not hours.contains(moment):
        raise InvalidInputError(f"at: {at!r} is outside the window {hours}")
    return text(moment)
