"""The manual rollback's state machine, walked through with the real function over the ports in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cutover.domain.colours import Colour
from cutover.domain.records import LIVE, LOCK, Live, colour_key, deployment_key, history_key
from cutover.domain.services import Service
from cutover.handlers import rollback
from cutover.ports import Invocation
from tests.contract.fakes import BLUE, GREEN, FakeRegistry, FakeWorld
from tests.contract.machine import ROOT, Walk
from tests.contract.scenes import STARTED, V1, V2, live

DEFINITION = json.loads((ROOT / "statemachines" / "rollback.asl.json").read_text())
OLD = f"sha256:{'0' * 64}"
BUDGETS = {"Block traffic": 30, "Redeploy the previous image": 90, "Health": 60, "Restore traffic": 30}


class Scene:
    """v2 is live on green after v1 on blue; v0 was before both. The script takes 20 s, health 10 s more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, sound: int = 0) -> None:
        self.world = world = FakeWorld()
        live(world.journal, V2)
        world.balancer.of |= {"listener": GREEN, "test-listener": BLUE}
        world.balancer.populate(Colour.GREEN, healthy=6)
        world.balancer.populate(Colour.BLUE, healthy=sound, sick=6 - sound)
        for name, version, image in (("d0", "v0", OLD), ("d1", "v1", V1.image), ("d2", "v2", V2.image)):
            world.journal.items[deployment_key(name)] = {
                "id": name,
                "version": version,
                "status": "SUCCEEDED",
                "started": STARTED,
                "image": image,
                "image_uri": f"repository@{image}",
                "swap": {"modified_at": STARTED},
                "input": {"settings": {"CACHE_TTL": "5"}},
            }
        world.registries = {
            Service.BACKEND: FakeRegistry(d0=OLD, d1=V1.image, d2=V2.image),
            Service.FRONTEND: FakeRegistry(),
        }
        world.variables = type("V", (), {"cutover_environment": "sandbox"})
        self.script = "Success"
        self.script_seconds, self.health_seconds = 20.0, 10.0
        self.sent_at: float | None = None
        monkeypatch.setattr(rollback, "wiring", lambda: world)

    def advance(self) -> None:
        now = self.world.clock.monotonic()
        released = [sent for sent in self.world.commands.sent if sent[2]["Action"] == "release"]
        if not released:
            return
        self.sent_at = self.sent_at if self.sent_at is not None else now
        _, instances, parameters = released[-1]
        if now - self.sent_at >= self.script_seconds:
            self.world.commands.results = [Invocation(i, self.script, "no space left") for i in instances]
        if now - self.sent_at >= self.script_seconds + self.health_seconds:
            self.world.balancer.populate(Colour(parameters["Colour"]), healthy=6)

    def run(self, name: str = "rb1", **wish: Any) -> tuple[str, Any]:
        given = {"environment": "sandbox", "reason": "complaints", "by": "kim", **wish}
        walk = Walk(
            {"${RollbackFunction}": lambda event: rollback.handler(event, None)},
            self.world.clock,
            name=name,
            arn=f"arn:{name}",
            on_wait=self.advance,
            definition=DEFINITION,
        )
        return walk.run(given)

    @property
    def live(self) -> Live:
        return Live.read(self.world.journal.items[LIVE])

    @property
    def moves(self) -> list[Any]:
        return [weights for listener, weights in self.world.balancer.moves if listener == "listener"]


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Scene]:
    return lambda **more: Scene(monkeypatch, **more)


