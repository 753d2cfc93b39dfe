"""`cutover status`: what is live, since when, what holds the lock, and how the targets feel."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from cli import journal
from cli.board import show_board
from cli.commands.history import drill_words
from cli.options import environment_options
from cli.output import json_option, out, print_json
from cli.session import Environment, aws_errors_explained


def traffic(environment: Environment, live: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The backend's, per colour: its weight on the listener, and how many of its targets are healthy."""
    listeners = environment.balancer.describe_listeners(ListenerArns=[live["listener_arn"]])["Listeners"]
    return _split(environment, listeners[0]["DefaultActions"][0], live)


def frontend_traffic(environment: Environment, live: dict[str, Any]) -> dict[str, dict[str, Any]] | None:
    """The same of the frontend's rule; None where no frontend was released."""
    pages = live.get("frontend")
    if not pages:
        return None
    rules = environment.balancer.describe_rules(RuleArns=[pages["listener_arn"]])["Rules"]
    return _split(environment, rules[0]["Actions"][0], pages)


def _split(
    environment: Environment, action: Mapping[str, Any], groups: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """`groups` are the target groups' ARNs by their colour."""
    forward = action.get("ForwardConfig", {}).get("TargetGroups", [])
    weights = {group["TargetGroupArn"]: group.get("Weight", 0) for group in forward}
    split = {}
    for colour in ("blue", "green"):
        health = environment.balancer.describe_target_health(TargetGroupArn=groups[colour])
        states = [t["TargetHealth"]["State"] for t in health["TargetHealthDescriptions"]]
        split[colour] = {
            "weight": weights.get(groups[colour], 0),
            "healthy": states.count("healthy"),
            "targets": len(states),
        }
    return split


def board_of(environment: Environment, deployment: str) -> dict[str, Any] | None:
    """The Go/No-Go board that let a deployment on, or did not; None for one that never came so far."""
    return (journal.deployment(environment, deployment) or {}).get("board")


def last_drill(environment: Environment, now: datetime) -> dict[str, Any] | None:
    """What the last drill measured, with the days since."""
    last = journal.last_drill(environment)
    if last is None:
        return None
    since = now - datetime.fromisoformat(last["at"])
    return {**last, "days_ago": round(since.total_seconds() / 86400, 1)}


def snapshot(environment: Environment, most: int) -> dict[str, Any]:
    """Everything that `status` shows, as one document."""
    live = journal.live(environment)
    return {
        "environment": environment.name,
        "live": live,
        "traffic": traffic(environment, live) if live else None,
        "frontend_traffic": frontend_traffic(environment, live) if live else None,
        "lock": journal.lock(environment),
        "frozen": journal.frozen(environment),
        "last_drill": last_drill(environment, datetime.now(UTC)),
        "history": journal.history(environment, most),
        "board": board_of(environment, str(live["deployment"])) if live else None,
    }


@click.command()
@environment_options
@click.option("--most", default=5, show_default=True, help="How many past deployments to list.")
@json_option
def status(environment_name: str, most: int, config_dir: Path | None, as_json: bool) -> None:
    """Show what is live in ENVIRONMENT, the traffic split, the lock and the latest deployments."""
    environment = Environment.named(environment_name, config_dir)
    with aws_errors_explained(environment):
        document = snapshot(environment, most)
    if as_json:
        print_json(document)
        return
    live = document["live"]
    if live is None:
        out.print(f"[bold]{environment.name}[/]: nothing has been deployed yet")
    else:
        out.print(
            f"[bold]{environment.name}[/]: [bold green]{live['version']}[/] is live on {live['colour']} "
            f"since {live['swapped_at']}; watched until {live['watch_until']}"
        )
        table = Table("colour", "weight", "healthy targets", box=None, padding=(0, 2))
        for colour, facts in document["traffic"].items():
            table.add_row(colour, str(facts["weight"]), f"{facts['healthy']} of {facts['targets']}")
        for colour, facts in (document["frontend_traffic"] or {}).items():
            healthy = f"{facts['healthy']} of {facts['targets']}"
            table.add_row(f"{colour}, frontend", str(facts["weight"]), healthy)
        out.print(table)
    drilled = document["last_drill"]
    if live is not None:
        what = f"{drilled['days_ago']} days ago: {drill_words(drilled)}" if drilled else "never"
        out.print(f"last drill: {what}")
    if document["frozen"]:
        frozen = document["frozen"]
        out.print(f"[bold cyan]frozen[/] by {frozen['by']} since {frozen['since']}: {frozen['reason']}")
    if document["lock"]:
        out.print(f"locked by {document['lock']['holder']} since {document['lock']['since']}")
    if document["history"]:
        table = Table("deployment", "version", "status", box=None, padding=(0, 2))
        for past in document["history"]:
            table.add_row(past["id"], past["version"], past["status"])
        out.print(table)
    if document["board"]:
        show_board(document["board"])
