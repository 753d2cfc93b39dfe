"""Rollbacks in a world that is in motion or half broken: dead executions, swaps under way, sick targets, old events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from cutover.domain.alarms import read_alarm_event
from cutover.domain.colours import Colour, Weights
from cutover.domain.errors import (
    LockLostError,
    MisconfiguredError,
    NothingToRollBackError,
    NotReachableError,
)
from cutover.domain.health import Target
from cutover.domain.records import LIVE, LOCK, Candidate, Live, colour_key, deployment_key
from cutover.domain.services import Service
from cutover.steps.roll_back import roll_back_by_hand, roll_back_deployment, roll_back_on_alarm
from cutover.steps.swap import swap
from tests.contract.fakes import BLUE, GREEN, TARGETS, FakeWorld
from tests.contract.scenes import (
    DEPLOYMENT,
    DIGEST,
    ENVIRONMENT,
    STARTED,
    V1,
    WATCH,
    alarm_event,
    arn,
    live,
    locked,
    released,
    started,
)
from tests.unit.test_step_roll_back import FAILURE, swapped

D3 = replace(DEPLOYMENT, id="d3", version="v3", fence=8)


def on_alarm(world: FakeWorld, colour: Colour = Colour.GREEN, **more: Any) -> dict[str, Any]:
    return roll_back_on_alarm(read_alarm_event(alarm_event(colour, **more)), "sandbox", world)


def line(world: FakeWorld, colour: Colour, deployment: str) -> None:
    world.journal.items[colour_key(colour)] = {"deployment": deployment, "version": "v", "released": True}


def moves(world: FakeWorld) -> list[Weights]:
    return [weights for listener, weights in world.balancer.moves if listener == "listener"]


def test_with_a_dead_execution_that_still_holds_the_lock_everything_is_seen_to() -> None:
    world = swapped()
    world.executions.under_way.clear()

    assert on_alarm(world)["action"] == "rolled_back"
    assert world.journal.items[deployment_key("d2")]["status"] == "ROLLED_BACK"
    assert world.journal.items[LOCK]["holder"] is None


def test_with_the_journal_down_the_running_execution_is_found_and_stopped() -> None:
    world = swapped()
    world.journal.broken = True
    on_alarm(world)

    assert [stopped for stopped, _ in world.executions.stopped] == [arn("d2")]


def test_a_rollback_that_was_killed_after_the_listener_is_finished_by_the_same_event() -> None:
    """Lambda delivers it again; the traffic is back, and nothing else was done."""
    world = swapped()
    world.balancer.of["listener"] = BLUE
    answer = on_alarm(world)

    assert (answer["action"], moves(world)) == ("rolled_back", [])
    assert Live.read(world.journal.items[LIVE]).version == "v1"
    assert world.journal.items[deployment_key("d2")]["status"] == "ROLLED_BACK"
    assert world.journal.items[LOCK]["holder"] is None
    assert world.events.kinds == ["RolledBack"]


def test_two_rollbacks_at_the_same_moment_are_one() -> None:
    """The second one has read what the first one read, and comes to write after it."""
    world = swapped()
    set_weights, answers = world.balancer.set_weights, []

    def meanwhile(*arguments: Any) -> None:
        world.balancer.set_weights = set_weights
        answers.append(on_alarm(world))
        set_weights(*arguments)

    world.balancer.set_weights = meanwhile
    answers.append(on_alarm(world))

    assert [answer["action"] for answer in answers] == ["rolled_back", "ignored"]
    assert world.events.kinds == ["RolledBack"]
    assert Live.read(world.journal.items[LIVE]).version == "v1"


def test_an_alarm_of_an_older_deployment_on_the_same_colour_moves_nothing() -> None:
    world = swapped()
    answer = on_alarm(world, at="2026-03-04T11:49:59.000+0000")

    assert answer["action"] == "ignored"
    assert "older deployment" in answer["reason"]
    assert moves(world) == []


def test_a_swap_between_the_listener_and_the_journal_is_taken_back_and_can_not_come_again() -> None:
    """Green has the traffic of d2's swap; before it is written down green's alarm takes it back."""
    world = FakeWorld()
    locked(world.journal, **released())
    live(world.journal, V1)
    for colour in Colour:
        world.balancer.populate(colour, healthy=6)
    write = world.journal.write

    def alarming(changes: Any, *, lock: Any = None) -> None:
        if world.balancer.moves:
            world.journal.write = write
            on_alarm(world)
        write(changes, lock=lock)

    world.journal.write = alarming
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
    now = Live.read(world.journal.items[LIVE])
    assert (now.version, now.colour, now.rolled_back) == ("v1", Colour.BLUE, False)
    assert world.journal.items[deployment_key("d2")]["status"] == "ROLLED_BACK"
    assert world.journal.items[LOCK]["holder"] is None


def test_a_swap_that_moves_the_traffic_once_more_is_held() -> None:
    """A second attempt of the swap had looked at its lock already when the rollback took it."""
    world = swapped()
    stop = world.executions.stop

    def swapping(*arguments: Any) -> None:
        world.balancer.of["listener"] = GREEN
        stop(*arguments)

    world.executions.stop = swapping
    on_alarm(world)

    assert world.balancer.of["listener"] == BLUE


def test_it_does_not_go_where_a_later_deployment_has_been_released() -> None:
    """d3 stands on blue where v1 stood, unproved: going there would be no way back."""
    world = swapped(running=False)
    world.journal.items[LOCK] = {"holder": "d3", "fence": 8, "since": STARTED, "execution_arn": arn("d3")}
    started(world.journal, D3, **released(Colour.BLUE))
    line(world, Colour.BLUE, "d3")
    answer = on_alarm(world)

    assert (answer["action"], moves(world)) == ("refused", [])
    assert "redeploy it with --to d1" in answer["reason"]
    assert world.journal.items[LOCK]["holder"] == "d3"


def test_while_a_later_deployment_takes_the_traffic_the_old_colours_alarm_is_about_nothing() -> None:
    """d3's swap has moved the traffic to blue and is about to write that down."""
    world = swapped(running=False)
    world.journal.items[LOCK] = {"holder": "d3", "fence": 8, "since": STARTED, "execution_arn": arn("d3")}
    started(world.journal, D3, **released(Colour.BLUE))
    line(world, Colour.BLUE, "d3")
    world.balancer.of["listener"] = BLUE

    assert on_alarm(world)["action"] == "ignored"
    assert Live.read(world.journal.items[LIVE]).version == "v2"
    assert world.journal.items[LOCK]["holder"] == "d3"


