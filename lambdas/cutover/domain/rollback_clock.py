"""The rollback clock: first bad request, ALARM, rule modified, last request served by the bad version.

A moment that nobody has measured is None, and a sentence says why: an unknown is never a zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cutover.domain.embedded import embedded
from cutover.domain.times import text

#: What is published of a clock (namespace Cutover, by Environment), each in milliseconds.
INTERVALS = {
    "RollbackMilliseconds": ("asked_at", "modified_at"),
    "DetectionMilliseconds": ("first_bad_at", "asked_at"),
    "FirstBadToModifiedMilliseconds": ("first_bad_at", "modified_at"),
    "AskedToLastBadMilliseconds": ("asked_at", "last_bad_at"),
}


@dataclass(frozen=True)
class Clock:
    """`asked_at` is the ALARM's own time, or when a person or the deployment asked. `first_bad_at` is the
    beginning of the 10 s in which the first bad request was counted, `last_bad_at` when the live listener was
    last seen to answer with the version that was left."""

    asked_at: datetime
    modified_at: datetime
    first_bad_at: datetime | None = None
    first_bad_unknown: str | None = "nobody has looked yet"
    last_bad_at: datetime | None = None
    last_bad_unknown: str | None = "nobody has looked yet"

    def as_json(self) -> dict[str, Any]:
        told = {
            "first_bad_at": text(self.first_bad_at) if self.first_bad_at else None,
            "asked_at": text(self.asked_at),
            "modified_at": text(self.modified_at),
            "last_bad_at": text(self.last_bad_at) if self.last_bad_at else None,
            "ms": _milliseconds(self.asked_at, self.modified_at),
        }
        unknown = {"first_bad_at": self.first_bad_unknown, "last_bad_at": self.last_bad_unknown}
        why = {name: reason for name, reason in unknown.items() if told[name] is None and reason}
        return {**told, "unknown": why} if why else told

    def metrics(self) -> dict[str, int]:
        """The intervals whose both ends are known."""
        known = {}
        for name, (start, end) in INTERVALS.items():
            began, ended = getattr(self, start), getattr(self, end)
            if began is not None and ended is not None:
                known[name] = max(0, _milliseconds(began, ended))
        return known


def first_bad(counts: Sequence[tuple[datetime, float]]) -> datetime | None:
    """The first moment of a series at which anything bad was counted."""
    return min((at for at, bad in counts if bad > 0), default=None)


def embedded_metrics(environment: str, metrics: Mapping[str, int], at: datetime) -> dict[str, Any]:
    """The log line that tells CloudWatch of a rollback."""
    return embedded(environment, {"Rollbacks": 1, **metrics}, at)


def _milliseconds(start: datetime, end: datetime) -> int:
    return round((end - start).total_seconds() * 1000)
