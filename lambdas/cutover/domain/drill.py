"""The drill: the traffic goes to the previous release and back, so that the way back is known to work.

When it may be done, and what came of it. It is a swap of everything users see, done for practice: so both
releases must be well, and the same requirements hold as for a real one (A5: back within 30 seconds).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cutover.domain.colours import Colour, Weights
from cutover.domain.errors import InvalidInputError, WrongEnvironmentError
from cutover.domain.gates import Gate, Persona, Subject
from cutover.domain.health import Health
from cutover.domain.input import Input, Mode
from cutover.domain.records import Live
from cutover.domain.window import read_hours

SUBJECT = Subject("A5", Persona.RELIABILITY)
WINDOW = Subject("A3", Persona.RELIABILITY)
MOST_SECONDS = 30.0
FIELDS = ("environment", "reason", "by")
#: What a drill is called where a deployment has its version.
NAME = "drill"


def read_drill(raw: object, environment: str) -> Input:
    """The input of the state machine cutover-ENV-drill: {environment, reason?, by?}.

    Raises InvalidInputError with one message for the first thing that is wrong, and WrongEnvironmentError.
    """
    if not isinstance(raw, Mapping):
        raise InvalidInputError(f"input: {raw!r} is not a JSON object; wanted an object with environment")
    unknown = sorted(str(key) for key in raw if key not in FIELDS)
    if unknown:
        raise InvalidInputError(f"{unknown[0]}: not a field of a drill; known fields are {', '.join(FIELDS)}")
    named = raw.get("environment")
    if named != environment:
        raise WrongEnvironmentError(
            f"environment: {named!r} is not served by this state machine; write {environment!r}"
        )
    return Input(
        environment=environment,
        version=NAME,
        source=None,
        image=None,
        mode=Mode.DRILL,
        settings={},
        forced_because=None,
        persona="all",
        user_centric=False,
        reason=f"{_text(raw, 'by', 'somebody')}: {_text(raw, 'reason', 'to know that the way back works')}",
    )


def _text(raw: Mapping[Any, Any], field: str, usual: str) -> str:
    value = raw.get(field, usual)
    if not isinstance(value, str) or not value.strip():
        raise InvalidInputError(f"{field}: {value!r} says nothing; write a text, or leave it out")
    return value.strip()


@dataclass(frozen=True)
class Standing:
    """What there is before a drill. `healths` by colour; `alarms` are the names of those in ALARM; `missing`
    of those that are not there; `released` is the deployment that stands on the colour which is not live,
    None when nobody knows."""

    live: Live | None
    weights: Weights
    healths: Mapping[Colour, Health]
    alarms: Sequence[str]
    released: str | None
    missing: Sequence[str] = ()


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
    return [
        SUBJECT.judge(
            "There is a release to go back to",
            _stands(live, found.released),
            found=_previous(live, found.released),
            wanted="the release before the live one still stands, was not taken back, and has its schema",
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
        _alarms(found),
    ]


def drill_lasts(configuration: Mapping[str, Any]) -> timedelta:
    return timedelta(seconds=float(configuration["drill"]["seconds"]))


def no_backup(now: datetime, window: Mapping[str, Any], lasts: timedelta) -> list[Gate]:
    """Nothing overlaps a backup (requirement A3), a drill of this length neither. `window` is the
    configuration's; an environment that does not keep its hours, or has no backup, has no such gate.

    Raises MisconfiguredError for hours that are none.
    """
    if not window.get("enforced") or not window.get("backup"):
        return []
    backup = read_hours(window["backup"], str(window.get("zone") or "Asia/Seoul"), "window.backup")
    opening = backup.next_opening(now)
    runs, soon = backup.contains(now), opening < now + lasts
    found = "one runs" if runs else f"the next begins at {opening:%Y-%m-%d %H:%M}"
    return [WINDOW.judge("No backup runs", not (runs or soon), found=found, wanted=f"outside {backup}")]


def _stands(live: Live, released: str | None) -> bool:
    return (
        released in (None, live.previous_deployment) and not live.rolled_back and live.contracted_at is None
    )


def _alarms(found: Standing) -> Gate:
    name, wanted = "No alarm stands", "all there, none of either colour in ALARM"
    if found.missing and not found.alarms:
        return SUBJECT.inconclusive(name, found=f"not there: {', '.join(found.missing)}", wanted=wanted)
    told = f"in ALARM: {', '.join(found.alarms)}" if found.alarms else "none"
    return SUBJECT.judge(name, not found.alarms, found=told, wanted=wanted)


def _previous(live: Live, released: str | None) -> str:
    if live.rolled_back:
        return f"version {live.previous_version}, which was rolled back"
    if released not in (None, live.previous_deployment):
        return f"deployment {released} stands on {live.colour.other} since"
    if live.contracted_at is not None:
        return f"version {live.previous_version}, whose schema was contracted at {live.contracted_at}"
    return f"version {live.previous_version} on {live.colour.other}"


@dataclass(frozen=True)
class Way:
    """One change of the listener: when it was made, and when the release that it was changed to first
    answered through it."""

    version: str
    modified_at: datetime
    first_answer_at: datetime

    @classmethod
    def read(cls, table: Mapping[str, Any]) -> Way:
        return cls(
            version=str(table["version"]),
            modified_at=datetime.fromisoformat(str(table["modified_at"])),
            first_answer_at=datetime.fromisoformat(str(table["first_answer_at"])),
        )

    @property
    def seconds(self) -> float:
        # Two functions' clocks tell the two moments, and may be a few milliseconds apart.
        return max(0.0, round((self.first_answer_at - self.modified_at).total_seconds(), 3))


@dataclass(frozen=True)
class Drilled:
    """`requests` of the load, those `lost`, and the answers by `versions`; the load ran from `began` to
    `ended`. `there` is the way to the previous release, `back` the one to the live one."""

    requests: int
    lost: int
    versions: Mapping[str, int]
    began: datetime
    ended: datetime
    there: Way
    back: Way

    def as_json(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "lost": self.lost,
            "versions": dict(self.versions),
            "there_seconds": self.there.seconds,
            "back_seconds": self.back.seconds,
        }

    def metrics(self) -> dict[str, int]:
        """What is published (namespace Cutover, by Environment)."""
        return {
            "Drills": 1,
            "DrillLostRequests": self.lost,
            "DrillThereMilliseconds": round(self.there.seconds * 1000),
            "DrillBackMilliseconds": round(self.back.seconds * 1000),
        }


def read_drilled(load: Mapping[str, Any], there: Mapping[str, Any], back: Mapping[str, Any]) -> Drilled:
    """From what the machine has gathered."""
    return Drilled(
        requests=int(load["requests"]),
        lost=int(load["lost"]),
        versions={str(version): int(count) for version, count in load["versions"].items()},
        began=datetime.fromisoformat(str(load["began"])),
        ended=datetime.fromisoformat(str(load["ended"])),
        there=Way.read(there),
        back=Way.read(back),
    )


def judge_drill(done: Drilled) -> list[Gate]:
    ways = (("previous", done.there), ("live", done.back))
    return [
        _coverage(done),
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
                way.seconds <= MOST_SECONDS,
                found=f"after {way.seconds:.3f} s",
                wanted=f"within {MOST_SECONDS:g} s",
            )
            for name, way in ways
        ),
    ]


def _coverage(done: Drilled) -> Gate:
    """Without requests on both ways nobody can say that none was lost there."""
    name, wanted = "The load saw both ways", "requests before, between and after the two changes"
    told = ", ".join(f"{count} of {version or 'nobody'}" for version, count in sorted(done.versions.items()))
    early, late = done.began > done.there.modified_at, done.ended < done.back.first_answer_at
    if early or late:
        found = "it began after the first change" if early else "it ended before the second was through"
        return SUBJECT.inconclusive(name, found=found, wanted=wanted)
    seen = all(done.versions.get(way.version) for way in (done.there, done.back))
    if not seen:
        return SUBJECT.inconclusive(name, found=told or "no answers", wanted=wanted)
    return SUBJECT.judge(name, True, found=told, wanted=wanted, samples=done.requests)
