"""The checklists G1, G2 and G3: no line is Yes without evidence."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cutover.domain.board import decide_board
from cutover.domain.checklist import FOR_PEOPLE, LINES, Left, answer
from cutover.domain.errors import ConflictError, InvalidInputError
from cutover.domain.records import checklist_key
from cutover.steps.checklist import answer_line
from tests.contract.fakes import FakeClock, FakeJournal
from tests.contract.scenes import locked
from tests.unit.test_board import LIMITS, phases

PLAN = {
    "sha256": "a" * 64,
    "migrations": {"steps": [{"name": "0001"}], "refused": []},
    "rollback": {"to": "v1"},
    "configuration": {
        "window": {"backup": {"day": "Sunday", "start": "01:00", "end": "03:00"}},
        "load": {"requests_per_second": 1200, "users": 200, "seconds": 60},
    },
}
QUIET = {"cutover-sandbox-backend-green-errors": {"state": "OK", "since": "2026-03-04T12:00:00.000Z"}}


def board(**values: float | None) -> dict[str, Any]:
    return {"decided_at": "noon", **decide_board(phases(**values), LIMITS)}


def left(**more: Any) -> Left:
    whole = Left({"phases": phases(), "board": board()}, PLAN, {}, QUIET)
    return replace(whole, **more)


def answers(what: Left) -> dict[str, str]:
    return {line["id"]: line["answer"] for line in answer(what)}


def test_a_whole_deployment_answers_every_line_that_a_machine_can() -> None:
    found = answers(left())
    assert {id: found[id] for id in FOR_PEOPLE} == dict.fromkeys(("G3.4", "G3.5", "G3.6"), "For people")
    assert {verdict for id, verdict in found.items() if id not in FOR_PEOPLE} == {"Yes"}


def test_nothing_is_yes_of_a_deployment_that_left_nothing() -> None:
    assert set(answers(Left({}, None, {}, None)).values()) == {"Open", "For people"}


def test_every_line_of_the_deployment_plan_is_there_in_its_own_words() -> None:
    """Six before, six during, six after: `deployment-plan.ko.md`, the section 체크리스트."""
    assert [line.id for line in LINES] == [f"G{list}.{n}" for list in (1, 2, 3) for n in range(1, 7)]
    assert all(re.search(r"[가-힣]", line.korean) for line in LINES)


@pytest.mark.parametrize(
    ("number", "lines"),
    [
        (1, {"G2.1"}),
        (2, {"G1.3", "G2.2"}),
        (3, {"G2.3", "G2.4"}),
        (4, {"G1.5"}),
        (5, {"G2.6"}),
        (6, {"G2.5"}),
        (7, {"G2.4", "G3.1"}),
    ],
)
@pytest.mark.parametrize("verdict", ["Fail", "Inconclusive"])
def test_a_closed_gate_answers_no_where_its_phase_is_asked_for(
    number: int, lines: set[str], verdict: str
) -> None:
    found = phases()
    gate = {"name": "broken", "requirement": "X", "verdict": verdict, "found": "a", "wanted": "b"}
    found[number - 1]["gates"].append(gate)
    told = answers(left(record={"phases": found, "board": board()}))
    assert {id for id, word in told.items() if word == "No"} == lines


def test_a_finding_and_a_slow_query_are_no_with_their_figures() -> None:
    told = answer(left(record={"phases": phases(), "board": board(findings=2.0, query_mean=80.0)}))
    by_id = {line["id"]: line for line in told}
    assert by_id["G1.2"]["answer"] == "No"
    assert "found 2, wanted ≤ 0" in by_id["G1.2"]["evidence"]
    assert (by_id["G1.1"]["answer"], by_id["G3.2"]["answer"]) == ("No", "No")


@pytest.mark.parametrize(
    ("plan", "line"),
    [
        ({**PLAN, "migrations": {"steps": [], "refused": ["drops a field"]}}, "G1.3"),
        ({**PLAN, "rollback": None}, "G1.4"),
        ({**PLAN, "configuration": {**PLAN["configuration"], "window": {}}}, "G1.4"),  # type: ignore[dict-item]
        ({**PLAN, "configuration": {**PLAN["configuration"], "load": {}}}, "G1.6"),  # type: ignore[dict-item]
    ],
)
def test_what_the_plan_lacks_is_no(plan: dict[str, Any], line: str) -> None:
    assert answers(left(plan=plan))[line] == "No"


@pytest.mark.parametrize(
    ("alarms", "word"),
    [
        (None, "Open"),
        ({"unread": "away"}, "No"),
        ({"errors": None}, "No"),
        ({"errors": {"state": "ALARM"}}, "No"),
        (QUIET, "Yes"),
    ],
)
def test_monitoring_works_only_where_the_alarms_were_seen_quiet(alarms: Any, word: str) -> None:
    assert answers(left(alarms=alarms))["G3.3"] == word


def test_an_answer_of_a_person_is_told_with_who_when_and_why() -> None:
    given = {"G3.6": {"by": "kim", "at": "noon", "note": "reviewed in the weekly"}}
    (line,) = (each for each in answer(left(answers=given)) if each["id"] == "G3.6")
    assert (line["answer"], line["evidence"]) == ("Yes", "kim at noon: reviewed in the weekly")


def test_an_answer_is_kept_and_a_later_one_replaces_it() -> None:
    journal = locked(FakeJournal())
    for note in ("first", "second"):
        told = answer_line("d2", "G3.6", "kim", note, journal=journal, clock=FakeClock())
    assert (told["note"], told["text"]) == ("second", FOR_PEOPLE["G3.6"])
    assert journal.items[checklist_key("d2")]["answers"]["G3.6"]["note"] == "second"


@pytest.mark.parametrize(
    ("line", "by", "note", "words"),
    [
        ("G1.2", "kim", "x", "answer: 'G1.2' is no line for people; those are G3.4, G3.5, G3.6"),
        ("G9", "kim", "x", "answer: 'G9' is no line for people"),
        ("G3.6", " ", "x", "by: ' ' does not fit"),
        ("G3.6", "kim", "x" * 1001, "note: "),
    ],
)
def test_what_is_no_answer_is_refused_by_field(line: str, by: str, note: str, words: str) -> None:
    with pytest.raises(InvalidInputError, match=re.escape(words)):
        answer_line("d2", line, by, note, journal=locked(FakeJournal()), clock=FakeClock())


def test_an_answer_about_a_deployment_that_is_not_known_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="'d9' is not known"):
        answer_line("d9", "G3.6", "kim", "x", journal=locked(FakeJournal()), clock=FakeClock())


def test_of_two_answers_at_once_one_is_told_to_look_again() -> None:
    journal = locked(FakeJournal())
    answer_line("d2", "G3.4", "kim", "x", journal=journal, clock=FakeClock())
    read = journal.read

    def before_the_other(key: Any) -> Any:
        item = read(key)
        if key == checklist_key("d2"):
            journal.items[key] = {**journal.items[key], "count": 9}
        return item

    journal.read = before_the_other  # type: ignore[method-assign]
    with pytest.raises(ConflictError):
        answer_line("d2", "G3.6", "lee", "y", journal=journal, clock=FakeClock())


def test_the_page_tells_every_line() -> None:
    page = (Path(__file__).parents[2] / "docs" / "verification.md").read_text(encoding="utf-8")
    for line in LINES:
        assert f"| {line.id} | {line.text} | {line.korean} |" in page
