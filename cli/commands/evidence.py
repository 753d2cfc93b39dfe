"""`cutover evidence show | verify`: what is kept of a deployment, and whether it is what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.table import Table

from cli.errors import ExitCode, UserError
from cli.evidence import Bundle, known, read_bundle
from cli.output import json_option, out, print_json
from cli.session import Environment, aws_errors_explained
from cutover.domain.evidence import problems


@click.group()
def evidence() -> None:
    """Show a deployment's evidence, or verify it byte by byte."""


_deployment = click.argument("deployment")
_environment = click.argument("environment_name", metavar="ENVIRONMENT")
_directory = click.option("--config-dir", type=click.Path(path_type=Path), help="Folder of ENV.toml files.")


def _read(environment_name: str, deployment: str, config_dir: Path | None) -> tuple[Environment, Bundle]:
    environment = Environment.named(environment_name, config_dir)
    with aws_errors_explained(environment):
        known(environment, deployment)
        return environment, read_bundle(environment, deployment)


@evidence.command()
@_environment
@_deployment
@click.option("--entry", type=int, help="Print this entry whole.")
@_directory
@json_option
def show(
    environment_name: str, deployment: str, entry: int | None, config_dir: Path | None, as_json: bool
) -> None:
    """List the entries of DEPLOYMENT's evidence, or print one."""
    environment, bundle = _read(environment_name, deployment, config_dir)
    documents = bundle.documents()
    if entry is not None:
        found = [each for each in documents if each.get("sequence") == entry]
        if not found:
            raise UserError(f"--entry {entry}: there is none; entries go from 1 to {len(documents)}")
        print_json(found[0])
        return
    listed = [
        {"sequence": number, "name": name, "sha256": sha256, "key": bundle.chain.key(number)}
        for number, (name, sha256) in enumerate(bundle.chain.entries, 1)
    ]
    if as_json:
        print_json({"deployment": deployment, "head": bundle.chain.head, "entries": listed})
        return
    if not listed:
        out.print(f"no evidence of {deployment} yet: it is written while the deployment goes on")
        return
    table = Table("entry", "name", "sha256", box=None, padding=(0, 2))
    for each in listed:
        table.add_row(str(each["sequence"]), str(each["name"]), str(each["sha256"])[:16])
    out.print(table)
    out.print(f"head {bundle.chain.head}, s3://{environment.artifacts_bucket}/evidence/{deployment}/")


@evidence.command()
@_environment
@_deployment
@_directory
@json_option
def verify(environment_name: str, deployment: str, config_dir: Path | None, as_json: bool) -> None:
    """Hold DEPLOYMENT's evidence to the journal's digests. Exits 1 when an entry is not as written."""
    _, bundle = _read(environment_name, deployment, config_dir)
    wrong = problems(bundle.chain, bundle.objects)
    if not bundle.chain.entries:
        wrong.append(f"the journal knows of no evidence of {deployment}")
    document: dict[str, Any] = {
        "deployment": deployment,
        "entries": len(bundle.chain.entries),
        "head": bundle.chain.head,
        "whole": not wrong,
        "problems": wrong,
    }
    if as_json:
        print_json(document)
        raise SystemExit(ExitCode.FAILED if wrong else ExitCode.OK)
    if wrong:
        raise UserError(f"the evidence of {deployment} is not whole: " + "; ".join(wrong), ExitCode.FAILED)
    out.print(f"[bold green]whole[/]: {document['entries']} entries, head {document['head']}")
