"""A whole sandbox for a benchmark, with the control plane installed in it, which is ended afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox import identities, installation, processes
from sandbox.settings import DIRECTORY_VARIABLE, SandboxSettings

ROOT = Path(__file__).resolve().parents[1]
#: Alarms count a second as a minute, so that five bad minutes pass in five seconds.
MINUTE_SECONDS = 1.0


class BenchError(Exception):
    """A measurement could not be made; the message says what was seen instead."""


@dataclass(frozen=True)
class Place:
    """Where a sandbox stands, beside one that a developer runs meanwhile. `module` has the environment's
    `configuration()`."""

    port: int
    network: str
    module: str


@contextlib.contextmanager
def running_sandbox(folder: Path, place: Place, tell: Callable[[str], None]) -> Iterator[SandboxSettings]:
    """A new sandbox in `folder`; until its end this process is its operator. Whatever happens, it is ended.

    Raises BenchError and sandbox.installation.InstallationError.
    """
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]  # the caller's own account has no part in this
    os.environ[DIRECTORY_VARIABLE] = str(folder)
    shutil.rmtree(folder, ignore_errors=True)
    SandboxSettings.load(folder).save()
    try:
        settings = _installed(folder, place, tell)
        os.environ.update(identities.environment(settings, identities.OPERATOR))
        yield settings
    finally:
        try:
            _cutover("sandbox", "down")
        finally:
            for pid in processes.marked(folder):
                processes.end_tree(pid)
            os.environ.clear()
            os.environ.update(before)


def _installed(folder: Path, place: Place, tell: Callable[[str], None]) -> SandboxSettings:
    tell("a sandbox, and the control plane in it")
    address = ("--port", str(place.port), "--network", place.network)
    _cutover("sandbox", "up", "--minute-seconds", str(MINUTE_SECONDS), *address)
    settings = SandboxSettings.load(folder)
    assembly = folder / "cdk.out"
    installation.run(
        settings, "cdk-synth", [sys.executable, "-m", "bench.assembly", place.module, str(assembly)], {}
    )
    installation.bootstrap(settings, assembly)
    identities.make_deployer(settings)
    installation.install(settings, assembly)
    identities.make_operator(settings, installation.ENVIRONMENT)
    return settings


def _cutover(*arguments: str) -> None:
    command = [sys.executable, "-m", "cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        raise BenchError(f"`cutover {' '.join(arguments)}`: {(done.stderr or done.stdout).strip()}")
