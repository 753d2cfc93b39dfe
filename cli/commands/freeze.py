"""`cutover freeze` and `cutover unfreeze`: the emergency stop, and its end."""

from __future__ import annotations

import getpass
from pathlib import Path

import click

from cli.functions import invoke
from cli.options import environment_options
from cli.output import json_option, out, print_json
from cli.session import Environment, aws_errors_explained


@click.command()
@environment_options
@click.option("--reason", required=True, help="Why; whoever tries to deploy is told.")
@json_option
def freeze(environment_name: str, reason: str, config_dir: Path | None, as_json: bool) -> None:
    """Refuse new deployments to ENVIRONMENT and stop the one under way, wherever it is.

    A release that has the traffic keeps it; one that is being tried with a share of it loses it. Rollbacks
    go on working.
    """
    environment = Environment.named(environment_name, config_dir)
    with aws_errors_explained(environment):
        event = {
            "source": "freeze",
            "environment": environment.name,
            "reason": reason,
            "by": getpass.getuser(),
        }
        document = invoke(environment, environment.rollback_function, event)
    if as_json:
        print_json(document)
        return
    out.print(
        f"[bold cyan]frozen[/] {environment.name} by {document['by']} since {document['since']}: "
        f"{document['reason']}"
    )
    if document["stopped"]:
        out.print(f"  deployment {document['stopped']} was stopped; traffic: {document['traffic']}")
    for problem in document["problems"]:
        out.print(f"  [yellow]{problem}[/]")


@click.command()
@environment_options
@json_option
def unfreeze(environment_name: str, config_dir: Path | None, as_json: bool) -> None:
    """Let deployments to ENVIRONMENT start again."""
    environment = Environment.named(environment_name, config_dir)
    with aws_errors_explained(environment):
        event = {"source": "unfreeze", "environment": environment.name, "by": getpass.getuser()}
        document = invoke(environment, environment.rollback_function, event)
    if as_json:
        print_json(document)
    elif document["action"] == "not_frozen":
        out.print(f"[bold]{environment.name}[/] was not frozen")
    else:
        out.print(f"[bold green]unfrozen[/] {environment.name}: it was frozen since {document['since']}")
