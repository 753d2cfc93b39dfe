"""Write down what a rollback has done, once: the release that is live again, the one that was left, the lock.

All of it is one transaction that names the lock's holder and token. So a swap that is under way either has
written before (then this sees it, and takes it back too) or finds its lock gone and can write nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cutover.domain.colours import Colour
from cutover.domain.errors import ConflictError, ThrottledError
from cutover.domain.lock import Lock, LockRecord
from cutover.domain.records import LIVE, LOCK, Live, Status, deployment_key, read_lock
from cutover.domain.rollback import Trigger
from cutover.ports import Change, Journal
from cutover.steps.records import ending, read_live, unlocking

ATTEMPTS = 5


@dataclass(frozen=True)
class Left:
    """The release that the traffic has left: its record, and its line in LIVE if the journal knew it live.
    `drill`: it was the previous release, which had the traffic for practice; the record is the drill's."""

    record: Mapping[str, Any]
    live: Live | None
    drill: bool = False

    @property
    def since(self) -> str | None:
        """When it had taken traffic, as far as the journal knows."""
        if self.live is not None:
            return self.live.swapped_at
        return (self.record.get("shift") or self.record.get("swap") or {}).get("modified_at")


@dataclass(frozen=True)
class Done:
    """What is to be written: how it came to it, and when. `lock` is the failed deployment's own, which its
    execution gives back itself; None takes the lock from whoever holds it. `together`: the frontend went back
    as well; else `stays` is the colour that has its traffic, None where there is no frontend, or nobody
    knows."""

    cause: str
    told: Mapping[str, Any]
    at: str
    lock: Lock | None
    together: bool = False
    stays: Colour | None = None


def settle(
    failing: Colour,
    trigger: Trigger,
    done: Done,
    own: str | None,
    stop: Callable[[str], None],
    *,
    journal: Journal,
) -> Left | None:
    """What was left; None when another rollback has written all this already.

    `own` is the deployment that failed by itself. `stop` is given the ARN of each execution that must go
    before its lock does. Raises LockLostError when the failed deployment's lock is gone.
    """
    for _ in range(ATTEMPTS):
        lock, live = read_lock(journal.read(LOCK)), read_live(journal)
        left = _left(failing, lock, live, own, journal)
        if left is None:
            return None
        for arn in _executions(left, lock) if trigger is not Trigger.DEPLOYMENT else []:
            stop(arn)
        changes = [*_back(left, live, done), *_lock(left, lock, done, journal)]
        try:
            journal.write(changes, lock=done.lock)
        except ConflictError:
            continue  # the lock or the release changed hands meanwhile: look again
        return left
    raise ThrottledError(f"the journal changed {ATTEMPTS} times while the rollback was written down")


def _left(
    failing: Colour, lock: LockRecord | None, live: Live | None, own: str | None, journal: Journal
) -> Left | None:
    if live is not None and live.colour is failing and not live.rolled_back:
        return Left(_record(live.deployment, journal), live)
    if live is not None and live.candidate is not None and live.candidate.colour is failing:
        return Left(_record(live.candidate.deployment, journal), None, live.candidate.drill)
    # A swap that was cut short: the listener had it, the journal did not.
    holder = own or (lock.holder if lock else None)
    record = _record(holder, journal) if holder else {}
    if record.get("colour") == failing and record.get("status") == Status.RUNNING:
        return Left(record, None)
    return None


def _record(deployment: str, journal: Journal) -> Mapping[str, Any]:
    return journal.read(deployment_key(deployment)) or {"id": deployment}


def _executions(left: Left, lock: LockRecord | None) -> list[str]:
    """Even another deployment's execution stops: its plan took the colour for idle that is live now."""
    arns = {str(left.record["execution_arn"])} if left.record.get("status") == Status.RUNNING else set()
    if lock is not None and lock.holder and lock.execution_arn:
        arns.add(lock.execution_arn)
    return sorted(arns)


def _back(left: Left, live: Live | None, done: Done) -> list[Change]:
    """The previous release is live again, marked so that nobody goes back to the failed one."""
    changes = []
    was = left.live
    if was is not None and was.previous_colour is not None:
        back: dict[str, Any] = {
            "deployment": was.previous_deployment,
            "version": was.previous_version,
            "image": was.previous_image,
            "colour": was.previous_colour.value,
            "previous_deployment": was.deployment,
            "previous_colour": was.colour.value,
            "previous_version": was.version,
            "previous_image": was.image,
            "swapped_at": done.at,
            "rolled_back": True,
            "candidate": None,
        }
        if was.frontend is not None and done.together:
            back["frontend"] = was.frontend.back_on(was.previous_colour).item()
        changes.append(
            Change("update", LIVE, back, expect={"deployment": was.deployment, "rolled_back": False})
        )
    elif live is not None:
        # The release that stays loses the candidate that was to follow it, but for a frontend that could not
        # come back.
        kept = {"candidate": None, **_left_behind(left, live, done)}
        changes.append(Change("update", LIVE, kept, expect={"deployment": live.deployment}))
    if left.record.get("started"):
        more = {"cause": done.cause, "rollback": dict(done.told)}
        identity, started = str(left.record["id"]), str(left.record["started"])
        status = Status.FAILED if left.drill else Status.ROLLED_BACK
        changes += ending(identity, started, status, done.at, more)
    return changes


def _left_behind(left: Left, live: Live, done: Done) -> dict[str, Any]:
    frontend = live.frontend
    if done.together or frontend is None or done.stays is None or done.stays is frontend.colour:
        return {}
    return {"frontend": frontend.left_on(done.stays, left.record).item()}


def _lock(left: Left, lock: LockRecord | None, done: Done, journal: Journal) -> list[Change]:
    if lock is None or done.lock is not None:
        return []
    if lock.holder is None:
        # Nobody may take it between this look and the write.
        return [Change("check", LOCK, expect={"holder": None, "fence": lock.fence})]
    changes = [unlocking(Lock(lock.holder, lock.fence), done.at)]
    if lock.holder != left.record.get("id"):
        other = _record(lock.holder, journal)
        if other.get("status") == Status.RUNNING:
            cause = f"stopped, because the release that it followed was rolled back ({done.cause})"
            changes += ending(lock.holder, str(other["started"]), Status.FAILED, done.at, {"cause": cause})
    return changes
