"""The load of the demo as the narrator sees it: started, looked at, stopped."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from cutover.adapters.load_generator import LoadResult
from sandbox import processes
from sandbox.demo.traffic import Report
from sandbox.settings import SandboxSettings

_START_SECONDS = 20.0


class Users:
    """A process that plays `users` users with `rate` requests a second between them."""

    def __init__(self, settings: SandboxSettings, rate: int, users: int, name: str = "traffic") -> None:
        self._settings, self._rate, self._users = settings, rate, users
        self._process: Any = None
        self._name = name
        self._path = settings.run / f"{name}.json"

    def start(self, host: str, port: int, server_name: str, path: str) -> None:
        """Start the load, and return when the first answers have come.

        Raises:
            RuntimeError: no answer came; the log says why.
        """
        self._path.unlink(missing_ok=True)
        log = self._settings.logs / f"{self._name}.log"
        command: list[str | Path] = [sys.executable, "-m", "sandbox.demo.traffic"]
        command += ["--host", host, "--port", str(port), "--server-name", server_name, "--path", path]
        command += ["--rate", str(self._rate), "--users", str(self._users), "--report", self._path]
        self._process = processes.spawn(
            command,
            name=self._name,
            log=log,
            env={
                **os.environ,
                processes.MARKER: str(self._settings.root),
                "SSL_CERT_FILE": str(self._settings.ca_bundle),
            },
        )
        deadline = time.monotonic() + _START_SECONDS
        while not self.report()["answers"]:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the demo's users got no answer from {host}:{port}; see {log}")
            time.sleep(0.1)

    def report(self) -> dict[str, Any]:
        """What users saw up to now."""
        if self._process is None or not self._path.exists():
            return Report().document(time.time(), LoadResult())
        document: dict[str, Any] = json.loads(self._path.read_text(encoding="utf-8"))
        return document

    def stop(self) -> None:
        """Let the last requests end, then end the process."""
        if self._process is not None and self._process.poll() is None:
            processes.end_tree(self._process.pid, grace_seconds=15)
            self._process.wait(5)
