"""What the status page shows of an environment (requirement A4): phases, traffic, gates, incidents, history.

Everybody may read it. Fields are chosen one by one, and of the texts that steps wrote, what names AWS
resources, accounts or addresses is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from cutover.domain.announcement import Announcement
from cutover.domain.records import Item, Live, Status
from cutover.domain.times import text
from cutover.domain.window import Hours

#: Minutes that each phase may take (section C of the requirements): until there is a former run to go by.
BUDGETS: Mapping[int, int] = {1: 60, 2: 45, 3: 90, 4: 30, 5: 45, 6: 60, 7: 45}
NAMES: Mapping[int, str] = {
    1: "Provision",
    2: "Migrate",
    3: "Release",
    4: "Monitor",
    5: "Secure",
    6: "Perform",
    7: "Verify",
}
HIDDEN = "…"
#: ARNs, account numbers, addresses inside the network, host names of AWS, what looks like a key or a token.
_INNER = re.compile(
    r"arn:aws[\w-]*:\S+|\b\d{12}\b|\b(?:10|127|172|192)\.\d+\.\d+\.\d+(?::\d+)?|\S+\.amazonaws\.com\S*"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\w+://\S*@\S+|\bey[\w-]{10,}\.[\w-]+\.[\w-]+|\bxox[abp]-\S+"
)
#: A cause may hold a whole log.
LONGEST = 300
#: What went wrong, as opposed to what was only planned or looked at.
_INCIDENTS = frozenset({Status.FAILED, Status.ROLLED_BACK, Status.ABANDONED})


def public(words: object) -> str:
    """A text that steps wrote, fit for everybody."""
    shown = _INNER.sub(HIDDEN, str(words))
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}{HIDDEN}"


def view(
    environment: str,
    live: Live | None,
    newest: Sequence[Item],
    *,
    former: Item | None,
    frozen: bool,
    announced: Announcement | None,
    window: Hours,
    now: datetime,
) -> dict[str, Any]:
    """`newest` are the records of the last deployments, the last one first; `former` is the last one that
    succeeded, whose durations tell how long each phase takes."""
    runs = [record for record in newest if _mode(record) == "deploy"]
    current = runs[0] if runs else None
    return {
        "environment": environment,
        "live": {"version": live.version, "since": live.swapped_at, "colour": live.colour.value}
        if live
        else None,
        "traffic": _traffic(live),
        "frozen": frozen,
        "deployment": _deployment(current, former) if current else None,
        "gates": _gates(current) if current else [],
        "incidents": [_incident(record) for record in runs if record.get("status") in _INCIDENTS],
        "history": [_line(record) for record in runs],
        "next_window": text(window.next_opening(now)),
        "announced": {"version": announced.version, "opening": announced.opening}
        if announced and announced.pending(now)
        else None,
        "window_open": window.contains(now),
    }


def _mode(record: Item) -> str:
    return str((record.get("input") or {}).get("mode") or "deploy")


def _traffic(live: Live | None) -> list[dict[str, Any]]:
    """Shares in per cent by colour and version, as the journal has them."""
    if live is None:
        return []
    candidate = live.candidate
    share = candidate.share if candidate else 0
    found = [{"colour": live.colour.value, "version": live.version, "share": 100 - share}]
    if candidate:
        found.append({"colour": candidate.colour.value, "version": candidate.version, "share": share})
    return found


def _line(record: Item) -> dict[str, Any]:
    return {
        "version": str(record.get("version")),
        "status": str(record.get("status")),
        "started": record.get("started"),
        "finished": record.get("finished"),
    }


def _incident(record: Item) -> dict[str, Any]:
    rollback = record.get("rollback") or {}
    why = record.get("cause") or rollback.get("cause") or rollback.get("reason") or ""
    return {**_line(record), "cause": public(why), "rolled_back": record.get("status") == Status.ROLLED_BACK}


def _deployment(record: Item, former: Item | None) -> dict[str, Any]:
    """The phases with their state: done, failed, running (the first that has not ended), waiting."""
    ended = {int(phase["number"]): phase for phase in record.get("phases", [])}
    took = {int(phase["number"]): _seconds(phase) for phase in (former or {}).get("phases", [])}
    running = record.get("status") == Status.RUNNING
    phases: list[dict[str, Any]] = []
    begun = str(record.get("started"))
    for number, name in NAMES.items():
        phase = ended.get(number)
        expected = took.get(number) or BUDGETS[number] * 60
        if phase is not None:
            state = "done" if phase.get("verdict") == "Pass" else "failed"
            begun = str(phase["finished"])
        else:
            state = (
                "running"
                if running and not any(p["state"] in ("running", "failed") for p in phases)
                else "waiting"
            )
        phases.append(
            {
                "number": number,
                "name": name,
                "state": state,
                "started": phase["started"] if phase else begun if state == "running" else None,
                "finished": phase["finished"] if phase else None,
                "expected_seconds": round(expected),
            }
        )
    return {
        **_line(record),
        "phases": phases,
        "swapped": bool(record.get("swap")),
        "expected_is_measured": bool(took),
    }


def _seconds(phase: Mapping[str, Any]) -> float:
    began, ended = (datetime.fromisoformat(str(phase[name])) for name in ("started", "finished"))
    return max(1.0, (ended - began).total_seconds())


def _gates(record: Item) -> list[dict[str, Any]]:
    """The Go/No-Go board: what was found against what was wanted."""
    return [
        {
            "name": public(gate.get("name")),
            "requirement": str(gate.get("requirement")),
            "persona": str(gate.get("persona")),
            "verdict": str(gate.get("verdict")),
            "found": public(gate.get("found")),
            "wanted": public(gate.get("wanted")),
            "must": bool(gate.get("must", True)),
        }
        for phase in record.get("phases", [])
        for gate in phase.get("gates", [])
    ]
