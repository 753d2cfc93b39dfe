"""The sandbox's life: up, found up, down, and nothing left of it whichever way it ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator

import psutil
import pytest

from sandbox import processes
from tests.sandbox.sandbox_kit import REPOSITORY, Sandbox, empty_sandbox, running_sandbox, wait_for


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with empty_sandbox() as made:
        yield made


def test_up_returns_when_the_api_answers_and_down_leaves_nothing() -> None:
    with running_sandbox() as sandbox:
        assert sandbox.client("sts").get_caller_identity()["Account"] == sandbox.settings.account
        status = sandbox.status()
        assert status["state"] == "up"
        assert {"supervisor", "emulator"} <= {each["name"] for each in status["processes"]}

        told = sandbox.run("env", "--profile", "root").stdout
        assert f"export AWS_ENDPOINT_URL=http://127.0.0.1:{sandbox.port}\n" in told
        unknown = sandbox.run("env", "--profile", "nobody")
        assert unknown.returncode != 0
        assert "'nobody'" in unknown.stderr
        assert "emulator | " in sandbox.run("logs", "emulator").stdout
        assert "emulator" in sandbox.run("logs", "nothing").stderr

        again = sandbox.up()
        assert again.returncode == 0
        assert "already up" in again.stdout

        ended = sandbox.down()
        assert ended.returncode == 0
        assert "orphan" not in ended.stderr
        assert processes.marked(sandbox.root) == []
        assert sandbox.run("status").returncode == 1


@pytest.mark.parametrize("killed", [["supervisor"], ["emulator"], ["supervisor", "emulator"]])
def test_nothing_is_left_after_down_when_a_process_was_killed(killed: list[str]) -> None:
    with running_sandbox() as sandbox:
        sandbox.client("elasticache").create_replication_group(
            ReplicationGroupId="limits",
            ReplicationGroupDescription="a server and a TLS port before it",
            Engine="redis",
            TransitEncryptionEnabled=True,
            AuthToken="a-token-of-sixteen-or-more",
        )
        running = {each["name"]: each["pid"] for each in sandbox.status()["processes"]}
        assert {"supervisor", "emulator", "balancer", "elasticache-limits"} <= set(running)
        for name in killed:
            os.kill(running[name], signal.SIGKILL)
        ended = sandbox.down()
        assert ended.returncode == 0, ended.stderr
        assert processes.marked(sandbox.root) == []
        assert [pid for pid in running.values() if _runs(pid)] == []


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_down_ends_a_stray_that_outlived_its_supervisor(sandbox: Sandbox) -> None:
    """A process that neither dies with its parent nor heeds SIGTERM is still found by its marker."""
    stray = subprocess.Popen(
        ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"],
        env={**os.environ, processes.MARKER: str(sandbox.root.resolve())},
        start_new_session=True,
    )
    try:
        wait_for(lambda: stray.pid in processes.marked(sandbox.root), what="the stray")
        ended = sandbox.down()
        assert ended.returncode == 0
        assert str(stray.pid) in ended.stderr
        assert stray.wait(10) == -signal.SIGKILL
        assert processes.marked(sandbox.root) == []
    finally:
        stray.kill()
        stray.wait()


def test_the_supervisor_ends_when_the_emulator_does() -> None:
    with running_sandbox() as sandbox:
        os.kill(sandbox.pid_of("emulator"), signal.SIGKILL)
        wait_for(lambda: not processes.marked(sandbox.root), what="the end of everything")
        assert sandbox.status()["state"] == "down"
        assert "emulator ended by itself" in sandbox.log("supervisor")


@pytest.mark.parametrize("moment", ["as soon as it starts", "when the emulator runs"])
def test_ctrl_c_while_starting_leaves_nothing(sandbox: Sandbox, moment: str) -> None:
    options = ["--port", str(sandbox.port), "--network", sandbox.network]
    starting = subprocess.Popen(
        sandbox.argv("up", *options),
        cwd=REPOSITORY,
        env=sandbox.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    wanted = 1 if moment == "as soon as it starts" else 2

    def begun() -> bool:
        own = [pid for pid in processes.marked(sandbox.root) if pid != starting.pid]
        return len(own) >= wanted

    wait_for(begun, what="the sandbox's processes")
    os.killpg(starting.pid, signal.SIGINT)  # as a terminal does: to the command's own group
    starting.communicate(timeout=60)
    assert starting.returncode == 130
    assert processes.marked(sandbox.root) == []


def test_a_taken_port_is_named_with_the_process_that_holds_it(sandbox: Sandbox) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", sandbox.port))
        holder.listen()
        refused = sandbox.up()
    assert refused.returncode != 0
    assert f"port {sandbox.port} is taken by process {os.getpid()}" in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr
    assert processes.marked(sandbox.root) == []


@pytest.mark.parametrize("content", ["{not json", '{"gateway_port": 0}', '{"colour": "blue"}', "[]"])
def test_corrupt_settings_are_named_with_the_way_out_and_reset_mends_them(
    sandbox: Sandbox, content: str
) -> None:
    sandbox.root.mkdir(parents=True)
    (sandbox.root / "settings.json").write_text(content)
    refused = sandbox.run("up")
    assert refused.returncode != 0
    assert "settings.json" in refused.stderr
    assert "cutover sandbox reset" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert sandbox.run("reset").returncode == 0
    assert not sandbox.root.exists()


def test_a_corrupt_certificate_authority_is_named_with_the_way_out(sandbox: Sandbox) -> None:
    (sandbox.root / "pki").mkdir(parents=True)
    (sandbox.root / "settings.json").write_text("{}")
    (sandbox.root / "pki" / "ca.pem").write_text("no certificate")
    refused = sandbox.up()
    assert refused.returncode != 0
    message = " ".join(refused.stderr.split())
    assert "CA" in message
    assert "cutover sandbox reset" in message
    assert processes.marked(sandbox.root) == []


def test_a_folder_that_no_sandbox_made_is_neither_used_nor_deleted(sandbox: Sandbox) -> None:
    sandbox.root.mkdir(parents=True)
    treasure = sandbox.root / "thesis.txt"
    treasure.write_text("years of work")
    for command in ("up", "reset"):
        refused = sandbox.run(command)
        assert refused.returncode != 0
        assert "no sandbox made it" in " ".join(refused.stderr.split())
    assert treasure.read_text() == "years of work"


def test_an_orphan_of_the_emulator_is_ended_with_the_sandbox() -> None:
    """What the emulator starts and loses comes to the supervisor, which ends it."""
    with running_sandbox() as sandbox:
        emulator = sandbox.pid_of("emulator")
        os.kill(emulator, signal.SIGSTOP)  # an emulator that hangs can't end its children
        started = time.monotonic()
        ended = sandbox.down()
        assert ended.returncode == 0, ended.stderr
        assert processes.marked(sandbox.root) == []
        assert time.monotonic() - started < 60
