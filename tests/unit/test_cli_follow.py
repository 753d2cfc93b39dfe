"""Sections of a deployment as the command line tells them."""

from datetime import UTC, datetime, timedelta

from cli.execution import StateEntered
from cli.follow import Progress

START = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)


def entered(name, seconds):
    return StateEntered(name, START + timedelta(seconds=seconds))


def test_a_section_ends_when_the_next_begins():
    progress = Progress()
    assert progress.enter(entered("Take the lock", 0)) is None
    assert progress.enter(entered("Check the configuration", 2)) == ("Lock", 2.0)
    assert progress.enter(entered("Look at the change set", 3)) is None
    assert progress.enter(entered("1 Provision", 7)) == ("Plan", 5.0)
    assert progress.close(START + timedelta(seconds=9)) == ("1 Provision", 2.0)


def test_states_inside_a_section_are_told_but_do_not_end_it():
    progress = Progress()
    progress.enter(entered("3 Release", 0))
    progress.enter(entered("Wait for the release", 5))
    assert (progress.section, progress.state) == ("3 Release", "Wait for the release")


def test_an_execution_that_never_entered_a_state_has_nothing_to_close():
    assert Progress().close(START) is None
