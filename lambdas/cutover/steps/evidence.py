"""Add to a deployment's evidence whatever is settled by now and not there yet.

It hangs off the event bus, so that it can hold nothing up, least of all a rollback. An event that is
delivered twice, late, or beside another one adds nothing twice: an entry's object is written only where none
is, and whoever finds one adopts it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cutover.domain.alarms import alarm_names
from cutover.domain.colours import Colour
from cutover.domain.errors import ConflictError, CutoverError, ThrottledError
from cutover.domain.evidence import Chain, canonical, digest
from cutover.domain.records import (
    Item,
    Status,
    approval_key,
    checklist_key,
    deployment_key,
    evidence_key,
)
from cutover.domain.times import text
from cutover.ports import Alarms, Change, Clock, EvidenceStore, Journal, Plans
from cutover.steps.dora import dora

# More than there are entries: each turn of the loop adds one, or adopts one.
MOST_ENTRIES = 200
# What stands in an entry of its own, and what is of no use once the execution has ended.
ELSEWHERE = frozenset({"phases", "board", "plan", "planned", "payload", "approval", "rollback"})


@dataclass(frozen=True)
class Sources:
    """Where evidence comes from."""

    journal: Journal
    plans: Plans
    alarms: Alarms
    clock: Clock


def collect(deployment: str, environment: str, *, store: EvidenceStore, sources: Sources) -> dict[str, Any]:
    """{deployment, head, count, added}: the names of the entries that are new. A deployment that the journal
    does not know has no evidence.

    Raises ThrottledError when others keep adding at the same time, so that the event comes again.
    """
    journal, added = sources.journal, list[str]()
    record = journal.read(deployment_key(deployment))
    if record is None:
        return {"deployment": deployment, "head": None, "count": 0, "added": []}
    chain = Chain.read(deployment, journal.read(evidence_key(deployment)))
    for name, content in _settled(record, environment, sources):
        if name in chain.names:
            continue
        for _ in range(MOST_ENTRIES):
            chain, mine = _append(chain, name, content(), store=store, journal=journal)
            if mine or name in chain.names:
                break
        else:
            raise ThrottledError(f"the evidence of {deployment} grew all the time while {name} waited")
        added.append(name)
    return {"deployment": deployment, "head": chain.head, "count": len(chain.entries), "added": added}


def _append(
    chain: Chain, name: str, content: Any, *, store: EvidenceStore, journal: Journal
) -> tuple[Chain, bool]:
    """The chain with one entry more, and whether it is ours. First the object, then the journal's word of it:
    whoever dies in between leaves an object that the next one adopts."""
    key, body = chain.key(len(chain.entries) + 1), chain.entry(name, content)
    mine = store.add(key, body)
    found = body if mine else store.read(key)
    if found is None:
        raise ThrottledError(f"{key} was there and is not; it is tried again")
    try:
        longer = chain.with_entry(found)
    except ValueError as error:
        raise ConflictError(
            f"{key} does not follow what the journal knows ({error}); look at it with "
            f"`cutover evidence verify ENV {chain.deployment}`"
        ) from error
    change = Change(
        "put",
        evidence_key(chain.deployment),
        longer.item(),
        expect={"count": len(chain.entries)} if chain.entries else {},
        absent=not chain.entries,
    )
    try:
        journal.write([change])
    except ConflictError:
        # Somebody was faster; what they wrote is what counts.
        return Chain.read(chain.deployment, journal.read(evidence_key(chain.deployment))), False
    return longer, mine


def _settled(record: Item, environment: str, sources: Sources) -> Iterator[tuple[str, Any]]:
    """Every entry that can be made now, in the order of the deployment; the content is worked out only when
    it is needed."""
    deployment = str(record["id"])
    yield "input", lambda: _input(record)
    if plan := _plan_digest(record):
        yield "plan", lambda: _plan(plan, sources.plans)
    if (record.get("approval") or {}).get("status"):
        yield "approval", lambda: _approval(deployment, sources.journal)
    for phase in record.get("phases") or []:
        yield f"phase {phase['number']} {phase['name']}", lambda phase=phase: phase
    if board := record.get("board"):
        yield "board", lambda: board
    if rollback := record.get("rollback"):
        # It is written down in two halves, what was done and then its clock: each is an entry.
        yield f"rollback {digest(canonical(rollback))[:8]}", lambda: rollback
    status = str(record.get("status"))
    if status != Status.RUNNING:
        yield f"outcome {status}", lambda: _outcome(record, environment, sources)
    for line, answer in (
        (sources.journal.read(checklist_key(deployment)) or {}).get("answers") or {}
    ).items():
        yield f"answer {line} {answer['at']}", lambda line=line, answer=answer: {"line": line, **answer}


def _input(record: Item) -> dict[str, Any]:
    """What was asked for. Of the settings only their names: a release's variables are nobody else's."""
    given = dict(record.get("input") or {})
    given["settings"] = sorted(given.get("settings") or {})
    return {
        "input": given,
        "execution_arn": record.get("execution_arn"),
        "started": record.get("started"),
        "version": record.get("version"),
    }


def _plan_digest(record: Item) -> str | None:
    for name in ("plan", "planned"):
        found = (record.get(name) or {}).get("sha256")
        if found:
            return str(found)
    return None


def _plan(sha256: str, plans: Plans) -> dict[str, Any]:
    return {"sha256": sha256, "location": plans.location(sha256), "document": plans.read(sha256)}


def _approval(deployment: str, journal: Journal) -> dict[str, Any]:
    asked = journal.read(approval_key(deployment)) or {}
    return {key: value for key, value in asked.items() if key != "token"}


def _outcome(record: Item, environment: str, sources: Sources) -> dict[str, Any]:
    """How it ended, with what was worth knowing at that moment."""
    sha256 = _plan_digest(record)
    plan = (sources.plans.read(sha256) if sha256 else None) or {}
    return {
        "record": {key: value for key, value in record.items() if key not in ELSEWHERE},
        "recorded_at": text(sources.clock.now()),
        "timings": _timings(record),
        "alarms": _alarms(environment, sources.alarms),
        "dora": dora(sources.journal, sources.clock.now()).as_json(),
        "cost": plan.get("cost"),
    }


def between(start: object, end: object) -> float | None:
    """Seconds between two ISO 8601 times; None while one of them is not there."""
    if not start or not end:
        return None
    return (datetime.fromisoformat(str(end)) - datetime.fromisoformat(str(start))).total_seconds()


def _timings(record: Item) -> dict[str, Any]:
    """Seconds, whole and by the phase."""
    return {
        "seconds": between(record.get("started"), record.get("finished")),
        "phases": {
            str(phase["name"]): between(phase.get("started"), phase.get("finished"))
            for phase in record.get("phases") or []
        },
    }


def _alarms(environment: str, alarms: Alarms) -> Mapping[str, Any]:
    names = [name for colour in Colour for name in alarm_names(environment, colour)]
    try:
        found = {alarm.name: alarm for alarm in alarms.find(names)}
    except CutoverError as error:
        return {"unread": f"{type(error).__name__}: {error}"}
    return {
        name: {"state": found[name].state, "since": text(found[name].changed_at)} if name in found else None
        for name in names
    }
