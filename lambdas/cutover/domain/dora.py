"""DORA's four keys, from what the journal holds of an environment's deployments.

https://dora.dev/guides/dora-metrics-four-keys/ . What each of them is here:

- deployment frequency: releases that took the traffic, per day of the period;
- lead time: from when the change was committed, where the deployment says so, else from when the deployment
  was started, to when it took the traffic (median; `lead_from_commit` says how many were told);
- change failure rate: those that were taken back, of those that took the traffic;
- time to restore: from the first bad request, where it is known, else from when the rollback was asked for
  (later than users noticed), to the listener's change (median; `restores_from_first_bad` says how many were
  told).

What there is no data of is None, and never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any, Self


@dataclass(frozen=True)
class Change:
    """One deployment, as far as the four keys ask. Times are None where it did not come to that."""

    started: datetime
    live_at: datetime | None
    committed_at: datetime | None = None
    first_bad_at: datetime | None = None
    asked_at: datetime | None = None
    restored_at: datetime | None = None

    @classmethod
    def read(cls, record: Mapping[str, Any]) -> Self:
        """From a deployment's record."""
        clock = (record.get("rollback") or {}).get("clock") or {}
        return cls(
            started=datetime.fromisoformat(str(record["started"])),
            live_at=_time((record.get("swap") or {}).get("modified_at")),
            committed_at=_time(record.get("committed_at")),
            first_bad_at=_time(clock.get("first_bad_at")),
            asked_at=_time(clock.get("asked_at")),
            restored_at=_time(clock.get("modified_at")),
        )

    @property
    def lead(self) -> timedelta | None:
        return self.live_at - (self.committed_at or self.started) if self.live_at else None

    @property
    def restore(self) -> timedelta | None:
        since = self.first_bad_at or self.asked_at
        return None if since is None or self.restored_at is None else self.restored_at - since


def _time(text: object) -> datetime | None:
    return datetime.fromisoformat(str(text)) if text else None


@dataclass(frozen=True)
class FourKeys:
    """`days` is the period's length; `deployments` took the traffic in it, and `failures` of them lost it
    again. Times are medians in seconds over `lead_times` and `restores` of them."""

    days: float
    deployments: int
    per_day: float
    lead_seconds: float | None
    lead_times: int
    lead_from_commit: int
    failures: int
    failure_rate: float | None
    restore_seconds: float | None
    restores: int
    restores_from_first_bad: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def as_metrics(self) -> dict[str, float]:
        """By the metric's name; a key of which nothing is known is none."""
        keys = {
            "DeploymentsPerDay": self.per_day,
            "LeadTimeSeconds": self.lead_seconds,
            "ChangeFailureRate": self.failure_rate,
            "TimeToRestoreSeconds": self.restore_seconds,
        }
        return {name: value for name, value in keys.items() if value is not None}


def four_keys(changes: Iterable[Change], since: datetime, until: datetime) -> FourKeys:
    """Of the changes that took the traffic from `since` up to, not including, `until` (since < until)."""
    live = [each for each in changes if each.live_at is not None and since <= each.live_at < until]
    leads = [lead.total_seconds() for each in live if (lead := each.lead) is not None]
    failed = [each for each in live if each.restored_at is not None]
    restores = [time.total_seconds() for each in failed if (time := each.restore) is not None]
    days = (until - since) / timedelta(days=1)
    return FourKeys(
        days=days,
        deployments=len(live),
        per_day=len(live) / days,
        lead_seconds=median(leads) if leads else None,
        lead_times=len(leads),
        lead_from_commit=sum(each.committed_at is not None for each in live),
        failures=len(failed),
        failure_rate=len(failed) / len(live) if live else None,
        restore_seconds=median(restores) if restores else None,
        restores=len(restores),
        restores_from_first_bad=sum(each.first_bad_at is not None for each in failed),
    )
