"""Tell people of an event, on one channel, once.

The queue delivers an event at least once and tries again until this returns. What was taken by the other side
is written down after it; before it, the claim of whoever sends. So an event that is delivered five times, or
published twice by a step that was run again, is told once; only a function that dies between the two tells it
again: told twice is better than never.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from cutover.domain.errors import ConflictError, CutoverError, NotReachableError
from cutover.domain.notices import Channel, Event, Notice, Settings, line, live_message, notices
from cutover.domain.records import Item, Key, deployment_key
from cutover.domain.times import text
from cutover.notice_ports import Messenger
from cutover.ports import Change, Clock, Journal

#: A sender that said nothing for so long is dead: longer than a function lives.
LEASE = timedelta(minutes=5)


class State(StrEnum):
    """How a notice stands."""

    SENDING = "SENDING"
    REFUSED = "REFUSED"
    SENT = "SENT"


def notice_key(notice: Notice) -> Key:
    """One item for each event, channel and part."""
    return Key(f"NOTICE#{notice.event.id}", f"{notice.channel}#{notice.part}")


def thread_key(notice: Notice) -> Key:
    """Where a live message stands, and its lines."""
    return Key(f"THREAD#{notice.thread}", notice.channel)


def notify(
    channel: Channel,
    event: Event,
    settings: Settings,
    *,
    journal: Journal,
    messenger: Messenger,
    clock: Clock,
) -> dict[str, Any]:
    """{told, already}: how many messages were sent now, and how many had been before.

    Raises what the messenger raises, with the notice's state written down, and NotReachableError while
    another one is sending it.
    """
    told = already = 0
    for notice in notices(channel, _complete(event, journal), settings, clock.now()):
        claim = _claim(notice, journal, clock)
        if claim is None:
            already += 1
            continue
        _send(notice, claim, journal=journal, messenger=messenger, clock=clock)
        told += 1
    return {"status": "told" if told else "nothing to tell", "told": told, "already": already}


def _complete(event: Event, journal: Journal) -> Event:
    """A rollback's event names the deployment, and people know it by its version."""
    if event.deployment is None or event.detail.get("version"):
        return event
    record = journal.read(deployment_key(event.deployment)) or {}
    return replace(event, detail={**event.detail, "version": record.get("version")})


def _claim(notice: Notice, journal: Journal, clock: Clock) -> Item | None:
    """The item as it was claimed; None when it was sent before."""
    key, now = notice_key(notice), clock.now()
    there = journal.read(key)
    if there is not None and there["state"] == State.SENT:
        return None
    if there is not None and there["state"] == State.SENDING and now - _moment(there["at"]) < LEASE:
        raise NotReachableError(f"{notice.event.kind} is being sent to {notice.channel} already")
    mine = {
        "state": State.SENDING.value,
        "at": text(now),
        "attempts": int((there or {}).get("attempts", 0)) + 1,
    }
    expect = {"state": there["state"], "at": there["at"]} if there else {}
    try:
        journal.write([Change("put", key, mine, expect=expect, absent=there is None)])
    except ConflictError as error:
        raise NotReachableError(f"{notice.event.kind} is being sent to {notice.channel} already") from error
    return mine


def _send(notice: Notice, claim: Item, *, journal: Journal, messenger: Messenger, clock: Clock) -> None:
    key, thread = notice_key(notice), journal.read(thread_key(notice)) or {}
    live = notice.channel is Channel.SLACK and notice.part == "main"
    former = thread.get("lines", {})
    lines = {**former, notice.event.id: line(notice, len(former))} if live else {}
    try:
        place = messenger.deliver(notice, live_message(lines) if live else notice.text, thread.get("place"))
    except CutoverError as error:
        refused = {"state": State.REFUSED.value, "reason": str(error)}
        journal.write([Change("update", key, refused, expect={"at": claim["at"]})])
        raise
    changes = [Change("update", key, {"state": State.SENT.value, "at": text(clock.now()), "reason": None})]
    if live:
        changes.append(Change("put", thread_key(notice), {"place": place, "lines": lines}))
    journal.write(changes)


def _moment(at: object) -> datetime:
    return datetime.fromisoformat(str(at))
