"""What the handlers do themselves: variables, dispatch, seed data, and which event goes where."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cutover.domain.errors import InvalidInputError, MisconfiguredError
from cutover.domain.queries import read_queries
from cutover.domain.release_files import wanted_indexes
from cutover.handlers import database, migrations, probe, provision, rollback
from cutover.handlers.dispatch import dispatch
from cutover.handlers.variables import Journalling, read_variables
from cutover.steps.check_queries import filled
from tests.contract.fakes import BLUE, FakeWorld
from tests.contract.scenes import DEPLOYMENT, V2, alarm_event, live, locked, released

ROOT = Path(__file__).resolve().parents[2]
JOURNALLING = {"CUTOVER_ENVIRONMENT": "sandbox", "JOURNAL_TABLE": "t", "EVENT_BUS": "b"}
PROBING = {
    "CUTOVER_ENVIRONMENT": "sandbox",
    "SMOKE_SECRET": "s",
    "JWT_SECRET": "jwt",
    "LOAD_BALANCER_DNS": "127.0.0.1",
    "DOMAIN": "d",
    "FRONTEND_DOMAIN": "f",
    "TEST_LISTENER_PORT": "8443",
    "LISTENER_PORT": "9443",
}


def test_variables_are_read_once_into_a_type() -> None:
    assert read_variables(Journalling, JOURNALLING).journal_table == "t"
    assert read_variables(probe.Variables, PROBING).listener_port == 9443


@pytest.mark.parametrize("name", JOURNALLING)
@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_that_is_missing_is_named(name: str, value: str | None) -> None:
    environment = {key: text for key, text in {**JOURNALLING, name: value}.items() if text is not None}
    with pytest.raises(MisconfiguredError, match=f"^{name}:"):
        read_variables(Journalling, environment)


def test_a_port_that_is_none_is_named() -> None:
    with pytest.raises(MisconfiguredError, match="LISTENER_PORT: 'https'"):
        read_variables(probe.Variables, {**PROBING, "LISTENER_PORT": "https"})


def test_an_action_that_nobody_knows_is_named_with_the_known_ones() -> None:
    with pytest.raises(InvalidInputError, match=r"'destroy'.*prepare, prepared, execute"):
        dispatch({"action": "destroy"}, provision.ACTIONS)


def test_a_secret_without_a_field_is_named_without_its_values() -> None:
    class Store:
        def read(self, name: str) -> dict[str, str]:
            return {"username": "admin", "password": ""}

    with pytest.raises(MisconfiguredError, match="the secret x has no 'password'") as caught:
        database.secret(Store(), "x", "username", "password")  # type: ignore[arg-type]
    assert "admin" not in str(caught.value)


def test_the_example_backends_migrations_can_be_read() -> None:
    directory = ROOT / "examples" / "backend" / "migrations"
    files = {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}

    indexes, seed = wanted_indexes(files), migrations.seed(files)
    assert len(indexes) == 6
    for query in read_queries(json.loads(files["queries.json"])):
        _, missing = filled(query.filter, seed[query.collection][0])
        assert missing == [], f"the seed has no document to ask “{query.name}” with"


def test_a_release_that_declares_no_seed_has_none() -> None:
    assert migrations.seed({}) == {}


def test_a_seed_that_is_no_json_is_named() -> None:
    with pytest.raises(MisconfiguredError, match=r"migrations/seed\.json: no extended JSON"):
        migrations.seed({"seed.json": b"{"})


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> FakeWorld:
    from types import SimpleNamespace

    world = FakeWorld()
    locked(world.journal, **released())
    live(world.journal, V2)
    world.balancer.of["listener"] = world.balancer.of["test-listener"]
    world.balancer.targets["blue-group"] = world.balancer.targets["green-group"]
    from cutover.domain.colours import Colour

    world.balancer.populate(Colour.BLUE, healthy=6)
    world.variables = SimpleNamespace(cutover_environment="sandbox")
    monkeypatch.setattr(rollback, "wiring", lambda: world)
    return world


PAYLOAD = {
    "id": DEPLOYMENT.id,
    "version": DEPLOYMENT.version,
    "environment": "sandbox",
    "fence": DEPLOYMENT.fence,
    "started": DEPLOYMENT.started,
}


@pytest.mark.parametrize(
    "event",
    [
        alarm_event(),
        {"source": "deployment", "deployment": PAYLOAD, "failure": {"Error": "X", "Cause": "y"}},
        {"source": "manual", "reason": "because", "by": "kim", "environment": "sandbox"},
    ],
)
def test_all_three_shapes_of_event_roll_back(world: FakeWorld, event: dict[str, Any]) -> None:
    assert rollback.handler(event, None)["action"] == "rolled_back"
    assert world.balancer.of["listener"] == BLUE


def altered(**detail: Any) -> dict[str, Any]:
    """An alarm's event with other details."""
    event = alarm_event()
    return {**event, "detail": {**event["detail"], **detail}}


def without(name: str) -> dict[str, Any]:
    return altered(**{name: None})


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({}, "source: None"),
        ({"source": "somebody"}, "source: 'somebody'"),
        ({"source": "manual", "by": "kim", "environment": "sandbox"}, "reason: None"),
        ({"source": "manual", "reason": " ", "by": "kim", "environment": "sandbox"}, "reason: ' '"),
        ({"source": "aws.cloudwatch", "detail": {}}, "detail.alarmName: None"),
        ({"source": "aws.cloudwatch"}, "detail.alarmName: None"),
        (without("configuration"), "detail.configuration.description: None"),
        (without("state"), "detail.state.value: None"),
        (altered(state={"value": "ALARM"}), "detail.state.timestamp: None"),
        (altered(state={"value": "ALARM", "timestamp": "yesterday"}), "timestamp: 'yesterday'"),
        (altered(state={"value": "OK"}), "detail.state.value: 'OK' is no reason to roll back"),
        (altered(alarmName="cutover-sandbox-backend-green-lunch"), "green-lunch' is not known; those that"),
        (altered(configuration={"description": "my own alarm"}), "does not say what to roll back"),
        ({"source": "deployment", "deployment": {"id": "d2"}}, "deployment: .* is not whole"),
        ({"source": "deployment"}, "deployment: None is not whole"),
    ],
)
def test_an_event_that_says_too_little_is_refused(
    world: FakeWorld, event: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidInputError, match=words):
        rollback.handler(event, None)
    assert world.balancer.moves == []


def test_the_rollbacks_answer_is_json(world: FakeWorld) -> None:
    assert json.loads(json.dumps(rollback.handler(alarm_event(), None)))["to"] == "blue"


def test_the_way_of_the_rollback_imports_nothing_that_it_can_do_without() -> None:
    """Each of these costs 50 to 300 ms of a cold start, which is part of every rollback."""
    heavy = {"pymongo", "bson", "requests", "aws_lambda_powertools", "asyncio", "pydantic"}
    # Ours, for what comes after the traffic.
    heavy |= {f"cutover.{name}" for name in ("ports", "adapters.fleet", "adapters.control", "steps.clean_up")}
    script = f"import sys, cutover.handlers.rollback; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(ROOT / "lambdas")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_the_rollback_function_collects_its_garbage_again_once_it_has_started() -> None:
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
