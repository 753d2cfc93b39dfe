"""Every state of deploy and rollback, before and after its side effect, and what comes then: all converge.

CRASH_MATRIX=full runs every case; else each state and moment has one of the four, in turn, so that all four
come up throughout. `make bench-crashes` runs them all and writes the table of docs/reliability.md.
"""

from __future__ import annotations

import os

import pytest

from tests.unit.crash_matrix import NEXT, Case, cases, run

FULL = os.environ.get("CRASH_MATRIX") == "full"


def chosen(machine: str) -> list[Case]:
    every = cases(machine)
    kinds = len(NEXT[machine])
    # One of four, and with each state another one.
    return every if FULL else [case for n, case in enumerate(every) if n % kinds == (n // kinds) % kinds]


@pytest.mark.parametrize("case", [*chosen("deploy"), *chosen("rollback")], ids=str)
def test_what_dies_anywhere_converges(case: Case) -> None:
    run(case)


def test_every_state_is_in_it() -> None:
    deploy, rollback = cases("deploy"), cases("rollback")
    assert len({case.state for case in deploy}) > 35
    assert {case.state for case in rollback} == {
        "Begin",
        "1 Block traffic",
        "2 Redeploy the previous image",
        "Look at the script",
        "3 Health",
        "4 Restore traffic",
    }
    assert len(deploy) == len({case.state for case in deploy}) * 2 * 4
