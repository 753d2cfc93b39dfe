"""The SSM document that rolls the monitoring tier out: parameters, the files, then rollout.sh (B8, C4).

As with a release, what is the same for every command is written into the document, so that a plan shows its
change; the document's digest says whether a rollout is due.
"""

import json
from pathlib import Path
from typing import Any

from config.model import Configuration
from stacks.environment.tier.files import digest, host, instance
from stacks.naming import Names

SCRIPT = Path(__file__).with_name("rollout.sh")
#: Elasticsearch's images are some gigabytes, which a first rollout has to pull.
TIMEOUT_SECONDS = 1200
GRAFANA_SECRET = "grafana"  # noqa: S105  its name
PARAMETERS: dict[str, dict[str, Any]] = {
    "Deployment": {"description": "The deployment's id", "allowedPattern": r"^[A-Za-z0-9._-]{1,80}$"},
    "Host": {"description": "The monitoring host's instance id", "allowedPattern": r"^i-[0-9a-f]{8,17}$"},
    "Address": {
        "description": "The monitoring host's private address",
        "allowedPattern": r"^\d{1,3}(\.\d{1,3}){3}$",
    },
}


def script(names: Names, configuration: Configuration) -> list[str]:
    """The script's lines. ValueError where Run Command would take something for a parameter."""
    on_host, on_instances = host(names, configuration), instance(names)
    baked = {
        "ENVIRONMENT": names.environment,
        "REGION": names.region,
        "GRAFANA_SECRET": names.secret(GRAFANA_SECRET),
        "HOST_IMAGES": " ".join(f"{name}={image}" for name, image in on_host.images.items()),
        "HOST_FILES": json.dumps(dict(on_host.files), sort_keys=True),
        "INSTANCE_IMAGES": " ".join(f"{name}={image}" for name, image in on_instances.images.items()),
        "INSTANCE_FILES": json.dumps(dict(on_instances.files), sort_keys=True),
    }
    body = SCRIPT.read_text(encoding="utf-8")
    for name, text in {**baked, SCRIPT.name: body}.items():
        if "{{" in text:
            raise ValueError(f"{name} holds '{{{{', which Run Command would take for a parameter")
    parameters = [f"export {name.upper()}='{{{{ {name} }}}}'" for name in PARAMETERS]
    exports = [f"export {name}={_quoted(value)}" for name, value in baked.items()]
    return ["#!/usr/bin/env bash", *parameters, *exports, *body.splitlines()]


def content(lines: list[str]) -> dict[str, Any]:
    """The document's content, of the script's lines."""
    return {
        "schemaVersion": "2.2",
        "description": "Brings the monitoring tier to its host, and Filebeat to the instances",
        "parameters": {name: {"type": "String", **rules} for name, rules in PARAMETERS.items()},
        "mainSteps": [
            {
                "action": "aws:runShellScript",
                "name": "monitoring",
                "inputs": {"timeoutSeconds": str(TIMEOUT_SECONDS), "runCommand": lines},
            }
        ],
    }


def digest_of(lines: list[str]) -> str:
    """Changes with anything that a rollout would bring."""
    return digest(*lines)


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "'\"'\"'") + "'"
