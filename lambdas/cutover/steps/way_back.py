"""Try the way back before it is needed: the rollback function reads all that it would decide by, and decides.

It is asked before any traffic moves, as it would be by the new release's first alarm. So a permission that
it lacks, a listener that it can't read or a previous release that could not take the traffic is known while
users are still where they were; and the function has been started when its alarm comes.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from cutover.domain.colours import Colour, Weights
from cutover.domain.gates import Gate, Persona, Subject
from cutover.domain.records import Deployment, Live, deployment_key, services_of
from cutover.domain.rollback import Action, Decision, Follower, Situation, Trigger, decide
from cutover.domain.times import text
from cutover.steps.aftermath import World
from cutover.steps.reading import Reading, read

SUBJECT = Subject("A5", Persona.RELIABILITY)
NAME = "The way back is open"
WANTED = "the rollback function can read all it decides by, and would send the traffic back"


def try_way_back(deployment: Deployment, world: World) -> dict[str, Any]:
    """{gates}: one, for the release of the deployment that holds the lock.

    Nothing that could not be read passes. A previous release that could not take the traffic is no reason to
    keep the new one from users, who may be waiting for it; the board shows it.
    """
    record = world.journal.read(deployment_key(deployment.id)) or {}
    services, colour = services_of(record), Colour(record["colour"])
    reading = read(services, colour.other, world)
    return {"gates": [_judged(deployment, colour, reading, world.clock.now()).as_json()]}


def _judged(deployment: Deployment, colour: Colour, reading: Reading, now: datetime) -> Gate:
    if reading.problems:
        return SUBJECT.inconclusive(NAME, found="; ".join(reading.problems), wanted=WANTED)
    live = reading.live
    if live is None:
        found = "a first release has nothing to go back to"
        return SUBJECT.inconclusive(NAME, found=found, wanted=WANTED, must=False)
    decision = _decided(deployment, colour, live, reading, now)
    samples = reading.health.total if reading.health else 0
    goes = decision.action is Action.GO
    return SUBJECT.judge(NAME, goes, found=decision.reason, wanted=WANTED, samples=samples, must=goes)


def _decided(deployment: Deployment, colour: Colour, live: Live, reading: Reading, now: datetime) -> Decision:
    """What its first alarm would come to: the journal as its swap will have written it, the listener as the
    swap will have left it, and all else as it is."""
    swapped = replace(
        live,
        deployment=deployment.id,
        version=deployment.version,
        colour=colour,
        previous_deployment=live.deployment,
        previous_colour=live.colour,
        previous_version=live.version,
        swapped_at=text(now),
        watch_until=text(now + timedelta(hours=1)),
        rolled_back=False,
        contracted_at=None,
        candidate=None,
    )
    moved, pages = Weights.all_on(colour), reading.frontend
    return decide(
        Situation(
            trigger=Trigger.ALARM,
            failing=colour,
            live=swapped,
            weights=moved,
            previous_health=reading.health,
            now=now,
            edited=reading.edited,
            standing=reading.standing,
            frontend=Follower(moved, pages.health, pages.edited) if pages else None,
        )
    )
