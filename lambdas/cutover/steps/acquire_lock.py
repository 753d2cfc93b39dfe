"""Take the environment's lock, open the deployment's record, and hand out the configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, assert_never

from cutover.domain.errors import ConflictError, FrozenError, LockHeldError, ThrottledError
from cutover.domain.input import Input, Mode, read_id, read_input
from cutover.domain.lock import Claim, LockRecord, decide_claim
from cutover.domain.nightly import decide_night
from cutover.domain.records import FREEZE, LOCK, Status, deployment_key, history_key, read_lock
from cutover.domain.times import text
from cutover.ports import Change, Clock, Configuration, Events, Executions, Journal
from cutover.steps.records import ending, read_live

ATTEMPTS = 5


def acquire_lock(
    execution: Mapping[str, Any],
    raw_input: object,
    environment: str,
    *,
    journal: Journal,
    executions: Executions,
    configuration: Configuration,
    events: Events,
    clock: Clock,
    read: Callable[[object, str], Input] = read_input,
) -> dict[str, Any]:
    """`execution` is the state machine's context object: Id (an ARN) and Name. `read` reads its input: a
    deployment's or a drill's.

    A second attempt finds its own lock and record. Raises LockHeldError while another deployment runs; a
    holder whose execution has ended is taken over from, and its record closed as ABANDONED. Raises
    FrozenError while the environment is frozen.
    """
    wanted = _settled(read(raw_input, environment), journal)
    deployment = read_id(execution.get("Name"))
    arn = str(execution.get("Id"))
    settings = configuration.read()
    for _ in range(ATTEMPTS):
        _not_frozen(wanted, environment, journal)
        held = read_lock(journal.read(LOCK))
        runs = held is not None and bool(held.execution_arn) and executions.runs(str(held.execution_arn))
        decision = decide_claim(held, deployment, runs)
        match decision.claim:
            case Claim.REFUSE:
                assert held is not None
                raise LockHeldError(
                    f"deployment {held.holder} has held {environment} since {held.since}; "
                    f"follow it with `cutover watch {environment}`, and start again when it has ended"
                )
            case Claim.KEEP:
                record = journal.read(deployment_key(deployment))
                if record is not None:
                    # The first attempt may have died before it had told that.
                    _tell(record["payload"], events)
                    return {"deployment": record["payload"], "configuration": settings}
            case Claim.TAKE | Claim.TAKE_OVER:
                pass
            case _ as unknown:
                assert_never(unknown)
        try:
            payload = _open(
                deployment, arn, wanted, held, journal=journal, claim=decision.claim, now=text(clock.now())
            )
        except ConflictError:
            continue  # somebody else was faster: look again
        _tell(payload, events)
        return {"deployment": payload, "configuration": settings}
    raise ThrottledError(
        f"the lock of {environment} changed hands {ATTEMPTS} times while {deployment} asked for it"
    )


def _tell(payload: Mapping[str, Any], events: Events) -> None:
    events.publish(
        "DrillStarted" if payload["mode"] == Mode.DRILL else "DeploymentStarted",
        {"deployment": payload["id"], "version": payload["version"], "mode": payload["mode"]},
    )


def _settled(wanted: Input, journal: Journal) -> Input:
    """The night's execution is a deployment or a look from here on."""
    if wanted.mode is not Mode.NIGHTLY:
        return wanted
    live = read_live(journal)
    record = journal.read(deployment_key(live.deployment)) if live else None
    mode = decide_night(wanted, live, record).mode
    return replace(wanted, mode=mode)


def _not_frozen(wanted: Input, environment: str, journal: Journal) -> None:
    """A plan changes nothing and may be made all the same."""
    frozen = journal.read(FREEZE) or {}
    if frozen.get("frozen") and wanted.mode is not Mode.PLAN:
        raise FrozenError(
            f"{environment} is frozen since {frozen.get('since')} by {frozen.get('by')}: "
            f"{frozen.get('reason')}; `cutover unfreeze {environment}` ends it"
        )


def _open(
    deployment: str,
    arn: str,
    wanted: Input,
    held: LockRecord | None,
    *,
    claim: Claim,
    journal: Journal,
    now: str,
) -> Mapping[str, Any]:
    """Lock and record in one write, so that neither is ever there without the other."""
    fence = (held.fence if held else 0) + 1
    payload = {"id": deployment, "fence": fence, "started": now, "execution_arn": arn, **wanted.as_json()}
    record = {
        "id": deployment,
        "version": wanted.version,
        "status": Status.RUNNING.value,
        "started": now,
        "input": wanted.as_json(),
        "execution_arn": arn,
        "phases": [],
        "payload": payload,
    }
    line = {
        "id": deployment,
        "version": wanted.version,
        "status": Status.RUNNING.value,
        "mode": wanted.mode.value,
    }
    changes = [
        Change(
            "put",
            LOCK,
            {"holder": deployment, "fence": fence, "since": now, "execution_arn": arn},
            expect={"holder": held.holder, "fence": held.fence} if held else {},
            absent=held is None,
        ),
        *([] if wanted.mode is Mode.PLAN else [Change("check", FREEZE, expect={"frozen": None})]),
        Change("put", deployment_key(deployment), record),
        Change("put", history_key(now, deployment), line),
    ]
    if claim is Claim.TAKE_OVER and held is not None and held.holder is not None:
        left = journal.read(deployment_key(held.holder))
        if left is not None and left.get("status") == Status.RUNNING:
            cause = {"cause": f"its execution ended without unlocking; {deployment} took over"}
            changes += ending(held.holder, str(left["started"]), Status.ABANDONED, now, cause)
    journal.write(changes)
    return payload
