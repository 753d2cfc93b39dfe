"""`cutover deploy`: start a deployment and follow it live."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from botocore.exceptions import ClientError

from cli.board import show_board
from cli.commands.status import board_of
from cli.errors import ExitCode, UserError
from cli.execution import Ended, StateEntered, deployment_id, start
from cli.follow import Progress, follow
from cli.options import build_request, environment_options, release_options
from cli.output import json_option, out, print_json, seconds
from cli.session import Environment, aws_errors_explained

# Errors of the state machine that mean: nothing was started.
REFUSALS = {
    "ApprovalExpiredError",
    "ApprovalRejectedError",
    "DestructiveChangeError",
    "FrozenError",
    "LockHeldError",
    "OutsideWindowError",
    "PlanChangedError",
}
BAD_INPUT = {
    "InvalidInputError",
    "UnfitConfigurationError",
    "WrongEnvironmentError",
    "ImageNotFoundError",
    "SourceNotFoundError",
    "PlanNotFoundError",
}
_DIGEST = re.compile(r"[0-9a-f]{64}")


def exit_code(ended: Ended) -> ExitCode:
    """0 only on success; refusals and bad input can be told from a failed deployment."""
    if ended.status == "SUCCEEDED":
        return ExitCode.OK
    if ended.error in REFUSALS:
        return ExitCode.REFUSED
    return ExitCode.BAD_INPUT if ended.error in BAD_INPUT else ExitCode.FAILED


def kept_plan(environment: Environment, digest: str) -> dict[str, Any]:
    """The plan's document, from where `cutover plan` keeps it.

    Raises:
        UserError: it is no digest, or there is no such plan.
    """
    if not _DIGEST.fullmatch(digest):
        raise UserError(f"--plan {digest}: no digest; give the 64 hex digits that `cutover plan` shows.")
    key = f"plans/{digest}.json"
    try:
        body = environment.storage.get_object(Bucket=environment.artifacts_bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"404", "NoSuchKey"}:
            raise
        where = f"s3://{environment.artifacts_bucket}/{key}"
        raise UserError(f"--plan: PlanNotFoundError: there is no {where}; make one: cutover plan") from None
    document: dict[str, Any] = json.loads(body)
    return document


def _approval_hint(environment: Environment, execution_arn: str) -> Callable[[StateEntered], None]:
    """Tells on stderr what a deployment that waits is waiting for."""

    def told(entered: StateEntered) -> None:
        if entered.name == "Wait for approval":
            command = f"cutover approve {environment.name} {deployment_id(execution_arn)} --reason TEXT"
            click.echo(f"  waits for an approval: {command} (or reject)", err=True)

    return told


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
@environment_options
@release_options
@click.option("--plan", "digest", metavar="DIGEST", help="Execute exactly this plan, or refuse by name.")
@click.option("--no-wait", is_flag=True, help="Start it and return; `cutover status` tells the rest.")
@json_option
def deploy(
    environment_name: str,
    config_dir: Path | None,
    digest: str | None,
    no_wait: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Deploy a version to ENVIRONMENT and follow it live. Exits 0 only when it is live and baked."""
    environment = Environment.named(environment_name, config_dir)
    with aws_errors_explained(environment):
        plan = kept_plan(environment, digest) if digest else None
        request = build_request(environment, "deploy", plan=plan, **options)
        execution_arn = start(environment, request)
        if no_wait:
            document = {"deployment": deployment_id(execution_arn), "execution_arn": execution_arn}
            print_json(document) if as_json else out.print(f"started {document['deployment']}")
            return
        if not as_json:
            out.print(
                f"[bold]{environment.name}[/]: deploying [bold]{request.version}[/] as "
                f"{deployment_id(execution_arn)}"
            )
        hint = _approval_hint(environment, execution_arn)
        ended, progress = follow(environment, execution_arn, None if as_json else out, on_state=hint)
        board = board_of(environment, deployment_id(execution_arn))
    if as_json:
        print_json({**_document(execution_arn, ended, progress), "board": board})
        raise SystemExit(exit_code(ended))
    if board:
        show_board(board)
    if ended.status != "SUCCEEDED":
        raise UserError(f"{ended.error or ended.status}: {ended.cause}", exit_code(ended))
    out.print(
        f"[bold green]live[/]: {ended.output['version']} on {ended.output['colour']} "
        f"({seconds(sum(progress.durations.values()))} in all), {ended.output['image']}"
    )
