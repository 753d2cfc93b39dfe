"""`cutover approve` and `cutover reject`: the answer to a deployment that waits for a person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from cli.errors import ExitCode
from cli.functions import invoke
from cli.options import environment_options
from cli.output import json_option, out, print_json
from cli.session import Environment, aws_errors_explained

_F = TypeVar("_F", bound=Callable[..., Any])
REFUSALS = {"NotWaitingError": ExitCode.REFUSED, "InvalidInputError": ExitCode.BAD_INPUT}


def _arguments(command: _F) -> _F:
    for option in (
        json_option,
        click.option("--reason", required=True, help="Why; it stays in the journal with who and when."),
        click.argument("deployment"),
        environment_options,
    ):
        command = option(command)
    return command


def _answer(action: str, name: str, deployment: str, reason: str, config_dir: Path | None) -> dict[str, Any]:
    environment = Environment.named(name, config_dir)
    with aws_errors_explained(environment):
        event = {
            "action": action,
            "deployment": {"id": deployment},
            "by": environment.caller(),
            "reason": reason,
        }
        return invoke(environment, environment.approval_function, event, REFUSALS)


def _show(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    told = f"{document['deployment']} by {document['by']} at {document['at']}: {document['reason']}"
    out.print(f"[bold]{document['status'].lower()}[/]: ", end="")
    out.print(told, markup=False)
    plan = document["plan"]
    out.print(f"plan {plan['sha256']}, {plan['console']}", markup=False)
    if plan["allow_destructive"]:
        out.print("[bold red]it may destroy[/]: ", end="")
        out.print(", ".join(plan["allow_destructive"]), markup=False)


@click.command()
@_arguments
def approve(
    environment_name: str, deployment: str, reason: str, config_dir: Path | None, as_json: bool
) -> None:
    """Approve the plan of DEPLOYMENT, which waits in ENVIRONMENT. It goes on at once."""
    _show(_answer("approve", environment_name, deployment, reason, config_dir), as_json)


@click.command()
@_arguments
def reject(
    environment_name: str, deployment: str, reason: str, config_dir: Path | None, as_json: bool
) -> None:
    """Reject the plan of DEPLOYMENT, which waits in ENVIRONMENT. It ends, and nothing has been touched."""
    _show(_answer("reject", environment_name, deployment, reason, config_dir), as_json)
