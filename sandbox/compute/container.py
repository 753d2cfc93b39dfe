"""One container: a process tree with an image's files and environment, kept as its service asks.

There is no kernel isolation (that needs root): a container is a child process of the instance agent that
runs from the image's extracted root. Its working directory is a copy of its own, the rest of the root is
shared between containers and must not be written to. Absolute paths that a program opens by itself are
this machine's. The network is the instance's, as with `network_mode: host`.
"""

import asyncio
import contextlib
import ctypes
import dataclasses
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from sandbox.compute import node, process_tree
from sandbox.compute.errors import DockerError
from sandbox.compute.store import base_python, site_packages

LOG_LIMIT = 4 << 20  # bytes of a container's log that are kept at least half of
BACKOFF_SECONDS = 0.1  # https://docs.docker.com/engine/containers/start-containers-automatically/
BACKOFF_LIMIT_SECONDS = 60.0
SETTLED_SECONDS = 10.0  # a container that ran this long starts over with the shortest delay
MEMORY_CHECK_SECONDS = 0.5
KILLED = 128 + signal.SIGKILL
# Commands of Debian's slim image. Anything else of this machine (curl!) is not on a container's PATH.
SLIM_COMMANDS = """
sh bash dash env cat cp mv rm ls ln mkdir rmdir touch chmod chown date dd df du echo expr false true head
tail id nproc printf pwd readlink realpath seq sleep sort stat tee test tr uname uniq wc whoami xargs find
grep sed awk cut basename dirname mktemp tar gzip hostname timeout kill nohup sha256sum md5sum base64 [
"""
_libc = ctypes.CDLL(None)


@dataclasses.dataclass(frozen=True)
class HealthCheck:
    """Times in seconds; `test` is the compose form (["CMD", …] or ["CMD-SHELL", …])."""

    test: list[str]
    interval: float = 30.0
    timeout: float = 30.0
    retries: int = 3
    start_period: float = 0.0
    start_interval: float = 5.0


@dataclasses.dataclass(frozen=True)
class Spec:
    """What `docker compose` asks of the engine for one service."""

    name: str
    project: str
    service: str
    image: str
    image_digest: str
    rootfs: str
    argv: list[str]
    image_environment: dict[str, str]
    environment: dict[str, str]
    workdir: str = "/"
    restart: str = "no"
    health: HealthCheck | None = None
    memory_bytes: int | None = None
    stop_signal: str = "SIGTERM"
    stop_grace_seconds: float = 10.0
    # Target in the container → volume name, or the path that is bound there.
    volumes: dict[str, str] = dataclasses.field(default_factory=dict)
    hash: str = ""

    @property
    def is_checked(self) -> bool:
        """NONE switches off the image's own check, and then there is no health to wait for."""
        return self.health is not None and self.health.test[0] != "NONE"

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Spec":
        health = document.get("health")
        return cls(**{**document, "health": HealthCheck(**health) if health else None})


def die_with_agent() -> None:
    """Runs in the child before exec: no container outlives its agent (prctl(2), PR_SET_PDEATHSIG)."""
    _libc.prctl(1, signal.SIGKILL, 0, 0, 0)


def toolbox(images: Path) -> Path:
    """A folder with links to the commands that the base image has."""
    folder = images / "base" / "slim-bin"
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in SLIM_COMMANDS.split():
            found = shutil.which(name, path="/usr/bin:/bin")
            if found:
                with contextlib.suppress(FileExistsError):
                    (folder / name).symlink_to(found)
    return folder


