"""`make demo`: sandbox, cdk deploy, then v1, v2 with nothing lost, and a bad v3 that an alarm takes back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console

from cli import journal
from cli.errors import UserError
from cli.execution import Ended, Request, StateEntered, deployment_id, start
from cli.follow import SECTIONS, follow
from cli.session import Environment, aws_errors_explained
from cli.source import upload
from sandbox import identities, installation, processes
from sandbox.demo.measurements import page_figures, rollback_figures, swap_figures
from sandbox.demo.narrator import Narrator, summary
from sandbox.demo.users import Users
from sandbox.settings import SandboxSettings, SettingsError, default_root
from sandbox.sinks import read_mail

RATE, USERS, PATH = 500, 200, "/api/health"  # requests a second, keep-alive connections, what they ask for
VISITORS, VISITORS_RATE, PAGE = 20, 50, "/config.json"  # of the frontend, under its own name
MINUTE_SECONDS = 1.0  # alarms count a second as a minute here, so that 5 bad minutes pass in 5 s
_ROLLBACK_SECONDS = 90.0  # how long the bad release may wait for its alarm before the demo calls it a failure


COUNTED = {"requests": "answers", "failed": "failed"}


class DemoError(Exception):
    """The demo did not show what it promises; the message says what and where to look."""


def _cutover(*arguments: str) -> None:
    command = [sys.executable, "-m", "cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoError(f"`cutover {' '.join(arguments)}` failed: {(done.stderr or done.stdout).strip()}")


class Demo:
    """One run, from nothing to the summary. `close` ends everything, whatever happened."""

    def __init__(self, root: Path, console: Console) -> None:
        self._root, self._console = root, console
        self._settings = SandboxSettings(root)
        self._users = Users(self._settings, RATE, USERS)
        self._visitors = Users(self._settings, VISITORS_RATE, VISITORS, name="visitors")
        self._tell = Narrator(console, self._users.report)
        self._figures: dict[str, Any] = {}

    def run(self) -> dict[str, Any]:
        """Everything, in order. Returns the figures."""
        started = time.monotonic()
        self._install()
        environment = Environment.named(installation.ENVIRONMENT)
        with aws_errors_explained(environment):
            self._first(environment)
            self._second(environment)
            self._third(environment)
        self._users.stop()
        self._visitors.stop()
        self._figures["timings"] = self._tell.timings
        self._figures["seconds"] = round(time.monotonic() - started, 1)
        return self._figures

    def _install(self) -> None:
        self._tell.heading("1. A sandbox AWS on this machine, and the control plane in it")
        # The folder is the sandbox's own before anything else writes into it: `up` takes no other.
        SandboxSettings.load(self._root).save()
        with ThreadPoolExecutor(1) as side:
            synthesis = side.submit(installation.synthesise, self._settings)
            with self._tell.step("sandbox up (IAM enforced)"):
                _cutover("sandbox", "up", "--minute-seconds", str(MINUTE_SECONDS))
            self._settings = SandboxSettings.load(self._root)
            with self._tell.step("cdk synth"):
                assembly = synthesis.result()
        with self._tell.step("cdk bootstrap, as the account's owner"):
            installation.bootstrap(self._settings, assembly)
            identities.make_deployer(self._settings)
        with self._tell.step("cdk deploy, as a deployer who may only assume the bootstrap roles"):
            installation.install(self._settings, assembly)
            identities.make_operator(self._settings, installation.ENVIRONMENT)
        self._figures["iam_enforced"] = installation.iam_is_enforced(self._settings)
        self._tell.say(f"IAM enforced, tried with four forbidden calls: {self._figures['iam_enforced']}")
        os.environ.update(identities.environment(self._settings, identities.OPERATOR))

    def _deploy(
        self, environment: Environment, version: str, settings: dict[str, str] | None = None
    ) -> tuple[Ended, dict[str, Any]]:
        source = upload(environment, Path(environment.configuration.backend.source))
        # Where none is given, the frontend that is live comes along by its digest.
        frontend = None
        if version == "v1":
            frontend = {"source": upload(environment, Path(environment.configuration.frontend.source))}
        request = Request(
            environment.name, version, "deploy", source=source, settings=settings, frontend=frontend
        )
        self._tell.say(f"[dim]input: {json.dumps(request.document())}[/]")
        execution = start(environment, request)
        with self._tell.traffic() as doing:

            def entered(state: StateEntered) -> None:
                doing(f"{version}: {state.name}")
                if state.name in SECTIONS:
                    self._console.print(f"  [dim]{state.at:%H:%M:%S}[/] {version}: {SECTIONS[state.name]}")

            ended, progress = follow(environment, execution, None, on_state=entered)
        record = journal.deployment(environment, deployment_id(execution)) or {}
        record["seconds"] = round(sum(progress.durations.values()), 1)
        return ended, record

    def _first(self, environment: Environment) -> None:
        self._tell.heading("2. v1: the environment from nothing, then the first release")
        ended, record = self._deploy(environment, "v1")
        if ended.status != "SUCCEEDED":
            raise DemoError(f"v1: {ended.status} {ended.error}: {ended.cause}")
        self._figures["v1"] = {"status": record["status"], "seconds": record["seconds"]}
        backend = environment.configuration.backend
        balancers = environment.balancer.describe_load_balancers(Names=[f"cutover-{environment.name}"])
        host = balancers["LoadBalancers"][0]["DNSName"]
        self._users.start(host, backend.listener_port, backend.domain, PATH)
        self._visitors.start(host, backend.listener_port, environment.configuration.frontend.domain, PAGE)
        self._tell.say(
            f"{USERS} users now send {RATE} requests a second over TLS to {host}, "
            f"and {VISITORS} visitors of the frontend {VISITORS_RATE}"
        )

    def _second(self, environment: Environment) -> None:
        self._tell.heading("3. v2 of both services takes over under load, and nobody notices")
        before, visited = self._users.report(), self._visitors.report()
        ended, record = self._deploy(environment, "v2")
        if ended.status != "SUCCEEDED":
            raise DemoError(f"v2: {ended.status} {ended.error}: {ended.cause}")
        figures = swap_figures("v2", record, before, self._users.report())
        pages = swap_figures("v2", record, visited, self._visitors.report())
        self._figures["v2"] = figures | {"seconds": record["seconds"]} | page_figures(pages)
        self._tell.say(f"{figures['requests']:,} requests of the backend, {figures['failed']} failed")
        self._tell.say(f"{pages['requests']:,} requests of the frontend, {pages['failed']} failed")

    def _third(self, environment: Environment) -> None:
        self._tell.heading("4. v3 passes every gate, then breaks on live traffic; its alarm takes it back")
        before, visited = self._users.report(), self._visitors.report()
        port = str(environment.configuration.backend.listener_port)
        faults = {"FAULT": "errors", "FAULT_RATE": "0.5", "FAULT_PORT": port}
        _, record = self._deploy(environment, "v3", faults)
        record = self._wait_for_rollback(environment, record)
        time.sleep(3)  # long enough for a late failure to show
        figures = rollback_figures("v3", record, before, self._users.report())
        seen = self._visitors.report()
        pages = {name: seen[answers] - visited[answers] for name, answers in COUNTED.items()}
        self._figures["v3"] = figures | {"seconds": record.get("seconds")} | page_figures(pages)
        self._tell.say(str(record.get("cause", "")))
        for message in read_mail(self._root):
            if message.kind == "sms":
                self._tell.say(f"told by SMS: {message.text}")
        self._tell.say(f"what people were sent lies in {self._root / 'sinks'}")

    def _wait_for_rollback(self, environment: Environment, record: dict[str, Any]) -> dict[str, Any]:
        deadline = time.monotonic() + _ROLLBACK_SECONDS
        seconds = record.get("seconds")
        while not record.get("rollback"):
            if time.monotonic() > deadline:
                raise DemoError(f"v3 was not rolled back within {_ROLLBACK_SECONDS:.0f} s: {record}")
            time.sleep(0.5)
            record = journal.deployment(environment, record["id"]) or record
        return record | {"seconds": seconds}

    def close(self) -> int:
        """End everything. Returns how many processes were left after that, which ought to be none."""
        self._users.stop()
        self._visitors.stop()
        subprocess.run(
            [sys.executable, "-m", "cli.main", "sandbox", "down"], capture_output=True, check=False
        )
        left = processes.marked(self._root)
        for pid in left:
            processes.end_tree(pid)
        return len(left)


def _write(root: Path, figures: dict[str, Any]) -> Path:
    path = root / "demo.json"
    path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return path


def _failures(figures: dict[str, Any]) -> list[str]:
    """What the demo promises and did not show."""
    wanted = {
        "v1 deployed": figures["v1"]["status"] == "SUCCEEDED",
        "v2 deployed": figures["v2"]["status"] == "SUCCEEDED",
        "no request failed while v2 took over": figures["v2"]["failed"] == 0,
        "the frontend moved with it, and no request of its failed": figures["v2"]["page_requests"] > 0
        and figures["v2"]["page_failed"] == 0,
        "the frontend went back with it, and no request of its failed": figures["v3"]["page_failed"] == 0,
        "v3 rolled back by an alarm": figures["v3"]["status"] == "ROLLED_BACK"
        and bool(figures["v3"]["trigger"]),
        "the last bad answer within 5 s of ALARM": figures["v3"]["alarm_to_last_bad_ms"] <= 5000,
        "nothing failed after the rollback": figures["v3"]["failed_after_rollback"] == 0,
        "IAM was enforced": figures["iam_enforced"],
        "no process was left": figures["orphans"] == 0,
    }
    return [promise for promise, kept in wanted.items() if not kept]


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def main() -> int:
    """Run the demo; 0 when it showed everything it promises."""
    signal.signal(signal.SIGTERM, _interrupt)
    # A pipe has no width of its own; the summary needs 100 columns to stay on one line a figure.
    width = None if sys.stdout.isatty() else 100
    console = Console(highlight=False, soft_wrap=True, emoji=False, width=width)
    root = default_root()
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]  # the caller's own account has no part in this
    demo = Demo(root, console)
    figures: dict[str, Any] = {}
    code = 1
    try:
        figures = demo.run()
        code = 0
    except KeyboardInterrupt:
        console.print("\ninterrupted; ending the sandbox")
        code = 130
    except (
        DemoError,
        installation.InstallationError,
        UserError,
        SettingsError,
        RuntimeError,
        ValueError,
    ) as error:
        console.print("\n[bold red]the demo failed:[/] ", end="")
        console.print(str(error), markup=False)
    finally:
        # A second Ctrl-C must not leave anything behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        figures["orphans"] = demo.close()
    if code:
        return code
    console.print()
    console.print(summary(figures))
    console.print(
        f"figures: {_write(root, figures)}   total {figures['seconds']} s   orphans {figures['orphans']}"
    )
    broken = _failures(figures)
    for promise in broken:
        console.print(f"[bold red]not shown:[/] {promise}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
