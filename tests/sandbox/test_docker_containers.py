"""Containers of an instance's engine: real processes, restarted, checked, limited and stopped as compose says."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from sandbox.compute.container import Container, HealthCheck, Spec
from sandbox.compute.engine import Engine

SECONDS = 20.0


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    root = tmp_path / "rootfs"
    (root / "app").mkdir(parents=True)
    (root / "app" / "hello.txt").write_text("from the image")
    return Spec(
        name="p-web-1", project="p", service="web", image="app:v1", image_digest="sha256:1", rootfs=str(root),
        argv=["python", "-c", "import time; time.sleep(600)"],
        image_environment={"PATH": "/usr/local/bin:/usr/bin", "FROM_IMAGE": "1"}, environment={}, workdir="/app",
    )  # fmt: skip


def run(spec: Spec, home: Path, watch: Callable[[Container], Awaitable[None]], **changes: Any) -> Container:
    """Run one container while `watch` looks at it; it is stopped whatever happens."""

    async def main() -> Container:
        container = Container(
            dataclasses.replace(spec, **changes), home, home.parent / "images", {"HOST": "h"}
        )
        container.create()
        container.start()
        try:
            await watch(container)
        finally:
            await container.stop(0)
        return container

    return asyncio.run(main())


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} was not seen within {SECONDS:g} s")
        await asyncio.sleep(0.02)


def pid_of(container: Container) -> int:
    return int(container.describe()["Pid"])


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_container_sees_its_image_and_its_environment_and_not_this_machines(
    spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_MACHINE", "1")
    code = "import os; print(open('hello.txt').read()); print(sorted(os.environ)); open('mine', 'w')"

    async def watch(container: Container) -> None:
        await until(lambda: container.state == "exited", "the end")

    container = run(spec, tmp_path / "i", watch, argv=["python", "-c", code], environment={"OWN": "2"})
    text = container.log.read_text()
    assert "from the image" in text
    assert "'FROM_IMAGE'" in text
    assert "'OWN'" in text
    assert "'HOST'" in text
    assert "SECRET_OF_THE_MACHINE" not in text
    assert not Path(spec.rootfs, "app", "mine").exists(), "a container wrote into the shared root"


def test_unless_stopped_restarts_what_ends_until_it_is_stopped(spec: Spec, tmp_path: Path) -> None:
    """https://docs.docker.com/engine/containers/start-containers-automatically/"""

    async def watch(container: Container) -> None:
        await until(lambda: container.restarts >= 2 and container.state == "restarting", "two restarts")
        assert container.exit_code == 3
        await container.stop()
        seen = container.restarts
        await asyncio.sleep(0.6)
        assert (container.state, container.restarts) == ("exited", seen)

    run(spec, tmp_path / "i", watch, argv=["sh", "-c", "exit 3"], restart="unless-stopped")


def test_on_failure_leaves_a_success_alone_and_gives_up_after_its_number(spec: Spec, tmp_path: Path) -> None:
    """https://docs.docker.com/reference/compose-file/services/#restart"""

    async def watch(container: Container) -> None:
        await until(lambda: container.state == "exited", "the end")

    ended = run(spec, tmp_path / "a", watch, argv=["sh", "-c", "exit 0"], restart="on-failure")
    assert ended.restarts == 0
    given_up = run(spec, tmp_path / "b", watch, argv=["sh", "-c", "exit 1"], restart="on-failure:2")
    assert given_up.restarts == 2


def test_health_goes_from_starting_to_healthy_to_unhealthy(spec: Spec, tmp_path: Path) -> None:
    """https://docs.docker.com/reference/dockerfile/#healthcheck"""
    mark = tmp_path / "good"
    check = HealthCheck(
        ["CMD-SHELL", f"test -e {mark}"],
        interval=0.1,
        timeout=5,
        retries=3,
        start_period=60,
        start_interval=0.1,
    )

    async def watch(container: Container) -> None:
        await asyncio.sleep(0.6)  # far more than three failures, but they don't count in the start period
        assert container.health == "starting"
        mark.touch()
        await until(lambda: container.health == "healthy", "health")
        mark.unlink()
        await until(lambda: container.health == "unhealthy", "ill health")
        assert container.state == "running", "docker does not restart what is unhealthy"

    run(spec, tmp_path / "i", watch, health=check)


def test_a_container_whose_check_is_disabled_has_no_health_to_wait_for(spec: Spec, tmp_path: Path) -> None:
    """`docker compose up --wait` waits for health only where there is a check.

    https://docs.docker.com/reference/compose-file/services/#healthcheck (disable)
    """

    async def watch(container: Container) -> None:
        await until(lambda: container.state == "running", "the start")
        assert container.describe()["Health"] == ""

    run(spec, tmp_path / "i", watch, health=HealthCheck(["NONE"]))