def test_with_nothing_sound_elsewhere_users_are_blocked_while_the_previous_image_comes_back(
    scene: Any,
) -> None:
    house = scene()
    blocked: list[bool] = []
    advance = house.advance
    house.advance = lambda: (blocked.append("listener" in house.world.balancer.blocked), advance())
    status, output = house.run()

    assert status == "SUCCEEDED", output
    assert blocked
    assert all(blocked)
    assert (house.live.deployment, house.live.colour, house.live.rolled_back) == ("d1", Colour.BLUE, True)
    assert (house.world.balancer.blocked, house.moves) == (set(), [BLUE])
    (_, instances, parameters), stop = house.world.commands.sent
    assert instances == ("i-blue0", "i-blue1")
    assert (parameters["Deployment"], parameters["Image"]) == ("d1", f"repository@{V1.image}")
    assert json.loads(parameters["Settings"]) == {"CACHE_TTL": "5"}
    assert (stop[2]["Action"], stop[2]["Colour"]) == ("stop", "green")
    assert house.world.journal.items[LOCK]["holder"] is None
    assert house.world.journal.items[colour_key(Colour.BLUE)]["deployment"] == "d1"
    assert house.world.events.kinds == ["RolledBack"]


def test_the_four_steps_are_timed_and_within_their_budgets(scene: Any) -> None:
    house = scene()
    _, output = house.run()

    steps = {step["name"]: step for step in output["steps"]}
    assert {name: step["budget_seconds"] for name, step in steps.items()} == BUDGETS
    assert all(step["seconds"] <= step["budget_seconds"] for step in steps.values())
    assert 20 <= steps["Redeploy the previous image"]["seconds"] <= 24
    assert sum(BUDGETS.values()) < 240
    record = house.world.journal.items[deployment_key("rb1")]
    assert record["phases"] == output["steps"]
    assert record["status"] == "SUCCEEDED"
    assert house.world.journal.items[history_key(record["started"], "rb1")]["mode"] == "rollback"


def test_the_first_step_counts_from_the_moment_it_was_asked_for(scene: Any) -> None:
    """Looking and moving users come before anything is blocked, and users wait for them too."""
    house = scene()
    digest = house.world.registries[Service.BACKEND].digest

    def slow(**asked: Any) -> Any:
        house.world.clock.sleep(7)
        return digest(**asked)

    house.world.registries[Service.BACKEND].digest = slow
    _, output = house.run()
    assert output["steps"][0]["name"] == "Block traffic"
    assert 7 <= output["steps"][0]["seconds"] <= 10


def test_where_the_previous_release_stands_soundly_it_has_the_traffic_at_once(scene: Any) -> None:
    house = scene(sound=6)
    status, output = house.run()

    assert (status, output["action"]) == ("SUCCEEDED", "rolled_back")
    assert (house.live.deployment, house.moves) == ("d1", [BLUE])
    assert all(sent[2]["Action"] != "release" for sent in house.world.commands.sent)


def test_an_older_release_comes_back_while_users_are_with_the_previous_one(scene: Any) -> None:
    """Nobody is blocked: v1 on blue takes the traffic at once, v0 comes up on green."""
    house = scene(sound=6)
    house.world.balancer.block = None  # it would break
    status, output = house.run(to="d0")

    assert status == "SUCCEEDED", output
    assert house.moves == [BLUE, GREEN]
    assert (house.live.deployment, house.live.version, house.live.colour) == ("d0", "v0", Colour.GREEN)
    release = next(sent for sent in house.world.commands.sent if sent[2]["Action"] == "release")
    assert (release[2]["Colour"], release[2]["Version"]) == ("green", "v0")


@pytest.mark.parametrize(
    ("wish", "error", "words"),
    [
        ({"to": "d2"}, "NothingToRollBackError", "is live already"),
        ({"to": "d9"}, "InvalidInputError", "there is no deployment d9"),
        ({"to": "gone"}, "ImageNotFoundError", "is gone from the registry"),
        ({"to": "never"}, "InvalidInputError", "never had the traffic (FAILED)"),
        ({"to": "../x"}, "InvalidInputError", "is no deployment's id"),
        ({"reason": " "}, "InvalidInputError", "reason: ' ' says nothing"),
        ({"environment": "staging"}, "WrongEnvironmentError", "staging"),
        ({"version": "v1"}, "InvalidInputError", "version: not a field of a rollback"),
    ],
)
def test_what_can_not_be_is_said_in_one_sentence_and_touches_nothing(
    scene: Any, wish: dict[str, Any], error: str, words: str
) -> None:
    house = scene(sound=6)
    items = house.world.journal.items
    items[deployment_key("gone")] = {
        **items[deployment_key("d0")],
        "id": "gone",
        "image": f"sha256:{'9' * 64}",
    }
    items[deployment_key("never")] = {"id": "never", "version": "v", "status": "FAILED", "image": OLD}
    before = dict(items)
    status, output = house.run(**wish)

    assert (status, output["Error"]) == ("FAILED", error)
    assert words in output["Cause"]
    assert (house.moves, house.world.balancer.blocked, house.world.commands.sent) == ([], set(), [])
    assert items == before


