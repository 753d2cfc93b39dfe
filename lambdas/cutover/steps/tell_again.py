"""Tell of a rollback that was written down, and perhaps never told: whoever did it may have died in between.

A failed invocation by an alarm's event is tried again, and so is a state's step; each finds all of it done.
What is told again has the identity that it had (`cutover.domain.happenings`): people hear of it once.
https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cutover.domain.input import Mode
from cutover.domain.records import HISTORY, deployment_key
from cutover.domain.times import text
from cutover.steps.aftermath import attempt

if TYPE_CHECKING:
    from datetime import datetime

    from cutover.domain.records import Item
    from cutover.steps.aftermath import World

#: Retries come within the hour; so many deployments don't.
RECENT = 5


def tell_again(by: str, asked_at: datetime | None, problems: list[str], world: World) -> None:
    """If a recent deployment was taken back by whoever this is. `asked_at`: because of that very call, or of
    whichever. What fails is added to the problems."""
    record = attempt("read the history", problems, lambda: _done(by, asked_at, world))
    if record is not None:
        attempt("tell the bus", problems, lambda: _tell(record, world))


def _done(by: str, asked_at: datetime | None, world: World) -> Item | None:
    lines = world.journal.newest(HISTORY, RECENT)
    records = (world.journal.read(deployment_key(str(line["id"]))) for line in lines)
    return next((each for each in records if each is not None and _its(each, by, asked_at)), None)


def _its(record: Item, by: str, asked_at: datetime | None) -> bool:
    done = record.get("rollback") or {}
    at = (done.get("clock") or {}).get("asked_at")
    return done.get("by") == by and at is not None and (asked_at is None or at == text(asked_at))


def _tell(record: Item, world: World) -> None:
    kind = "DrillStopped" if record.get("mode") == Mode.DRILL else "RolledBack"
    done = record["rollback"]
    about = {"deployment": record["id"], "asked_at": done["clock"]["asked_at"], "problems": []}
    world.events.publish(kind, {**done, **about})
