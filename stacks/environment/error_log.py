"""The SSM document by which a report asks an instance what the errors in its backend's log were (F1, F3).

The log is grouped where it lies, by the very code that the command groups a file with: it is written into the
document, and changes with it.
"""

from pathlib import Path
from typing import Any

from constructs import Construct

from config.model import Configuration
from stacks.constructs.code import ROOT
from stacks.constructs.command import command_document, content, script
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
    body = document(configuration.backend.containers_per_instance)
    command_document(scope, "ErrorLogDocument", names.error_log_document, body)


def document(containers: int) -> dict[str, Any]:
    """The document's content, for that many containers on each instance."""
    patterns = PATTERNS.read_text(encoding="utf-8")
    baked = {"CONTAINERS": str(containers), "LOG_PATTERNS": patterns}
    description = "Groups the errors of the backend's log on an instance"
    return content("errors", description, PARAMETERS, TIMEOUT_SECONDS, script(PARAMETERS, baked, SCRIPT))
