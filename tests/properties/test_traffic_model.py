"""Many hands on one environment: deployments, swaps, alarms (twice, late), people, freezes, kills, in any order.

The real steps run over the ports in memory. A kill ends a step at one of its calls to the world; an interruption
runs another hand's whole step at such a call. Whatever comes, what is written at the invariants holds.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cutover.domain.alarms import AlarmEvent, AlarmNote
from cutover.domain.colours import Colour, Weights
from cutover.domain.errors import CutoverError
from cutover.domain.records import LIVE, LOCK, Deployment, Live, Status, colour_key, deployment_key, read_lock
from cutover.domain.services import Service
from cutover.steps import reading, traffic
from cutover.steps.acquire_lock import acquire_lock
from cutover.steps.fail import fail
from cutover.steps.finish import finish
from cutover.steps.freeze import freeze, unfreeze
from cutover.steps.roll_back import (
    roll_back_by_hand,
    roll_back_deployment,
    roll_back_on_alarm,
    take_back_what_was_left,
)
from cutover.steps.swap import swap
from tests.contract.fakes import TARGETS, FakeConfiguration, FakeWorld
from tests.contract.scenes import DIGEST, ENVIRONMENT, V1, WATCH

KILLS = st.none() | st.integers(0, 18)
HANDS = ("alarm", "alarm of the other", "person", "freeze")
PORTS = {
    "journal": ("read", "write"),
    "balancer": ("weights", "set_weights", "health"),
    "executions": ("stop", "running"),
    "commands": ("send",),
    "events": ("publish",),
}


class Killed(BaseException):
    """The function's process has ended; nothing of ours may catch it."""


