"""The runbook leaves out no alarm and no failure that a person may meet, in either language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cutover.domain import errors
from cutover.domain.alarms import FAST_KINDS, KINDS
from cutover.domain.errors import ConflictError, CutoverError, TerminalError, TransientError

DOCS = Path(__file__).resolve().parents[2] / "docs"
BASES = (CutoverError, TransientError, TerminalError)
# It never leaves a step.
INNER = (ConflictError,)


def failures() -> set[str]:
    found = {
        each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, CutoverError)
    }
    return {each.__name__ for each in found - {*BASES, *INNER}}


@pytest.mark.parametrize("name", ["runbook.md", "runbook.ko.md"])
def test_every_alarm_and_every_failure_has_its_row(name: str) -> None:
    rows = [line for line in (DOCS / name).read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    told = {word for row in rows for word in re.findall(r"`([^`]+)`", row.split("|")[1])}
    assert {*KINDS, *FAST_KINDS} <= told
    assert failures() <= told


def test_no_row_is_about_an_error_that_is_gone() -> None:
    told = set(re.findall(r"`(\w+Error)`", (DOCS / "runbook.md").read_text(encoding="utf-8")))
    assert told <= failures()


def test_both_languages_have_the_same_rows() -> None:
    first, second = ((DOCS / name).read_text(encoding="utf-8") for name in ("runbook.md", "runbook.ko.md"))
    assert re.findall(r"`(cutover [^`]*|\w+Error)`", first) != []
    assert sorted(re.findall(r"`(\w+Error)`", first)) == sorted(re.findall(r"`(\w+Error)`", second))
