"""The drill: the traffic goes to the previous release and back, so that the way back is known to work.

When it may be done, and what came of it. It is a swap of everything users see, done for practice: so both
releases must be well, and the same requirements hold as for a real one (A5: back within 30 seconds).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cutover.domain.colours import Colour, Weights
from cutover.domain.gates import Gate, Persona, Subject
from cutover.domain.health import Health
from cutover.domain.records import Live

SUBJECT = Subject("A5", Persona.RELIABILITY)
MOST_SECONDS = 30.0


@dataclass(frozen=True)
class Standing:
    """What there is before a drill. `healths` by colour; `alarms` are the names of those in ALARM; `released`
    is the deployment that stands on the colour which is not live, None when nobody knows."""

    live: Live | None
    weights: Weights
    healths: Mapping[Colour, Health]
    alarms: Sequence[str]
    released: str | None


def may_drill(found: Standing) -> list[Gate]:
    """All of them have to pass before anything is touched."""
    live = found.live
    if live is None or live.previous_colour is None:
        there = "nothing is released" if live is None else f"version {live.version} is the first release"
        return [
            SUBJECT.judge("There is a release to go back to", False, found=there, wanted="one that stands")
        ]
    whole = found.weights == Weights.all_on(live.colour)
    sick = [f"{colour}: {health}" for colour, health in found.healths.items() if health.share < 1]
    stands = found.released in (None, live.previous_deployment) and not live.rolled_back
    return [
        SUBJECT.judge(
            "There is a release to go back to",
            stands,
            found=_previous(live, found.released),
            wanted="the release before the live one still stands, and was not taken back",
        ),
        SUBJECT.judge(
            "All traffic goes to the live release",
            whole and live.candidate is None,
            found=str(found.weights),
            wanted=str(Weights.all_on(live.colour)),
        ),
        SUBJECT.judge(
            "Every target of both colours is healthy",
            not sick,
            found="; ".join(sick) or "all are",
            wanted="all, for a drill is no emergency",
            samples=sum(health.total for health in found.healths.values()),
        ),
        SUBJECT.judge(
            "No alarm stands",
            not found.alarms,
            found=", ".join(found.alarms) or "none",
            wanted="none of either colour",
        ),
    ]


def _previous(live: Live, released: str | None) -> str:
    if live.rolled_back:
        return f"version {live.previous_version}, which was rolled back"
    if released not in (None, live.previous_deployment):
        return f"deployment {released} stands on {live.colour.other} since"
    return f"version {live.previous_version} on {live.colour.other}"


@dataclass(frozen=True)
class Drilled:
    """`requests` of the load, and those `lost`; seconds from each change of the listener to the first answer
    of the release that it was changed to."""

    requests: int
    lost: int
    there_seconds: float
    back_seconds: float


def judge_drill(done: Drilled) -> list[Gate]:
    return [
        SUBJECT.judge(
            "No request is lost",
            done.lost == 0,
            found=f"{done.lost} of {done.requests}",
            wanted="0",
            samples=done.requests,
        ),
        *(
            SUBJECT.judge(
                f"The {name} release answers",
                seconds <= MOST_SECONDS,
                found=f"after {seconds:.3f} s",
                wanted=f"within {MOST_SECONDS:g} s",
            )
            for name, seconds in (("previous", done.there_seconds), ("live", done.back_seconds))
        ),
    ]
