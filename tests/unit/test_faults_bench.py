"""Which faults `bench/faults` seeds, and what it counts as stopped by the right gate."""

from datetime import UTC, datetime
from typing import Any

import pytest

from bench.faults.__main__ import NOT_STOPPED, WRONG_GATE, chosen, judged, sentence
from bench.faults.seeds import LEFT_OUT, SEEDS
from bench.faults.site import Deployed
from cli.execution import Ended
from tests.unit.fault_table import FAULTS, STOPPED, Fault

FAULT = Fault("SSH is open to the world", "Secure", "No SSH from anywhere")


def gate(name: str, found: str, verdict: str = "Fail") -> dict[str, Any]:
    return {"name": name, "found": found, "verdict": verdict, "must": True}


def deployed(phase: str, *gates: dict[str, Any], **ended: str) -> Deployed:
    told = {"status": "FAILED", "error": "GateFailedError", "cause": "a gate", **ended}
    phases = [
        {"name": "Provision", "gates": [gate("a", "well", "Pass")]},
        {"name": phase, "gates": list(gates)},
    ]
    return Deployed(Ended(at=datetime(2026, 1, 1, tzinfo=UTC), **told), {"phases": phases}, frozenset(), 1.0)


RIGHT = gate(FAULT.gate, "by-hand opens tcp 22-22 to 0.0.0.0/0")


@pytest.mark.parametrize(
    ("seen", "moved", "outcome"),
    [
        (deployed("Secure", RIGHT, gate("b", "x", "Pass")), False, STOPPED),
        (deployed("Secure", RIGHT), True, NOT_STOPPED),
        (deployed("Secure", {**RIGHT, "verdict": "Pass"}, gate("b", "x")), False, WRONG_GATE),
        (deployed("Secure", gate(FAULT.gate, "something else")), False, WRONG_GATE),
        (deployed("Monitor", RIGHT), False, WRONG_GATE),
        (deployed("Secure", RIGHT, error="UnhealthyTargetsError"), False, WRONG_GATE),
        (deployed("Secure", status="SUCCEEDED", error=""), False, NOT_STOPPED),
    ],
)
def test_only_its_own_gate_in_its_own_phase_before_any_traffic_counts(
    seen: Deployed, moved: bool, outcome: str
) -> None:
    assert judged(FAULT, FAULT.gate, "tcp 22-22", seen, moved=moved)["outcome"] == outcome


def test_every_fault_of_the_table_is_seeded_once_or_left_out_with_its_reason() -> None:
    seeded = [seed.words for seed in SEEDS]
    assert sorted([*seeded, *LEFT_OUT]) == sorted(fault.words for fault in FAULTS)
    assert len(seeded) >= 30
    assert all(LEFT_OUT.values())


def test_what_cant_be_undone_comes_last() -> None:
    lasting = [seed.lasting for seed in SEEDS]
    assert lasting == sorted(lasting)


def test_faults_are_chosen_by_their_words() -> None:
    class Known:
        def known(self, words: str) -> bool:
            return words.startswith("SSH")

    some = [seed.words for seed in chosen(["SSH", "1.1"], Known(), resume=False)]  # type: ignore[arg-type]
    assert some == ["SSH is open to the world", "TLS 1.1 is on"]
    assert [each.words for each in chosen(["SSH", "1.1"], Known(), resume=True)] == some[1:]  # type: ignore[arg-type]


def test_the_figures_are_told_in_a_sentence() -> None:
    told = sentence(
        {
            "stopped_by_the_right_gate": 43,
            "seeded": 44,
            "clean_passed": 19,
            "clean_deployed": 20,
            "measured_at": "2026-11-29T04:00:00+00:00",
            "cores": 2,
            "minutes": 41.2,
        }
    )
    assert "**43 of 44**" in told
    assert "**19 of 20**" in told
    assert "(2026-11-29, 2 cores, 41 minutes)" in told