@pytest.mark.parametrize("sound", [6, 5, 3])
def test_with_some_targets_sick_it_goes_and_starts_what_stopped(sound: int) -> None:
    world = swapped(sound=sound)

    assert on_alarm(world)["action"] == "rolled_back"
    starts = [sent for sent in world.commands.sent if sent[2]["Action"] == "start"]
    assert [instances for _, instances, _ in starts] == {
        6: [],
        5: [("i-blue1",)],
        3: [("i-blue1",)],
    }[sound]


def test_with_too_few_targets_healthy_it_starts_them_waits_and_goes() -> None:
    world = swapped(sound=0)
    sleep = world.clock.sleep

    def coming_up(seconds: float) -> None:
        sleep(seconds)
        if world.clock.monotonic() > 20:
            world.balancer.populate(Colour.BLUE, healthy=3, sick=3)

    world.clock.sleep = coming_up
    answer = on_alarm(world)

    assert answer["action"] == "rolled_back"
    assert world.commands.sent[0][2]["Action"] == "start"
    assert world.clock.monotonic() < 60  # requirement D2
    assert moves(world) == [BLUE]


def test_with_none_healthy_in_time_it_pages_and_says_why() -> None:
    world = swapped(sound=0)
    answer = on_alarm(world)

    assert (answer["action"], moves(world)) == ("refused", [])
    ((kind, told),) = world.events.published
    assert kind == "RollbackRefused"
    assert "blue can't take the traffic: 0 of 6 healthy (6 unhealthy), and 50% must be" in told["reason"]


