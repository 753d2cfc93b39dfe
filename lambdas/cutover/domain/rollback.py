"""Whether to send the traffic back to the previous colour: an action and a reason from what was read.

Three ask: an alarm (requirement D1), the deployment's own failure, and a person (D3). The listener's weights
say what is live; the journal says which release that is and how long it is watched; target health says
whether the other colour can serve at all. With the journal unreadable, weights and health decide alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from cutover.domain.colours import Colour, Weights
from cutover.domain.health import Health
from cutover.domain.records import Live


class Action(StrEnum):
    """REFUSE wants a person: something is wrong, and moving traffic would not mend it."""

    GO = "go"
    IGNORE = "ignore"
    REFUSE = "refuse"


class Trigger(StrEnum):
    ALARM = "alarm"
    DEPLOYMENT = "deployment"
    PERSON = "manual"


@dataclass(frozen=True)
class Decision:
    """`to` is where the traffic goes; None unless the action is GO."""

    action: Action
    reason: str
    to: Colour | None = None


@dataclass(frozen=True)
class Situation:
    """What was read. `live` is None when nothing was ever released, or when `journal_readable` is False.

    `failing` is the colour to leave; `previous_health` is the other colour's, None when it could not be read.
    """

    trigger: Trigger
    failing: Colour
    live: Live | None
    weights: Weights | None
    previous_health: Health | None
    now: datetime
    journal_readable: bool = True
    healthy_share: float = 0.5


def decide(situation: Situation) -> Decision:
    """Never towards a colour without a healthy target, and never twice for one release."""
    past = _already_settled(situation)
    if past is not None:
        return past
    to = situation.failing.other
    health = situation.previous_health
    if health is None:
        return Decision(Action.REFUSE, f"the health of {to} can't be read, so nothing is sent there")
    if health.healthy == 0:
        return Decision(Action.REFUSE, f"{to} can't take the traffic: {health}")
    share = situation.live.healthy_share if situation.live else situation.healthy_share
    if health.share < share:
        return Decision(
            Action.GO,
            f"{to} is weak ({health}), but {situation.failing} is to be left and there is no third",
            to,
        )
    return Decision(Action.GO, f"the traffic goes back to {to} ({health})", to)


def _already_settled(situation: Situation) -> Decision | None:
    """Why there is nothing to move, if so."""
    live, failing = situation.live, situation.failing
    carrying = situation.weights.only if situation.weights else (live.colour if live else None)
    if carrying is not None and carrying is not failing:
        return Decision(Action.IGNORE, f"{failing} is not live: the traffic goes to {carrying}")
    if live is not None and live.colour is failing:
        return _settled_release(situation, live)
    # The traffic is on `failing`, and the journal can't be read or does not know it: a swap that was cut
    # short looks like this. With a journal that was read and holds no release at all, an alarm is about
    # nothing.
    if live is None and situation.journal_readable and situation.trigger is Trigger.ALARM:
        return Decision(Action.IGNORE, "no release is live")
    return None


def _settled_release(situation: Situation, live: Live) -> Decision | None:
    """Why the release that is live stays."""
    if live.rolled_back:
        return Decision(
            Action.IGNORE,
            f"{live.colour} (version {live.version}) is live because version {live.previous_version} was"
            " rolled back; going forward to that one again would be no help",
        )
    if live.previous_deployment is None:
        return Decision(
            Action.REFUSE, f"version {live.version} is the first release: there is nothing to go back to"
        )
    match situation.trigger:
        case Trigger.ALARM:
            if situation.now > datetime.fromisoformat(live.watch_until):
                return Decision(
                    Action.IGNORE, f"the watch over version {live.version} ended at {live.watch_until}"
                )
        case Trigger.DEPLOYMENT | Trigger.PERSON:
            pass
        case _ as unknown:
            assert_never(unknown)
    if live.contracted_at is not None:
        return Decision(
            Action.REFUSE,
            f"since {live.contracted_at} the schema may lack what version {live.previous_version} needs; "
            "go forward: deploy a version that mends it",
        )
    return None
