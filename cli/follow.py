"""Following an execution live: which section it is in, how long each took, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from rich.console import Console

from cli.errors import UserError
from cli.execution import Ended, StateEntered, describe_end, states_entered
from cli.output import seconds
from cli.session import Environment

WAIT_SECONDS = 1.0
# The state that opens each section of the deployment, and what a person calls it.
SECTIONS = {
    "Take the lock": "Lock",
    "Check the configuration": "Plan",
    "Wait for approval": "Approval",
    "1 Provision": "1 Provision",
    "2 Migrate": "2 Migrate",
    "3 Release": "3 Release",
    "4 Monitor": "4 Monitor",
    "5 Secure": "5 Secure",
    "6 Perform": "6 Perform",
    "7 Verify": "7 Verify",
    "Go or no go?": "Go or no go?",
    "A share": "Shift",
    "Swap": "Swap",
    "Start the watch": "Watch",
    "Finish": "Finish",
    "Roll back": "Roll back",
}


@dataclass
class Progress:
    """Where the execution is. Fed with what was entered, it tells what has just ended."""

    section: str = ""
    state: str = ""
    found: str = ""
    since: datetime | None = None
    durations: dict[str, float] = field(default_factory=dict)

    def enter(self, entered: StateEntered) -> tuple[str, float] | None:
        """Move on; answers the section that ended by it and its seconds, if one did."""
        self.state = entered.name
        self.found = entered.found
        opened = SECTIONS.get(entered.name)
        if opened is None or opened == self.section:
            return None
        ended = self.close(entered.at)
        self.section, self.since = opened, entered.at
        return ended

    def __str__(self) -> str:
        return f"{self.section} · {self.found or self.state}"

    def close(self, at: datetime) -> tuple[str, float] | None:
        """The section that was open has ended at this time."""
        if self.since is None:
            return None
        duration = max(0.0, (at - self.since).total_seconds())
        self.durations[self.section] = self.durations.get(self.section, 0.0) + duration
        ended, self.since = self.section, None
        return ended, duration


def follow(
    environment: Environment,
    execution_arn: str,
    console: Console | None,
    *,
    every_seconds: float = 0.5,
    on_state: Callable[[StateEntered], None] | None = None,
) -> tuple[Ended, Progress]:
    """Wait until the execution has ended, telling each section as it ends.

    Args:
        console: where progress goes; None stays silent (`--json`).
        on_state: sees every state as it is entered.
    """
    progress, seen, told = Progress(), 0, ""
    spinner = console.status("starting") if console and console.is_terminal else None
    if spinner:
        spinner.start()
    try:
        while True:
            ended = describe_end(environment, execution_arn)
            for number, entered in states_entered(environment, execution_arn, seen):
                seen = number
                if on_state:
                    on_state(entered)
                finished = progress.enter(entered)
                if finished and console:
                    _tell(console, *finished)
                if spinner:
                    spinner.update(str(progress))
                elif console and progress.found not in ("", told):
                    console.print(f"    {progress}", markup=False, highlight=False)
                    told = progress.found
            if ended:
                finished = progress.close(ended.at)
                if finished and console:
                    _tell(console, *finished, failed=ended.status != "SUCCEEDED")
                return ended, progress
            time.sleep(every_seconds)
    finally:
        if spinner:
            spinner.stop()


def _tell(console: Console, section: str, duration: float, *, failed: bool = False) -> None:
    mark = "[red]✗[/]" if failed or section == "Roll back" else "[green]✓[/]"
    console.print(f"  {mark} {section:<12} {seconds(duration):>12}")


def wait_for_end(environment: Environment, execution_arn: str, longest_seconds: float) -> Ended:
    """How the execution ended, for a command that shows no progress.

    Raises:
        UserError: it has not ended by then.
    """
    deadline = time.monotonic() + longest_seconds
    while (ended := describe_end(environment, execution_arn)) is None:
        if time.monotonic() > deadline:
            raise UserError(
                f"{execution_arn} has not ended after {longest_seconds:.0f} s; it goes on by itself, "
                f"`cutover history {environment.name}` shows its end"
            )
        time.sleep(WAIT_SECONDS)
    return ended