def test_a_page_that_reaches_nobody_is_tried_again() -> None:
    """Lambda delivers the event again, and keeps it in the dead-letter queue in the end."""
    world = swapped(sound=0)

    def refuse(*_: Any) -> None:
        raise NotReachableError("the bus does not answer")

    world.events.publish = refuse
    with pytest.raises(NotReachableError, match="nobody could be told"):
        on_alarm(world)


def split(world: FakeWorld) -> None:
    world.balancer.of["listener"] = Weights(70, 30)


def stranger(world: FakeWorld) -> None:
    def weights(*_: Any) -> Weights:
        raise MisconfiguredError("listener l forwards to maintenance-group as well")

    world.balancer.weights = weights


@pytest.mark.parametrize("edit", [split, stranger])
def test_a_hand_edited_listener_is_left_alone_and_a_person_called(edit: Any) -> None:
    world = swapped()
    edit(world)
    answers: list[Mapping[str, Any]] = [
        on_alarm(world),
        roll_back_by_hand("why", "kim", "sandbox", "sandbox", world),
        roll_back_deployment(DEPLOYMENT, FAILURE, world),
    ]

    assert [answer["action"] for answer in answers] == ["refused"] * 3
    assert all("put" in answer["reason"] for answer in answers)
    assert moves(world) == []


def test_a_person_without_anything_to_go_back_to_is_told_and_nothing_moves() -> None:
    world = swapped()
    live(world.journal, V1)
    with pytest.raises(NothingToRollBackError, match="v1 is the first release"):
        roll_back_by_hand("why", "kim", "sandbox", "sandbox", world)
    assert moves(world) == []


def test_a_failed_deployment_does_not_stop_a_colour_that_carries_traffic() -> None:
    world = FakeWorld()
    locked(world.journal, **released())
    live(world.journal, V1)
    world.balancer.of["listener"] = Weights(90, 10)
    answer = roll_back_deployment(DEPLOYMENT, FAILURE, world)

    assert "may carry traffic" in answer["reason"]
    assert world.commands.sent == []


@pytest.mark.parametrize("by", ["alarm", "person", "deployment"])
def test_a_release_that_is_being_tried_is_taken_back_and_the_live_one_stays(by: str) -> None:
    world = FakeWorld()
    locked(world.journal, **released())
    live(world.journal, replace(V1, candidate=Candidate("d2", "v2", Colour.GREEN, 10)))
    world.balancer.of["listener"] = Weights(90, 10)
    for colour in Colour:
        world.balancer.populate(colour, healthy=6)
    answer = {
        "alarm": lambda: on_alarm(world),
        "person": lambda: roll_back_by_hand("why", "kim", "sandbox", "sandbox", world),
        "deployment": lambda: roll_back_deployment(DEPLOYMENT, FAILURE, world),
    }[by]()

    assert (answer["action"], moves(world)) == ("rolled_back", [BLUE])
    now = Live.read(world.journal.items[LIVE])
    assert (now.deployment, now.rolled_back, now.candidate) == ("d1", False, None)
    assert world.journal.items[deployment_key("d2")]["status"] == "ROLLED_BACK"
    assert world.commands.sent[0][2]["Action"] == "stop"
    assert world.journal.items[LOCK]["holder"] == ("d2" if by == "deployment" else None)


def test_a_draining_target_is_not_started_again() -> None:
    world = swapped()
    world.balancer.targets[TARGETS.blue].append(Target("i-old", 8000, "draining"))
    on_alarm(world)

    assert [sent[2]["Action"] for sent in world.commands.sent] == ["stop"]