@pytest.mark.parametrize(
    ("release", "words"),
    [
        (V1, "the first release"),
        (replace(V2, rolled_back=True), "name another with --to"),
    ],
)
def test_with_nothing_before_it_a_release_is_named(scene: Any, release: Live, words: str) -> None:
    house = scene(sound=6)
    live(house.world.journal, release)
    status, output = house.run()

    assert (status, output["Error"]) == ("FAILED", "NothingToRollBackError")
    assert words in output["Cause"]
    assert house.moves == []


def failing_script(house: Scene) -> None:
    house.script = "Failed"


def slow_script(house: Scene) -> None:
    house.script_seconds = 500


def sick_targets(house: Scene) -> None:
    house.health_seconds = 500


@pytest.mark.parametrize(
    ("breaks", "error", "words"),
    [
        (failing_script, "ReleaseFailedError", "no space left"),
        (slow_script, "ReleaseFailedError", "within 90 s"),
        (sick_targets, "UnhealthyTargetsError", "within 60 s: 0 of 6 healthy"),
    ],
)
def test_a_step_that_fails_gives_users_back_what_they_had_and_calls_a_person(
    scene: Any, breaks: Any, error: str, words: str
) -> None:
    house = scene()
    breaks(house)
    status, output = house.run()

    assert (status, output["Error"]) == ("FAILED", error)
    assert words in output["Cause"]
    assert "the traffic is back on green (6 of 6 healthy)" in output["Cause"]
    assert (house.world.balancer.blocked, house.moves) == (set(), [GREEN])
    assert house.live.deployment == "d2"
    assert house.world.journal.items[deployment_key("rb1")]["status"] == "FAILED"
    assert house.world.journal.items[LOCK]["holder"] is None
    assert house.world.events.kinds == ["RollbackRefused"]


def test_users_are_never_sent_to_a_colour_without_a_healthy_target_not_even_back(scene: Any) -> None:
    house = scene()
    house.world.balancer.populate(Colour.GREEN, healthy=0, sick=6)
    failing_script(house)
    _, output = house.run()

    assert "still answered 503" in output["Cause"]
    assert (house.world.balancer.blocked, house.moves) == ({"listener"}, [])


def test_a_deployment_under_way_is_stopped_and_loses_its_lock(scene: Any) -> None:
    house = scene()
    world = house.world
    world.journal.items[LOCK] = {"holder": "d3", "fence": 8, "since": STARTED, "execution_arn": "arn:d3"}
    world.journal.items[deployment_key("d3")] = {"id": "d3", "status": "RUNNING", "started": STARTED}
    world.executions.under_way.add("arn:d3")
    status, _ = house.run()

    assert status == "SUCCEEDED"
    assert [stopped for stopped, _ in world.executions.stopped] == ["arn:d3"]
    assert world.journal.items[deployment_key("d3")]["status"] == "ABANDONED"
    assert world.journal.items[LOCK]["fence"] == 9


def test_a_second_manual_rollback_waits_for_the_first(scene: Any) -> None:
    house = scene()
    world = house.world
    world.journal.items[LOCK] = {"holder": "rb0", "fence": 8, "since": STARTED, "execution_arn": "arn:rb0"}
    world.journal.items[deployment_key("rb0")] = {
        "id": "rb0",
        "status": "RUNNING",
        "started": STARTED,
        "mode": "rollback",
    }
    world.executions.under_way.add("arn:rb0")
    status, output = house.run()

    assert (status, output["Error"]) == ("FAILED", "LockHeldError")
    assert world.journal.items[LOCK]["holder"] == "rb0"
