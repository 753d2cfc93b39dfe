"""The journal's record of a deployment: opening, reading and changing it, always under its lock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cutover.domain.errors import LockLostError
from cutover.domain.lock import Lock
from cutover.domain.records import (
    LIVE,
    LOCK,
    Deployment,
    Live,
    Status,
    deployment_key,
    history_key,
    read_lock,
)
from cutover.ports import Change, Journal


def require_lock(journal: Journal, lock: Lock) -> None:
    """Before a side effect that the journal itself can't fence. Raises LockLostError."""
    record = read_lock(journal.read(LOCK))
    if record is None or record.holder != lock.holder or record.fence != lock.fence:
        holder = record.holder if record and record.holder else "nobody"
        raise LockLostError(f"deployment {lock.holder} no longer holds the lock; {holder} does")


def read_live(journal: Journal) -> Live | None:
    item = journal.read(LIVE)
    return Live.read(item) if item else None


def update_record(journal: Journal, deployment: Deployment, values: Mapping[str, Any]) -> None:
    journal.write([Change("update", deployment.key, dict(values))], lock=deployment.lock)


def ending(
    deployment: str, started: str, status: Status, finished: str, more: Mapping[str, Any]
) -> list[Change]:
    """The changes that end a deployment's record, in its history too."""
    return [
        Change("update", deployment_key(deployment), {"status": status.value, "finished": finished, **more}),
        Change("update", history_key(started, deployment), {"status": status.value, "finished": finished}),
    ]


def unlocking(lock: Lock, since: str) -> Change:
    """The fence stays, so that the next holder's is higher."""
    return Change(
        "put",
        LOCK,
        {"holder": None, "fence": lock.fence, "since": since, "execution_arn": None},
        expect={"holder": lock.holder, "fence": lock.fence},
    )
