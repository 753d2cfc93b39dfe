"""The agents of running instances, as the emulator's side keeps them: started, told, asked and ended."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from sandbox import processes
from sandbox.compute import toolchain
from sandbox.compute.engine_client import ask
from sandbox.compute.errors import DockerError
from sandbox.compute.metadata import PORT
from sandbox.compute.socket_path import engine_socket
from sandbox.compute.store import write_atomically
from sandbox.compute.usage import Usage
from sandbox.settings import SandboxSettings

REPOSITORY = Path(__file__).resolve().parents[2]
STOP_SECONDS = 15.0  # containers get their grace period (10 s by default) before the agent is killed


class Agents:
    """One agent process per running instance. Safe to use from several threads."""

    def __init__(self, settings: SandboxSettings) -> None:
        self._settings = settings
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()
        # What an emulator that was killed left behind: nothing of it is known any more.
        for name in ("instances", "builds", "images/scratch"):
            shutil.rmtree(settings.root / name, ignore_errors=True)
        toolchain.install(settings.root)

    def home(self, instance_id: str) -> Path:
        return self._settings.root / "instances" / instance_id

    def known(self) -> list[str]:
        with self._lock:
            return list(self._running)

    def tell(self, instance_id: str, document: dict[str, Any]) -> None:
        """Give the instance its metadata; written only when it has changed."""
        path = self.home(instance_id) / "metadata.json"
        data = json.dumps(document, sort_keys=True).encode()
        if not path.exists() or path.read_bytes() != data:
            write_atomically(path, data, 0o600)

    def start(self, instance_id: str) -> None:
        """Start the agent of an instance that was told its metadata; does nothing when it runs."""
        with self._lock:
            if instance_id in self._running:
                return
            home = self.home(instance_id)
            (home / "opt" / "cutover").mkdir(parents=True, exist_ok=True)
            self._running[instance_id] = processes.spawn(
                [sys.executable, "-m", "sandbox.compute.instance", self._settings.root, instance_id],
                name=f"instance {instance_id}",
                log=self._settings.logs / f"{instance_id}.log",
                env=self.environment() | {"PYTHONPATH": str(REPOSITORY)},
                cwd=home,
            )

    def environment(self) -> dict[str, str]:
        """What the machine gives to its programs: where AWS answers, and whom to trust."""
        bundle = str(self._settings.ca_bundle)
        trust = dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"), bundle)
        return {
            "PATH": toolchain.path_variable(self._settings.root),
            "LANG": os.environ.get("LANG", "C.UTF-8"),
            "AWS_ENDPOINT_URL": self._settings.endpoint_url,
            processes.MARKER: str(self._settings.root),
            **(trust if self._settings.ca_bundle.exists() else {}),
        }

    def command_environment(self, instance_id: str, address: str) -> dict[str, str]:
        """The environment of a Run Command script: what the SSM agent sets, and what finds this instance.

        https://docs.aws.amazon.com/systems-manager/latest/userguide/documents-command-ssm-plugin-reference.html
        """
        home = self.home(instance_id)
        return {
            **self.environment(),
            "HOME": str(home),
            "DOCKER_HOST": f"unix://{engine_socket(self._settings.root, instance_id)}",
            "AWS_SSM_INSTANCE_ID": instance_id,
            "AWS_SSM_REGION_NAME": self._settings.region,
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{address}:{PORT}",
            "CUTOVER_HOME": str(home / "opt" / "cutover"),
        }

    def alive(self, instance_id: str) -> bool:
        with self._lock:
            process = self._running.get(instance_id)
        return process is not None and process.poll() is None

    def ready(self, instance_id: str) -> bool:
        """Whether the agent answers: the instance has booted."""
        try:
            return self.alive(instance_id) and bool(self.ask(instance_id, {"op": "info"}, 2.0))
        except DockerError:
            return False

    def stop(self, instance_id: str) -> None:
        """End the instance: its containers get SIGTERM and their grace period, then nothing of it is left."""
        with self._lock:
            process = self._running.pop(instance_id, None)
        if process is not None:
            processes.end_tree(process.pid, grace_seconds=STOP_SECONDS)
            process.wait()
        engine_socket(self._settings.root, instance_id).unlink(missing_ok=True)
        shutil.rmtree(self.home(instance_id), ignore_errors=True)

    def ask(
        self, instance_id: str, request: dict[str, Any], timeout_seconds: float | None = 30.0
    ) -> dict[str, Any]:
        return ask(engine_socket(self._settings.root, instance_id), request, timeout_seconds)

    def usage(self, instance_id: str) -> Usage | None:
        """None when the agent does not answer: no data is not zero."""
        try:
            return Usage(**self.ask(instance_id, {"op": "usage"}, 5.0))
        except DockerError:
            return None
