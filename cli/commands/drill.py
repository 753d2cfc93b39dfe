"""`cutover drill`: the traffic goes to the previous release and back, to know that the way back works."""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime
from pathlib import Path

import click

from cli.commands.history import drill_words
from cli.errors import ExitCode, UserError
from cli.execution import new_deployment_id
from cli.follow import wait_for_end
from cli.options import environment_options
from cli.output import json_option, out, print_json
from cli.session import Environment, aws_errors_explained

#: The machine gives up after half an hour.
LONGEST_SECONDS = 1830.0
#: Errors that mean no more than a refusal: nothing was touched.
REFUSALS = ("FrozenError", "LockHeldError")


@click.command()
@environment_options
@click.option("--reason", help="Why; it is recorded.")
@json_option
def drill(environment_name: str, reason: str | None, config_dir: Path | None, as_json: bool) -> None:
    """Practise ENVIRONMENT's way back: previous release and live one again, under a load of our own.

    Refused while a deployment runs, when frozen, and unless both releases are wholly well. Exits 0 only when
    no request was lost and both answered in time.
    """
    environment = Environment.named(environment_name, config_dir)
    wish = {"environment": environment.name, "by": getpass.getuser()}
    if reason:
        wish["reason"] = reason
    with aws_errors_explained(environment):
        answer = environment.states.start_execution(
            stateMachineArn=environment.drill_machine_arn,
            name=new_deployment_id("drill", datetime.now(UTC)),
            input=json.dumps(wish),
        )
        ended = wait_for_end(environment, answer["executionArn"], LONGEST_SECONDS)
    if ended.status != "SUCCEEDED":
        refused = ended.error in REFUSALS or ended.cause.startswith("GateFailedError: no drill now")
        code = ExitCode.REFUSED if refused else ExitCode.FAILED
        raise UserError(f"the drill did not succeed: {ended.cause or ended.error or ended.status}", code)
    if as_json:
        print_json(ended.output)
    else:
        out.print(f"[bold green]drilled[/] {environment.name}: {drill_words(ended.output['drill'])}")
