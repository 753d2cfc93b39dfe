"""`cutover plan`: the whole plan of a deployment, with nothing touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from cli.commands.deploy import exit_code
from cli.errors import UserError
from cli.execution import start
from cli.follow import follow
from cli.options import build_request, release_options
from cli.output import json_option, out, print_json, seconds
from cli.session import Environment, aws_errors_explained

Lines = list[tuple[str, str]]
_SECRET = "AWS::SecretsManager::"  # noqa: S105  a resource type


@click.command()
@click.argument("environment_name", metavar="ENVIRONMENT")
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


def told(document: dict[str, Any], persona: str = "all") -> list[str]:
    """The plan in lines for people, by persona; the one that was asked for comes first."""
    sections = {
        "reliability": _reliability(document),
        "performance": _performance(document),
        "security": _security(document),
    }
    order = sorted(sections, key=lambda name: name != persona)
    environment, version = escape(document["environment"]), escape(document["version"])
    lines = [f"[bold]{environment}[/]: plan for [bold]{version}[/]"]
    for name in order:
        lines.append(f"[bold]{name}[/]")
        lines += [f"  {label:<16} {escape(text)}" for label, text in sections[name]]
    lines.append(f"[bold]digest[/] {document['sha256']}, kept at {escape(document['location'])}")
    lines.append(f"execute exactly this: cutover deploy {environment} --plan {document['sha256']}")
    return lines


def _reliability(document: dict[str, Any]) -> Lines:
    changes = (document.get("change_set") or {}).get("changes") or []
    weights, rollback = document["weights"], document["rollback"]
    live = document.get("live")
    lines: Lines = [
        ("live now", f"{live['version']} on {live['colour']}" if live else "nothing yet"),
        ("weights", f"{_pairs(weights['now'])} → {_pairs(weights['after'])}"),
        ("infrastructure", _counted(changes) if changes else "nothing changes"),
    ]
    for change in changes:
        causes = ", ".join(sorted({cause["property"] for cause in change.get("causes") or []}))
        because = f" because of {causes}" if causes else ""
        lines.append((f"  {change['kind']}", f"{change['logical_id']} ({change['type']}){because}"))
        if change.get("destructive"):
            lines.append(("  destroys", f"{change['logical_id']}: {change['destructive']}"))
    migrations = document["migrations"]
    lines.append(("migrations", f"{len(migrations['indexes'])} indexes, in {len(migrations['files'])} files"))
    lines += [("  index", index) for index in migrations["indexes"]]
    lines.append(("rollback", f"before the swap: {rollback['before_the_swap']}"))
    lines.append(("", f"after the swap: {rollback['after_the_swap']}"))
    return lines


def _performance(document: dict[str, Any]) -> Lines:
    cost, load = document["cost"], document["configuration"].get("load") or {}
    monthly = cost["monthly"]
    left_out = "" if monthly["complete"] else ", without what is unpriced"
    lines: Lines = []
    if cost.get("as_of"):
        lines.append(
            (
                "cost a month",
                f"{monthly['delta']:+.2f} {cost['currency']} ({monthly['now']:.2f} → {monthly['after']:.2f}, "
                f"list prices of {cost['as_of']}{left_out})",
            )
        )
    if cost["unpriced"]:
        lines.append(("unpriced", ", ".join(cost["unpriced"])))
    build = cost["per_deployment"]
    lines.append(("this deployment", f"build {build['minutes']} min, cost {build['cost']}"))
    if load:
        lines.append(
            ("load", f"{load['requests_per_second']} requests/s, {load['users']} users, {load['seconds']} s")
        )
    for phase in document["phases"]:
        expected = phase["expected_seconds"]
        time = expected if isinstance(expected, str) else f"about {seconds(expected)}"
        lines.append(
            (f"{phase['number']} {phase['name']}", f"{time} (at most {phase['budget_minutes']} min)")
        )
    return lines


def _security(document: dict[str, Any]) -> Lines:
    changes = (document.get("change_set") or {}).get("changes") or []
    image, source = document["image"], document.get("source")
    secrets = [change["logical_id"] for change in changes if str(change["type"]).startswith(_SECRET)]
    return [
        ("image", image["digest"] or f"to be built from {(source or {}).get('location')}"),
        ("security groups", ", ".join(document["security_groups"]) or "nothing changes"),
        ("secrets", ", ".join(secrets) or "nothing changes"),
        ("template", document["template"]["sha256"]),
        ("window", document["window"]["reason"]),
    ]


def _counted(changes: list[dict[str, Any]]) -> str:
    kinds = [change["kind"] for change in changes]
    return ", ".join(f"{kinds.count(kind)} to {kind}" for kind in dict.fromkeys(kinds))


def _pairs(weights: dict[str, Any]) -> str:
    return ", ".join(f"{colour} {weight}" for colour, weight in weights.items())
