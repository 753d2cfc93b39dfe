"""The demo's figures, computed from hand-made reports and records."""

import pytest

from sandbox.demo.measurements import epoch, rollback_figures, swap_figures

AT = epoch("2026-11-22T02:00:00+00:00")


def report(answers, failed, versions=(), failures=()):
    return {
        "answers": answers,
        "failed": failed,
        "versions": {name: {"first_at": first, "last_at": last} for name, first, last in versions},
        "failures": list(failures),
    }


def test_a_swap_is_measured_from_the_rule_to_the_first_answer_of_the_new_version():
    record = {"status": "SUCCEEDED", "swap": {"modified_at": "2026-11-22T02:00:00+00:00"}}
    after = report(900, 3, [("v2", AT + 0.012, AT + 9)])
    figures = swap_figures("v2", record, report(100, 1), after)
    assert figures == {
        "status": "SUCCEEDED",
        "requests": 800,
        "failed": 2,
        "swap_ms": pytest.approx(12, abs=0.2),
    }


def test_a_version_that_nobody_saw_has_no_figures():
    record = {"status": "SUCCEEDED", "swap": {"modified_at": "2026-11-22T02:00:00+00:00"}}
    with pytest.raises(ValueError, match="no request was ever answered by v2"):
        swap_figures("v2", record, report(0, 0), report(10, 0))


ROLLED_BACK = {
    "status": "ROLLED_BACK",
    "rollback": {
        "trigger": "alarm",
        "by": "cutover-sandbox-backend-green-errors",
        "clock": {"asked_at": "2026-11-22T02:00:00+00:00", "modified_at": "2026-11-22T02:00:00.300+00:00"},
    },
}


def test_a_rollback_is_measured_by_its_clock():
    failures = [(AT - 4, "v3", "status 500"), (AT + 0.3, "v3", "status 500")]
    after = report(500, 2, [("v3", AT - 5, AT + 0.35)], failures)
    figures = rollback_figures("v3", ROLLED_BACK, report(0, 0), after)
    assert figures["first_bad_to_alarm_ms"] == pytest.approx(4000, abs=1)
    assert figures["alarm_to_modify_ms"] == pytest.approx(300, abs=1)
    assert figures["alarm_to_last_bad_ms"] == pytest.approx(350, abs=1)
    assert figures["failed_after_rollback"] == 0


def test_a_failure_after_the_last_bad_answer_is_not_forgiven():
    failures = [(AT + 0.3, "v3", "status 500"), (AT + 2, "v2", "status 502")]
    after = report(500, 2, [("v3", AT - 5, AT + 0.35)], failures)
    assert rollback_figures("v3", ROLLED_BACK, report(0, 0), after)["failed_after_rollback"] == 1


def test_a_release_that_no_alarm_rolled_back_has_no_rollback_figures():
    after = report(500, 2, [("v3", AT - 5, AT + 0.35)])
    with pytest.raises(ValueError, match="not taken back by an alarm"):
        rollback_figures("v3", {"status": "SUCCEEDED", "cause": "none"}, report(0, 0), after)
