"""Many hands on one environment: deployments of both services, swaps, drills, alarms (twice, late), people, freezes,
kills, in any order.

The real steps run over the ports in memory. A kill ends a step at one of its calls to the world; an interruption
runs another hand's whole step at such a call. Whatever comes, what is written at the invariants holds.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cutover.domain.alarms import AlarmEvent, AlarmNote, alarm_names
from cutover.domain.colours import Colour, Weights, plan_colours
from cutover.domain.drill import read_drill
from cutover.domain.environment import Targets
from cutover.domain.errors import CutoverError
from cutover.domain.happenings import happening
from cutover.domain.input import read_input
from cutover.domain.records import (
    LIVE,
    LOCK,
    Deployment,
    Live,
    LiveFrontend,
    Status,
    colour_key,
    deployment_key,
    read_lock,
)
from cutover.domain.services import Service
from cutover.ports import Alarm
from cutover.steps import reading, traffic
from cutover.steps.acquire_lock import acquire_lock
from cutover.steps.drill import check_drill, come_back, conclude_drill, go_there
from cutover.steps.fail import fail
from cutover.steps.finish import finish
from cutover.steps.freeze import freeze, unfreeze
from cutover.steps.roll_back import (
    roll_back_by_hand,
    roll_back_deployment,
    roll_back_on_alarm,
    take_back_from_the_dead,
    take_back_what_was_left,
)
from cutover.steps.swap import swap
from tests.contract.fakes import PAGES, TARGETS, FakeAlarms, FakeConfiguration, FakeWorld
from tests.contract.scenes import DIGEST, ENVIRONMENT, V1, V2, WATCH

KILLS = st.none() | st.integers(0, 18)
HANDS = ("alarm", "alarm of the other", "person", "freeze")
PAGES_DIGEST = f"sha256:{'7' * 64}"
DRILL = {"environment": "sandbox", "reason": "practice", "by": "kim"}
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
        self.frontend = False
        for port, names in PORTS.items():
            for name in names:
                self._instrument(getattr(self.world, port), name)

    def _instrument(self, port: Any, name: str) -> None:
        real = getattr(port, name)

        def instrumented(*arguments: Any, **more: Any) -> Any:
            self._tick()
            for targets in (TARGETS, PAGES):
                if name == "set_weights" and arguments[0] == targets.listener_arn:
                    self._check_move(targets, arguments[2])
            return real(*arguments, **more)

        setattr(port, name, instrumented)

    def _tick(self) -> None:
        self.calls += 1
        if self.interruption and self.calls == self.interruption[0]:
            _, do = self.interruption
            self.interruption, kill, self.kill_at, calls = None, self.kill_at, None, self.calls
            holder = self.holder
            do()
            # Who has lost the lock to the other hand is not killed as well: two failures at once are told to a
            # person (the next deployment refuses a listener that nobody can account for), not mended.
            self.kill_at, self.calls = (kill if self.holder == holder else None), calls
        if self.kill_at is not None and self.calls > self.kill_at:
            raise Killed

    def _check_move(self, targets: Targets, weights: Weights) -> None:
        only = weights.only
        if weights == self.world.balancer.of[targets.listener_arn]:
            return
        if not only or not self._some_healthy(targets, only):
            self.unsound.append(f"traffic of {targets.listener_arn} was sent to {weights}")

    def _some_healthy(self, targets: Targets, colour: Colour) -> bool:
        return any(target.state == "healthy" for target in self.world.balancer.targets[targets.of(colour)])

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

    @initialize(frontend=st.booleans(), second=st.booleans())
    def begin(self, frontend: bool = False, second: bool = False) -> None:
        """The first release is live on blue, or the `second`, on green, with the first one still standing."""
        self.frontend, live = frontend, V1
        if second:
            live = replace(V2, deployment="d1", previous_deployment="d0")
            self.world.journal.items[colour_key(Colour.BLUE)] = {"deployment": "d0", "version": "v1"}
            self.world.balancer.of[TARGETS.listener_arn] = Weights.all_on(Colour.GREEN)
        if frontend:
            before = PAGES_DIGEST if second else None
            live = replace(live, frontend=LiveFrontend(PAGES_DIGEST, before, live.colour, PAGES))
            self.world.balancer.of[PAGES.listener_arn] = Weights.all_on(live.colour)
        self.world.journal.items[LIVE] = live.item()
        for colour in Colour:
            self.world.balancer.populate(colour, healthy=6)
            if frontend:
                self.world.balancer.populate(colour, healthy=2, service=Service.FRONTEND)

    # What deployments do.

    def _begin(
        self, given: dict[str, Any], read: Callable[[object, str], Any] = read_input
    ) -> Deployment | None:
        """Take the lock, and back what an execution that died has left; None where either is refused."""
        self.number += 1
        name, world = f"d{self.number}", self.world
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
                read=read,
            )
        )
        holder = self.holder
        if holder is None or holder.id != name:
            world.executions.under_way.discard(f"arn:{name}")
            return None
        back: list[object] = []
        self._attempt(lambda: back.append(take_back_what_was_left(holder, world)))
        if not back:
            self._fail(holder)  # what was left can't be taken back: that has to be mended first
        return holder if self.holder == holder else None

    @rule()
    def deploy(self) -> None:
        version = f"v{self.number + 1}"
        holder = self._begin({"environment": "sandbox", "version": version, "image": DIGEST})
        if holder is None:
            return
        self.half_done, world = None, self.world
        live, weights = self.live, world.balancer.of[TARGETS.listener_arn]
        colours = plan_colours(weights, live.colour if live else None)
        if colours is None:  # a rollback that was killed has yet to be delivered again
            assert self.undelivered
            self._fail(holder)
            return
        idle = colours.idle
        standing: dict[str, Any] = {"colour": idle.value, "image": DIGEST, "targets": TARGETS.as_json()}
        if self.frontend and world.balancer.of[PAGES.listener_arn].only is idle.other:
            # A frontend that stayed behind is not replaced under its users.
            standing["frontend"] = {"image": PAGES_DIGEST, "targets": PAGES.as_json()}
            world.balancer.populate(idle, healthy=2, service=Service.FRONTEND)
        world.journal.items[deployment_key(holder.id)] |= standing
        world.journal.items[colour_key(idle)] = {"deployment": holder.id, "version": version}
        world.balancer.populate(idle, healthy=6)

    def _swap(self, deployment: Deployment) -> None:
        world = self.world
        record = world.journal.items[deployment_key(deployment.id)]
        images = {Service.BACKEND: DIGEST}
        if record.get("frontend"):
            images[Service.FRONTEND] = PAGES_DIGEST
        swap(
            deployment,
            ENVIRONMENT,
            Colour(record["colour"]),
            images,
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

    @rule(
        kill=st.tuples(KILLS, KILLS),
        dies=st.booleans(),
        at=st.integers(1, 9),
        meanwhile=st.sampled_from(["", *HANDS]),
    )
    def drill(self, kill: tuple[int | None, int | None], dies: bool, at: int, meanwhile: str = "") -> None:
        """There and back. What is killed comes back after all, or dies with its execution."""
        before, drill, world = self.live, self._begin(DRILL, read_drill), self.world
        if drill is None:
            return
        ports: dict[str, Any] = {"journal": world.journal, "balancer": world.balancer}
        names = [name for colour in Colour for name in alarm_names("sandbox", colour, self._services)]
        alarms = FakeAlarms(*(Alarm(name, "OK", world.clock.now(), "") for name in names))
        told = {**ports, "events": world.events, "clock": world.clock}
        allowed: list[object] = []
        self._attempt(
            lambda: allowed.append(
                check_drill(drill, {"drill": {"seconds": 16}}, **ports, alarms=alarms, clock=world.clock)
            )
        )
        whole = bool(allowed)
        for step, killed_at in zip((go_there, come_back) if allowed else (), kill, strict=False):
            if meanwhile:
                self.interruption, meanwhile = (at, lambda hand=meanwhile: self._hand(hand)), ""
            whole &= self._attempt(lambda step=step: step(drill, **told), killed_at)
        if not whole and dies and allowed:
            world.executions.under_way.discard(f"arn:{drill.id}")
            return
        self._attempt(lambda: come_back(drill, **told))
        self._conclude(drill, whole=whole)
        world.executions.under_way.discard(f"arn:{drill.id}")
        if before is not None and self.live is not None and not self.live.rolled_back:
            assert (self.live.deployment, self.live.swapped_at) == (before.deployment, before.swapped_at)

    def _conclude(self, drill: Deployment, *, whole: bool) -> None:
        world = self.world
        told: dict[str, Any] = {"journal": world.journal, "events": world.events, "clock": world.clock}
        now = world.clock.now().isoformat()
        way = {"version": "v", "modified_at": now, "first_answer_at": now}
        seen = {"requests": 9, "lost": 0, "versions": {"v": 9}, "began": now, "ended": now}
        if whole:
            self._attempt(lambda: conclude_drill(drill, seen, way, way, **told))
        failure = {"Error": "GateFailedError", "Cause": "no drill now"}
        if self.holder == drill:
            self._attempt(lambda: fail(drill, failure, {"action": "not_needed", "reason": "a drill"}, **told))

    @property
    def _services(self) -> list[Service]:
        return [Service.BACKEND, *([Service.FRONTEND] if self.frontend else [])]

    @precondition(lambda self: self.holder is None)
    @rule()
    def release_the_next_version(self) -> None:
        """From the lock to the end, with nobody in between."""
        self.deploy()
        deployment = self.released
        if deployment is not None and self._attempt(lambda: self._swap(deployment)):
            self.finish()

    @precondition(lambda self: self.released is not None)
    @rule()
    def the_execution_dies(self) -> None:
        assert self.released is not None
        self.world.executions.under_way.discard(f"arn:{self.released.id}")

    @precondition(lambda self: self.holder is not None)
    @rule(kill=KILLS)
    def the_end_of_an_execution_is_told(self, kill: int | None) -> None:
        """Of one that died with the lock."""
        holder = self.holder
        assert holder is not None
        arn = f"arn:{holder.id}"
        if arn not in self.world.executions.under_way:
            self._attempt(lambda: take_back_from_the_dead(arn, "ABORTED", "sandbox", self.world), kill)

    # What comes from outside.

    def _event(self, colour: Colour) -> AlarmEvent:
        note = AlarmNote("sandbox", colour, TARGETS, "errors", PAGES if self.frontend else None)
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

    @precondition(lambda self: self.frontend)
    @rule(colour=st.sampled_from(Colour), healthy=st.sampled_from([0, 2]))
    def targets_of_the_frontend_change(self, colour: Colour, healthy: int) -> None:
        self.world.balancer.populate(colour, healthy=healthy, sick=2 - healthy, service=Service.FRONTEND)

    # What always holds.

    @invariant()
    def one_colour_has_all_the_traffic(self) -> None:
        for targets in (TARGETS, PAGES):
            assert self.world.balancer.of[targets.listener_arn].only is not None

    @invariant()
    def traffic_was_only_ever_sent_where_somebody_is_healthy(self) -> None:
        assert self.unsound == []

    @invariant()
    def no_deployment_is_rolled_back_twice(self) -> None:
        events = self.world.events.published
        rollbacks = [(detail["deployment"], detail) for kind, detail in events if kind == "RolledBack"]
        # Told again by whoever finds it done: the same happening.
        every = {(deployment, happening("RolledBack", detail)) for deployment, detail in rollbacks}
        told = Counter(deployment for deployment, _ in every)
        assert all(count == 1 for count in told.values()), told

    def run_again(self) -> None:
        """Everything that was killed, as Lambda and Step Functions do."""
        for event in self.undelivered:
            self._attempt(lambda event=event: roll_back_on_alarm(event, "sandbox", self.world))
        half = self.half_done
        if half is not None and self.holder == half:
            self._attempt(lambda: self._swap(half))

    def teardown(self) -> None:
        try:
            self.run_again()
            self._agree()
            self._the_next_deployment_finds_all_in_order()
        finally:
            self.patch.undo()

    def _agree(self) -> None:
        live, holder = self.live, self.holder
        assert live is not None
        # Where an execution died in the middle, the journal names the release that may have the traffic.
        assert live.candidate or self._where(TARGETS, live.colour)
        if live.frontend is not None and live.frontend.colour is not None:
            assert live.candidate or self._where(PAGES, live.frontend.colour)
        standing = self.world.journal.items.get(colour_key(live.colour))
        assert standing is None or standing["deployment"] == live.deployment
        if holder is not None:
            record = self.world.journal.items[deployment_key(holder.id)]
            assert record["status"] == "RUNNING", record["status"]

    def _where(self, targets: Targets, colour: Colour) -> bool:
        """The traffic is there; where nobody is healthy the listener stays as it is, and a person is called."""
        weights = self.world.balancer.of[targets.listener_arn]
        return weights == Weights.all_on(colour) or not self._some_healthy(targets, colour)

    def _the_next_deployment_finds_all_in_order(self) -> None:
        """Once everybody is well and every execution has ended, as it begins: before it releases anything."""
        for colour in Colour:
            self.world.balancer.populate(colour, healthy=6)
            if self.frontend:
                self.world.balancer.populate(colour, healthy=2, service=Service.FRONTEND)
        self.world.executions.under_way.clear()
        self.a_person_unfreezes()
        assert self._begin({"environment": "sandbox", "version": "next", "image": DIGEST}) is not None
        live = self.live
        assert live is not None
        assert live.candidate is None
        assert self.world.balancer.of[TARGETS.listener_arn] == Weights.all_on(live.colour)
        if live.frontend is not None and live.frontend.colour is not None:
            assert self.world.balancer.of[PAGES.listener_arn] == Weights.all_on(live.frontend.colour)
