"""Whether to send the traffic back to the previous colour: an action and a reason from what was read.

Three ask: an alarm (requirement D1), the deployment's own failure, and a person (D3). The listener's weights
say what is live; the journal says which release that is and how long it is watched; target health says
whether the other colour can serve at all. With the journal unreadable, weights and health decide alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from cutover.domain.colours import Colour, Weights
from cutover.domain.health import Health
from cutover.domain.records import Live

# With the journal unreadable nobody can say which release an old alarm was about. It is also how long an
# alarm's event is delivered for at all (stacks/control/events.py).
LATE = timedelta(minutes=15)


class Action(StrEnum):
    """REVIVE: start the previous containers first, then decide again. SETTLE: the traffic is back already and
    the journal does not know, as after a rollback that was killed half-way. REFUSE wants a person: something
    is wrong, and moving traffic would not mend it."""

    GO = "go"
    REVIVE = "revive"
    SETTLE = "settle"
    IGNORE = "ignore"
    REFUSE = "refuse"


class Trigger(StrEnum):
    ALARM = "alarm"
    DEPLOYMENT = "deployment"
    PERSON = "manual"


@dataclass(frozen=True)
class Decision:
    """`to` is where the traffic goes, or is already; None unless the action is GO or SETTLE. `together`: the
    frontend's goes there as well, or is there already."""

    action: Action
    reason: str
    to: Colour | None = None
    together: bool = False


@dataclass(frozen=True)
class Follower:
    """The frontend, as it was read side by side with the backend: where its rule sends requests, why that is
    nothing that a deployment has set, and the other colour's targets. None for what could not be read."""

    weights: Weights | None
    health: Health | None
    edited: str | None = None


@dataclass(frozen=True)
class Situation:
    """What was read. `live` is None when nothing was ever released, or when `journal_readable` is False.

    `failing` is the colour to leave; `previous_health` is the other colour's, None when it could not be read,
    and `standing` the deployment that was last released there, None when nobody knows. `weights` is None when
    the listener could not be read; `edited` says why it is not one that a deployment has set. `raised_at` is
    the alarm's own time. `revived`: the previous containers have been started already. `frontend` is None
    where nobody knows of one.
    """

    trigger: Trigger
    failing: Colour
    live: Live | None
    weights: Weights | None
    previous_health: Health | None
    now: datetime
    journal_readable: bool = True
    healthy_share: float = 0.5
    raised_at: datetime | None = None
    edited: str | None = None
    standing: str | None = None
    revived: bool = False
    frontend: Follower | None = None


def decide(situation: Situation) -> Decision:
    """Never towards a colour without enough healthy targets or with another release than the previous one,
    never away from a listener that no deployment has set, and never twice for one release."""
    for look in (_listener, _traffic, _release, _age):
        decision = look(situation)
        if decision is not None:
            return _with_frontend(situation, decision)
    return _with_frontend(situation, _previous(situation))


def _with_frontend(situation: Situation, decision: Decision) -> Decision:
    """The backend leads, for a frontend is no use without it. The frontend follows where it can; where the
    previous one can't take its traffic, it stays with the new one, and the reason says so."""
    if decision.to is None or situation.frontend is None:
        return decision
    together, why = _follow(situation, situation.frontend, decision.to)
    reason = f"{decision.reason}; {why}" if why else decision.reason
    return replace(decision, together=together, reason=reason)


def _follow(situation: Situation, found: Follower, to: Colour) -> tuple[bool, str]:
    live = situation.live
    if live is not None and (live.frontend is None or live.frontend.image is None):
        return found.health is not None and found.health.healthy > 0, ""
    if found.weights == Weights.all_on(to):
        return True, ""
    share = live.healthy_share if live else situation.healthy_share
    if found.edited is not None or found.health is None:
        why = found.edited or f"the health of its {to} can't be read"
    elif found.health.total == 0:
        why = f"there is none on {to}"
    elif found.health.healthy > 0 and found.health.share >= share:
        return True, f"the frontend's too ({found.health})"
    else:
        why = f"its {to} can't take the traffic: {found.health}, and {share:.0%} must be"
    return False, f"the frontend stays on {to.other}: {why}"


def _listener(situation: Situation) -> Decision | None:
    if situation.edited is not None:
        return Decision(
            Action.REFUSE,
            f"{situation.edited}: no deployment did that, so it stays; put the listener back on one colour",
        )
    weights = situation.weights
    if weights is None or weights.only is not None or _shifting(situation, weights):
        return None
    return Decision(
        Action.REFUSE,
        f"the listener has the weights {weights}, and no deployment set those, so it stays; "
        "put it back on one colour",
    )


def _shifting(situation: Situation, weights: Weights) -> bool:
    """Whether a deployment may have set this split. The journal knows each share before the listener does.

    Without the journal, a failing colour that has the smaller part can only be the one that is being tried.
    """
    if not situation.journal_readable:
        return 0 < weights.of(situation.failing) < weights.of(situation.failing.other)
    candidate = situation.live.candidate if situation.live else None
    return candidate is not None and 0 < weights.of(candidate.colour) <= candidate.share


