"""Whether a release's contract migrations may run: an action and a reason from what the journal says.

What they take away is what the release before it needs. So they wait until nobody goes back there any more:
the watch over the release has ended without a rollback, and the journal says so before anything is gone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cutover.domain.records import Live
from cutover.domain.times import text

# A rollback that read the journal before it said "contracted" has ended by then: its function lives for 60 s.
ROLLBACKS_END = timedelta(seconds=60)


class Step(StrEnum):
    """MARK writes down that the way back is about to be closed; WAIT is until a moment."""

    NOTHING = "nothing"
    WAIT = "wait"
    MARK = "mark"
    CONTRACT = "contract"


@dataclass(frozen=True)
class Contraction:
    """`until` (ISO 8601) is the moment that WAIT is for."""

    step: Step
    reason: str
    until: str | None = None


def decide_contraction(live: Live | None, deployment: str, now: datetime) -> Contraction:
    """For the release of this deployment, which asked for it when it went live. A late question for an older
    release, or one that was taken back, is answered with NOTHING."""
    if live is None or live.deployment != deployment:
        there = (
            f"version {live.version} (deployment {live.deployment}) is live" if live else "nothing is live"
        )
        return Contraction(Step.NOTHING, f"deployment {deployment} is not live any more: {there}")
    if live.rolled_back:
        return Contraction(
            Step.NOTHING,
            f"version {live.previous_version} was rolled back to {live.version}; the next release contracts",
        )
    watched = datetime.fromisoformat(live.watch_until)
    if now < watched:
        return Contraction(
            Step.WAIT, f"the watch over version {live.version} ends at {live.watch_until}", live.watch_until
        )
    if live.contracted_at is None:
        return Contraction(Step.MARK, f"the watch over version {live.version} ended at {live.watch_until}")
    settled = datetime.fromisoformat(live.contracted_at) + ROLLBACKS_END
    if now < settled:
        return Contraction(Step.WAIT, "a rollback may still be under way", text(settled))
    return Contraction(Step.CONTRACT, f"nobody goes back behind version {live.version}")
