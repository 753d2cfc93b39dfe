"""End a deployment that went well: its record, the lock, the bus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cutover.domain.errors import ConflictError, GateFailedError, LockLostError
from cutover.domain.records import LIVE, Deployment, Status
from cutover.domain.times import text
from cutover.ports import Change, Clock, Events, Journal
from cutover.steps.records import ending, unlocking

#: What the bus is told.
KINDS: Mapping[Status, str] = {
    Status.SUCCEEDED: "DeploymentSucceeded",
    Status.PLANNED: "DeploymentPlanned",
    Status.VERIFIED: "EnvironmentVerified",
}


def finish(
    deployment: Deployment,
    status: Status,
    details: Mapping[str, Any],
    *,
    journal: Journal,
    events: Events,
    clock: Clock,
) -> dict[str, Any]:
    """`details` (plan, swap, proof, drift) go into the record. A success is one only while the release is
    still live: raises GateFailedError when it was rolled back at the last moment, LockLostError when the lock
    is gone.
    """
    record = journal.read(deployment.key) or {}
    if record.get("status") != status:
        _write(deployment, status, details, journal=journal, now=text(clock.now()))
    # Also when it was written down before: whoever did may have died before it was told.
    about = {"deployment": deployment.id, "version": deployment.version}
    drift = details.get("drift") or {}
    if drift.get("findings"):
        events.publish("DriftFound", {**about, "status": drift["status"], "findings": drift["findings"]})
    events.publish(KINDS[status], about)
    return {"deployment": deployment.id, "status": status.value}


def _write(
    deployment: Deployment, status: Status, details: Mapping[str, Any], *, journal: Journal, now: str
) -> None:
    changes = [
        *ending(
            deployment.id,
            deployment.started,
            status,
            now,
            {k: v for k, v in details.items() if v is not None},
        ),
        unlocking(deployment.lock, now),
    ]
    if status is Status.SUCCEEDED:
        mine = {"deployment": deployment.id, "rolled_back": False}
        changes.append(Change("check", LIVE, expect=mine))
    try:
        journal.write(changes)
    except ConflictError as error:
        if (journal.read(deployment.key) or {}).get("status") == Status.ROLLED_BACK:
            raise GateFailedError(
                f"version {deployment.version} was rolled back before it had finished"
            ) from error
        raise LockLostError(
            f"deployment {deployment.id} no longer holds the lock, or is no longer live"
        ) from error
