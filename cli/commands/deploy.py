"""`cutover deploy`: start a deployment and follow it live."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cli.errors import ExitCode, UserError
from cli.execution import Ended, deployment_id, start
from cli.follow import Progress, follow
from cli.options import build_request, release_options
from cli.output import json_option, out, print_json, seconds
from cli.session import Environment, aws_errors_explained

# Errors of the state machine that mean: nothing was started.
_REFUSALS = {"LockHeldError", "OutsideWindowError", "DestructiveChangeError"}
_BAD_INPUT = {"InvalidInputError", "WrongEnvironmentError", "ImageNotFoundError", "SourceNotFoundError"}


def exit_code(ended: Ended) -> ExitCode:
    """0 only on success; refusals and bad input can be told from a failed deployment."""
    if ended.status == "SUCCEEDED":
        return ExitCode.OK
    if ended.error in _REFUSALS:
        return ExitCode.REFUSED
    return ExitCode.BAD_INPUT if ended.error in _BAD_INPUT else ExitCode.FAILED


def _document(execution_arn: str, ended: Ended, progress: Progress) -> dict[str, Any]:
    return {
        "deployment": deployment_id(execution_arn),
        "execution_arn": execution_arn,
        "status": ended.status,
        "error": ended.error,
        "cause": ended.cause,
        "output": ended.output,
        "seconds": {section: round(took, 3) for section, took in progress.durations.items()},
    }


@click.command()
@click.argument("environment_name", metavar="ENVIRONMENT")
@release_options
@click.option("--no-wait", is_flag=True, help="Start it and return; `cutover status` tells the rest.")
@json_option
def deploy(
    environment_name: str, config_dir: Path | None, no_wait: bool, as_json: bool, **options: Any
) -> None:
    """Deploy a version to ENVIRONMENT and follow it live. Exits 0 only when it is live and baked."""
    environment = Environment.named(environment_name, config_dir)
    with aws_errors_explained(environment):
        execution_arn = start(environment, build_request(environment, "deploy", **options))
        if no_wait:
            document = {"deployment": deployment_id(execution_arn), "execution_arn": execution_arn}
            print_json(document) if as_json else out.print(f"started {document['deployment']}")
            return
        if not as_json:
            out.print(
                f"[bold]{environment.name}[/]: deploying [bold]{options['version']}[/] as "
                f"{deployment_id(execution_arn)}"
            )
        ended, progress = follow(environment, execution_arn, None if as_json else out)
    if as_json:
        print_json(_document(execution_arn, ended, progress))
        raise SystemExit(exit_code(ended))
    if ended.status != "SUCCEEDED":
        raise UserError(f"{ended.error or ended.status}: {ended.cause}", exit_code(ended))
    out.print(
        f"[bold green]live[/]: {ended.output['version']} on {ended.output['colour']} "
        f"({seconds(sum(progress.durations.values()))} in all), {ended.output['image']}"
    )
