"""`cutover announce` and `cutover withdraw`: users hear of a release before it comes, or that it won't."""

from __future__ import annotations

from pathlib import Path

import click

from cli.errors import ExitCode
from cli.functions import invoke
from cli.options import environment_options
from cli.output import json_option, out, print_json
from cli.session import Environment, aws_errors_explained

_REFUSALS = {"InvalidInputError": ExitCode.BAD_INPUT}


@click.command()
@environment_options
@click.option("--version", required=True, help="The version that will be released.")
@click.option(
    "--at", help="When, with its zone: 2026-03-06T02:00+09:00. Default: the window in a day's time."
)
@json_option
def announce(
    environment_name: str, version: str, at: str | None, config_dir: Path | None, as_json: bool
) -> None:
    """Tell everybody of a release to ENVIRONMENT, at least 24 hours before it comes.

    It deploys nothing: deploy the version when the hour has come. `cutover withdraw` takes it back.
    """
    environment = Environment.named(environment_name, config_dir)
    with aws_errors_explained(environment):
        event = {"action": "announce", "version": version, "at": at, "by": environment.caller()}
        document = invoke(environment, environment.announce_function, event, _REFUSALS)
    if as_json:
        print_json(document)
        return
    before = "already announced" if document["status"] == "already" else "announced"
    out.print(f"[bold]{before}[/]: {document['version']} for {document['opening']}")


@click.command()
@environment_options
@click.option("--reason", required=True, help="Why; it stays in the journal.")
@json_option
def withdraw(environment_name: str, reason: str, config_dir: Path | None, as_json: bool) -> None:
    """Tell everybody that the announced release to ENVIRONMENT will not come."""
    environment = Environment.named(environment_name, config_dir)
    with aws_errors_explained(environment):
        event = {"action": "withdraw", "reason": reason, "by": environment.caller()}
        document = invoke(environment, environment.announce_function, event, _REFUSALS)
    if as_json:
        print_json(document)
    elif document["status"] == "nothing":
        out.print(f"[bold]{environment.name}[/] has no release announced")
    else:
        out.print(f"[bold]withdrawn[/]: {document['version']}, which was announced for {document['opening']}")
