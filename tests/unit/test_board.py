"""Go or no go: by persona, with one row for each figure of the requirements."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cutover.domain.board import decide_board, refusal
from cutover.domain.errors import GateFailedError
from cutover.domain.gates import Persona, Subject
from cutover.domain.measures import MEASURES, Limits
from cutover.domain.plan import PHASES
from cutover.domain.records import deployment_key
from cutover.steps.decide import decide
from tests.contract.fakes import FakeClock, FakeDocuments, FakeEvents, FakeJournal
from tests.contract.scenes import DEPLOYMENT, THRESHOLDS, locked

LIMITS = Limits.read({"thresholds": THRESHOLDS})
GOOD = {
    "p50": 20.0,
    "p95": 80.0,
    "p99": 200.0,
    "errors": 0.0,
    "availability": 1.0,
    "findings": 0.0,
    "query_mean": 2.0,
    "index_hit": 1.0,
    "pool_use": 0.1,
}


def phases(limits: Limits = LIMITS, **values: float | None) -> list[dict[str, Any]]:
    """Seven phases that went well; the sixth has the measures."""
    measured = {**GOOD, **values}
    gates = [limits.judge(name, value, samples=1000).as_json() for name, value in measured.items()]
    quiet = [
        Subject("C5a", Persona.SECURITY).judge("No SSH from anywhere", True, found="none", wanted="none"),
        Subject("C7a", Persona.RELIABILITY).judge("The API works", True, found="200", wanted="200"),
    ]
    return [
        {
            "number": number,
            "name": name,
            "verdict": "Pass",
            "gates": gates if name == "Perform" else [gate.as_json() for gate in quiet],
        }
        for number, (name, _) in enumerate(PHASES, 1)
    ]


def row(board: dict[str, Any], measure: str) -> dict[str, Any]:
    (found,) = (each for each in board["rows"] if each["measure"] == measure)
    return found


def test_a_good_release_goes_by_every_persona() -> None:
    board = decide_board(phases(), LIMITS)
    assert board["verdict"] == "Go"
    assert {each["verdict"] for each in board["personas"].values()} == {"Go"}
    assert set(board["personas"]) == {"reliability", "performance", "security"}
    assert board["closed"] == []


def test_the_board_has_one_row_for_each_measure_with_its_phase_and_raw_numbers() -> None:
    board = decide_board(phases(), LIMITS)
    assert [each["measure"] for each in board["rows"]] == list(MEASURES)
    assert row(board, "p95")["phase"] == "Perform"
    assert row(board, "p95")["evidence"] == {"value": 80.0}


def test_what_no_phase_has_measured_is_inconclusive_and_a_should_is_only_shown() -> None:
    board = decide_board(phases(), LIMITS)
    assert (row(board, "cpu")["verdict"], row(board, "cpu")["must"]) == ("Inconclusive", False)
    assert (
        "“CPU” (C7b, E2) is inconclusive: found no phase has measured it, wanted < 70%"
        in (board["personas"]["performance"]["shown"])
    )
    assert board["verdict"] == "Go"


@pytest.mark.parametrize("measure", [name for name, each in MEASURES.items() if each.must])
def test_a_must_without_data_is_no_go_by_its_persona(measure: str) -> None:
    found = phases()
    found[5]["gates"] = [gate for gate in found[5]["gates"] if gate["measure"] != measure]
    board = decide_board(found, LIMITS)
    assert board["verdict"] == "No-Go"
    assert [name for name, each in board["personas"].items() if each["verdict"] == "No-Go"] == [
        MEASURES[measure].persona
    ]
    assert MEASURES[measure].title in refusal(board)


def test_a_should_that_the_configuration_makes_a_must_closes() -> None:
    limits = Limits(LIMITS.thresholds, {"cpu": "must"})
    assert decide_board(phases(limits), limits)["verdict"] == "No-Go"


def test_a_must_that_the_configuration_makes_a_should_is_shown() -> None:
    limits = Limits(LIMITS.thresholds, {"p95": "should"})
    board = decide_board(phases(limits, p95=9000.0), limits)
    assert (board["verdict"], row(board, "p95")["verdict"]) == ("Go", "Fail")


@pytest.mark.parametrize(
    ("worst", "verdict"), [("Fail", "Fail"), ("Inconclusive", "Inconclusive"), ("odd", "odd")]
)
def test_of_several_answers_to_one_measure_the_worst_counts(worst: str, verdict: str) -> None:
    found = phases()
    second = {**LIMITS.judge("findings", 0, samples=1).as_json(), "name": "Web scan", "verdict": worst}
    found[4]["gates"].append(second)
    board = decide_board(found, LIMITS)
    assert (row(board, "findings")["verdict"], board["verdict"]) == (verdict, "No-Go")
    assert row(board, "findings")["found"] == "Web scan: 0; Critical and high findings: 0"
    assert row(board, "findings")["phase"] == "Secure, Perform"


@pytest.mark.parametrize("number", range(1, 8))
def test_a_phase_that_is_not_on_record_is_no_go(number: int) -> None:
    found = [phase for phase in phases() if phase["number"] != number]
    board = decide_board(found, LIMITS)
    assert board["verdict"] == "No-Go"
    assert f"not on record as passed: {number} {PHASES[number - 1][0]}" in refusal(board)


def test_nothing_at_all_is_no_go_by_every_persona() -> None:
    board = decide_board([], LIMITS)
    assert {each["verdict"] for each in board["personas"].values()} == {"No-Go"}


def test_a_closed_gate_of_no_known_persona_is_no_go_all_the_same() -> None:
    found = phases()
    found[0]["gates"].append({"name": "odd", "verdict": "Fail", "persona": "nobody"})
    assert decide_board(found, LIMITS)["verdict"] == "No-Go"


class Desk:
    def __init__(self, *found: dict[str, Any]) -> None:
        self.journal = locked(FakeJournal(), phases=list(found))
        self.documents, self.events = FakeDocuments(), FakeEvents()

    def decide(self) -> dict[str, Any]:
        return decide(
            DEPLOYMENT,
            LIMITS,
            journal=self.journal,
            documents=self.documents,
            events=self.events,
            clock=FakeClock(),
        )

    @property
    def board(self) -> dict[str, Any]:
        board: dict[str, Any] = self.journal.items[deployment_key("d2")]["board"]
        return board


def test_the_board_is_kept_and_linked_with_the_deployment() -> None:
    desk = Desk(*phases())
    assert desk.decide() == {
        "verdict": "Go",
        "location": "s3://artifacts/boards/d2.json",
        "console": "https://console/boards/d2.json",
    }
    kept = json.loads(desk.documents.objects["boards/d2.json"])
    assert (kept["verdict"], desk.board["verdict"]) == ("Go", "Go")
    assert len(kept["gates"]) > len(kept["rows"])
    assert "gates" not in desk.board
    assert desk.events.kinds == ["GoDecided"]


def test_no_go_names_the_gates_and_is_kept_too() -> None:
    desk = Desk(*phases(p95=812.0))
    with pytest.raises(GateFailedError) as raised:
        desk.decide()
    assert str(raised.value).startswith(
        "no go. performance: “p95 latency” (C6a, E1) failed: found 812 ms, wanted < 500 ms"
    )
    assert "https://console/boards/d2.json" in str(raised.value)
    assert desk.board["verdict"] == "No-Go"
    assert desk.events.kinds == ["GateFailed"]


def test_deciding_twice_is_deciding_once() -> None:
    desk = Desk(*phases())
    assert desk.decide() == desk.decide()
    assert list(desk.documents.objects) == ["boards/d2.json"]
