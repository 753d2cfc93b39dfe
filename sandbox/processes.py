"""Starting processes that never outlive the sandbox, and finding and ending those that try.

Three nets, from tight to wide: each child dies with its parent (PR_SET_PDEATHSIG), the supervisor adopts
what its children leave behind (child subreaper) and ends it, and every process carries the sandbox's folder
in its environment, so that `cutover sandbox down` finds strays even after the supervisor was killed outright.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

# In the environment of every process of a sandbox: the sandbox's folder, resolved.
MARKER = "CUTOVER_SANDBOX_ROOT"
# What `status` calls the process; children that are not spawned here inherit it.
NAME = "CUTOVER_SANDBOX_PROCESS"

# prctl(2): https://man7.org/linux/man-pages/man2/prctl.2.html
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)

# The kernel sends the death signal when the *thread* that forked ends, so every fork is made by one thread
# that lives as long as this process does.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


def spawn(
    argv: Sequence[str | Path],
    *,
    name: str,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | str | None = None,
    stdin: int = subprocess.DEVNULL,
    die_with_parent: bool = True,
) -> subprocess.Popen[bytes]:
    """Starts `argv` in a session of its own, its output appended to `log`.

    `env` is the whole environment (None: this process's own); it has to carry MARKER, which a process of the
    sandbox has anyway. `name` is what messages call the process. The child gets SIGTERM when this process
    dies; with `die_with_parent=False` (the supervisor alone) it does not.

    Raises ValueError when MARKER is missing, FileNotFoundError when there is no such program.
    """
    environment = dict(os.environ if env is None else env)
    if not environment.get(MARKER):
        raise ValueError(f"process {name!r} would start without {MARKER} in its environment")
    environment[NAME] = name
    log.parent.mkdir(parents=True, exist_ok=True)
    parent = os.getpid()

    def tie_to_parent() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # the parent died between the fork and the call above
            os._exit(1)

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            return subprocess.Popen(
                [str(argument) for argument in argv],
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=cwd,
                start_new_session=True,
                # One prctl and no Python allocation of note: safe after a fork, threads or not.
                preexec_fn=tie_to_parent if die_with_parent else None,  # noqa: PLW1509
            )

    return _spawner.submit(start).result()


def become_subreaper() -> None:
    """Makes this process the parent of every orphan below it, so that none is lost to init."""
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def end_tree(pid: int, *, grace_seconds: float = 5.0, include_root: bool = True) -> list[int]:
    """Ends a process and everything below it: SIGTERM, then SIGKILL for what is left after `grace_seconds`.

    With `include_root=False` only what is below it. Returns the pids that had to be killed; a pid that is
    gone already is no error.
    """
    try:
        root = psutil.Process(pid)
        family = root.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    if include_root:
        family.append(root)
    return end(family, grace_seconds=grace_seconds)


def end(processes: Iterable[psutil.Process], *, grace_seconds: float = 5.0) -> list[int]:
    """Ends these processes and whatever they start meanwhile; returns the pids that had to be killed."""
    family = list(processes)
    for process in family:
        _signal(process, signal.SIGTERM)
    alive = _wait(family, grace_seconds)
    late = [child for process in alive for child in _children(process)]
    stubborn = list(dict.fromkeys([*alive, *late]))
    for process in stubborn:
        _signal(process, signal.SIGKILL)
    _wait(stubborn, 5.0)
    return [process.pid for process in stubborn]


def marked(root: Path | str) -> list[int]:
    """The pids of all live processes with this sandbox's marker, this process and its ancestors aside."""
    wanted = str(Path(root).resolve())
    try:
        own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    except psutil.Error:
        own = {os.getpid()}
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid in own or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.environ().get(MARKER) == wanted:
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue  # it ended meanwhile, or belongs to another user, who can't be running our sandbox
    return found


def _wait(family: list[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Those of `family` that still run after `seconds`. A zombie has ended: only its parent can bury it."""
    deadline = time.monotonic() + seconds
    while (alive := [process for process in family if _runs(process)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return alive


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)  # psutil refuses when the pid has come to belong to another process
    except psutil.Error:
        return
