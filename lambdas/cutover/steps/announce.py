"""Tell users of a release before it comes, and that it will not come after all.

The journal is written first and the bus told after it. What the bus may not have heard is told again by the
same call; an announcement that is told and repeated tells nobody twice.
"""

from __future__ import annotations

from typing import Any

from cutover.domain.announcement import Announcement, opening_for
from cutover.domain.errors import ConflictError, InvalidInputError
from cutover.domain.records import ANNOUNCED
from cutover.domain.times import text
from cutover.domain.window import Hours
from cutover.ports import Change, Clock, Events, Journal


def announce(
    version: str,
    at: str | None,
    by: str,
    *,
    hours: Hours,
    journal: Journal,
    events: Events,
    clock: Clock,
) -> dict[str, Any]:
    """{status: announced | already, version, opening, by, announced_at}.

    Raises InvalidInputError for a moment that does not do, and while another release is announced.
    """
    now, item = clock.now(), journal.read(ANNOUNCED)
    there = Announcement.read(item)
    if there is None or not there.pending(now):
        there = Announcement(version, opening_for(at, hours, now), by, text(now))
        expect = {"announced_at": item["announced_at"]} if item else {}
        try:
            journal.write([Change("put", ANNOUNCED, there.as_json(), expect=expect, absent=item is None)])
        except ConflictError as error:
            raise InvalidInputError("somebody else announces a release at this moment; look again") from error
    elif there.version != version or (at is not None and opening_for(at, hours, now) != there.opening):
        raise InvalidInputError(
            f"version: {there.version} is announced for {there.opening} by {there.by}; withdraw it first"
        )
    elif item and item.get("told_at"):
        return {"status": "already", **there.as_json()}
    events.publish("ReleaseAnnounced", there.as_json())
    _told(there, "told_at", journal, clock)
    return {"status": "announced", **there.as_json()}


def withdraw(reason: str, by: str, *, journal: Journal, events: Events, clock: Clock) -> dict[str, Any]:
    """{status: withdrawn | nothing, version, opening}: users who were told of the release are told that it
    will not come. One whose hour has come can't be withdrawn."""
    item = journal.read(ANNOUNCED) or {}
    there = Announcement.read({**item, "withdrawn_at": None}) if item else None
    if there is None or item.get("withdrawal_told_at") or not there.pending(clock.now()):
        return {"status": "nothing"}
    about = {"version": there.version, "opening": there.opening}
    if not item.get("withdrawn_at"):
        ended = {"withdrawn_at": text(clock.now()), "withdrawn_by": by, "reason": reason}
        journal.write([Change("update", ANNOUNCED, ended, expect={"announced_at": there.announced_at})])
    events.publish(
        "ReleaseWithdrawn", {**about, "announced_at": there.announced_at, "by": by, "reason": reason}
    )
    _told(there, "withdrawal_told_at", journal, clock)
    return {"status": "withdrawn", **about}


def _told(there: Announcement, name: str, journal: Journal, clock: Clock) -> None:
    expect = {"announced_at": there.announced_at}
    journal.write([Change("update", ANNOUNCED, {name: text(clock.now())}, expect=expect)])