def _tried(situation: Situation) -> bool:
    """The colour that fails is the one that is being shifted to."""
    candidate = situation.live.candidate if situation.live else None
    return candidate is not None and candidate.colour is situation.failing


def _traffic(situation: Situation) -> Decision | None:
    """Why there is nothing to move, if the traffic is elsewhere."""
    live, failing = situation.live, situation.failing
    carrying = situation.weights.only if situation.weights else (live.colour if live else None)
    if carrying is None or carrying is failing:
        return None
    if live is not None and _tried(situation) and not _before_its_swap(situation, live):
        reason = f"the traffic goes to {carrying}, and a share of it was to go to {failing}"
        return Decision(Action.SETTLE, reason, carrying)
    if (
        live is not None
        and live.colour is failing
        and not live.rolled_back
        and live.previous_deployment is not None
        # Else a later deployment is just taking the traffic, and its swap is about to be written down.
        and situation.standing in (None, live.previous_deployment)
        and not _before_its_swap(situation, live)
    ):
        return Decision(
            Action.SETTLE,
            f"the traffic goes to {carrying} already, and the journal still has version {live.version} live",
            carrying,
        )
    return Decision(Action.IGNORE, f"{failing} is not live: the traffic goes to {carrying}")


def _release(situation: Situation) -> Decision | None:
    """Why the release that is live stays."""
    live = situation.live
    if live is None or live.colour is not situation.failing:
        return _unknown_release(situation)
    if live.rolled_back:
        return Decision(
            Action.REFUSE,
            f"{live.colour} (version {live.version}) is live because version {live.previous_version} was"
            " rolled back; going forward to that one again would be no help",
        )
    if live.previous_deployment is None:
        return Decision(
            Action.REFUSE, f"version {live.version} is the first release: there is nothing to go back to"
        )
    match situation.trigger:
        case Trigger.ALARM:
            return _watched(situation, live) or _contracted(live)
        case Trigger.DEPLOYMENT | Trigger.PERSON:
            return _contracted(live)
        case _ as unknown:
            assert_never(unknown)


def _unknown_release(situation: Situation) -> Decision | None:
    """The traffic is on the failing colour, and the journal can't be read or does not have that colour live:
    a release that is being tried, or a swap that was cut short."""
    if situation.trigger is not Trigger.ALARM:
        return None
    if situation.live is None:
        # A journal that was read and holds no release at all: the alarm is about nothing.
        return Decision(Action.IGNORE, "no release is live") if situation.journal_readable else None
    # A candidate is watched from its first request on, however long ago the watch of the live one ended.
    return _older(situation, situation.live) if _tried(situation) else None


def _watched(situation: Situation, live: Live) -> Decision | None:
    """Why an alarm is not about the release that is live."""
    older = _older(situation, live)
    if older is not None:
        return older
    if situation.now > datetime.fromisoformat(live.watch_until):
        return Decision(Action.IGNORE, f"the watch over version {live.version} ended at {live.watch_until}")
    return None


def _older(situation: Situation, live: Live) -> Decision | None:
    if not _before_its_swap(situation, live):
        return None
    return Decision(
        Action.IGNORE,
        f"the alarm is of {situation.raised_at}, before version {live.version} took the traffic "
        f"({live.swapped_at}): it is about an older deployment",
    )


def _contracted(live: Live) -> Decision | None:
    if live.contracted_at is None:
        return None
    return Decision(
        Action.REFUSE,
        f"since {live.contracted_at} the schema may lack what version {live.previous_version} needs; "
        "go forward: deploy a version that mends it",
    )


def _before_its_swap(situation: Situation, live: Live) -> bool:
    raised = situation.raised_at
    return raised is not None and raised < datetime.fromisoformat(live.swapped_at)


def _age(situation: Situation) -> Decision | None:
    raised = situation.raised_at
    if situation.journal_readable or raised is None or situation.now - raised <= LATE:
        return None
    return Decision(
        Action.REFUSE,
        f"the alarm is of {raised}, and the journal, which would say what was live then, can't be read",
    )


def _previous(situation: Situation) -> Decision:
    """Whether the other colour can take the traffic."""
    to, live, health = situation.failing.other, situation.live, situation.previous_health
    back = live.previous_deployment if live is not None and live.colour is situation.failing else None
    if back is not None and situation.standing not in (None, back):
        return Decision(
            Action.REFUSE,
            f"deployment {situation.standing} was released on {to} since, and not proved yet: "
            f"deployment {back} does not stand there any more; redeploy it with --to {back}",
        )
    if health is None:
        return Decision(Action.REFUSE, f"the health of {to} can't be read, so nothing is sent there")
    share = live.healthy_share if live else situation.healthy_share
    if health.healthy > 0 and health.share >= share:
        return Decision(Action.GO, f"the traffic goes back to {to} ({health})", to)
    wanted = f"{to} can't take the traffic: {health}, and {share:.0%} must be"
    if health.total == 0 or situation.revived:
        return Decision(Action.REFUSE, wanted)
    return Decision(Action.REVIVE, f"{wanted}; its containers are started first")
