"""The instance agent as a process of its own: its sockets, and its end with everything below it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import processes
from sandbox.compute.addresses import bindable
from sandbox.compute.engine_client import EngineUnreachableError, ask
from sandbox.compute.errors import DockerError
from sandbox.compute.socket_path import LIMIT, engine_socket

REPOSITORY = Path(__file__).resolve().parents[2]
SECONDS = 20.0


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} was not seen within {SECONDS:g} s")
        time.sleep(0.02)


def free_address() -> str:
    return next(a for a in (f"127.99.{os.getpid() % 250}.{n}" for n in range(10, 250)) if bindable(a, 1338))


def start(root: Path) -> tuple[subprocess.Popen[bytes], Path]:
    home = root / "instances" / "i-1"
    home.mkdir(parents=True)
    document = {
        "account": "1", "region": "r", "availability_zone": "ra", "instance_id": "i-1", "instance_type": "t3.large",
        "image_id": "ami", "private_ip": free_address(), "hostname": "h",
    }  # fmt: skip
    (home / "metadata.json").write_text(json.dumps(document))
    agent = subprocess.Popen(
        [sys.executable, "-m", "sandbox.compute.instance", str(root), "i-1"],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], processes.MARKER: str(root)},
    )
    return agent, engine_socket(root, "i-1")


def answers(path: Path) -> bool:
    try:
        return bool(ask(path, {"op": "info"}, 2))
    except EngineUnreachableError:
        return False


def test_an_agent_in_a_deep_folder_is_reached(tmp_path: Path) -> None:
    """unix(7) allows 107 bytes for a socket's path."""
    root = tmp_path / ("deep" * 30)
    agent, path = start(root)
    try:
        assert len(str(path)) > LIMIT
        until(lambda: answers(path), "the agent")
        with pytest.raises(DockerError, match="no operation 'nonsense'"):
            ask(path, {"op": "nonsense"})
    finally:
        agent.terminate()
        agent.wait(SECONDS)
    assert not path.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_containers_and_commands_end_with_their_agent(tmp_path: Path, number: int) -> None:
    agent, path = start(tmp_path)
    try:
        until(lambda: answers(path), "the agent")
        (tmp_path / "rootfs").mkdir()
        container = {
            "name": "p-web-1", "project": "p", "service": "web", "image": "i", "image_digest": "d",
            "rootfs": str(tmp_path / "rootfs"), "argv": ["sleep", "600"], "image_environment": {}, "environment": {},
        }  # fmt: skip
        ask(path, {"op": "up", "project": "p", "containers": [container]})
        until(lambda: ask(path, {"op": "ps"})["containers"][0]["State"] == "running", "the container")
        assert len(processes.marked(tmp_path)) == 2
        agent.send_signal(number)
        agent.wait(SECONDS)
        until(lambda: not processes.marked(tmp_path), "the end of the container")
    finally:
        agent.kill()
        agent.wait()


def test_an_address_that_is_taken_is_said_so(tmp_path: Path) -> None:
    address = free_address()
    with socket.socket() as holder:
        holder.bind((address, 1338))
        holder.listen()
        assert not bindable(address, 1338)
    assert bindable(address, 1338)
