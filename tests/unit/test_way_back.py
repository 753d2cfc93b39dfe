"""The way back is tried through the whole machine, before any traffic moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cutover.domain.colours import Colour
from cutover.domain.records import LIVE
from cutover.steps import reading, way_back
from cutover.steps.reading import Reading
from cutover.steps.way_back import NAME
from tests.contract.fakes import BLUE, TARGETS
from tests.unit.test_handler_walk import INPUT, House


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    return House(monkeypatch)


def while_it_is_tried(
    monkeypatch: pytest.MonkeyPatch, begin: Callable[[], object], end: Callable[[], object]
) -> None:
    """What is so only while the rollback function looks."""

    def looking(*arguments: Any) -> Reading:
        begin()
        try:
            return reading.read(*arguments)
        finally:
            end()

    monkeypatch.setattr(way_back, "read", looking)


def gate(house: House) -> dict[str, Any]:
    """The verdict in phase 7."""
    (found,) = [phase for phase in house.record["phases"] if phase["number"] == 7]
    (judged,) = [each for each in found["gates"] if each["name"] == NAME]
    return dict(judged)


def test_a_previous_release_that_could_take_the_traffic_opens_it_by_the_rollbacks_own_decision(
    house: House,
) -> None:
    status, _ = house.walk.run(INPUT)

    assert status == "SUCCEEDED"
    found = gate(house)
    assert (found["verdict"], found["must"], found["samples"]) == ("Pass", True, 6)
    assert found["found"] == "the traffic goes back to blue (6 of 6 healthy)"
    assert house.walk.visited.index("Try the way back") < house.walk.visited.index("Begin the shift")


def test_a_rollback_function_that_can_not_read_what_it_decides_by_keeps_the_traffic_where_it_is(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreadable = house.world.balancer.unreadable
    while_it_is_tried(
        monkeypatch, lambda: unreadable.add(TARGETS.blue), lambda: unreadable.discard(TARGETS.blue)
    )
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", "GateFailedError")
    assert f"“{NAME}” (A5) is inconclusive: found could not read the target health" in output["Cause"]
    assert house.world.balancer.of[TARGETS.listener_arn] == BLUE
    assert [to for name, to in house.world.balancer.moves if name == TARGETS.listener_arn] == []


def test_users_of_a_sick_release_get_the_next_one_and_the_board_says_that_there_is_no_way_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    populate = house.world.balancer.populate
    while_it_is_tried(
        monkeypatch,
        lambda: populate(Colour.BLUE, healthy=1, sick=5),
        lambda: populate(Colour.BLUE, healthy=6),
    )
    status, _ = house.walk.run(INPUT)

    assert status == "SUCCEEDED"
    found = gate(house)
    assert (found["verdict"], found["must"]) == ("Fail", False)
    assert "blue can't take the traffic: 1 of 6 healthy" in found["found"]


def test_a_first_release_has_no_way_back_and_it_is_said_so(house: House) -> None:
    del house.world.journal.items[LIVE]
    house.world.balancer.populate(Colour.BLUE, healthy=0)
    status, _ = house.walk.run(INPUT)

    assert status == "SUCCEEDED"
    found = gate(house)
    assert (found["verdict"], found["must"]) == ("Inconclusive", False)
    assert found["found"] == "a first release has nothing to go back to"
