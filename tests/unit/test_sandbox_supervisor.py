"""What the processes of a sandbox are started with, and which of them is the supervisor."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from sandbox import processes, supervisor
from sandbox.settings import SandboxSettings, SettingsError
from sandbox.supervisor import SupervisorRecord


@pytest.fixture
def settings(tmp_path: Path) -> SandboxSettings:
    return SandboxSettings(root=tmp_path)


def test_nothing_of_the_users_account_or_databases_reaches_a_sandbox(
    settings: SandboxSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_PROFILE", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "MONGO_URL", "REDIS_URL"):
        monkeypatch.setenv(name, "the user's own")
    assert "the user's own" not in supervisor.environment(settings).values()


def test_every_process_trusts_the_sandboxs_ca_and_carries_its_marker(settings: SandboxSettings) -> None:
    environment = supervisor.environment(settings)
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"):
        assert environment[name] == str(settings.ca_bundle)
    assert environment[processes.MARKER] == str(settings.root)


def test_loopback_is_reached_past_a_proxy(settings: SandboxSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "intranet.example.com")
    allowed = supervisor.environment(settings)["NO_PROXY"].split(",")
    assert allowed == ["intranet.example.com", "localhost", "127.0.0.1", "127.0.0.0/8"]


def test_a_record_is_of_a_supervisor_while_that_very_process_runs(settings: SandboxSettings) -> None:
    own = psutil.Process()
    SupervisorRecord(own.pid, own.create_time()).write(settings)
    assert SupervisorRecord.read(settings) is not None
    SupervisorRecord(own.pid, own.create_time() - 60).write(settings)
    assert SupervisorRecord.read(settings) is None, "the pid belongs to another process by now"


def test_no_record_is_no_supervisor(settings: SandboxSettings) -> None:
    assert SupervisorRecord.read(settings) is None


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"pid": "x", "started": 1}'])
def test_a_corrupt_record_is_named_with_the_way_out(settings: SandboxSettings, content: str) -> None:
    settings.run.mkdir()
    (settings.run / "supervisor.json").write_text(content)
    with pytest.raises(SettingsError, match=r"supervisor\.json.*cutover sandbox reset"):
        SupervisorRecord.read(settings)


def test_what_an_earlier_sandbox_left_is_removed_but_images_logs_and_ca_stay(
    settings: SandboxSettings,
) -> None:
    for name in ("run", "tmp", "instances", "images", "logs", "pki/issued"):
        (settings.root / name).mkdir(parents=True)
    (settings.root / "pki" / "ca.pem").write_text("kept")
    supervisor.clear_transient(settings)
    assert sorted(os.listdir(settings.root)) == ["images", "logs", "pki"]
    assert os.listdir(settings.root / "pki") == ["ca.pem"]


def test_a_process_without_the_marker_is_not_started(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=processes.MARKER):
        processes.spawn(["true"], name="stray", log=tmp_path / "log", env={"PATH": "/bin"})
