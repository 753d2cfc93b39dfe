"""`cutover sandbox up|down|status|logs|reset`: the local AWS, started, looked at and ended."""

from __future__ import annotations

import configparser
import contextlib
import errno
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import botocore.config
import botocore.exceptions
import click
import psutil
from rich.console import Console
from rich.table import Column, Table

from cli.errors import ExitCode
from sandbox import identities, processes, status_page, supervisor
from sandbox.settings import DIRECTORY_VARIABLE, FILE_NAME, SandboxSettings, SettingsError, default_root

# How long `up` waits for the gateway to answer, in seconds: 1 s on a quiet machine, tens on a crowded one.
_READY_SECONDS = 90.0
_console = Console(stderr=True, highlight=False)


class _Interrupted(Exception):
    """The user pressed Ctrl-C (or the terminal went away) while the sandbox was starting."""


@click.group(name="sandbox")
def sandbox() -> None:
    """The local AWS in .sandbox/ (or $CUTOVER_SANDBOX_DIR): no account, no Docker, no root."""


@sandbox.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the AWS API on 127.0.0.1.")
@click.option(
    "--minute-seconds",
    type=click.FloatRange(0.05, 60),
    help="How long a CloudWatch minute lasts, in seconds: 60 is real time, 1 compresses.",
)
@click.option("--network", help="First two octets of the VPC's loopback addresses, 127.1 to 127.255.")
def up(port: int | None, minute_seconds: float | None, network: str | None) -> None:
    """Start the sandbox and return as soon as its AWS API answers."""
    _require_sandbox_folder(default_root())
    settings = _settings(port=port, minute_seconds=minute_seconds, network=network)
    running = _running(settings)
    if running is not None:
        _report_running(settings, running)
        return
    strays = processes.marked(settings.root)
    if strays:
        processes.end(_alive(strays))
        _console.print(f"ended {_count(len(strays), 'process')} that an earlier sandbox had left")
    _require_free_port(settings.gateway_port)
    settings.save()
    _set_logs_aside(settings)
    try:
        with _interruption() as check, _console.status("starting the AWS API"):
            started = _start(settings)
            _wait_until_ready(settings, started, check)
    except BaseException as error:
        _end_all(settings)
        if isinstance(error, _Interrupted):
            # Not click's own exit: a command inside another group would lose its code.
            sys.exit(ExitCode.INTERRUPTED)
        raise
    click.echo(f"the sandbox is up: AWS_ENDPOINT_URL={settings.endpoint_url} (folder {settings.root})")


@sandbox.command()
def down() -> None:
    """End everything the sandbox started, and make sure that nothing is left."""
    root = default_root()
    ended, orphans, left = _end_all(_settings_or_default(root))
    if left:
        raise click.ClickException(f"these processes of {root} could not be ended: {_pids(left)}")
    if orphans:
        _console.print(f"ended {_count(len(orphans), 'orphan')} by force: {_pids(orphans)}")
    click.echo("the sandbox is down" if ended or orphans else "the sandbox was not running")


@sandbox.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(as_json: bool) -> None:
    """Say whether the sandbox runs, where it answers, and what runs in it. Exit 1 when it does not answer."""
    root = default_root()
    try:
        settings = SandboxSettings.load(root)
        record = supervisor.SupervisorRecord.read(settings)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    answers = record is not None and _answers(settings)
    running = _named_processes(settings.root)
    state = _state(record, answers=answers, strays=bool(running))
    if as_json:
        document = {
            "state": state,
            "root": str(settings.root),
            "endpoint_url": settings.endpoint_url,
            "region": settings.region,
            "account": settings.account,
            "minute_seconds": settings.minute_seconds,
            "network": settings.network,
            "ca_bundle": str(settings.ca_bundle),
            "supervisor_pid": record.pid if record else None,
            "uptime_seconds": round(time.time() - record.started, 1) if record else None,
            "processes": running,
        }
        click.echo(json.dumps(document, indent=2))
    else:
        click.echo(f"the sandbox in {settings.root} is {state}; the AWS API is {settings.endpoint_url}")
        host, port = status_page.address(settings.network)
        click.echo(f"the status page, once the control plane is installed: http://{host}:{port}/")
        click.echo(f"what people are sent: {settings.root / 'sinks'}")
        if running:
            table = Table("process", "pid", "MB", Column("command", no_wrap=True, overflow="ellipsis"))
            for process in running:
                name, command = process["name"], process["command"]
                table.add_row(name, str(process["pid"]), str(process["megabytes"]), command)
            Console().print(table)
    if not answers:
        sys.exit(ExitCode.FAILED)


@sandbox.command(name="env")
@click.option("--profile", default=identities.OPERATOR, show_default=True, help="Whose credentials to use.")
def env_command(profile: str) -> None:
    """Print the variables that point any AWS tool at the sandbox: eval "$(cutover sandbox env)"."""
    try:
        settings = SandboxSettings.load(default_root())
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    if profile == "root":
        variables = identities.root_environment(settings)
    else:
        variables = identities.environment(settings, profile)
        _require_profile(Path(variables["AWS_SHARED_CREDENTIALS_FILE"]), profile)
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")


