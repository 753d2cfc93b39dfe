"""Write a phase and its verdicts down, tell the bus, and close the way when a gate is not open."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cutover.domain.errors import GateFailedError
from cutover.domain.gates import Verdict, closed, sentence
from cutover.domain.records import Deployment
from cutover.domain.times import text
from cutover.ports import Clock, Events, Journal
from cutover.steps.records import update_record


def conclude_phase(
    deployment: Deployment,
    phase: Mapping[str, Any],
    gates: Sequence[Mapping[str, Any]] | Mapping[str, Any],
    *,
    journal: Journal,
    events: Events,
    clock: Clock,
) -> dict[str, Any]:
    """Returns {phase, verdict, gates}. Raises GateFailedError naming every closed gate; a phase with no gate
    at all is closed too, for nobody looked.

    `gates` may be a single gate: JSONata makes no difference between a list of one and the one.
    """
    number, name = int(phase["number"]), str(phase["name"])
    every = [gates] if isinstance(gates, Mapping) else gates
    judged = [{**gate, "phase": name} for gate in every]
    record = journal.read(deployment.key) or {}
    shut = closed(judged)
    verdict = Verdict.PASS if judged and not shut else Verdict.FAIL
    done = {
        "number": number,
        "name": name,
        "started": phase["started"],
        "finished": text(clock.now()),
        "verdict": verdict.value,
        "gates": judged,
    }
    others = [entry for entry in record.get("phases", []) if entry["number"] != number]
    update_record(
        journal, deployment, {"phases": sorted([*others, done], key=lambda entry: int(entry["number"]))}
    )
    about = {
        "deployment": deployment.id,
        "version": deployment.version,
        "phase": {"number": number, "name": name},
    }
    if not judged:
        raise GateFailedError(f"phase {number} ({name}) has no gate to judge it by")
    if shut:
        words = "; ".join(sentence(gate) for gate in shut)
        events.publish("GateFailed", {**about, "gates": shut})
        raise GateFailedError(f"phase {number} ({name}): {words}")
    events.publish("PhaseCompleted", {**about, "passed": len(judged)})
    return {"phase": number, "verdict": verdict.value, "gates": len(judged)}
