"""`cutover doctor`: says what is missing for a deployment, and how to mend it."""

from __future__ import annotations

from pathlib import Path

import click

from cli.doctor import machine
from cli.doctor.account import Account
from cli.doctor.findings import Finding, State, exit_code
from cli.options import environment_options
from cli.output import json_option, out, print_json
from cli.session import Environment

_SIGNS = {State.SOUND: "[green]✓[/]", State.MISSING: "[red]✗[/]", State.UNKNOWN: "[yellow]?[/]"}


@click.command()
@environment_options
@json_option
def doctor(environment_name: str, config_dir: Path | None, as_json: bool) -> None:
    """Look at this machine, the AWS account and ENVIRONMENT's configuration; change nothing.

    Exits 0 when all is sound, 1 when something is missing, 4 when something could not be looked at.
    """
    environment = Environment.named(environment_name, config_dir)
    findings: list[Finding] = []
    for source in (machine.examine(), Account(environment.configuration).examine()):
        for finding in source:
            findings.append(finding)
            if not as_json:
                _show(finding)
    code = exit_code(findings)
    if as_json:
        document = {"environment": environment.name, "findings": [each.as_json() for each in findings]}
        print_json(document)
    else:
        counts = {state: sum(each.state is state for each in findings) for state in State}
        out.print(", ".join(f"{count} {state}" for state, count in counts.items()))
    raise SystemExit(code)


def _show(finding: Finding) -> None:
    out.print(f"{_SIGNS[finding.state]} {finding.name}: ", end="")
    out.print(finding.found, markup=False)
    if finding.mend:
        out.print("    → ", end="")
        out.print(finding.mend, markup=False)
