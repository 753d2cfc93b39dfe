"""The emergency stop: what it refuses, what it stops, and where it leaves the traffic."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cutover.domain.alarms import read_alarm_event
from cutover.domain.colours import Colour, Weights
from cutover.domain.errors import FrozenError, LockLostError, WrongEnvironmentError
from cutover.domain.records import FREEZE, LIVE, LOCK, Candidate, Live, deployment_key
from cutover.domain.services import Service
from cutover.steps.acquire_lock import acquire_lock
from cutover.steps.freeze import freeze, unfreeze
from cutover.steps.roll_back import roll_back_on_alarm
from cutover.steps.swap import swap
from tests.contract.fakes import BLUE, FakeConfiguration, FakeWorld
from tests.contract.scenes import (
    DEPLOYMENT,
    DIGEST,
    ENVIRONMENT,
    V1,
    WATCH,
    alarm_event,
    arn,
    live,
    locked,
    released,
)
from tests.unit.test_step_roll_back import swapped

INPUT = {"environment": "sandbox", "version": "v3", "image": DIGEST}


def stop(world: FakeWorld) -> dict[str, Any]:
    return freeze("the database is on fire", "kim", "sandbox", "sandbox", world)


def start(world: FakeWorld, **more: Any) -> dict[str, Any]:
    return acquire_lock(
        {"Id": arn("d9"), "Name": "d9"},
        {**INPUT, **more},
        "sandbox",
        journal=world.journal,
        executions=world.executions,
        configuration=FakeConfiguration(),
        events=world.events,
        clock=world.clock,
    )


def releasing() -> FakeWorld:
    """d2 stands on green, with no traffic yet; v1 is live on blue."""
    world = FakeWorld()
    locked(world.journal, **released())
    live(world.journal, V1)
    for colour in Colour:
        world.balancer.populate(colour, healthy=6)
    world.executions.under_way.add(arn("d2"))
    return world


def test_a_frozen_environment_refuses_deployments_and_says_who_why_and_the_way_out() -> None:
    world = FakeWorld()
    stop(world)
    with pytest.raises(FrozenError, match="by kim: the database is on fire; `cutover unfreeze sandbox`"):
        start(world)
    assert world.journal.items.get(LOCK) is None


def test_a_plan_may_be_made_all_the_same() -> None:
    world = FakeWorld()
    stop(world)

    assert start(world, mode="plan")["deployment"]["id"] == "d9"


def test_a_deployment_that_looked_before_the_freeze_can_not_take_the_lock_after_it() -> None:
    world = FakeWorld()
    write = world.journal.write

    def freezing(changes: Any, *, lock: Any = None) -> None:
        world.journal.write = write
        stop(world)
        write(changes, lock=lock)

    world.journal.write = freezing
    with pytest.raises(FrozenError):
        start(world)
    assert world.journal.items.get(LOCK) is None


def test_unfreezing_lets_them_start_again() -> None:
    world = FakeWorld()
    stop(world)

    assert unfreeze("lee", "sandbox", "sandbox", world)["action"] == "unfrozen"
    assert start(world)["deployment"]["id"] == "d9"
    assert unfreeze("lee", "sandbox", "sandbox", world)["action"] == "not_frozen"
    # Told again as the same happening, of which people hear once: the first call may have died before it told.
    assert world.events.kinds == ["Frozen", "Unfrozen", "DeploymentStarted", "Unfrozen"]


def test_a_second_freeze_keeps_the_words_of_the_first() -> None:
    world = FakeWorld()
    stop(world)
    answer = freeze("me too", "lee", "sandbox", "sandbox", world)

    assert (answer["by"], answer["reason"]) == ("kim", "the database is on fire")


def test_a_deployment_before_its_swap_ends_and_its_containers_stop() -> None:
    world = releasing()
    answer = stop(world)

    assert (answer["stopped"], answer["problems"]) == ("d2", [])
    assert [stopped for stopped, _ in world.executions.stopped] == [arn("d2")]
    assert world.journal.items[deployment_key("d2")]["status"] == "ABANDONED"
    assert world.journal.items[LOCK]["holder"] is None
    assert world.commands.sent[0][2]["Action"] == "stop"
    assert world.balancer.moves == []


def test_a_release_that_has_the_traffic_keeps_it_and_its_alarms_still_guard_it() -> None:
    world = swapped()
    answer = stop(world)

    assert "version v2 has the traffic and keeps it" in answer["traffic"]
    assert (world.commands.sent, world.balancer.moves) == ([], [])
    assert roll_back_on_alarm(read_alarm_event(alarm_event()), "sandbox", world)["action"] == "rolled_back"


def test_a_release_that_is_being_tried_loses_its_share() -> None:
    world = releasing()
    live(world.journal, replace(V1, candidate=Candidate("d2", "v2", Colour.GREEN, 10)))
    world.balancer.of["listener"] = Weights(90, 10)
    stop(world)

    assert world.balancer.of["listener"] == BLUE
    assert Live.read(world.journal.items[LIVE]).candidate is None
    assert world.journal.items[LOCK]["holder"] is None


def test_a_swap_under_way_finds_its_lock_gone_and_gives_the_traffic_back() -> None:
    world = releasing()
    write = world.journal.write

    def freezing(changes: Any, *, lock: Any = None) -> None:
        world.journal.write = write
        stop(world)
        write(changes, lock=lock)

    world.journal.write = freezing
    with pytest.raises(LockLostError):
        swap(
            DEPLOYMENT,
            ENVIRONMENT,
            Colour.GREEN,
            {Service.BACKEND: DIGEST},
            WATCH,
            journal=world.journal,
            balancer=world.balancer,
            events=world.events,
            clock=world.clock,
        )
    assert world.balancer.of["listener"] == BLUE
    assert Live.read(world.journal.items[LIVE]).version == "v1"


def test_a_swap_that_was_faster_than_the_freeze_keeps_the_traffic() -> None:
    """It is written down between the look and the write: the freeze looks again."""
    world = releasing()
    write = world.journal.write

    def swapping(changes: Any, *, lock: Any = None) -> None:
        if any(change.key == LOCK for change in changes):
            world.journal.write = write
            world.balancer.of["listener"] = Weights(0, 100)
            live(world.journal, replace(V1, deployment="d2", version="v2", colour=Colour.GREEN))
        write(changes, lock=lock)

    world.journal.write = swapping
    answer = stop(world)

    assert "version v2 has the traffic" in answer["traffic"]
    assert world.commands.sent == []


def test_a_first_release_whose_swap_is_not_written_down_yet_keeps_the_traffic() -> None:
    """The journal has nothing live; the listener has moved: stopping the containers would leave users nothing."""
    world = releasing()
    del world.journal.items[LIVE]
    world.balancer.of["listener"] = Weights(0, 100)
    answer = stop(world)

    assert "version v2, may have it and keeps it" in answer["traffic"]
    assert (world.commands.sent, world.balancer.moves) == ([], [])
    assert world.journal.items[LOCK]["holder"] is None


def test_with_nothing_under_way_it_only_freezes() -> None:
    world = FakeWorld()

    assert stop(world)["stopped"] is None
    assert world.journal.items[FREEZE]["frozen"] is True


def test_a_person_who_names_another_environment_is_told() -> None:
    with pytest.raises(WrongEnvironmentError, match="staging"):
        freeze("why", "kim", "staging", "sandbox", FakeWorld())
