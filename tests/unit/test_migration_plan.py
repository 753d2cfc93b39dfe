"""Which migrations are pending, and which must not be run."""

from __future__ import annotations

import pytest

from cutover.domain.migrations import Entry, Migration, MigrationPlan, State, plan_migrations
from cutover.domain.schema import Phase


def file(number: int, kind: str = "expand", checksum: str = "c", **more: object) -> Migration:
    return Migration(number, f"{number:04}_m", Phase(kind), checksum, **more)  # type: ignore[arg-type]


def entry(
    number: int, state: str = "applied", kind: str = "expand", checksum: str = "c", **more: object
) -> Entry:
    return Entry(number, f"{number:04}_m", Phase(kind), checksum, State(state), "d-1", **more)  # type: ignore[arg-type]


def planned(
    files: list[Migration], entries: list[Entry], phase: str = "expand", *, watched: bool = True
) -> MigrationPlan:
    return plan_migrations(files, {each.name: each for each in entries}, Phase(phase), watched=watched)


def names(plan: MigrationPlan) -> list[int]:
    return [each.number for each in plan.pending]


def test_what_is_not_applied_is_pending_in_the_order_of_the_numbers() -> None:
    plan = planned([file(3), file(1), file(2, "contract")], [entry(1)])
    assert (names(plan), plan.refused) == ([3], ())
    assert [each.number for each in plan.waiting] == [2]


@pytest.mark.parametrize("state", ["running", "undone", "undoing"])
def test_what_was_begun_or_undone_is_pending_again(state: str) -> None:
    assert names(planned([file(1)], [entry(1, state)])) == [1]


def test_an_edit_is_refused_once_it_was_applied_and_not_before() -> None:
    assert "0001_m was edited" in planned([file(1)], [entry(1, checksum="x")]).refused[0]
    for state in ("waiting", "undone", "running"):
        assert planned([file(1)], [entry(1, state, checksum="x")]).refused == ()


def test_an_edit_of_what_must_not_run_twice_is_refused_half_way() -> None:
    half = entry(1, "running", checksum="x", resume={"once": True})
    assert "edited while it was under way" in planned([file(1)], [half]).refused[0]


def test_a_file_that_went_is_refused_unless_this_is_an_older_release() -> None:
    assert "put the file back" in planned([file(2)], [entry(1), entry(2)]).refused[0]
    assert planned([file(1)], [entry(1), entry(2)]).refused == ()
    assert "put the file back" in planned([file(1)], [entry(1), entry(2, kind="contract")]).refused[0]
    assert planned([file(1)], [entry(1), entry(2, "undone")]).refused == ()


def test_a_new_one_below_an_applied_one_is_refused_but_not_one_that_waited() -> None:
    assert "next free number, 0004" in planned([file(2), file(3)], [entry(3)]).refused[0]
    waited = entry(2, "waiting", "contract")
    assert planned([file(2, "contract"), file(3)], [waited, entry(3)], "contract").refused == ()


def test_contract_needs_the_watchs_end_and_what_comes_before() -> None:
    files = [file(1), file(2, "contract")]
    assert "has not ended" in planned(files, [entry(1)], "contract", watched=False).refused[0]
    assert "comes after 0001_m" in planned(files, [], "contract").refused[0]
    assert planned(files, [entry(1)], "contract").refused == ()
    assert planned([file(1)], [entry(1)], "contract", watched=False).refused == ()


def test_hazards_are_refused_before_the_release_also_those_of_its_contract() -> None:
    files = [file(1, hazards=("a",)), file(2, "contract", hazards=("b",)), file(3, hazards=("c",))]
    assert planned(files, [entry(3)]).refused[-2:] == ("a", "b")
    assert planned([file(1, hazards=("a",))], [entry(1)]).refused == ()
