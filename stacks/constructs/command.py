"""SSM documents of type Command: one bash script, whose parameters and fixed values stand above its lines.

Run Command replaces `{{ Name }}` in the script's text before a shell sees it, so each parameter admits only
what cannot leave its quotes, and no other text may hold such braces.
https://docs.aws.amazon.com/systems-manager/latest/userguide/documents-syntax-data-elements-parameters.html
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aws_cdk import aws_ssm as ssm
from constructs import Construct


def script(parameters: Iterable[str], baked: Mapping[str, str], file: Path) -> list[str]:
    """The script's lines: shebang, the command's parameters (their names in capitals), the values baked in,
    the file. ValueError where Run Command would take something for a parameter."""
    body = file.read_text(encoding="utf-8")
    for name, text in {**baked, file.name: body}.items():
        if "{{" in text:
            raise ValueError(f"{name} holds '{{{{', which Run Command would take for a parameter")
    given = [f"export {name.upper()}='{{{{ {name} }}}}'" for name in parameters]
    values = [f"export {name}={_quoted(value)}" for name, value in baked.items()]
    return ["#!/usr/bin/env bash", *given, *values, *body.splitlines()]


def content(
    step: str,
    description: str,
    parameters: Mapping[str, Mapping[str, Any]],
    timeout_seconds: int,
    lines: list[str],
) -> dict[str, Any]:
    """The document's content; `parameters` are the rules for each, all of type String."""
    return {
        "schemaVersion": "2.2",
        "description": description,
        "parameters": {name: {"type": "String", **rules} for name, rules in parameters.items()},
        "mainSteps": [
            {
                "action": "aws:runShellScript",
                "name": step,
                "inputs": {"timeoutSeconds": str(timeout_seconds), "runCommand": lines},
            }
        ],
    }


def command_document(scope: Construct, id: str, name: str, content: Mapping[str, Any]) -> ssm.CfnDocument:
    """A change of the content is a new version of the document."""
    return ssm.CfnDocument(
        scope,
        id,
        name=name,
        document_type="Command",
        document_format="JSON",
        target_type="/AWS::EC2::Instance",
        update_method="NewVersion",
        content=content,
    )


def _quoted(value: str) -> str:
    """In single quotes. A token becomes an address or an ARN, with nothing in it that could leave them."""
    return "'" + value.replace("'", "'\"'\"'") + "'"
