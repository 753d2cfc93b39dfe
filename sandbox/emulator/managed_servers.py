"""The server processes behind managed databases and caches: addresses, start, readiness, end."""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from ministack.services import ec2

from sandbox import processes
from sandbox.settings import SandboxSettings

# The last octets that managed servers take in the first private subnet: below those of instances.
_OCTETS = range(10, 100)
# How long a server may take until it answers, in seconds.
_READY_SECONDS = 60.0


class ServerError(Exception):
    """A managed server could not be started; the message says which, and where its log lies."""


class ManagedServers:
    """The servers of one sandbox by name (`documentdb-ID`, `elasticache-ID`). Threads may share it."""

    def __init__(self, settings: SandboxSettings) -> None:
        self._settings = settings
        self._addresses: dict[str, str] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.RLock()

    def address(self, name: str) -> str:
        """The address of the server called `name`, its own from the first call until `release`."""
        with self._lock:
            if name not in self._addresses:
                taken = set(self._addresses.values())
                taken |= {str(each.get("PrivateIpAddress")) for each in ec2._instances.values()}
                free = (f"{self._settings.network}.10.{octet}" for octet in _OCTETS)
                address = next((each for each in free if each not in taken), None)
                if address is None:
                    raise ServerError(f"the sandbox has addresses for {len(_OCTETS)} managed servers")
                self._addresses[name] = address
            return self._addresses[name]

    def folder(self, name: str) -> Path:
        """A folder for the server's files, for its owner's eyes only."""
        folder = self._settings.run / name
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return folder

    def start(self, name: str, command: Sequence[str | Path], answers: Callable[[], bool]) -> None:
        """Starts the server and returns when `answers` says so; one that runs already is left alone.

        Raises ServerError when it ends or does not answer in time; nothing of it is left then.
        """
        with self._lock:
            running = self._processes.get(name)
            if running is not None and running.poll() is None:
                return
            log = self._settings.logs / f"{name}.log"
            process = processes.spawn(command, name=name, log=log, cwd=self.folder(name))
            self._processes[name] = process
        deadline = time.monotonic() + _READY_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            if answers():
                return
            time.sleep(0.05)
        ended = process.poll()
        self.stop(name)
        reason = "did not answer in time" if ended is None else f"ended with code {ended}"
        raise ServerError(f"{name} {reason}; see {log}")

    def stop(self, name: str) -> None:
        """Ends the server, if it runs; its address stays its own."""
        with self._lock:
            process = self._processes.pop(name, None)
        if process is not None:
            processes.end_tree(process.pid, grace_seconds=3.0)
            process.wait()

    def release(self, name: str) -> None:
        """Ends the server and gives its address back."""
        self.stop(name)
        with self._lock:
            self._addresses.pop(name, None)


def first_host(url: str, *, default_port: int) -> tuple[str, int]:
    """(host, port) of the first server that a MongoDB or Redis URL names. Raises ServerError for none."""
    first = urlsplit(url).netloc.rpartition("@")[2].split(",")[0]
    match = re.fullmatch(r"(\[[^]]+\]|[^:]+)(?::(\d+))?", first)
    if not match:
        raise ServerError(f"the sandbox's database URL names no server: {url.rpartition('@')[2]!r}")
    return match[1].strip("[]"), int(match[2] or default_port)


def write_secret(path: Path, secret: str) -> None:
    """Writes a file that its owner alone may read, from its first byte on."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(secret)
