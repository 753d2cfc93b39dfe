"""`python -m sandbox.supervisor ROOT`: the one process that owns everything a sandbox starts.

It founds the certificate authority, starts the emulator (which starts the balancer, the databases and the
instances), and ends the whole tree on SIGTERM, SIGINT, or when the emulator ends by itself. As a child
subreaper it is the parent of every orphan below it, so nothing a sandbox starts can slip away from it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

import psutil

from sandbox import processes
from sandbox.pki import Authority, PkiError
from sandbox.settings import SandboxSettings, SettingsError

# What a sandbox leaves behind is worthless to the next one: nothing of the emulator's state outlives it.
_TRANSIENT = ("run", "tmp", "instances", "builds", "aws", "pki/issued")
_WITHHELD = frozenset({"VIRTUAL_ENV", "MONGO_URL", "REDIS_URL", processes.MARKER})
# The emulator gets this long to end its own children before the supervisor does, in seconds.
_GRACE_SECONDS = 8.0


@dataclasses.dataclass(frozen=True, slots=True)
class SupervisorRecord:
    """`run/supervisor.json`: which process supervises, and since when (seconds of the epoch)."""

    pid: int
    started: float

    @classmethod
    def path(cls, settings: SandboxSettings) -> Path:
        """Where the record of this sandbox lies."""
        return settings.run / "supervisor.json"

    @classmethod
    def read(cls, settings: SandboxSettings) -> SupervisorRecord | None:
        """The record of a supervisor that is alive, or None. Raises SettingsError for a corrupt file."""
        path = cls.path(settings)
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            record = cls(pid=int(kept["pid"]), started=float(kept["started"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SettingsError(
                f"{path} can't be read ({type(error).__name__}: {error}); "
                "run `cutover sandbox reset` to start over"
            ) from error
        return record if record.alive() else None

    def alive(self) -> bool:
        """Whether that very process still runs: a pid alone may have come to belong to another."""
        try:
            process = psutil.Process(self.pid)
            return (
                abs(process.create_time() - self.started) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
            )
        except psutil.Error:
            return False

    def write(self, settings: SandboxSettings) -> None:
        """Writes the file by rename."""
        path = self.path(settings)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")
        os.replace(temporary, path)


def environment(settings: SandboxSettings) -> dict[str, str]:
    """What every process of the sandbox is started with: the marker, and the trust store that holds our CA.

    The user's own AWS variables are left out: nothing in a sandbox may reach a real account by mistake. Nor
    may
    the addresses of the user's databases, which are in the settings, pass for those of what runs here.
    """
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AWS_") and name not in _WITHHELD
    }
    # A company's proxy can't reach this machine's loopback addresses.
    direct = [inherited.get("NO_PROXY") or inherited.get("no_proxy") or "", "localhost,127.0.0.1,127.0.0.0/8"]
    inherited["NO_PROXY"] = inherited["no_proxy"] = ",".join(filter(None, direct))
    bundle = str(settings.ca_bundle)
    return inherited | {
        processes.MARKER: str(settings.root),
        "PYTHONUNBUFFERED": "1",
        "SSL_CERT_FILE": bundle,
        "REQUESTS_CA_BUNDLE": bundle,
        "AWS_CA_BUNDLE": bundle,
    }


def clear_transient(settings: SandboxSettings) -> None:
    """Removes what the previous run left under the sandbox's folder; logs, images and the CA stay."""
    for name in _TRANSIENT:
        shutil.rmtree(settings.root / name, ignore_errors=True)


class _Stop:
    """Whether the supervisor was told to end; the signal handler only notes it."""

    def __init__(self) -> None:
        self.requested = False
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.requested = True


def run(settings: SandboxSettings) -> int:
    """Supervises until told to end. Returns the exit code: 0 when told, 1 when the emulator gave up."""
    stop = _Stop()
    processes.become_subreaper()
    clear_transient(settings)
    SupervisorRecord(os.getpid(), psutil.Process().create_time()).write(settings)
    emulator: subprocess.Popen[bytes] | None = None
    try:
        Authority(settings.pki)
        emulator = processes.spawn(
            [sys.executable, "-m", "sandbox.emulator", settings.root],
            name="emulator",
            log=settings.logs / "emulator.log",
            env=environment(settings),
            cwd=settings.root,
        )
        while not stop.requested and emulator.poll() is None:
            _bury_orphans(emulator.pid)
            time.sleep(0.1)
        if not stop.requested:
            print(f"the emulator ended by itself with code {emulator.returncode}", file=sys.stderr)
        return 0 if stop.requested else 1
    except PkiError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if emulator is not None:
            _end_everything(emulator)
        SupervisorRecord.path(settings).unlink(missing_ok=True)


def _end_everything(emulator: subprocess.Popen[bytes]) -> None:
    """The emulator first, so that it can end its own in order; then whatever is left below us."""
    with contextlib.suppress(ProcessLookupError):
        emulator.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        emulator.wait(timeout=_GRACE_SECONDS)
    for _ in range(20):  # a child may start another while it ends; each round ends what the last one left
        processes.end_tree(os.getpid(), grace_seconds=3.0, include_root=False)
        _bury_orphans(None)
        if not psutil.Process().children(recursive=True):
            return


def _bury_orphans(known: int | None) -> None:
    """Reaps the zombies that came to us as subreaper; `known` is a child that its Popen waits for."""
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid == known:
            return
        with contextlib.suppress(ChildProcessError):
            os.waitpid(ended.si_pid, os.WNOHANG)


def main(arguments: list[str]) -> int:
    """The command line of this module."""
    if len(arguments) != 1:
        print("usage: python -m sandbox.supervisor ROOT", file=sys.stderr)
        return 2
    try:
        settings = SandboxSettings.load(arguments[0])
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    os.environ[processes.MARKER] = str(settings.root)
    return run(settings)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
