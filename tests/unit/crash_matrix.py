"""The crash matrix: what dies, when, and what happens next, each walked through with the real handlers.

An execution and its step die before or after the side effect of every state of a machine. Then one of these
comes: the execution is redriven; the machine itself handles the error; an alarm of the new colour; another
deployment (or manual rollback). Whichever it is, all must agree in the end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MethodType
from typing import Any

import pytest

from cutover.domain.colours import Colour
from cutover.domain.errors import CutoverError
from cutover.domain.happenings import happening
from cutover.domain.passwords import hash_password
from cutover.domain.records import LIVE, LOCK, Key, Live, deployment_key
from cutover.handlers import rollback
from cutover.steps import migrate
from tests.contract.fakes import FakeWorld
from tests.contract.machine import TaskFailed, Walk
from tests.contract.scenes import DIGEST, alarm_event
from tests.unit.test_handler_walk import INPUT, House
from tests.unit.test_redeploy_walk import Scene

NEXT = {
    "deploy": ("redrive", "the machine's own way", "an alarm", "the next deployment"),
    "rollback": ("redrive", "the machine's own way", "an alarm", "another rollback"),
}


# Half of a walk's time went into the seeds' passwords, which are made to be dear: each is hashed once.
HASHED = cache(hash_password)


class Dead(BaseException):
    """The execution and its step have ended; nothing of ours may catch it."""


@dataclass(frozen=True)
class Case:
    machine: str
    state: str
    moment: str  # before or after the side effect
    then: str

    def __str__(self) -> str:
        return f"{self.machine}: {self.moment} {self.state}, then {self.then}"


def dying(walk: Walk, case: Case) -> Walk:
    """The walk, which dies once: at the case's state."""
    attempt, done = walk._attempts, list[str]()

    def attempts(self: Walk, state: Mapping[str, Any], arguments: Mapping[str, Any]) -> Any:
        if self.visited[-1] != case.state or done:
            return attempt(state, arguments)
        done.append(case.state)
        if case.moment == "after":
            attempt(state, arguments)
        if case.then == "the machine's own way":
            raise TaskFailed("Lambda.Unknown", "the process ended")
        raise Dead

    walk._attempts = MethodType(attempts, walk)  # type: ignore[method-assign]
    return walk


def tasks_of(walk: Walk) -> list[str]:
    """The states that have called something, each once, in their order."""
    kinds = walk._definition["States"]
    return list(dict.fromkeys(name for name in walk.visited if kinds[name]["Type"] == "Task"))


def cases(machine: str) -> list[Case]:
    """Every state that an undisturbed walk calls something in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrate, "hash_password", HASHED)
        if machine == "deploy":
            house = House(patch)
            house.walk.run(INPUT)
            states = tasks_of(house.walk)
        else:
            states = _rollback_states(Scene(patch))
    return [
        Case(machine, state, moment, then)
        for state in states
        for moment in ("before", "after")
        for then in NEXT[machine]
    ]


def _rollback_states(scene: Scene) -> list[str]:
    walk = _redeployment(scene, "rb1")
    walk.run(WISH)
    return tasks_of(walk)


def run(case: Case) -> None:
    """Raises AssertionError, saying what does not agree."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrate, "hash_password", HASHED)
        (_deploy if case.machine == "deploy" else _roll_back)(case, patch)


def _deploy(case: Case, patch: pytest.MonkeyPatch) -> None:
    house = House(patch)
    walk = dying(house.walk, case)
    try:
        status, _ = walk.run(INPUT)
    except Dead:
        status = "DEAD"
        house.executions.under_way.discard("arn:d2")
    if case.then == "redrive":
        house.executions.under_way.add("arn:d2")
        status, output = walk.redrive()
        assert status == "SUCCEEDED", output
        assert house.live.version == "v2"
    if case.then == "the machine's own way":
        succeeded = house.world.journal.items.get(deployment_key("d2"), {}).get("status") == "SUCCEEDED"
        assert succeeded == (house.live.version == "v2"), "record and journal differ"
    if case.then == "an alarm":
        _alarm(house.world)
    if status == "DEAD" or _left_its_lock(house.world):
        # Also after an alarm: one that came before the swap is about nothing, and leaves the lock to the next.
        house.registry.tags["d3"], house.http.versions = DIGEST, ["v3"]
        status, output = house.another("d3").run({**INPUT, "version": "v3"})
        assert status == "SUCCEEDED", output
        assert house.live.version == "v3"
    agree(house.world)


