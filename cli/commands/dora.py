"""`cutover dora`: DORA's four keys of an environment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from cli import journal
from cli.options import environment_options
from cli.output import json_option, out, print_json, seconds
from cli.session import Environment, aws_errors_explained
from cutover.domain.dora import Change, FourKeys, four_keys

#: A deployment a day for a quarter fits; what is older than the last of them is told as left out.
MOST = 100


def read_changes(environment: Environment) -> tuple[list[Change], bool]:
    """The latest deployments, and whether there are older ones that were not looked at."""
    lines = journal.history(environment, MOST)
    records = [journal.deployment(environment, line["id"]) for line in lines]
    return [Change.read(record) for record in records if record], len(lines) == MOST


def rows(keys: FourKeys) -> list[tuple[str, str, str]]:
    """(key, value, what it rests on); a dash where there is no data."""
    rate = "-" if keys.failure_rate is None else f"{keys.failure_rate:.0%}"
    return [
        ("deployment frequency", f"{keys.per_day:.2f} a day", f"{keys.deployments} in {keys.days:g} days"),
        (
            "lead time for changes",
            _time(keys.lead_seconds),
            f"median of {keys.lead_times}, {keys.lead_from_commit} of them from the commit",
        ),
        ("change failure rate", rate, f"{keys.failures} of {keys.deployments} were taken back"),
        (
            "time to restore service",
            _time(keys.restore_seconds),
            f"median of {keys.restores}, {keys.restores_from_first_bad} of them from the first bad request, "
            "the others from the alarm or call",
        ),
    ]


def _time(value: float | None) -> str:
    return "-" if value is None else seconds(value)


@click.command()
@environment_options
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, 365), help="The period.")
@json_option
def dora(environment_name: str, days: int, config_dir: Path | None, as_json: bool) -> None:
    """Tell how often ENVIRONMENT is deployed to, how fast, how often in vain, and how soon it is mended."""
    environment = Environment.named(environment_name, config_dir)
    until = datetime.now(UTC)
    with aws_errors_explained(environment):
        changes, more = read_changes(environment)
    keys = four_keys(changes, until - timedelta(days=days), until)
    if as_json:
        document: dict[str, Any] = {"environment": environment.name, "until": until, **keys.as_json()}
        print_json({**document, "older_left_out": more})
        return
    table = Table("", "", "", box=None, padding=(0, 2), show_header=False)
    for row in rows(keys):
        table.add_row(*row)
    out.print(table)
    if more:
        out.print(f"[yellow]only the latest {MOST} deployments were looked at[/]")
