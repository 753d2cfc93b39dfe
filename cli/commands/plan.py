"""`cutover plan`: the whole plan of a deployment, with nothing touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from cli.commands.deploy import exit_code
from cli.errors import UserError
from cli.execution import start
from cli.follow import follow
from cli.options import build_request, release_options
from cli.output import json_option, out, print_json
from cli.session import Environment, aws_errors_explained


@click.command()
@click.argument("environment_name", metavar="ENVIRONMENT")
@release_options
@json_option
def plan(environment_name: str, config_dir: Path | None, as_json: bool, **options: Any) -> None:
    """Show everything a deployment to ENVIRONMENT would do. Nothing is touched."""
    environment = Environment.named(environment_name, config_dir)
    with aws_errors_explained(environment):
        execution_arn = start(environment, build_request(environment, "plan", **options))
        ended, _ = follow(environment, execution_arn, None)
    if ended.status != "SUCCEEDED":
        raise UserError(f"{ended.error or ended.status}: {ended.cause}", exit_code(ended))
    if as_json:
        print_json(ended.output)
        return
    _show(environment.name, options["version"], ended.output)


def _show(environment: str, version: str, document: dict[str, Any]) -> None:
    out.print(f"[bold]{environment}[/]: plan for [bold]{version}[/]")
    facts = Table(show_header=False, box=None, padding=(0, 2))
    for name in ("live_colour", "idle_colour", "weights", "image", "source", "digest"):
        if document.get(name) is not None:
            facts.add_row(name.replace("_", " "), _text(document[name]))
    out.print(facts)
    changes = (document.get("change_set") or {}).get("changes") or []
    if not changes:
        out.print("  infrastructure: nothing changes")
        return
    table = Table("action", "resource", "type", "replaces", title=f"infrastructure: {len(changes)} changes")
    for change in changes:
        table.add_row(
            str(change.get("action", "")),
            str(change.get("logical_id", "")),
            str(change.get("type", "")),
            str(change.get("replacement") or ""),
        )
    out.print(table)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items() if item not in (None, ""))
    return str(value)
