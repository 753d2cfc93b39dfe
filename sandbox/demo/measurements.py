"""From what users saw and what the journal recorded to the demo's figures: documents in, document out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any


def epoch(iso: str) -> float:
    """An ISO-8601 time as seconds since the epoch."""
    return datetime.fromisoformat(iso).timestamp()


def _between(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> int:
    return int(after[name]) - int(before[name])


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


def swap_figures(
    version: str, record: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, Any]:
    """A deployment under traffic: requests and failures while it ran, and how soon the new version answered.

    Raises:
        ValueError: users never saw the version, so there is nothing to measure.
    """
    seen = after["versions"].get(version)
    if seen is None:
        raise ValueError(f"no request was ever answered by {version}")
    return {
        "status": record["status"],
        "requests": _between(before, after, "answers"),
        "failed": _between(before, after, "failed"),
        "swap_ms": _ms(seen["first_at"] - epoch(record["swap"]["modified_at"])),
    }


def page_figures(figures: Mapping[str, Any]) -> dict[str, Any]:
    """What the frontend's visitors saw, beside the figures of the backend's users."""
    return {f"page_{name}": figures[name] for name in ("requests", "failed", "swap_ms") if name in figures}


def rollback_figures(
    version: str, record: Mapping[str, Any], before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, Any]:
    """A release taken back by an alarm: the rollback clock, and whether anything failed afterwards.

    Raises:
        ValueError: users never saw the version, or no alarm rolled it back.
    """
    seen, rollback = after["versions"].get(version), record.get("rollback")
    if seen is None or not rollback or rollback.get("trigger") != "alarm":
        raise ValueError(f"{version} was not taken back by an alarm: {record.get('cause')}")
    clock = rollback["clock"]
    alarm_at, modified_at = epoch(clock["asked_at"]), epoch(clock["modified_at"])
    bad = [at for at, failed_version, _ in after["failures"] if failed_version == version]
    late = [at for at, failed_version, _ in after["failures"] if at > seen["last_at"]]
    return {
        "status": record["status"],
        "trigger": rollback["by"],
        "requests": _between(before, after, "answers"),
        "failed": _between(before, after, "failed"),
        "first_bad_to_alarm_ms": _ms(alarm_at - min(bad)) if bad else None,
        "alarm_to_modify_ms": _ms(modified_at - alarm_at),
        "alarm_to_last_bad_ms": _ms(seen["last_at"] - alarm_at),
        "failed_after_rollback": len(late),
    }