@sandbox.command()
@click.argument("name", required=False)
@click.option(
    "--lines", "-n", type=click.IntRange(1), default=40, show_default=True, help="Lines of each log."
)
@click.option("--follow", "-f", is_flag=True, help="Go on until Ctrl-C.")
def logs(name: str | None, lines: int, follow: bool) -> None:
    """Print the last lines of each log, or of the log called NAME."""
    folder = default_root() / "logs"
    found = {path.stem: path for path in sorted(folder.glob("*.log"))}
    if name is not None and name not in found:
        names = ", ".join(found) or "none yet"
        raise click.ClickException(f"there is no log called {name!r} in {folder}; there are: {names}")
    chosen = {name: found[name]} if name is not None else found
    if not chosen:
        raise click.ClickException(f"there are no logs in {folder}; start the sandbox: cutover sandbox up")
    offsets = {each: _print_tail(each, path, lines) for each, path in chosen.items()}
    with contextlib.suppress(KeyboardInterrupt):
        while follow:
            time.sleep(0.3)
            for each, path in chosen.items():
                offsets[each] = _print_from(each, path, offsets[each])


@sandbox.command()
def reset() -> None:
    """End the sandbox and delete its folder: settings, certificates, logs and images."""
    root = default_root()
    _require_sandbox_folder(root)
    _, _, left = _end_all(_settings_or_default(root))
    if left:
        raise click.ClickException(f"these processes of {root} could not be ended: {_pids(left)}")
    shutil.rmtree(root, ignore_errors=True)
    click.echo(f"the sandbox in {root} is gone; start a new one: cutover sandbox up")


def _require_profile(credentials: Path, profile: str) -> None:
    parser = configparser.ConfigParser()
    parser.read(credentials)
    if profile not in parser:
        names = ", ".join([*parser.sections(), "root"])
        raise click.ClickException(
            f"the sandbox knows no profile {profile!r} (it knows: {names}); `make demo` installs the control "
            "plane and makes its operator"
        )


def _require_sandbox_folder(root: Path) -> None:
    """Only a folder that a sandbox made, or may make, is used: `reset` deletes it as a whole."""
    if root.exists() and not root.is_dir():
        raise click.ClickException(f"{root} is not a folder; set {DIRECTORY_VARIABLE} to one")
    if root.is_dir() and not (root / FILE_NAME).exists() and any(root.iterdir()):
        raise click.ClickException(
            f"{root} is not empty and holds no {FILE_NAME}, so no sandbox made it; "
            f"set {DIRECTORY_VARIABLE} to an empty or a new folder"
        )


def _settings(*, port: int | None, minute_seconds: float | None, network: str | None) -> SandboxSettings:
    """The kept settings with this command's options over them, and the user's own database servers."""
    try:
        kept = SandboxSettings.load(default_root())
        return SandboxSettings(
            root=kept.root,
            gateway_port=kept.gateway_port if port is None else port,
            region=kept.region,
            account=kept.account,
            minute_seconds=kept.minute_seconds if minute_seconds is None else minute_seconds,
            network=kept.network if network is None else network,
            mongo_url=os.environ.get("MONGO_URL") or None,
            redis_url=os.environ.get("REDIS_URL") or None,
        )
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


def _settings_or_default(root: Path) -> SandboxSettings:
    """For ending a sandbox, whose settings may be the very thing that is broken."""
    try:
        return SandboxSettings.load(root)
    except SettingsError:
        return SandboxSettings(root=root)


def _running(settings: SandboxSettings) -> SandboxSettings | None:
    """The settings of the sandbox that runs in this folder, or None."""
    try:
        if supervisor.SupervisorRecord.read(settings) is None:
            return None
        return SandboxSettings.load(settings.root)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error


def _report_running(wanted: SandboxSettings, running: SandboxSettings) -> None:
    click.echo(f"the sandbox is already up: AWS_ENDPOINT_URL={running.endpoint_url} (folder {running.root})")
    if wanted != running:
        _console.print(
            "it keeps the settings it was started with; to change them: cutover sandbox down, then up"
        )


def _require_free_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            if error.errno == errno.EACCES:
                raise click.ClickException(
                    f"port {port} needs root; choose a port above 1023 with --port"
                ) from error
            raise click.ClickException(
                f"port {port} is taken by {_holder(port)}; end that, or choose another with --port"
            ) from error


def _holder(port: int) -> str:
    """The process that listens on a port, as far as this user may see it."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            local = connection.laddr
            if connection.status == psutil.CONN_LISTEN and local and local.port == port and connection.pid:
                command = " ".join(psutil.Process(connection.pid).cmdline())
                return f"process {connection.pid} ({command[:80]})"
    return "a process of another user"


def _set_logs_aside(settings: SandboxSettings) -> None:
    """A run's logs are its own; those of the run before are kept as NAME.log.1."""
    for path in settings.logs.glob("*.log"):
        path.replace(path.with_name(f"{path.name}.1"))


