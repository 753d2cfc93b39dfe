"""`cutover history`: deployments with durations and rollback clocks, from what the journal holds."""

from __future__ import annotations

from cli.commands.history import clock_lines, drill_words, entry

LINE = {"id": "d2", "version": "v2", "status": "ROLLED_BACK", "mode": "deploy"}
ROLLBACK = {
    "action": "rolled_back",
    "from": "green",
    "to": "blue",
    "trigger": "alarm",
    "by": "cutover-sandbox-backend-green-errors",
    "clock": {
        "first_bad_at": None,
        "asked_at": "2026-03-04T12:00:00.000Z",
        "modified_at": "2026-03-04T12:00:00.080Z",
        "last_bad_at": "2026-03-04T12:00:00.120Z",
        "ms": 80,
        "unknown": {"first_bad_at": "there are no 10 s metrics of it"},
    },
}


def test_a_drill_is_told_in_one_sentence() -> None:
    record = {"drill": {"lost": 0, "requests": 800, "there_seconds": 0.125, "back_seconds": 0.1}}
    drill = entry({**LINE, "mode": "drill"}, record)["drill"]

    assert drill_words(drill) == (
        "0 of 800 requests lost; the previous release answered after 0.125 s, the live one again after 0.100 s"
    )


def test_a_deployment_has_its_durations() -> None:
    record = {
        "started": "2026-03-04T11:00:00.000Z",
        "finished": "2026-03-04T11:01:30.000Z",
        "phases": [
            {
                "name": "Provision",
                "verdict": "Pass",
                "started": "2026-03-04T11:00:01.000Z",
                "finished": "2026-03-04T11:00:03.500Z",
            }
        ],
        "rollback": ROLLBACK,
    }
    found = entry(LINE, record)

    assert (found["seconds"], found["phases"]) == (
        90,
        [{"name": "Provision", "verdict": "Pass", "seconds": 2.5}],
    )
    assert found["rollback"]["clock"]["ms"] == 80


def test_one_that_runs_has_no_duration_yet() -> None:
    found = entry({**LINE, "status": "RUNNING"}, {"started": "2026-03-04T11:00:00.000Z"})

    assert (found["seconds"], found["rollback"]) == (None, None)


def test_a_record_that_is_gone_leaves_its_line() -> None:
    assert entry(LINE, None)["status"] == "ROLLED_BACK"


def test_the_clock_counts_from_the_alarm_and_says_what_is_unknown() -> None:
    assert clock_lines(ROLLBACK) == [
        "green → blue by alarm (cutover-sandbox-backend-green-errors)",
        "first bad request: unknown, there are no 10 s metrics of it",
        "asked: 2026-03-04T12:00:00.000Z",
        "rule modified: 2026-03-04T12:00:00.080Z (+80 ms)",
        "last request served by it: 2026-03-04T12:00:00.120Z (+120 ms)",
    ]


def test_a_rollback_that_was_not_needed_says_so() -> None:
    assert clock_lines({"action": "not_needed", "reason": "the traffic had not moved"}) == [
        "not_needed: the traffic had not moved"
    ]
