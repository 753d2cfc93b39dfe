"""End a deployment that went wrong: what happened, what was done about it, the lock, the bus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cutover.domain.errors import ConflictError
from cutover.domain.failure import read_failure
from cutover.domain.input import Mode
from cutover.domain.records import Deployment, Status
from cutover.domain.times import text
from cutover.ports import Clock, Events, Journal
from cutover.steps.records import ending, unlocking


def fail(
    deployment: Deployment,
    failure: Mapping[str, Any] | None,
    rollback: Mapping[str, Any] | None,
    *,
    plan: str | None = None,
    journal: Journal,
    events: Events,
    clock: Clock,
) -> dict[str, Any]:
    """Returns {cause}: the words for the execution's Cause field. A deployment that an alarm has rolled back
    already keeps what was recorded then, and so does one that had succeeded; a lock that somebody else holds
    by now stays theirs. `plan`: the digest of what was planned, if it came to that.
    """
    what = read_failure(failure)
    done = dict(rollback or {})
    told = f"{what} (rollback: {done.get('action', 'unknown')}: {done.get('reason', 'no reason was given')})"
    record = journal.read(deployment.key) or {}
    if record.get("status") == Status.SUCCEEDED:
        # Only the answer to that was lost: it is written down and unlocked, and told here if it was not.
        if deployment.mode != Mode.DRILL:
            events.publish(
                "DeploymentSucceeded", {"deployment": deployment.id, "version": deployment.version}
            )
        return {"cause": told, "status": Status.SUCCEEDED.value}
    settled = record.get("status") == Status.ROLLED_BACK
    status = Status.ROLLED_BACK if settled or done.get("action") == "rolled_back" else Status.FAILED
    now = text(clock.now())
    about: dict[str, Any] = (
        {} if settled else {"cause": told, "failure": {"error": what.error, "cause": what.message}}
    )
    if plan:
        about["planned"] = {"sha256": plan}
    if done and not settled:
        about["rollback"] = {**(record.get("rollback") or {}), **done}
    ended = ending(deployment.id, deployment.started, status, str(record.get("finished") or now), about)
    try:
        journal.write([*ended, unlocking(deployment.lock, now)])
    except ConflictError:
        journal.write(ended)
    events.publish(
        "DrillFailed" if deployment.mode == Mode.DRILL else "DeploymentFailed",
        {"deployment": deployment.id, "version": deployment.version, "status": status.value, "cause": told},
    )
    return {"cause": told, "status": status.value}
