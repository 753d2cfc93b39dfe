"""The SSM document by which a report asks an instance what the errors in its backend's log were (F1, F3).

The log is grouped where it lies, by the very code that the command groups a file with: it is written into the
document, and changes with it.
"""

from pathlib import Path
from typing import Any

from aws_cdk import aws_ssm as ssm
from constructs import Construct

from config.model import Configuration
from stacks.constructs.code import ROOT
from stacks.naming import Names

SCRIPT = Path(__file__).with_name("error_log.sh")
PATTERNS = ROOT / "lambdas" / "cutover" / "domain" / "log_patterns.py"
TIMEOUT_SECONDS = 60
PARAMETERS: dict[str, dict[str, Any]] = {
    "Spans": {
        "description": "The times that count, in ISO 8601: FROM/UNTIL,FROM/UNTIL",
        "allowedPattern": r"^[0-9TZ:.+-]+/[0-9TZ:.+-]+(,[0-9TZ:.+-]+/[0-9TZ:.+-]+){0,49}$",
    },
}


def error_log_document(scope: Construct, names: Names, configuration: Configuration) -> None:
    """Make cutover-ENV-error-log."""
    ssm.CfnDocument(
        scope,
        "ErrorLogDocument",
        name=names.error_log_document,
        document_type="Command",
        document_format="JSON",
        target_type="/AWS::EC2::Instance",
        update_method="NewVersion",
        content=content(configuration.backend.containers_per_instance),
    )


def content(containers: int) -> dict[str, Any]:
    """The document, for that many containers on each instance."""
    return {
        "schemaVersion": "2.2",
        "description": "Groups the errors of the backend's log on an instance",
        "parameters": {name: {"type": "String", **rules} for name, rules in PARAMETERS.items()},
        "mainSteps": [
            {
                "action": "aws:runShellScript",
                "name": "errors",
                "inputs": {"timeoutSeconds": str(TIMEOUT_SECONDS), "runCommand": _lines(containers)},
            }
        ],
    }


def _lines(containers: int) -> list[str]:
    """ValueError where Run Command would take something for a parameter."""
    patterns, body = PATTERNS.read_text(encoding="utf-8"), SCRIPT.read_text(encoding="utf-8")
    for name, text in {PATTERNS.name: patterns, SCRIPT.name: body}.items():
        if "{{" in text:
            raise ValueError(f"{name} holds '{{{{', which Run Command would take for a parameter")
    quoted = patterns.replace("'", "'\"'\"'")
    return [
        "#!/usr/bin/env bash",
        *(f"export {name.upper()}='{{{{ {name} }}}}'" for name in PARAMETERS),
        f"export CONTAINERS='{containers}'",
        f"export LOG_PATTERNS='{quoted}'",
        *body.splitlines(),
    ]
