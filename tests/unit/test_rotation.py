"""Two users take turns, step by step, and nobody who serves is locked out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from cutover.adapters.rotating_secret import ManagedSecret
from cutover.domain.errors import AccessDeniedError, MisconfiguredError, RotationRefusedError
from cutover.domain.records import LIVE, deployment_key
from cutover.domain.rotation import Served, alternate, decide_turn
from cutover.handlers import rotation
from cutover.handlers.rotation import Wiring
from cutover.steps import rotate
from tests.contract.fakes import FakeJournal
from tests.contract.scenes import DEPLOYMENT, V1, V2, live, started

TURNED = datetime(2026, 3, 4, 9, 0, tzinfo=UTC)
STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")


@dataclass
class FakeSecret:
    """Versions by their token; `stages` point at them."""

    name: str = "cutover-sandbox/database-application"
    versions: dict[str, Mapping[str, str]] = field(
        default_factory=lambda: {"t0": {"username": "app_user", "password": "old"}}
    )
    stages: dict[str, str] = field(default_factory=lambda: {"AWSCURRENT": "t0"})
    turned: datetime = TURNED
    made: int = 0

    def read(self, stage: str, token: str | None = None) -> Mapping[str, str] | None:
        found = self.stages.get(stage)
        return None if found is None or token not in (None, found) else self.versions[found]

    def since(self) -> datetime:
        return self.turned

    def random_password(self) -> str:
        self.made += 1
        return f"fresh{self.made}"

    def write(self, token: str, stage: str, value: Mapping[str, str]) -> None:
        self.versions[token], self.stages[stage] = value, token

    def promote(self, token: str) -> None:
        self.stages["AWSCURRENT"] = token
        if self.stages.get("AWSPENDING") == token:
            del self.stages["AWSPENDING"]


@dataclass
class FakeAccounts:
    users: dict[str, str] = field(default_factory=lambda: {"app_user": "old"})

    def ensure_user(self, name: str, password: str) -> str:
        self.users[name] = password
        return "updated"

    def log_in(self, name: str, password: str) -> None:
        if self.users.get(name) != password:
            raise AccessDeniedError(f"{name} can't log in")


class Scene:
    """v2 is live and v1 can be gone back to; both were started after the secret's last change."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.secret, self.accounts, self.journal = FakeSecret(), FakeAccounts(), FakeJournal()
        live(self.journal, V2)
        started(self.journal)
        started(self.journal, replace(DEPLOYMENT, id="d1", started="2026-03-04T10:00:00.000Z"))
        wired: Any = Wiring(self.secret, self.accounts, self.journal)  # type: ignore[arg-type]
        monkeypatch.setattr(rotation, "wiring", lambda: wired)

    def step(self, name: str, token: str = "t1") -> None:
        rotation.handler({"Step": name, "SecretId": "arn", "ClientRequestToken": token}, None)

    def turn(self, token: str) -> None:
        for name in STEPS:
            self.step(name, token)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


def test_users_take_turns() -> None:
    assert alternate("app_user") == "app_user_clone"
    assert alternate(alternate("app_user")) == "app_user"


def test_a_turn_gives_the_other_user_a_new_password_and_leaves_the_first_as_it_is(scene: Scene) -> None:
    scene.turn("t1")

    assert scene.secret.read("AWSCURRENT") == {"username": "app_user_clone", "password": "fresh1"}
    assert scene.accounts.users == {"app_user": "old", "app_user_clone": "fresh1"}


def test_every_step_may_be_called_twice(scene: Scene) -> None:
    for name in STEPS:
        scene.step(name)
        scene.step(name)
    assert scene.secret.made == 1
    assert scene.accounts.users["app_user_clone"] == "fresh1"
    assert scene.secret.stages == {"AWSCURRENT": "t1"}


