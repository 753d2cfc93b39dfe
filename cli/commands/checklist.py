"""`cutover checklist`: before, during and after a deployment, each line answered by evidence (G1, G2, G3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from cli import journal
from cli.errors import ExitCode, UserError
from cli.evidence import known, plan_of, read_bundle
from cli.functions import invoke
from cli.output import json_option, out, print_json
from cli.session import Environment, aws_errors_explained
from cutover.domain.checklist import Left, answer

_COLOURS = {"Yes": "green", "No": "red", "Open": "yellow", "For people": "cyan"}
REFUSALS = {"InvalidInputError": ExitCode.BAD_INPUT, "ConflictError": ExitCode.REFUSED}


def lines_of(environment: Environment, deployment: str) -> list[dict[str, Any]]:
    """Every line with its answer, as the evidence has it now."""
    record = known(environment, deployment)
    outcome = read_bundle(environment, deployment).content("outcome") or {}
    return answer(
        Left(
            record,
            plan_of(environment, record),
            journal.answers(environment, deployment),
            outcome.get("alarms"),
        )
    )


@click.command()
@click.argument("environment_name", metavar="ENVIRONMENT")
@click.argument("deployment")
@click.option("--answer", "line", metavar="LINE", help="Answer a line that is for people, like G3.6.")
@click.option("--by", help="Who answers; your AWS identity is told beside it.")
@click.option("--note", help="What there is to say.")
@click.option("--korean", is_flag=True, help="The lines in the deployment plan's own words.")
@click.option("--config-dir", type=click.Path(path_type=Path), help="Folder of ENV.toml files.")
@json_option
def checklist(
    *,
    environment_name: str,
    deployment: str,
    line: str | None,
    by: str | None,
    note: str | None,
    korean: bool,
    config_dir: Path | None,
    as_json: bool,
) -> None:
    """Show the checklists of DEPLOYMENT in ENVIRONMENT, or answer a line that only people can."""
    environment = Environment.named(environment_name, config_dir)
    if line and not (by and note):
        raise UserError("--answer needs --by NAME and --note TEXT: an answer has a person and a reason.")
    with aws_errors_explained(environment):
        if line:
            event = {
                "action": "answer",
                "deployment": {"id": deployment},
                "line": line,
                "by": f"{by} ({environment.caller()})",
                "note": note,
            }
            invoke(environment, environment.evidence_function, event, REFUSALS)
        lines = lines_of(environment, deployment)
    if as_json:
        print_json({"deployment": deployment, "lines": lines})
        return
    for when in dict.fromkeys(each["when"] for each in lines):
        table = Table("line", when, "answer", "evidence", box=None, padding=(0, 2))
        for each in lines:
            if each["when"] == when:
                verdict = f"[{_COLOURS[each['answer']]}]{each['answer']}[/]"
                table.add_row(each["id"], each["korean" if korean else "text"], verdict, each["evidence"])
        out.print(table)
