"""Ask a person to approve a plan, and take the answer: who, when and why stay in the journal.

The request stands in an item of its own beside the deployment's record, with the token of the waiting task.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any

from cutover.domain.errors import ApprovalRejectedError, ConflictError, InvalidInputError, NotWaitingError
from cutover.domain.records import Deployment, Item, Status, approval_key, deployment_key
from cutover.domain.times import text
from cutover.ports import Change, Clock, Events, Journal, TaskTokens
from cutover.steps.records import require_lock

MOST_REASON = 1000


class Answer(StrEnum):
    """What a request for approval has come to."""

    WAITING = "WAITING"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"


def request_approval(
    deployment: Deployment,
    configuration: Mapping[str, Any],
    plan: Mapping[str, Any],
    token: str,
    *,
    journal: Journal,
    events: Events,
    clock: Clock,
) -> dict[str, Any]:
    """Written under the deployment's lock. A second attempt has another token, which replaces the first.

    `plan`: its sha256, location and console address, and what it may destroy (`allow_destructive`).
    """
    require_lock(journal, deployment.lock)
    minutes = float((configuration.get("approval") or {})["expires_minutes"])
    now = clock.now()
    asked = {
        "id": deployment.id,
        "version": deployment.version,
        "status": Answer.WAITING.value,
        "token": token,
        "plan": dict(plan),
        "asked_at": text(now),
        "expires_at": text(now + timedelta(minutes=minutes)),
    }
    journal.write([Change("put", approval_key(deployment.id), asked)], lock=deployment.lock)
    events.publish(
        "ApprovalRequested",
        {
            "deployment": deployment.id,
            "version": deployment.version,
            "plan": dict(plan),
            "expires_at": asked["expires_at"],
        },
    )
    return {"status": Answer.WAITING.value, "expires_at": asked["expires_at"]}


def answer_approval(
    identifier: object,
    answer: Answer,
    by: object,
    reason: object,
    *,
    journal: Journal,
    tasks: TaskTokens,
    events: Events,
    clock: Clock,
) -> dict[str, Any]:
    """{deployment, status, by, at, reason, plan}; `plan` tells what it was an answer to, with what it may
    destroy. The answer is written first, so that of two people only one has answered; whoever gives the same
    answer again only sends it again, should it have been lost on the way.

    Raises NotWaitingError for a deployment that is not known, was not to be approved, has its answer, or has
    waited in vain; InvalidInputError for an answer without a person or a reason.
    """
    deployment, person, why = (
        _required(value, name) for value, name in ((identifier, "deployment"), (by, "by"), (reason, "reason"))
    )
    asked = _waiting(deployment, answer, journal)
    given = {"status": answer.value, "by": person, "at": text(clock.now()), "reason": why}
    again = asked["status"] != Answer.WAITING
    if again:
        given = {key: str(asked[key]) for key in given}
    else:
        _write(deployment, given, journal)
    told = {"deployment": deployment, **given, "plan": asked["plan"]}
    try:
        if answer is Answer.APPROVED:
            tasks.succeed(str(asked["token"]), told)
        else:
            cause = f"rejected by {person} at {given['at']}: {why}"
            tasks.fail(str(asked["token"]), ApprovalRejectedError.__name__, cause)
    except NotWaitingError as error:
        if again:
            raise NotWaitingError(_answered(asked)) from error
        raise NotWaitingError(
            f"deployment {deployment} does not wait any more: it asked at {asked['asked_at']}, until "
            f"{asked['expires_at']}; deploy again"
        ) from error
    events.publish("ApprovalAnswered", told)
    return told


def _waiting(deployment: str, answer: Answer, journal: Journal) -> Item:
    asked = journal.read(approval_key(deployment))
    record = journal.read(deployment_key(deployment))
    if record is None:
        raise NotWaitingError(f"deployment {deployment} is not known; `cutover status ENV` lists the latest")
    if asked is None:
        raise NotWaitingError(
            f"deployment {deployment} does not wait for an approval: it is {record['status']}"
        )
    if asked["status"] not in (Answer.WAITING, answer):
        raise NotWaitingError(_answered(asked))
    if record.get("status") != Status.RUNNING:
        told = (
            f"it asked until {asked['expires_at']}" if asked["status"] == Answer.WAITING else _answered(asked)
        )
        raise NotWaitingError(
            f"deployment {deployment} does not wait any more: it is {record['status']}; {told}"
        )
    return asked


def _write(deployment: str, given: Mapping[str, Any], journal: Journal) -> None:
    key = approval_key(deployment)
    expect = {"status": Answer.WAITING.value}
    try:
        journal.write(
            [
                Change("update", key, given, expect=expect),
                Change("update", deployment_key(deployment), {"approval": dict(given)}),
            ]
        )
    except ConflictError as error:
        raise NotWaitingError(_answered(journal.read(key) or given)) from error


def _answered(asked: Item) -> str:
    return f"it was {str(asked['status']).lower()} by {asked['by']} at {asked['at']}: {asked['reason']}"


def _required(value: object, name: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MOST_REASON:
        raise InvalidInputError(
            f"{name}: {value!r} does not fit; wanted a text of 1 to {MOST_REASON} characters"
        )
    return value.strip()
