"""Sections of a deployment as the command line tells them."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from cli.execution import StateEntered, states_entered
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


def test_how_far_a_migration_is_can_be_read():
    progress = Progress()
    progress.enter(entered("2 Migrate", 0))
    found = "0007_backfill 41 % (410,000 of 1,000,000)"
    progress.enter(StateEntered("Wait for the migration", START, found))
    assert str(progress) == f"2 Migrate · {found}"
    progress.enter(entered("Ask the live release", 9))
    assert str(progress) == "2 Migrate · Ask the live release"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ('{"status": "running", "found": "0007_backfill 41 %"}', "0007_backfill 41 %"),
        ('{"found": 3}', ""),
        ("[1]", ""),
        ('{"cut off', ""),
        (None, ""),
    ],
)
def test_how_far_it_is_comes_from_what_a_state_is_given(given, found):
    details = {"name": "Wait", **({"input": given} if given else {})}
    pages = [{"events": [{"id": 7, "timestamp": START, "stateEnteredEventDetails": details}]}]
    states = SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=lambda **_: pages))
    assert states_entered(SimpleNamespace(states=states), "arn", 6) == [
        (7, StateEntered("Wait", START, found))
    ]


def test_an_execution_that_never_entered_a_state_has_nothing_to_close():
    assert Progress().close(START) is None
