"""The contraction of a release's schema, after its watch: taking the lock, closing the way back, and the end.

Asked for by a one-time schedule that the deployment made when it went live. Deployment and contraction hold
the same lock, so that no two of them are ever at work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cutover.domain.contraction import Contraction, Step, decide_contraction
from cutover.domain.errors import ConflictError, LockHeldError, ThrottledError
from cutover.domain.failure import read_failure
from cutover.domain.lock import Claim, Lock, LockRecord, decide_claim
from cutover.domain.records import LIVE, LOCK, deployment_key, read_lock
from cutover.domain.times import text
from cutover.ports import Change, Clock, Events, Executions, Journal
from cutover.steps.records import read_live, unlocking

ATTEMPTS = 5
REFUSED = "MigrationRefusedError"
FAILED = "FAILED"


def begin_contraction(
    deployment: str, execution: Mapping[str, Any], *, journal: Journal, executions: Executions, clock: Clock
) -> dict[str, Any]:
    """{action: nothing | wait | contract, reason, until, lock}. Asked again after each wait, and decided
    afresh. Raises LockHeldError while a deployment is under way: whoever is live then, the answer will be
    another one.
    """
    holder = f"contraction-of-{deployment}"
    for _ in range(ATTEMPTS):
        decision = decide_contraction(read_live(journal), deployment, clock.now())
        held = read_lock(journal.read(LOCK))
        mine = held is not None and held.holder == holder
        if decision.step is Step.NOTHING:
            if mine and held is not None:
                journal.write([unlocking(Lock(holder, held.fence), text(clock.now()))])
            return _answer(decision, None)
        if decision.step is Step.WAIT:
            return _answer(decision, Lock(holder, held.fence) if mine and held is not None else None)
        try:
            arn = held.execution_arn if held is not None else None
            claim = decide_claim(held, holder, arn is not None and executions.runs(arn)).claim
            if claim is Claim.REFUSE and held is not None:
                raise LockHeldError(f"deployment {held.holder} is under way since {held.since}")
            fence = (held.fence if held else 0) + (claim is not Claim.KEEP)
            lock = LockRecord(holder, fence, text(clock.now()), str(execution.get("Id")))
            _take(lock, held, decision, deployment, journal=journal)
        except ConflictError:
            continue  # somebody else was faster: look again
        if decision.step is not Step.MARK:
            return _answer(decision, Lock(holder, fence))
    raise ThrottledError(f"the journal changed {ATTEMPTS} times while {holder} looked at it")


def _take(
    lock: LockRecord, held: LockRecord | None, decision: Contraction, deployment: str, *, journal: Journal
) -> None:
    """Together with the lock, and only while the release is live, the way back is closed."""
    standing = {"deployment": deployment, "rolled_back": False}
    if decision.step is Step.MARK:
        live = Change("update", LIVE, {"contracted_at": lock.since}, expect=standing)
    else:
        live = Change("check", LIVE, expect=standing)
    before = {"holder": held.holder, "fence": held.fence} if held else {}
    journal.write([Change("put", LOCK, asdict(lock), expect=before, absent=held is None), live])


def _answer(decision: Contraction, lock: Lock | None) -> dict[str, Any]:
    return {
        "action": decision.step.value,
        "reason": decision.reason,
        "until": decision.until,
        "lock": {"holder": lock.holder, "fence": lock.fence} if lock else None,
    }


def end_contraction(
    deployment: str,
    lock: Mapping[str, Any],
    outcome: Mapping[str, Any],
    *,
    journal: Journal,
    events: Events,
    clock: Clock,
) -> dict[str, Any]:
    """{status: CONTRACTED | FAILED, cause}. `outcome` is the engine's answer, or {failure}: the error that
    ended it. A plan that was refused has changed nothing, so that the way back is opened again.

    Run again after it died, it finds the end written down, and tells it again."""
    mine = Lock(str(lock["holder"]), int(lock["fence"]))
    done = (journal.read(deployment_key(deployment)) or {}).get("contraction") or {}
    if done.get("fence") != mine.fence:
        done = _end(deployment, mine, outcome, text(clock.now()), journal)
    kind = "ContractionFailed" if done["status"] == FAILED else "SchemaContracted"
    events.publish(kind, {"deployment": deployment, **done})
    return {"status": done["status"], "cause": done.get("cause", "")}


def _end(
    deployment: str, lock: Lock, outcome: Mapping[str, Any], now: str, journal: Journal
) -> Mapping[str, Any]:
    """Written down together with the lock's release. Another try to contract has another fence."""
    failure = read_failure(outcome["failure"]) if outcome.get("failure") else None
    done: dict[str, Any] = {"status": FAILED if failure else "CONTRACTED", "at": now, "fence": lock.fence}
    if failure:
        done["cause"] = str(failure)
    else:
        done |= {key: outcome[key] for key in ("applied", "changed") if key in outcome}
    changes = [Change("update", deployment_key(deployment), {"contraction": done}), unlocking(lock, now)]
    if failure and failure.error == REFUSED:
        changes.append(Change("update", LIVE, {"contracted_at": None}, expect={"deployment": deployment}))
    journal.write(changes)
    return done
