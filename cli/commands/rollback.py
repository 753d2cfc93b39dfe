"""`cutover rollback`: the previous version back in seconds, or any former one by its image in minutes."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from cli.errors import ExitCode, UserError
from cli.execution import new_deployment_id
from cli.follow import wait_for_end
from cli.functions import invoke
from cli.options import environment_options
from cli.output import json_option, out, print_json, seconds
from cli.session import Environment, aws_errors_explained

#: The four steps have 210 s together; the machine gives up after 420.
LONGEST_SECONDS = 450.0
#: Errors that mean no more than a refusal: nothing was touched.
REFUSALS = ("NothingToRollBackError", "ImageNotFoundError", "LockHeldError")


@click.command()
@environment_options
@click.option("--reason", required=True, help="Why; it is recorded and told to everybody.")
@click.option("--to", metavar="DEPLOYMENT", help="Bring this deployment's release back by its image.")
@json_option
def rollback(
    environment_name: str, reason: str, to: str | None, config_dir: Path | None, as_json: bool
) -> None:
    """Send ENVIRONMENT's traffic back to the previous version, which still runs.

    With --to, any former release comes back: at once if it stands on the other colour, else by its image in
    four steps (traffic blocked or moved, image redeployed, health, traffic restored) within four minutes.
    """
    environment = Environment.named(environment_name, config_dir)
    with aws_errors_explained(environment):
        if to is not None:
            document = _redeploy(environment, reason, to)
        else:
            document = invoke(environment, environment.rollback_function, _event(environment, reason))
    if as_json:
        print_json(document)
    elif document["action"] == "rolled_back":
        _show(environment, document)
    if document["action"] != "rolled_back":
        if as_json:
            raise SystemExit(ExitCode.REFUSED)
        raise UserError(f"not rolled back: {document['reason']}", ExitCode.REFUSED)


def _event(environment: Environment, reason: str) -> dict[str, str]:
    by = getpass.getuser()
    return {"source": "manual", "environment": environment.name, "reason": reason, "by": by}


def _redeploy(environment: Environment, reason: str, to: str) -> dict[str, Any]:
    wish = {"environment": environment.name, "reason": reason, "by": getpass.getuser(), "to": to}
    answer = environment.states.start_execution(
        stateMachineArn=environment.rollback_machine_arn,
        name=new_deployment_id("rollback", datetime.now(UTC)),
        input=json.dumps(wish),
    )
    ended = wait_for_end(environment, answer["executionArn"], LONGEST_SECONDS)
    if ended.status != "SUCCEEDED":
        code = ExitCode.REFUSED if ended.error in REFUSALS else ExitCode.FAILED
        if ended.error == "InvalidInputError":
            code = ExitCode.BAD_INPUT
        raise UserError(f"not rolled back: {ended.cause or ended.error or ended.status}", code)
    document: dict[str, Any] = ended.output
    return document


def _show(environment: Environment, document: dict[str, Any]) -> None:
    why = "; ".join(str(document[name]) for name in ("cause", "reason") if document.get(name))
    out.print(f"[bold green]rolled back[/] {environment.name}: {why}")
    for step in document.get("steps") or []:
        budget = f"of {step['budget_seconds']} s"
        out.print(f"  {step['name']:<28} {seconds(float(step['seconds'])):>8} {budget}")
