"""`cutover history`: what was deployed, how it ended, how long it took, and the clock of each rollback."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from cli import journal
from cli.options import environment_options
from cli.output import json_option, out, print_json, seconds
from cli.session import Environment, aws_errors_explained

_CLOCK = (
    ("first_bad_at", "first bad request"),
    ("asked_at", "asked"),
    ("modified_at", "rule modified"),
    ("last_bad_at", "last request served by it"),
)


def entry(line: Mapping[str, Any], record: Mapping[str, Any] | None) -> dict[str, Any]:
    """One deployment: its line in the history, with what its record adds."""
    about = record or {}
    started, finished = about.get("started"), about.get("finished") or line.get("finished")
    return {
        "id": line["id"],
        "version": line.get("version"),
        "mode": line.get("mode"),
        "status": line["status"],
        "started": started,
        "finished": finished,
        "seconds": _between(started, finished),
        "phases": [
            {
                "name": phase.get("name"),
                "verdict": phase.get("verdict"),
                "seconds": _between(phase.get("started"), phase.get("finished")),
            }
            for phase in about.get("phases") or []
        ],
        "cause": about.get("cause"),
        "rollback": about.get("rollback"),
        "drill": about.get("drill"),
    }


def _between(start: str | None, end: str | None) -> float | None:
    if not start or not end:
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def entries(environment: Environment, most: int) -> list[dict[str, Any]]:
    """The latest deployments, newest first."""
    return [
        entry(line, journal.deployment(environment, line["id"]))
        for line in journal.history(environment, most)
    ]


def drill_words(drill: Mapping[str, Any]) -> str:
    """What a drill measured, in one sentence."""
    there, back = (f"{float(drill[way]):.3f} s" for way in ("there_seconds", "back_seconds"))
    return (
        f"{drill['lost']} of {drill['requests']} requests lost; the previous release answered after {there}, "
        f"the live one again after {back}"
    )


def clock_lines(rollback: Mapping[str, Any]) -> list[str]:
    """The rollback clock in words, one moment a line; an unknown one says why."""
    clock = rollback.get("clock") or {}
    if not clock.get("modified_at"):
        return [f"{rollback.get('action', 'unknown')}: {rollback.get('reason', '')}"]
    asked, unknown = datetime.fromisoformat(clock["asked_at"]), clock.get("unknown") or {}
    lines = [f"{rollback['from']} → {rollback['to']} by {rollback['trigger']} ({rollback['by']})"]
    for name, words in _CLOCK:
        moment = clock.get(name)
        if moment is None:
            lines.append(f"{words}: unknown, {unknown.get(name, 'not recorded')}")
            continue
        away = round((datetime.fromisoformat(moment) - asked).total_seconds() * 1000)
        lines.append(f"{words}: {moment}" + (f" ({away:+,} ms)" if name != "asked_at" else ""))
    return lines


@click.command()
@environment_options
@click.option(
    "--most", default=10, show_default=True, type=click.IntRange(1, 100), help="How many deployments to list."
)
@json_option
def history(environment_name: str, most: int, config_dir: Path | None, as_json: bool) -> None:
    """List ENVIRONMENT's latest deployments with their durations, and the clock of every rollback."""
    environment = Environment.named(environment_name, config_dir)
    with aws_errors_explained(environment):
        found = entries(environment, most)
    if as_json:
        print_json(found)
        return
    if not found:
        out.print(f"[bold]{environment.name}[/]: nothing has been deployed yet")
        return
    table = Table("deployment", "version", "status", "took", box=None, padding=(0, 2))
    for each in found:
        took = seconds(each["seconds"]) if each["seconds"] is not None else "-"
        table.add_row(each["id"], str(each["version"]), each["status"], took)
    out.print(table)
    for each in found:
        if each["drill"]:
            out.print(f"\n[bold]{each['id']}[/] drill: {drill_words(each['drill'])}")
        if each["rollback"]:
            out.print(f"\n[bold]{each['id']}[/] rollback")
            for line in clock_lines(each["rollback"]):
                out.print(f"  {line}", markup=False)