def test_a_health_check_that_hangs_is_killed_and_counts_as_failed(spec: Spec, tmp_path: Path) -> None:
    check = HealthCheck(["CMD", "sleep", "600"], interval=0.1, timeout=0.2, retries=2)

    async def watch(container: Container) -> None:
        await until(lambda: container.health == "unhealthy", "ill health")
        assert "exceeded timeout" in container.health_output

    run(spec, tmp_path / "i", watch, health=check)


def test_a_service_over_its_memory_limit_is_killed_and_exits_137(spec: Spec, tmp_path: Path) -> None:
    """https://docs.docker.com/engine/containers/resource_constraints/#limit-a-containers-access-to-memory"""
    code = "x = bytearray(200 << 20); import time; time.sleep(600)"

    async def watch(container: Container) -> None:
        await until(lambda: container.state == "exited", "the kill")

    container = run(spec, tmp_path / "i", watch, argv=["python", "-c", code], memory_bytes=64 << 20)
    assert (container.exit_code, container.oom_killed) == (137, True)


def test_stop_is_sigterm_first_and_the_exit_code_is_the_programs(spec: Spec, tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *a: sys.exit(7))\n"
        "print('ready', flush=True)\ntime.sleep(600)"
    )

    async def watch(container: Container) -> None:
        await until(lambda: container.log.exists() and "ready" in container.log.read_text(), "the start")
        await container.stop()
        assert (container.state, container.exit_code) == ("exited", 7)

    run(spec, tmp_path / "i", watch, argv=["python", "-c", code])


def test_what_ignores_sigterm_is_killed_after_its_grace_period_with_its_children(
    spec: Spec, tmp_path: Path
) -> None:
    script = "trap '' TERM; sleep 600 & echo $! > child; echo ready; while true; do sleep 0.1; done"

    async def watch(container: Container) -> None:
        await until(lambda: container.log.exists() and "ready" in container.log.read_text(), "the start")
        child = int(Path(container.working_folder, "child").read_text())
        await container.stop()
        assert container.exit_code == 137
        await until(lambda: not alive(child), "the child's end")

    run(spec, tmp_path / "i", watch, argv=["sh", "-c", script], stop_grace_seconds=0.3)


def test_a_named_volume_outlives_its_container_and_starts_with_the_images_files(
    spec: Spec, tmp_path: Path
) -> None:
    """https://docs.docker.com/engine/storage/volumes/#populate-a-volume-using-a-container"""
    uploads = Path(spec.rootfs, "app", "uploads")
    uploads.mkdir()
    (uploads / "first").write_text("1")

    async def watch(container: Container) -> None:
        await until(lambda: container.state == "exited", "the end")

    for _ in range(2):
        container = run(
            spec, tmp_path / "i", watch, argv=["sh", "-c", "echo x >> uploads/log; cat uploads/*"],
            volumes={"/app/uploads": "data"},
        )  # fmt: skip
    assert container.log.read_text() == "1x\nx\n"


def test_a_program_that_is_not_in_the_image_does_not_start(spec: Spec, tmp_path: Path) -> None:
    async def watch(container: Container) -> None:
        await until(lambda: container.state == "exited", "the end")

    container = run(spec, tmp_path / "i", watch, argv=["curl", "http://localhost"])
    assert container.exit_code == 127
    assert 'exec: "curl": executable file not found' in container.log.read_text()


def test_up_recreates_only_what_changed(spec: Spec, tmp_path: Path) -> None:
    async def main() -> None:
        engine = Engine(tmp_path / "i", tmp_path / "images", {})
        document = dataclasses.asdict(dataclasses.replace(spec, hash="1"))
        try:
            first = await engine.handle({"op": "up", "project": "p", "containers": [document]})
            again = await engine.handle({"op": "up", "project": "p", "containers": [document]})
            other = await engine.handle(
                {"op": "up", "project": "p", "containers": [{**document, "hash": "2"}]}
            )
            found = (await engine.handle({"op": "ps", "project": "p"}))["containers"]
            gone = await engine.handle({"op": "down", "project": "p"})
        finally:
            await engine.close()
        assert [each["actions"]["p-web-1"] for each in (first, other)] == ["Started", "Recreated"]
        assert again["actions"]["p-web-1"] in ("Running", "Started")
        assert [each["Hash"] for each in found] == ["2"]
        assert gone["names"] == ["p-web-1"]

    asyncio.run(main())
