"""`cutover rollback`: the previous version, back in seconds."""

from __future__ import annotations

import getpass
from pathlib import Path

import click

from cli.errors import ExitCode, UserError
from cli.functions import invoke
from cli.output import json_option, out, print_json
from cli.session import Environment, aws_errors_explained


@click.command()
@click.argument("environment_name", metavar="ENVIRONMENT")
@click.option("--reason", required=True, help="Why; it is recorded and told to everybody.")
@click.option("--config-dir", type=click.Path(path_type=Path), help="Folder of ENV.toml files.")
@json_option
def rollback(environment_name: str, reason: str, config_dir: Path | None, as_json: bool) -> None:
    """Send ENVIRONMENT's traffic back to the previous version, which still runs."""
    environment = Environment.named(environment_name, config_dir)
    with aws_errors_explained(environment):
        event = {
            "source": "manual",
            "environment": environment.name,
            "reason": reason,
            "by": getpass.getuser(),
        }
        document = invoke(environment, environment.rollback_function, event)
    if as_json:
        print_json(document)
    elif document["action"] == "rolled_back":
        out.print(f"[bold green]rolled back[/] {environment.name}: {document['cause']}; {document['reason']}")
    if document["action"] != "rolled_back":
        if as_json:
            raise SystemExit(ExitCode.REFUSED)
        raise UserError(f"not rolled back: {document['reason']}", ExitCode.REFUSED)
