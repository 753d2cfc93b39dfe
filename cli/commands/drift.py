"""`cutover drift`: whether an environment is still what its template says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from cli.errors import ExitCode
from cli.functions import invoke
from cli.options import environment_options
from cli.output import json_option, out, print_json
from cli.session import Environment, aws_errors_explained


@click.command()
@environment_options
@click.option("--restore", is_flag=True, help="Put the security groups right.")
@json_option
def drift(environment_name: str, restore: bool, config_dir: Path | None, as_json: bool) -> None:
    """Hold ENVIRONMENT's security groups against its template. Exits 1 when a rule still differs."""
    environment = Environment.named(environment_name, config_dir)
    with aws_errors_explained(environment):
        document = invoke(
            environment, environment.drift_function, {"action": "restore" if restore else "look"}
        )
    if as_json:
        print_json(document)
    else:
        _show(environment.name, document)
    # CloudFormation's own look is told and not judged: every swap makes the listeners differ for it.
    if document["status"] == "drifted":
        raise SystemExit(ExitCode.FAILED)


def _show(environment: str, document: dict[str, Any]) -> None:
    out.print(f"[bold]{environment}[/]: {document['gates'][0]['found']}" if not document["findings"] else "")
    if document["findings"]:
        table = Table("security group", "rule", "drift", "done", title=f"{environment}: security groups")
        for finding in document["findings"]:
            table.add_row(finding["group"], finding["rule"], finding["what"], finding["done"])
        out.print(table)
    formation = document.get("cloudformation")
    if formation:
        out.print(f"  CloudFormation: {formation['status']}")
        for resource in formation["resources"]:
            out.print(f"    {resource['logical_id']} ({resource['type']}): {resource['status']}")