class Container:
    """Runs, watches, restarts and ends one service's process."""

    def __init__(self, spec: Spec, home: Path, images: Path, host_environment: dict[str, str]) -> None:
        self.spec = spec
        self.state, self.health = "created", "starting" if spec.is_checked else ""
        self.exit_code, self.restarts, self.oom_killed = 0, 0, False
        self.started_at = 0.0
        self.health_output = ""
        self.folder = home / "containers" / spec.name
        self.log = self.folder / "log"
        self._home, self._images, self._host_environment = home, images, host_environment
        self._files = self.folder / "root"
        self._stopping = False
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    def create(self) -> None:
        """Lay out the container's own files: the copy of its working directory and its volumes."""
        shutil.rmtree(self.folder, ignore_errors=True)
        workdir = self.spec.workdir.strip("/")
        source = Path(self.spec.rootfs, workdir)
        if workdir and source.is_dir():
            shutil.copytree(source, self._files / workdir, symlinks=True)
        (self._files / workdir).mkdir(parents=True, exist_ok=True)
        (self.folder / "tmp").mkdir()
        # The outer one of two first: the inner one then lies in its volume, as a mount does.
        for target, volume in sorted(self.spec.volumes.items()):
            bound = volume.startswith("/")
            data = Path(volume) if bound else self._home / "volumes" / volume
            place = self._files / target.strip("/")
            if not data.exists() and not bound:  # a new named volume starts with what the image has there
                data.parent.mkdir(parents=True, exist_ok=True)
                shutil.copytree(place, data, symlinks=True) if place.is_dir() else data.mkdir()
            if place.is_symlink():
                place.unlink()
            elif place.is_dir():
                shutil.rmtree(place)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(data)

    def path(self, text: str) -> str:
        """An absolute path of the image as a path of this machine, when the image has it."""
        for base in (self._files, Path(self.spec.rootfs)):
            candidate = base / text.strip("/")
            if candidate.exists():
                return str(candidate)
        return text

    def environment(self) -> dict[str, str]:
        image = dict(self.spec.image_environment)
        base = node.programs(self._images) if node.MARKER in image else base_python(self._images) / "bin"
        entries = [
            Path(self.spec.rootfs, entry.strip("/")) for entry in image.pop("PATH", "").split(":") if entry
        ]
        found = [str(entry) for entry in entries if entry.is_dir()]
        packages = str(Path(self.spec.rootfs, "usr/local", site_packages()))
        own = self.spec.environment
        modules = own.get("PYTHONPATH", image.pop("PYTHONPATH", ""))
        return {
            **self._host_environment,
            **image,
            "HOSTNAME": self.spec.name,
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder / "tmp"),
            **own,
            "PATH": ":".join([*found, str(base), str(toolbox(self._images))]),
            "PYTHONPATH": ":".join([*(self.path(p) for p in modules.split(":") if p), packages]),
        }

    def argv(self, words: list[str], environment: dict[str, str]) -> list[str]:
        """Find the program of a command as the container would."""
        program = words[0]
        if program.startswith("/"):
            found: str | None = self.path(program)
            if found == program:
                found = shutil.which(os.path.basename(program), path=environment["PATH"])
        elif "/" in program:
            found = str(self._files / self.spec.workdir.strip("/") / program)
        else:
            found = shutil.which(program, path=environment["PATH"])
        if found is None or not os.access(found, os.X_OK):
            raise DockerError(f'exec: "{program}": executable file not found in $PATH', 127)
        return [found, *words[1:]]

    @property
    def working_folder(self) -> str:
        return str(self._files / self.spec.workdir.strip("/"))

    def start(self) -> None:
        if self._keeper is not None and not self._keeper.done():
            return
        self._stopping = False
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self, grace_seconds: float | None = None) -> None:
        """SIGTERM (or the image's stop signal), then SIGKILL after the grace period; not restarted."""
        self._stopping = True
        process, keeper = self._process, self._keeper
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(getattr(signal, self.spec.stop_signal))
            grace = self.spec.stop_grace_seconds if grace_seconds is None else grace_seconds
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(process.wait()), grace)
            self._kill_group(process.pid)
        if keeper is not None:
            if process is None or process.returncode is not None:
                keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
        self.state = "exited" if self.state != "created" else self.state

    def _kill_group(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)

    async def _keep(self) -> None:
        delay = BACKOFF_SECONDS
        while True:
            began = time.monotonic()
            await self._run_once()
            if self._stopping or not self._restarts():
                self.state = "exited"
                return
            delay = BACKOFF_SECONDS if time.monotonic() - began > SETTLED_SECONDS else delay
            self.state = "restarting"
            await asyncio.sleep(delay)
            delay = min(delay * 2, BACKOFF_LIMIT_SECONDS)
            self.restarts += 1

    def _restarts(self) -> bool:
        """https://docs.docker.com/reference/compose-file/services/#restart"""
        policy, _, most = self.spec.restart.partition(":")
        if policy == "on-failure":
            return self.exit_code != 0 and (not most or self.restarts < int(most))
        return policy in ("always", "unless-stopped")

    async def _run_once(self) -> None:
        environment = self.environment()
        with self.log.open("ab") as output:
            try:
                argv = self.argv(self.spec.argv, environment)
                process = await asyncio.create_subprocess_exec(
                    *argv,
                    env=environment,
                    cwd=self.working_folder,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    preexec_fn=die_with_agent,
                )
            except (DockerError, OSError) as error:
                output.write(f"OCI runtime create failed: {error}\n".encode())
                self.exit_code = 127
                return
        self._process = process
        self.state, self.started_at, self.oom_killed = "running", time.time(), False
        self.health, self.health_output = ("starting" if self.spec.is_checked else ""), ""
        watchers = [asyncio.create_task(self._watch(process.pid))]
        if self.spec.health and self.spec.is_checked:
            watchers.append(asyncio.create_task(self._check_health(self.spec.health)))
        code = await process.wait()
        for watcher in watchers:
            watcher.cancel()
        self._kill_group(process.pid)  # what the main process left behind ends with the container
        self.exit_code = KILLED if self.oom_killed else (128 - code if code < 0 else code)

    async def _watch(self, pid: int) -> None:
        """Keep the log bounded, and kill what takes more memory than the service may have."""
        while True:
            if self.spec.memory_bytes and process_tree.memory_bytes(pid) > self.spec.memory_bytes:
                self.oom_killed = True
                self._kill_group(pid)
                return
            self._bound_log()
            await asyncio.sleep(MEMORY_CHECK_SECONDS)

    def _bound_log(self) -> None:
        # The file is open for appending in the container, so truncating it is safe; it goes on at the end.
        if self.log.stat().st_size > LOG_LIMIT:
            with self.log.open("rb+") as file:
                file.seek(-LOG_LIMIT // 2, os.SEEK_END)
                rest = file.read()
                file.seek(0)
                file.truncate()
                file.write(rest)

    async def _check_health(self, check: HealthCheck) -> None:
        """https://docs.docker.com/reference/dockerfile/#healthcheck"""
        began, failures = time.monotonic(), 0
        while True:
            starting = self.health == "starting" and time.monotonic() - began < check.start_period
            await asyncio.sleep(check.start_interval if starting else check.interval)
            if await self._probe(check):
                self.health, failures = "healthy", 0
            elif self.health != "starting" or time.monotonic() - began >= check.start_period:
                failures += 1
                if failures >= check.retries:
                    self.health = "unhealthy"

    async def _probe(self, check: HealthCheck) -> bool:
        environment = self.environment()
        words = check.test[1:] if check.test[0] == "CMD" else ["/bin/sh", "-c", check.test[1]]
        try:
            process = await asyncio.create_subprocess_exec(
                *self.argv(words, environment),
                env=environment,
                cwd=self.working_folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_agent,
            )
        except (DockerError, OSError) as error:
            self.health_output = str(error)
            return False
        try:
            output, _ = await asyncio.wait_for(process.communicate(), check.timeout)
        except (TimeoutError, asyncio.CancelledError) as error:
            self._kill_group(process.pid)
            await process.wait()
            if isinstance(error, asyncio.CancelledError):
                raise
            self.health_output = f"Health check exceeded timeout ({check.timeout:g}s)"
            return False
        self.health_output = output[-4096:].decode(errors="replace")
        return process.returncode == 0

    def describe(self) -> dict[str, Any]:
        return {
            "Name": self.spec.name,
            "Project": self.spec.project,
            "Service": self.spec.service,
            "Image": self.spec.image,
            "ImageDigest": self.spec.image_digest,
            "State": self.state,
            "Health": self.health if self.state == "running" else "",
            "HealthOutput": self.health_output,
            "ExitCode": self.exit_code,
            "Restarts": self.restarts,
            "OOMKilled": self.oom_killed,
            "StartedAt": self.started_at,
            "Pid": self._process.pid if self._process and self.state == "running" else 0,
            "Hash": self.spec.hash,
        }