def _start(settings: SandboxSettings) -> subprocess.Popen[bytes]:
    return processes.spawn(
        [sys.executable, "-m", "sandbox.supervisor", settings.root],
        name="supervisor",
        log=settings.logs / "supervisor.log",
        env=supervisor.environment(settings),
        cwd=settings.root,
        die_with_parent=False,
    )


def _wait_until_ready(
    settings: SandboxSettings, started: subprocess.Popen[bytes], check: Callable[[], None]
) -> None:
    """Returns when an STS call is answered; ClickException when the sandbox ends first or is too slow."""
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        check()
        if _answers(settings):
            return
        if started.poll() is not None:
            break
        time.sleep(0.1)
    else:
        raise click.ClickException(
            f"the AWS API did not answer on {settings.endpoint_url} within {_READY_SECONDS:.0f} s; "
            f"see {settings.logs / 'emulator.log'}"
        )
    raise click.ClickException(f"the sandbox ended while starting: {_last_words(settings)}")


def _last_words(settings: SandboxSettings) -> str:
    for path in (settings.logs / "supervisor.log", settings.logs / "emulator.log"):
        with contextlib.suppress(OSError):
            lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
            if lines and not lines[-1].startswith("the emulator ended by itself"):
                return f"{lines[-1].strip()} (see {path})"
    return f"see {settings.logs}"


def _answers(settings: SandboxSettings) -> bool:
    """Whether the gateway answers a real, signed STS call."""
    try:  # a client takes longer to make than the gateway to start
        socket.create_connection(("127.0.0.1", settings.gateway_port), timeout=1).close()
    except OSError:
        return False
    client: Any = identities.root_session(settings).client(
        "sts",
        endpoint_url=settings.endpoint_url,
        config=botocore.config.Config(
            retries={"total_max_attempts": 1}, connect_timeout=1, read_timeout=5, proxies={}
        ),
    )
    try:
        return bool(client.get_caller_identity()["Account"] == settings.account)
    except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
        return False


@contextlib.contextmanager
def _interruption() -> Iterator[Callable[[], None]]:
    """Notes Ctrl-C, SIGTERM and a lost terminal; the yielded function raises _Interrupted once one came.

    A note, not an exception out of nowhere: a process must never be started and then forgotten.
    """
    noted: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        noted.append(number)

    def check() -> None:
        if noted:
            raise _Interrupted

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.signal(number, note) for number in numbers}
    try:
        yield check
        check()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _end_all(settings: SandboxSettings) -> tuple[bool, list[int], list[int]]:
    """Ends the supervisor, which ends the rest; then whatever still carries the marker.

    Returns whether a supervisor was ended, the orphans that had to be ended here, and what is left.
    """
    try:
        record = supervisor.SupervisorRecord.read(settings)
    except SettingsError:
        record = None
    ended = False
    if record is not None:
        ended = True
        _console.print("ending the sandbox")
        # Longer than the supervisor takes in the worst case, so that it is the one that ends its tree.
        processes.end([psutil.Process(record.pid)], grace_seconds=30)
    orphans: list[int] = []
    for _ in range(10):
        left = processes.marked(settings.root)
        if not left:
            break
        orphans += [pid for pid in left if pid not in orphans]
        processes.end(_alive(left), grace_seconds=3)
    left = processes.marked(settings.root)
    if not left:
        supervisor.SupervisorRecord.path(settings).unlink(missing_ok=True)
    return ended, orphans, left


def _alive(pids: list[int]) -> list[psutil.Process]:
    found = []
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            found.append(psutil.Process(pid))
    return found


def _named_processes(root: Path) -> list[dict[str, Any]]:
    found = []
    for process in _alive(processes.marked(root)):
        with contextlib.suppress(psutil.Error, OSError):
            found.append(
                {
                    "name": process.environ().get(processes.NAME, process.name()),
                    "pid": process.pid,
                    "command": " ".join(process.cmdline())[:200],
                    "megabytes": round(process.memory_info().rss / 1e6),
                }
            )
    return found


def _state(record: supervisor.SupervisorRecord | None, *, answers: bool, strays: bool) -> str:
    if record is None:
        return "down, with strays left (cutover sandbox down ends them)" if strays else "down"
    return "up" if answers else "not answering"


def _print_tail(name: str, path: Path, lines: int) -> int:
    content = path.read_bytes()
    for line in content.decode(errors="replace").splitlines()[-lines:]:
        click.echo(f"{name} | {line}")
    return len(content)


def _print_from(name: str, path: Path, offset: int) -> int:
    with path.open("rb") as file:
        file.seek(offset)
        fresh = file.read()
    whole = fresh[: fresh.rfind(b"\n") + 1]
    for line in whole.decode(errors="replace").splitlines():
        click.echo(f"{name} | {line}")
    return offset + len(whole)


def _count(number: int, noun: str) -> str:
    plural = noun + ("es" if noun.endswith("s") else "s")
    return f"{number} {noun if number == 1 else plural}"


def _pids(pids: list[int]) -> str:
    return ", ".join(str(pid) for pid in pids)
