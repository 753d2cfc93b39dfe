"""When an environment may be deployed to (requirement A3): a daily window, and never while a backup runs.

Hours are wall-clock hours of the window's zone, compared as such, so that a change of the clock moves neither
of them; a window that ends before it starts crosses midnight.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cutover.domain.errors import MisconfiguredError

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True)
class Hours:
    """From `start` up to, not including, `end`; on every day, or on the one that it starts on (0 is
    Monday)."""

    start: time
    end: time
    zone: ZoneInfo
    weekday: int | None = None

    def contains(self, moment: datetime) -> bool:
        """`moment` carries its own zone."""
        local = moment.astimezone(self.zone)
        wall = local.time().replace(fold=0)
        if self.start <= self.end:
            return self.start <= wall < self.end and self._begins_on(local.date())
        if wall >= self.start:
            return self._begins_on(local.date())
        return wall < self.end and self._begins_on(local.date() - timedelta(days=1))

    def next_opening(self, moment: datetime) -> datetime:
        """The next start after `moment`, in the window's zone; hours that a clock change skips open after
        it."""
        day = moment.astimezone(self.zone).date()
        for ahead in range(15):
            start = datetime.combine(day + timedelta(days=ahead), self.start, self.zone)
            # Through UTC and back, an hour that does not exist on that day becomes the one that follows it.
            start = start.astimezone(UTC).astimezone(self.zone)
            if start > moment and self.contains(start):
                return start
        raise MisconfiguredError(f"the window {self} never opens")

    def _begins_on(self, day: date) -> bool:
        return self.weekday is None or day.weekday() == self.weekday

    def __str__(self) -> str:
        day = "" if self.weekday is None else f"{DAYS[self.weekday].capitalize()} "
        return f"{day}{self.start:%H:%M}–{self.end:%H:%M} {self.zone.key}"


@dataclass(frozen=True)
class WindowDecision:
    """May a deployment start? `reason` is a sentence for a person either way."""

    allowed: bool
    reason: str
    forced: bool = False


def decide_window(
    now: datetime,
    deploy: Hours,
    backup: Hours | None = None,
    *,
    enforced: bool = True,
    forced_because: str | None = None,
    lasts: timedelta = timedelta(0),
) -> WindowDecision:
    """A reason forces a deployment outside its window; a backup is never overlapped, whatever the reason.

    `lasts` is the least time that the deployment will take: one that would run into a backup is refused as
    well.
    """
    if not enforced:
        return WindowDecision(True, "this environment is deployed to at any hour")
    if backup is not None:
        if backup.contains(now):
            return WindowDecision(False, f"a backup runs ({backup})")
        if backup.next_opening(now) < now + lasts:
            opening = backup.next_opening(now)
            return WindowDecision(
                False, f"the backup of {opening:%H:%M} ({backup}) would begin before it ended"
            )
    if deploy.contains(now):
        return WindowDecision(True, f"inside the window {deploy}")
    if forced_because:
        return WindowDecision(True, f"outside the window {deploy}, forced: {forced_because}", forced=True)
    opening = deploy.next_opening(now)
    return WindowDecision(False, f"outside the window {deploy}, which opens next at {opening:%Y-%m-%d %H:%M}")


def read_hours(table: Mapping[str, Any], zone: str, name: str = "window") -> Hours:
    """From the configuration's `{start = "02:00", end = "04:00", day = "sunday"?}`."""
    try:
        day = str(table.get("day") or "").lower()
        return Hours(
            time.fromisoformat(str(table["start"])),
            time.fromisoformat(str(table["end"])),
            ZoneInfo(zone),
            next(number for number, word in enumerate(DAYS) if word.startswith(day)) if day else None,
        )
    except (KeyError, ValueError, StopIteration, ZoneInfoNotFoundError) as error:
        raise MisconfiguredError(
            f"{name}: {dict(table)} in zone {zone!r} is not a window; "
            "wanted start and end as HH:MM, a day's English name, an IANA time zone"
        ) from error
