"""The `cutover` command: its subcommands, and the one place where errors become messages."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points

import click
from rich.console import Console

from cli.commands.announce import announce, withdraw
from cli.commands.approve import approve, reject
from cli.commands.checklist import checklist
from cli.commands.completion import completion
from cli.commands.deploy import deploy
from cli.commands.doctor import doctor
from cli.commands.dora import dora
from cli.commands.drift import drift
from cli.commands.drill import drill
from cli.commands.evidence import evidence
from cli.commands.freeze import freeze, unfreeze
from cli.commands.history import history
from cli.commands.init import init
from cli.commands.plan import plan
from cli.commands.report import report, trend
from cli.commands.rollback import rollback
from cli.commands.status import status
from cli.commands.watch import watch
from cli.errors import ExitCode, UserError
from cli.exit_codes import in_help


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}, epilog=in_help()
)
@click.version_option(package_name="cutover", message="cutover %(version)s")
def cutover() -> None:
    """Deploys a backend to AWS by itself, and takes it back by itself.

    \b
    First time here?   cutover doctor sandbox              what is missing, and how to mend it
                       cutover plan sandbox --version v1   shows what would happen, changing nothing
                       cutover deploy sandbox --version v1 does it, and follows it live
                       cutover status sandbox              what is live, since when, and how it feels
                       cutover rollback sandbox --reason … the previous version, back in seconds
    """


for _command in (
    *(init, doctor),
    *(plan, deploy, approve, reject, status, watch, drift, drill, rollback, history, dora, freeze, unfreeze),
    *(announce, withdraw),
    *(checklist, evidence, report, trend),
    completion,
):
    cutover.add_command(_command)


def _add_installed_commands() -> None:
    """Commands of other packages join through the entry-point group `cutover.commands`."""
    for entry in entry_points(group="cutover.commands"):
        cutover.add_command(entry.load())


def main() -> None:
    """Run the command; a user's mistake ends as one message on stderr and a non-zero exit."""
    errors = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
    _add_installed_commands()
    try:
        cutover(standalone_mode=False)
    except UserError as error:
        errors.print("[bold red]error:[/] ", end="")
        errors.print(str(error), markup=False)
        sys.exit(error.code)
    except click.ClickException as error:
        error.show()
        sys.exit(ExitCode.BAD_INPUT)
    except (click.Abort, KeyboardInterrupt):
        errors.print("interrupted: what was started goes on by itself; `cutover status ENV` shows it")
        sys.exit(ExitCode.INTERRUPTED)


if __name__ == "__main__":
    main()