def test_nothing_that_runs_is_locked_out_by_a_second_turn(scene: Scene) -> None:
    scene.turn("t1")
    scene.secret.turned = datetime(2026, 3, 4, 11, 0, tzinfo=UTC)
    with pytest.raises(RotationRefusedError, match="version v1 was started before 2026-03-04 11:00 UTC"):
        scene.turn("t2")
    assert scene.accounts.users == {"app_user": "old", "app_user_clone": "fresh1"}
    assert "AWSPENDING" not in scene.secret.stages

    scene.journal.items[LIVE]["contracted_at"] = "2026-03-05T12:00:00.000Z"
    scene.turn("t2")
    assert scene.accounts.users == {"app_user": "fresh2", "app_user_clone": "fresh1"}


def test_a_live_release_of_before_the_last_turn_stops_the_next() -> None:
    late = Served("v2", TURNED - timedelta(seconds=1))
    turn = decide_turn(TURNED, [Served("v3", TURNED), late])
    assert not turn.allowed
    assert "version v2 was started before" in turn.reason
    assert decide_turn(TURNED, []).allowed


def test_an_environment_without_a_release_may_rotate(scene: Scene) -> None:
    scene.journal.items.clear()
    scene.turn("t1")
    assert scene.secret.stages["AWSCURRENT"] == "t1"


def test_an_account_that_can_not_log_in_never_becomes_current(scene: Scene) -> None:
    scene.step("createSecret")
    with pytest.raises(AccessDeniedError):
        scene.step("testSecret")
    assert scene.secret.stages["AWSCURRENT"] == "t0"


def test_a_secret_without_a_user_and_a_token_without_a_version_are_named(scene: Scene) -> None:
    with pytest.raises(MisconfiguredError, match="has no pending version t9"):
        scene.step("setSecret", "t9")
    scene.secret.versions["t0"] = {"password": "x"}
    with pytest.raises(MisconfiguredError, match="'username'"):
        scene.step("createSecret")


def test_a_release_without_a_record_counts_from_its_swap(scene: Scene) -> None:
    scene.journal.items.clear()
    live(scene.journal, replace(V1, previous_deployment=None))
    scene.secret.turned = datetime(2026, 3, 4, 10, 0, 1, tzinfo=UTC)
    with pytest.raises(RotationRefusedError):
        rotate.create("t1", secret=scene.secret, journal=scene.journal)


@pytest.fixture
def managed() -> Any:
    client = boto3.client(
        "secretsmanager", region_name="ap-northeast-2", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stubber(client) as stub:
        yield ManagedSecret(client, "s"), stub


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "InvalidRequestException"])
def test_a_version_without_the_stage_is_none(managed: Any, code: str) -> None:
    secret, stub = managed
    stub.add_client_error("get_secret_value", code)
    assert secret.read("AWSPENDING", "t" * 32) is None


def test_the_current_version_moves_once(managed: Any) -> None:
    """https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html: the stage
    is taken from the version that has it."""
    secret, stub = managed
    old, new = "0" * 32, "1" * 32
    stub.add_response("describe_secret", {"VersionIdsToStages": {old: ["AWSCURRENT"], new: ["AWSPENDING"]}})
    stub.add_response(
        "update_secret_version_stage",
        {},
        {
            "SecretId": "s",
            "VersionStage": "AWSCURRENT",
            "MoveToVersionId": new,
            "RemoveFromVersionId": old,
        },
    )
    secret.promote(new)
    stub.add_response("describe_secret", {"VersionIdsToStages": {new: ["AWSCURRENT"]}})
    secret.promote(new)
    stub.assert_no_pending_responses()


def test_a_first_release_counts_from_when_its_containers_were_started(scene: Scene) -> None:
    """Its deployment began before the secret was made."""
    scene.journal.items.clear()
    live(scene.journal, replace(V2, previous_deployment=None))
    started(scene.journal, replace(DEPLOYMENT, started="2026-03-04T08:00:00.000Z"))
    with pytest.raises(RotationRefusedError):
        rotate.create("t1", secret=scene.secret, journal=scene.journal)
    scene.journal.items[deployment_key("d2")]["command_sent"] = "2026-03-04T09:10:00.000Z"
    scene.turn("t1")
    assert scene.secret.stages["AWSCURRENT"] == "t1"