def _alarm(world: FakeWorld) -> None:
    event = alarm_event(at=world.clock.now().isoformat())
    for _ in range(2):  # CloudWatch may deliver it twice
        rollback.handler(event, None)
    live = Live.read(world.journal.items[LIVE])
    assert live.colour is Colour.BLUE, "the alarm left the traffic on the colour that fails"


WISH = {"environment": "sandbox", "reason": "complaints", "by": "kim"}


def _redeployment(scene: Scene, name: str) -> Walk:
    from tests.unit.test_redeploy_walk import DEFINITION

    scene.world.executions.under_way.add(f"arn:{name}")
    return Walk(
        {"${RollbackFunction}": lambda event: rollback.handler(event, None)},
        scene.world.clock,
        name=name,
        arn=f"arn:{name}",
        on_wait=scene.advance,
        definition=DEFINITION,
    )


def _roll_back(case: Case, patch: pytest.MonkeyPatch) -> None:
    """v2 on green is to be left for v1, whose containers on blue have stopped."""
    scene = Scene(patch)
    walk = dying(_redeployment(scene, "rb1"), case)
    try:
        status, output = walk.run(WISH)
    except Dead:
        status, output = "DEAD", None
        scene.world.executions.under_way.discard("arn:rb1")
    if case.then == "redrive":
        scene.world.executions.under_way.add("arn:rb1")
        status, output = walk.redrive()
        assert status == "SUCCEEDED", output
    if case.then == "an alarm":
        _alarm_of_the_live(scene.world)
    if status == "DEAD" or _left_its_lock(scene.world):
        status, output = _redeployment(scene, "rb2").run(WISH)
        back = scene.live.deployment == "d1"
        assert status == "SUCCEEDED" or back, output
    if case.then != "the machine's own way":
        assert scene.live.deployment == "d1"
    agree(scene.world)


def _alarm_of_the_live(world: FakeWorld) -> None:
    """It may be refused for want of a healthy target, or of a listener that forwards; never moves amiss."""
    try:
        rollback.handler(alarm_event(at=world.clock.now().isoformat()), None)
    except CutoverError as error:
        raise AssertionError(f"the alarm's event was not dealt with: {error}") from error


def _left_its_lock(world: FakeWorld) -> bool:
    """Its machine has ended without having known that it held the lock: the next one takes it over."""
    holder = world.journal.items.get(LOCK, {}).get("holder")
    if holder is None:
        return False
    world.executions.under_way.discard(f"arn:{holder}")
    return True


def agree(world: FakeWorld) -> None:
    """Listener, journal, lock and records tell the same, and users have a healthy target."""
    live = Live.read(world.journal.items[LIVE])
    assert world.balancer.blocked == set(), "users are answered 503"
    assert world.balancer.of["listener"].only is live.colour, "listener and journal differ"
    assert live.candidate is None, f"{live.candidate} was left"
    targets = world.balancer.targets[live.targets.of(live.colour)]
    assert any(target.state == "healthy" for target in targets), f"{live.colour} has no healthy target"
    assert world.journal.items.get(LOCK, {}).get("holder") is None, "the lock was left"
    assert list(_running(world.journal.items)) == []
    # An event comes at least once, with the identity that it had; a release is rolled back once.
    told = Counter(
        deployment
        for deployment, _ in {
            (detail["deployment"], happening(kind, detail))
            for kind, detail in world.events.published
            if kind == "RolledBack" and "steps" not in detail
        }
    )
    assert all(count == 1 for count in told.values()), f"rolled back twice: {told}"


def _running(items: Mapping[Key, Mapping[str, Any]]) -> Iterator[str]:
    for key, item in items.items():
        if key.sk == "RECORD" and item.get("status") == "RUNNING":
            yield str(item["id"])


MACHINES: Mapping[str, Callable[[], list[Case]]] = {
    "deploy": lambda: cases("deploy"),
    "rollback": lambda: cases("rollback"),
}
