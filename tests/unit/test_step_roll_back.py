"""The three rollbacks, their clean-up, and what happens when parts of the world are broken."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cutover.domain.alarms import read_alarm_event
from cutover.domain.colours import Colour
from cutover.domain.errors import NothingToRollBackError, NotReachableError, WrongEnvironmentError
from cutover.domain.records import LIVE, LOCK, Live, deployment_key, history_key
from cutover.steps.roll_back import roll_back_by_hand, roll_back_deployment, roll_back_on_alarm
from tests.contract.fakes import BLUE, GREEN, FakeWorld
from tests.contract.scenes import (
    DEPLOYMENT,
    STARTED,
    V1,
    V2,
    alarm_event,
    arn,
    live,
    locked,
    released,
    started,
)

FAILURE = {"Error": "GateFailedError", "Cause": '{"errorMessage": "p95 was 812 ms"}'}


def swapped(*, running: bool = True, sound: int = 6) -> FakeWorld:
    """Green is live with v2, swapped ten minutes ago; blue still runs v1."""
    world = FakeWorld()
    locked(world.journal, **released())
    live(world.journal, V2)
    world.balancer.of |= {"listener": GREEN, "test-listener": BLUE}
    world.balancer.populate(Colour.BLUE, healthy=sound, sick=6 - sound)
    world.balancer.populate(Colour.GREEN, healthy=6)
    if running:
        world.executions.under_way.add(arn("d2"))
    else:
        world.journal.items[deployment_key("d2")]["status"] = "SUCCEEDED"
        world.journal.items[LOCK]["holder"] = None
    return world


def on_alarm(world: FakeWorld, colour: Colour = Colour.GREEN) -> dict[str, Any]:
    return roll_back_on_alarm(read_alarm_event(alarm_event(colour)), "sandbox", world)


def test_an_alarm_moves_all_traffic_back_in_one_change() -> None:
    world = swapped()
    answer = on_alarm(world)

    assert answer["action"] == "rolled_back"
    assert world.balancer.moves[0] == ("listener", BLUE)
    assert answer["clock"]["asked_at"] == "2026-03-04T11:59:59.500Z"
    assert answer["clock"]["modified_at"] == "2026-03-04T12:00:00.000Z"
    assert answer["clock"]["ms"] == 500
    assert answer["problems"] == []


def test_after_the_traffic_everything_else_is_seen_to() -> None:
    world = swapped()
    on_alarm(world)

    now = Live.read(world.journal.items[LIVE])
    assert (now.version, now.colour, now.rolled_back, now.previous_version) == ("v1", Colour.BLUE, True, "v2")
    record = world.journal.items[deployment_key("d2")]
    assert record["status"] == "ROLLED_BACK"
    assert record["cause"] == "alarm cutover-sandbox-backend-green-errors: 5 of 5"
    assert record["rollback"]["clock"]["ms"] == 500
    assert world.journal.items[history_key(STARTED, "d2")]["status"] == "ROLLED_BACK"
    ((stopped, cause),) = world.executions.stopped
    assert stopped == arn("d2")
    assert "cutover-sandbox-backend-green-errors" in cause
    assert world.balancer.of["test-listener"] == GREEN
    ((document, instances, parameters),) = world.commands.sent
    assert (document, instances) == ("release-document", ("i-green0", "i-green1"))
    assert (parameters["Action"], parameters["Colour"]) == ("stop", "green")
    assert world.journal.items[LOCK]["holder"] is None
    assert world.events.kinds == ["RolledBack"]


def test_the_same_event_five_times_moves_traffic_once() -> None:
    world = swapped()
    answers = [on_alarm(world)["action"] for _ in range(5)]

    assert answers == ["rolled_back", "ignored", "ignored", "ignored", "ignored"]
    assert [move for move in world.balancer.moves if move[0] == "listener"] == [("listener", BLUE)]


def test_the_alarm_of_the_release_that_is_live_again_does_not_go_forward() -> None:
    world = swapped()
    on_alarm(world)

    assert on_alarm(world, Colour.BLUE)["action"] == "refused"
    assert world.balancer.of["listener"] == BLUE


def test_it_never_routes_to_a_colour_without_a_healthy_target_and_calls_a_person() -> None:
    world = swapped(sound=0)
    answer = on_alarm(world)

    assert answer["action"] == "refused"
    assert world.balancer.moves == []
    assert world.events.kinds == ["RollbackRefused"]
    assert "0 of 6 healthy" in world.events.published[0][1]["reason"]


def test_after_the_deployment_has_ended_the_watch_goes_on() -> None:
    world = swapped(running=False)

    assert on_alarm(world)["action"] == "rolled_back"
    assert world.executions.stopped == []
    assert world.journal.items[deployment_key("d2")]["status"] == "ROLLED_BACK"


def test_with_the_journal_down_the_traffic_still_moves() -> None:
    world = swapped()
    world.journal.broken = True
    answer = on_alarm(world)

    assert answer["action"] == "rolled_back"
    assert world.balancer.of["listener"] == BLUE
    assert any(
        "write the record" in problem or "read the journal" in problem for problem in answer["problems"]
    )


@pytest.mark.parametrize("broken", ["executions", "commands", "events"])
def test_what_fails_afterwards_is_told_and_undoes_nothing(broken: str) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            def refuse(*_: Any, **__: Any) -> None:
                raise NotReachableError(f"{broken} does not answer")

            return refuse

    world = swapped()
    setattr(world, broken, Broken())
    answer = on_alarm(world)

    assert answer["action"] == "rolled_back"
    assert any(f"{broken} does not answer" in problem for problem in answer["problems"])
    assert world.balancer.of["listener"] == BLUE
    assert world.journal.items[deployment_key("d2")]["status"] == "ROLLED_BACK"
    assert world.journal.items[LOCK]["holder"] is None


def test_a_later_deployment_is_stopped_for_its_plan_no_longer_holds() -> None:
    """d3 took blue for idle; blue is live again now."""
    world = swapped(running=False)
    later = replace(DEPLOYMENT, id="d3", version="v3", fence=8)
    world.journal.items[LOCK] = {"holder": "d3", "fence": 8, "since": STARTED, "execution_arn": arn("d3")}
    started(world.journal, later)
    world.executions.under_way.add(arn("d3"))

    on_alarm(world)

    assert [stopped for stopped, _ in world.executions.stopped] == [arn("d3")]
    assert world.journal.items[deployment_key("d3")]["status"] == "FAILED"
    assert world.journal.items[deployment_key("d2")]["status"] == "ROLLED_BACK"
    assert world.journal.items[LOCK]["holder"] is None


def test_another_environments_alarm_is_refused() -> None:
    with pytest.raises(WrongEnvironmentError):
        roll_back_on_alarm(read_alarm_event(alarm_event(environment="staging")), "sandbox", swapped())


def test_a_failed_deployment_whose_traffic_had_moved_goes_back() -> None:
    world = swapped()
    answer = roll_back_deployment(DEPLOYMENT, FAILURE, world)

    assert (answer["action"], answer["cause"]) == ("rolled_back", "GateFailedError: p95 was 812 ms")
    assert world.balancer.of["listener"] == BLUE
    # Its own execution goes on: it has a failure to conclude, and a lock to release.
    assert world.executions.stopped == []
    assert world.journal.items[LOCK]["holder"] == "d2"
    assert world.commands.sent[0][2]["Action"] == "stop"


def test_a_failure_before_the_swap_stops_the_containers_and_leaves_the_traffic() -> None:
    world = FakeWorld()
    locked(world.journal, **released())
    live(world.journal, V1)
    world.balancer.populate(Colour.GREEN, healthy=6)
    answer = roll_back_deployment(DEPLOYMENT, FAILURE, world)

    assert answer["action"] == "not_needed"
    assert world.balancer.moves == []
    assert world.commands.sent[0][2]["Action"] == "stop"


def test_a_failure_before_the_release_touches_nothing() -> None:
    world = FakeWorld()
    locked(world.journal)
    answer = roll_back_deployment(DEPLOYMENT, FAILURE, world)

    assert answer["action"] == "not_needed"
    assert (world.balancer.moves, world.commands.sent) == ([], [])


def test_a_failure_after_an_alarms_rollback_does_nothing_more() -> None:
    world = swapped()
    on_alarm(world)
    moves = list(world.balancer.moves)

    assert roll_back_deployment(DEPLOYMENT, FAILURE, world)["action"] == "not_needed"
    assert world.balancer.moves == moves


def test_a_swap_that_was_killed_before_the_journal_is_taken_back() -> None:
    world = swapped()
    live(world.journal, V1)  # the traffic is on green, the journal still says blue
    answer = roll_back_deployment(DEPLOYMENT, FAILURE, world)

    assert answer["action"] == "rolled_back"
    assert world.balancer.of["listener"] == BLUE
    assert Live.read(world.journal.items[LIVE]).version == "v1"
    assert world.journal.items[deployment_key("d2")]["status"] == "ROLLED_BACK"


def test_a_deployment_never_stops_the_colour_that_became_live_under_it() -> None:
    """d3 had released on blue when an alarm brought v1 there back... to blue."""
    world = swapped()
    on_alarm(world)
    later = replace(DEPLOYMENT, id="d3", fence=8)
    started(world.journal, later, **released(Colour.BLUE))
    world.commands.sent.clear()

    answer = roll_back_deployment(later, FAILURE, world)

    assert answer["action"] == "not_needed"
    assert world.commands.sent == []
    assert world.balancer.of["listener"] == BLUE


def test_a_first_release_that_fails_after_its_swap_calls_a_person() -> None:
    world = swapped(sound=0)
    live(world.journal, replace(V2, previous_deployment=None, previous_colour=None))

    assert roll_back_deployment(DEPLOYMENT, FAILURE, world)["action"] == "refused"
    assert world.balancer.of["listener"] == GREEN


def by_hand(world: FakeWorld, environment: str = "sandbox") -> dict[str, Any]:
    return roll_back_by_hand("customers complain", "kim", environment, "sandbox", world)


def test_a_person_may_roll_back_after_the_watch() -> None:
    world = swapped(running=False)
    live(world.journal, replace(V2, watch_until="2026-03-04T11:55:00.000Z"))
    answer = by_hand(world)

    assert (answer["action"], answer["trigger"], answer["by"]) == ("rolled_back", "manual", "kim")
    assert "customers complain" in world.journal.items[deployment_key("d2")]["cause"]


def test_a_person_stops_the_deployment_under_way() -> None:
    world = swapped()
    by_hand(world)

    assert world.executions.stopped[0][0] == arn("d2")
    assert world.journal.items[LOCK]["holder"] is None


@pytest.mark.parametrize(
    ("release", "words"),
    [
        (None, "nothing has been released"),
        (V1, "v1 is the first release"),
        (replace(V2, rolled_back=True), "rolled back already"),
    ],
)
def test_nothing_to_go_back_to_is_said_so(release: Live | None, words: str) -> None:
    world = swapped()
    del world.journal.items[LIVE]
    if release:
        live(world.journal, release)
    with pytest.raises(NothingToRollBackError, match=words):
        by_hand(world)
    assert world.balancer.moves == []


def test_a_person_who_names_another_environment_is_told() -> None:
    with pytest.raises(WrongEnvironmentError, match="staging"):
        by_hand(swapped(), "staging")
