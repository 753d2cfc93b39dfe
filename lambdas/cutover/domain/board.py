"""Go or no go: what the phases found, by the persona whose it is, and one row for each measure that the
requirements give a figure for (E1, E2, E3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from cutover.domain.gates import Gate, Persona, Subject, Verdict, closed, sentence
from cutover.domain.measures import MEASURES, Limits
from cutover.domain.plan import PHASES

SUBJECT = Subject("E3", Persona.RELIABILITY)
GateJson = Mapping[str, Any]


class Decision(StrEnum):
    """A persona's verdict, and that of all three."""

    GO = "Go"
    NO_GO = "No-Go"


def decide_board(phases: Sequence[Mapping[str, Any]], limits: Limits) -> dict[str, Any]:
    """{verdict, personas: {NAME: {verdict, closed, shown, gates}}, rows, gates, closed}.

    `phases` as the journal has them. `rows` has one gate for each measure, `gates` every gate of the phases;
    `closed` are those that say No-Go, as gates, and each persona's in words. A measure that no phase took is
    Inconclusive, and so is a persona that no gate speaks for.
    """
    found = [{"phase": phase["name"], **gate} for phase in phases for gate in phase.get("gates") or []]
    rows = [_row(name, found, limits) for name in MEASURES]
    # What answers a measure is judged in its row.
    judged = [*(gate for gate in found if gate.get("measure") not in MEASURES), *rows, _complete(phases)]
    personas = {persona.value: _persona(persona, judged) for persona in Persona}
    shut = closed(judged)
    go = not shut and all(each["verdict"] == Decision.GO for each in personas.values())
    return {
        "verdict": (Decision.GO if go else Decision.NO_GO).value,
        "personas": personas,
        "rows": rows,
        "gates": found,
        "closed": shut,
    }


def _row(measure: str, found: Sequence[GateJson], limits: Limits) -> dict[str, Any]:
    """All that the phases say of a measure as one gate: the worst of it counts."""
    about = [gate for gate in found if gate.get("measure") == measure]
    if not about:
        return limits.inconclusive(measure, "no phase has measured it").as_json()
    worst = min(about, key=lambda gate: _SEVERITY.get(str(gate.get("verdict")), 0))
    row = limits.inconclusive(measure, "").as_json()
    verdict = str(worst.get("verdict"))
    told = [str(gate.get("found")) for gate in about]
    row |= {
        "verdict": verdict,
        "found": told[0] if len(about) == 1 else "; ".join(f"{g['name']}: {g.get('found')}" for g in about),
        "samples": 0
        if verdict == Verdict.INCONCLUSIVE
        else sum(int(gate.get("samples") or 0) for gate in about),
        "phase": ", ".join(dict.fromkeys(str(gate["phase"]) for gate in about)),
        "evidence": worst.get("evidence") or {},
    }
    return row


#: The worst first. A word that nobody knows is as bad as a failure.
_SEVERITY = {Verdict.FAIL.value: 0, Verdict.INCONCLUSIVE.value: 1, Verdict.PASS.value: 2}


def _complete(phases: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Every phase is on record, and passed: whoever skipped one has judged nothing."""
    passed = {int(phase["number"]) for phase in phases if phase.get("verdict") == Verdict.PASS}
    missing = [f"{number} {name}" for number, (name, _) in enumerate(PHASES, 1) if number not in passed]
    gate: Gate = SUBJECT.judge(
        "The seven phases have passed",
        not missing,
        found=f"not on record as passed: {', '.join(missing)}" if missing else "all seven",
        wanted="all seven",
    )
    return gate.as_json()


def _persona(persona: Persona, judged: Sequence[GateJson]) -> dict[str, Any]:
    own = [gate for gate in judged if gate.get("persona") == persona]
    shut = closed(own)
    weak = [gate for gate in own if gate not in shut and gate.get("verdict") != Verdict.PASS]
    counts = {verdict.value: sum(gate.get("verdict") == verdict for gate in own) for verdict in Verdict}
    spoken = any(gate.get("verdict") == Verdict.PASS and gate.get("must", True) for gate in own)
    told = [sentence(gate) for gate in shut]
    if not spoken:
        told.append("no gate that must be open has passed")
    return {
        "verdict": (Decision.GO if not told else Decision.NO_GO).value,
        "closed": told,
        "shown": [sentence(gate) for gate in weak],
        "gates": counts,
    }


def refusal(board: Mapping[str, Any]) -> str:
    """Why not, for a person: each persona that says no, with its reasons."""
    told = [
        f"{name}: {'; '.join(each['closed'])}"
        for name, each in board["personas"].items()
        if each["verdict"] != Decision.GO
    ]
    return f"no go. {'. '.join(told)}"