class OneByOne:
    """A pool that does its work at once, so that a run can be repeated call by call."""

    def __init__(self, _: int) -> None: ...
    def __enter__(self) -> OneByOne:
        return self

    def __exit__(self, *_: object) -> None: ...
    def submit(self, do: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(do(*arguments))
        except CutoverError as error:
            future.set_exception(error)
        return future


class Hands(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for module in (reading, traffic):
            self.patch.setattr(module, "ThreadPoolExecutor", OneByOne)
        self.world = FakeWorld()
        self.number = 1
        self.calls = 0
        self.kill_at: int | None = None
        self.interruption: tuple[int, Callable[[], None]] | None = None
        self.undelivered: list[AlarmEvent] = []
        self.delivered: list[AlarmEvent] = []
        self.half_done: Deployment | None = None
        self.unsound: list[str] = []
        for port, names in PORTS.items():
            for name in names:
                self._instrument(getattr(self.world, port), name)

    def _instrument(self, port: Any, name: str) -> None:
        real = getattr(port, name)

        def instrumented(*arguments: Any, **more: Any) -> Any:
            self._tick()
            if name == "set_weights" and arguments[0] == TARGETS.listener_arn:
                self._check_move(arguments[2])
            return real(*arguments, **more)

        setattr(port, name, instrumented)

    def _tick(self) -> None:
        self.calls += 1
        if self.interruption and self.calls == self.interruption[0]:
            _, do = self.interruption
            self.interruption, kill, self.kill_at, calls = None, self.kill_at, None, self.calls
            do()
            self.kill_at, self.calls = kill, calls
        if self.kill_at is not None and self.calls > self.kill_at:
            raise Killed

    def _check_move(self, weights: Weights) -> None:
        only = weights.only
        healthy = only and any(t.state == "healthy" for t in self.world.balancer.targets[TARGETS.of(only)])
        if not healthy:
            self.unsound.append(f"traffic was sent to {weights}")

    def _attempt(self, do: Callable[[], object], kill: int | None = None) -> bool:
        """Whether it came to its end, well or badly."""
        self.calls, self.kill_at = 0, kill
        try:
            with contextlib.suppress(CutoverError):
                do()
        except Killed:
            return False
        finally:
            self.kill_at, self.interruption = None, None
            self.world.clock.sleep(1)
        return True

    # What is there.

    @property
    def live(self) -> Live | None:
        item = self.world.journal.items.get(LIVE)
        return Live.read(item) if item else None

    @property
    def holder(self) -> Deployment | None:
        lock = read_lock(self.world.journal.items.get(LOCK))
        if lock is None or lock.holder is None:
            return None
        return Deployment.read(self.world.journal.items[deployment_key(lock.holder)]["payload"])

    @property
    def released(self) -> Deployment | None:
        """The holder, if it stands on its colour and its execution runs."""
        holder = self.holder
        if holder is None or f"arn:{holder.id}" not in self.world.executions.under_way:
            return None
        return holder if self.world.journal.items[deployment_key(holder.id)].get("colour") else None

    @initialize()
    def begin(self) -> None:
        self.world.journal.items[LIVE] = V1.item()
        for colour in Colour:
            self.world.balancer.populate(colour, healthy=6)

    # What deployments do.

    @rule()
    def deploy(self) -> None:
        self.number += 1
        name, world = f"d{self.number}", self.world
        given = {"environment": "sandbox", "version": f"v{self.number}", "image": DIGEST}
        world.executions.under_way.add(f"arn:{name}")
        self._attempt(
            lambda: acquire_lock(
                {"Id": f"arn:{name}", "Name": name},
                given,
                "sandbox",
                journal=world.journal,
                executions=world.executions,
                configuration=FakeConfiguration(),
                events=world.events,
                clock=world.clock,
            )
        )
        if self.holder is None or self.holder.id != name:
            world.executions.under_way.discard(f"arn:{name}")
            return
        holder = self.holder
        self._attempt(lambda: take_back_what_was_left(holder, world))
        if self.holder is None or self.holder.id != name:
            return
        self.half_done = None
        only = world.balancer.of[TARGETS.listener_arn].only
        assert only is not None
        idle = only.other
        standing = {"colour": idle.value, "image": DIGEST, "targets": TARGETS.as_json()}
        world.journal.items[deployment_key(name)] |= standing
        world.journal.items[colour_key(idle)] = {"deployment": name, "version": f"v{self.number}"}
        world.balancer.populate(idle, healthy=6)

    def _swap(self, deployment: Deployment) -> None:
        world = self.world
        colour = Colour(world.journal.items[deployment_key(deployment.id)]["colour"])
        swap(
            deployment,
            ENVIRONMENT,
            colour,
            {Service.BACKEND: DIGEST},
            WATCH,
            journal=world.journal,
            balancer=world.balancer,
            events=world.events,
            clock=world.clock,
        )

    @precondition(lambda self: self.released is not None)
    @rule(kill=KILLS, at=st.integers(1, 9), meanwhile=st.sampled_from(["", *HANDS]))
    def swap(self, kill: int | None, at: int, meanwhile: str) -> None:
        deployment = self.released
        assert deployment is not None
        if meanwhile:
            self.interruption = (at, lambda: self._hand(meanwhile))
        if not self._attempt(lambda: self._swap(deployment), kill):
            self.half_done = deployment

    @precondition(lambda self: self.released is not None)
    @rule(kill=KILLS)
    def fail_by_itself(self, kill: int | None) -> None:
        deployment = self.released
        assert deployment is not None
        self._fail(deployment, kill)

    def _fail(self, deployment: Deployment, kill: int | None = None) -> None:
        failure = {"Error": "GateFailedError", "Cause": "p95"}
        answers: list[dict[str, Any]] = []
        if not self._attempt(
            lambda: answers.append(roll_back_deployment(deployment, failure, self.world)), kill
        ):
            self._attempt(lambda: answers.append(roll_back_deployment(deployment, failure, self.world)))
        world, rollback = self.world, answers[-1] if answers else None
        self._attempt(
            lambda: fail(
                deployment, failure, rollback, journal=world.journal, events=world.events, clock=world.clock
            )
        )
        world.executions.under_way.discard(f"arn:{deployment.id}")
        self.half_done = None

    @precondition(lambda self: self.released is not None and self.half_done is None)
    @rule()
    def finish(self) -> None:
        deployment, world = self.released, self.world
        assert deployment is not None
        if self.live and self.live.deployment == deployment.id:
            self._attempt(
                lambda: finish(
                    deployment,
                    Status.SUCCEEDED,
                    {},
                    journal=world.journal,
                    events=world.events,
                    clock=world.clock,
                )
            )
            world.executions.under_way.discard(f"arn:{deployment.id}")

    @precondition(lambda self: self.released is not None)
    @rule()
    def the_execution_dies(self) -> None:
        assert self.released is not None
        self.world.executions.under_way.discard(f"arn:{self.released.id}")

    # What comes from outside.

    def _event(self, colour: Colour) -> AlarmEvent:
        note = AlarmNote("sandbox", colour, TARGETS, "errors")
        return AlarmEvent(f"cutover-sandbox-backend-{colour}-errors", self.world.clock.now(), "5 of 5", note)

    def _hand(self, what: str) -> None:
        with contextlib.suppress(CutoverError):
            match what:
                case "alarm" | "alarm of the other":
                    only = self.world.balancer.of[TARGETS.listener_arn].only or Colour.GREEN
                    colour = only if what == "alarm" else only.other
                    roll_back_on_alarm(self._event(colour), "sandbox", self.world)
                case "person":
                    roll_back_by_hand("why", "kim", "sandbox", "sandbox", self.world)
                case "freeze":
                    freeze("why", "kim", "sandbox", "sandbox", self.world)

    def _again(self, event: AlarmEvent) -> None:
        with contextlib.suppress(CutoverError):
            roll_back_on_alarm(event, "sandbox", self.world)

    def _deliver(self, event: AlarmEvent, kill: int | None = None) -> None:
        if self._attempt(lambda: roll_back_on_alarm(event, "sandbox", self.world), kill):
            self.delivered.append(event)
        else:
            self.undelivered.append(event)

    @rule(colour=st.sampled_from(Colour), kill=KILLS, twice=st.integers(0, 12))
    def alarm(self, colour: Colour, kill: int | None, twice: int) -> None:
        """With `twice`, the same event comes once more in the middle of the first one's work."""
        event = self._event(colour)
        if twice:
            self.interruption = (twice, lambda: self._again(event))
        self._deliver(event, kill)

    @precondition(lambda self: bool(self.undelivered))
    @rule(kill=KILLS)
    def an_event_is_delivered_again(self, kill: int | None) -> None:
        self._deliver(self.undelivered.pop(0), kill)

    @precondition(lambda self: bool(self.delivered))
    @rule(data=st.data())
    def an_old_event_comes_late(self, data: st.DataObject) -> None:
        self._deliver(data.draw(st.sampled_from(self.delivered)))

    @rule()
    def a_person_rolls_back(self) -> None:
        self._attempt(lambda: roll_back_by_hand("why", "kim", "sandbox", "sandbox", self.world))

    @rule()
    def a_person_freezes(self) -> None:
        self._attempt(lambda: freeze("why", "kim", "sandbox", "sandbox", self.world))

    @rule()
    def a_person_unfreezes(self) -> None:
        self._attempt(lambda: unfreeze("kim", "sandbox", "sandbox", self.world))

    @rule(colour=st.sampled_from(Colour), healthy=st.sampled_from([0, 2, 6]))
    def targets_change(self, colour: Colour, healthy: int) -> None:
        self.world.balancer.populate(colour, healthy=healthy, sick=6 - healthy)

    # What always holds.

    @invariant()
    def one_colour_has_all_the_traffic(self) -> None:
        assert self.world.balancer.of[TARGETS.listener_arn].only is not None

    @invariant()
    def traffic_was_only_ever_sent_where_somebody_is_healthy(self) -> None:
        assert self.unsound == []

    @invariant()
    def no_deployment_is_rolled_back_twice(self) -> None:
        events = self.world.events.published
        told = Counter(detail["deployment"] for kind, detail in events if kind == "RolledBack")
        assert all(count == 1 for count in told.values()), told

    def teardown(self) -> None:
        """Everything that was killed is run again, as Lambda and Step Functions do; then all agree."""
        try:
            for event in self.undelivered:
                self._attempt(lambda event=event: roll_back_on_alarm(event, "sandbox", self.world))
            half = self.half_done
            if half is not None and self.holder == half:
                self._attempt(lambda: self._swap(half))
            self._agree()
        finally:
            self.patch.undo()

    def _agree(self) -> None:
        live, holder = self.live, self.holder
        assert live is not None
        sick = all(
            target.state != "healthy" for target in self.world.balancer.targets[TARGETS.of(live.colour)]
        )
        # Where nobody is healthy the listener stays as it is, and a person is called.
        assert sick or self.world.balancer.of[TARGETS.listener_arn] == Weights.all_on(live.colour)
        standing = self.world.journal.items.get(colour_key(live.colour))
        assert standing is None or standing["deployment"] == live.deployment
        if holder is not None:
            record = self.world.journal.items[deployment_key(holder.id)]
            assert record["status"] == "RUNNING", record["status"]


TestHands = Hands.TestCase
TestHands.settings = settings(
    max_examples=int(os.environ.get("TRAFFIC_MODEL_EXAMPLES", "120")),
    stateful_step_count=14,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.mark.parametrize("hand", HANDS)
@pytest.mark.parametrize("generation", [2, 3])
def test_another_hand_at_every_call_of_a_swap(generation: int, hand: str) -> None:
    """Exhaustively: the second and the third release, so that there is one to go back to and one there was."""
    for at in range(1, 10):
        hands = Hands()
        hands.begin()
        for number in range(2, generation + 1):
            hands.deploy()
            deployment = hands.released
            assert deployment is not None
            if number == generation:
                hands.interruption = (at, lambda hands=hands: hands._hand(hand))
            hands._attempt(lambda hands=hands, deployment=deployment: hands._swap(deployment))
            hands.world.executions.under_way.discard(f"arn:{deployment.id}")
        hands.traffic_was_only_ever_sent_where_somebody_is_healthy()
        hands.no_deployment_is_rolled_back_twice()
        hands.teardown()


@pytest.mark.parametrize("kill", range(24))
def test_a_rollback_that_is_killed_at_any_call_is_finished_by_its_second_delivery(kill: int) -> None:
    hands = Hands()
    hands.begin()
    hands.deploy()
    deployment = hands.released
    assert deployment is not None
    hands._attempt(lambda: hands._swap(deployment))
    hands._deliver(hands._event(Colour.GREEN), kill)
    hands.one_colour_has_all_the_traffic()
    hands.teardown()
    live = hands.live
    assert live is not None
    assert (live.deployment, live.rolled_back) == ("d1", True)
    assert hands.holder is None
    hands.no_deployment_is_rolled_back_twice()


@pytest.mark.parametrize("release", ["the first", "the second", "the third"])
@pytest.mark.parametrize("kill", range(10))
def test_a_swap_and_its_execution_that_die_together_are_mended_by_the_next_deployment(
    kill: int, release: str
) -> None:
    hands = Hands()
    hands.begin()
    if release == "the first":
        del hands.world.journal.items[LIVE]
    if release == "the third":
        hands.deploy()
        before = hands.released
        assert before is not None
        hands._attempt(lambda: hands._swap(before))
        hands.finish()
    hands.deploy()
    deployment = hands.released
    assert deployment is not None
    hands._attempt(lambda: hands._swap(deployment), kill)
    hands.the_execution_dies()
    hands.deploy()
    following = hands.released
    assert following is not None
    hands._attempt(lambda: hands._swap(following))
    live = hands.live
    assert live is not None
    assert live.deployment == following.id
    assert live.previous_colour in (None, live.colour.other)
    hands.traffic_was_only_ever_sent_where_somebody_is_healthy()
    hands.no_deployment_is_rolled_back_twice()
    hands.teardown()
