"""`cutover plan`: the whole plan of a deployment, with nothing touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cli.commands.deploy import exit_code
from cli.errors import UserError
from cli.execution import start
from cli.follow import follow
from cli.options import build_request, environment_options, release_options
from cli.output import json_option, out, print_json
from cli.plan_text import told
from cli.session import Environment, aws_errors_explained


@click.command()
@environment_options
@release_options
@json_option
def plan(environment_name: str, config_dir: Path | None, as_json: bool, **options: Any) -> None:
    """Show everything a deployment to ENVIRONMENT would do. Nothing is touched."""
    environment = Environment.named(environment_name, config_dir)
    with aws_errors_explained(environment):
        request = build_request(environment, "plan", **options)
        execution_arn = start(environment, request)
        ended, _ = follow(environment, execution_arn, None)
    if ended.status != "SUCCEEDED":
        raise UserError(f"{ended.error or ended.status}: {ended.cause}", exit_code(ended))
    if as_json:
        print_json(ended.output)
        return
    for line in told(ended.output, options["persona"]):
        out.print(line)
