"""A deployment whose execution died while it moved the traffic, and what the next one does about it."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from cutover.domain.colours import Colour, Weights
from cutover.domain.records import LIVE, LOCK, Candidate, deployment_key
from cutover.handlers import rollback
from tests.contract.fakes import BLUE, GREEN, NOON
from tests.contract.scenes import STARTED, V1, alarm_event, arn, released
from tests.unit.test_handler_walk import INPUT, House


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> House:
    """d0 took all of the traffic to green, and died before it could write that down."""
    house = House(monkeypatch)
    items = house.world.journal.items
    items[deployment_key("d0")] = {
        "id": "d0",
        "version": "v0",
        "status": "RUNNING",
        "started": STARTED,
        "execution_arn": arn("d0"),
        **released(),
    }
    items[LOCK] = {"holder": "d0", "fence": 3, "since": STARTED, "execution_arn": arn("d0")}
    items[LIVE]["candidate"] = asdict(Candidate("d0", "v0", Colour.GREEN, 100))
    house.world.balancer.of["listener"] = GREEN
    house.world.balancer.populate(Colour.GREEN, healthy=6)
    return house


@pytest.mark.parametrize("weights", [GREEN, Weights(90, 10), BLUE])
def test_the_next_deployment_gives_the_traffic_back_first_and_then_goes_its_way(
    house: House, weights: Weights
) -> None:
    house.world.balancer.of["listener"] = weights
    status, output = house.walk.run(INPUT)

    assert (status, output["colour"]) == ("SUCCEEDED", "green")
    moves = [to for listener, to in house.world.balancer.moves if listener == "listener"]
    assert moves == ([GREEN] if weights == BLUE else [BLUE, GREEN])
    assert (house.live.version, house.live.previous_version) == ("v2", "v1")
    left = house.world.journal.items[deployment_key("d0")]
    assert left["status"] == "ROLLED_BACK"
    assert "its execution died while the traffic was being moved; d2 took over" in left["cause"]
    assert house.world.events.kinds.count("RolledBack") == 1


def test_where_it_can_not_go_back_nothing_moves_and_a_person_is_called(house: House) -> None:
    house.world.balancer.populate(Colour.BLUE, healthy=0)
    status, output = house.walk.run(INPUT)

    assert (status, output["Error"]) == ("FAILED", "UnhealthyTargetsError")
    assert (
        "deployment d0 died while it moved the traffic to green, and it can't be taken back"
        in output["Cause"]
    )
    assert "Mend blue, and deploy again" in output["Cause"]
    assert "RollbackRefused" in house.world.events.kinds
    assert [move for move in house.world.balancer.moves if move[0] == "listener"] == []
    assert house.world.journal.items[LOCK]["holder"] is None


def test_a_plan_says_where_the_release_will_go_and_moves_nothing(house: House) -> None:
    status, output = house.walk.run({**INPUT, "mode": "plan"})

    assert (status, output["idle_colour"]) == ("SUCCEEDED", "green")
    assert house.world.balancer.moves == []
    assert house.live.candidate is not None


def test_an_alarm_of_it_takes_it_back_long_after_the_live_releases_watch(house: House) -> None:
    house.world.journal.items[LIVE]["watch_until"] = "2026-03-04T11:00:00.000Z"
    answer = rollback.handler(alarm_event(at=NOON.isoformat()), None)

    assert answer["action"] == "rolled_back"
    assert house.world.balancer.of["listener"] == BLUE
    assert (house.live.deployment, house.live.candidate) == (V1.deployment, None)
    assert house.world.journal.items[LOCK]["holder"] is None
