"""`cutover watch`: the environment live: traffic split, target health, alarms."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click
from rich.live import Live
from rich.table import Table

from cli.commands.status import snapshot
from cli.options import environment_options
from cli.output import json_option, out, print_json
from cli.session import Environment, aws_errors_explained


def _alarms(environment: Environment) -> dict[str, str]:
    pages = environment.alarms.get_paginator("describe_alarms").paginate(
        AlarmNamePrefix=f"cutover-{environment.name}-"
    )
    return {alarm["AlarmName"]: alarm["StateValue"] for page in pages for alarm in page["MetricAlarms"]}


def _look(environment: Environment) -> dict[str, Any]:
    return snapshot(environment, most=1) | {"alarms": _alarms(environment)}


def _table(document: dict[str, Any]) -> Table:
    live = document["live"]
    title = f"{document['environment']}: " + (f"{live['version']} on {live['colour']}" if live else "empty")
    table = Table("", "", title=title, show_header=False)
    for key, service in (("traffic", ""), ("frontend_traffic", ", frontend")):
        for colour, facts in (document[key] or {}).items():
            bar = "█" * (int(facts["weight"]) // 5)
            told = f"{bar} {facts['weight']} %, {facts['healthy']}/{facts['targets']} healthy"
            table.add_row(f"{colour}{service}", told)
    for name, state in document["alarms"].items():
        if state != "OK":
            style = "red" if state == "ALARM" else "yellow"
            table.add_row(name, f"[{style}]{state}[/]")
    holder = document["lock"]
    table.add_row("lock", f"{holder['holder']} since {holder['since']}" if holder else "free")
    return table


@click.command()
@environment_options
@click.option("--every", default=1.0, show_default=True, help="Seconds between looks.")
@click.option("--once", is_flag=True, help="Look once and return.")
@json_option
def watch(environment_name: str, every: float, once: bool, config_dir: Path | None, as_json: bool) -> None:
    """Watch ENVIRONMENT live until Ctrl-C. With --json or --once, look once and return."""
    environment = Environment.named(environment_name, config_dir)
    with aws_errors_explained(environment):
        if once or as_json:
            document = _look(environment)
            print_json(document) if as_json else out.print(_table(document))
            return
        with Live(_table(_look(environment)), console=out, auto_refresh=False) as view:
            while True:
                time.sleep(every)
                view.update(_table(_look(environment)), refresh=True)
