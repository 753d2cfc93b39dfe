"""The SSM document that brings a release to an instance: parameters, addresses, then release.sh (C3b, C3c).

Everything that is the same for every release is written into the document here; a command brings the rest.
Run Command replaces `{{ Name }}` in the script's text before a shell sees it, so each parameter admits only
what cannot leave its quotes.
https://docs.aws.amazon.com/systems-manager/latest/userguide/documents-syntax-data-elements-parameters.html
"""

import json
import re
from pathlib import Path
from typing import Any

from aws_cdk import aws_ssm as ssm
from constructs import Construct

from config.model import Backend, Configuration
from stacks.environment.balancer import Balancer
from stacks.environment.data import Data
from stacks.naming import Names

SCRIPT = Path(__file__).with_name("release.sh")
COMPOSE = Path(__file__).with_name("compose.yaml")
METRICS = Path(__file__).with_name("metrics.compose.yaml")
#: TLS with a replica set; DocumentDB knows no retryable writes.
#: https://docs.aws.amazon.com/documentdb/latest/developerguide/functional-differences.html
DATABASE_OPTIONS = "tls=true&replicaSet=rs0&readPreference=secondaryPreferred&retryWrites=false"
#: Part of a release's time that waiting for healthy containers may take; the rest is for pulling the image.
WAIT_SHARE = 0.5

PARAMETERS: dict[str, dict[str, Any]] = {
    "Action": {"description": "What to do", "allowedValues": ["release", "stop", "start"]},
    "Deployment": {"description": "The deployment's id", "allowedPattern": r"^[A-Za-z0-9._-]{1,80}$"},
    "Version": {
        "description": "The version's name",
        "default": "",
        "allowedPattern": r"^[A-Za-z0-9._+-]{0,128}$",
    },
    "Image": {
        "description": "REPOSITORY@sha256:DIGEST",
        "default": "",
        "allowedPattern": r"^([A-Za-z0-9./:_-]+@sha256:[0-9a-f]{64})?$",
    },
    "Settings": {
        "description": "JSON: variables of the containers, over the configured ones; no single quotes in it",
        "default": "{}",
        "allowedPattern": r"^\{[^'\n\r]*\}$",
    },
    "Colour": {"description": "blue or green", "default": "", "allowedPattern": r"^(blue|green)?$"},
}


def release_document(
    scope: Construct, names: Names, configuration: Configuration, data: Data, front: Balancer
) -> ssm.CfnDocument:
    """Make cutover-ENV-release. A change of it is a new version of the same document."""
    backend = configuration.backend
    baked = {
        "ENVIRONMENT": names.environment,
        "REGION": names.region,
        "DATABASE_ENDPOINT": data.database_endpoint,
        "DATABASE_PORT": data.database_port,
        "DATABASE_NAME": configuration.database.name,
        "DATABASE_OPTIONS": DATABASE_OPTIONS,
        "DATABASE_SECRET": names.secret("database-application"),
        "REDIS_ENDPOINT": data.redis_endpoint,
        "REDIS_PORT": data.redis_port,
        "REDIS_SECRET": names.secret("redis"),
        "JWT_SECRET_NAME": names.secret("jwt"),
        "FILES_BUCKET": data.files_bucket,
        "BLUE_TARGET_GROUP": front.target_groups["blue"].ref,
        "GREEN_TARGET_GROUP": front.target_groups["green"].ref,
        "FIRST_PORT": str(backend.first_port),
        "CONTAINERS": str(backend.containers_per_instance),
        "WAIT_SECONDS": str(round(configuration.release.timeout_seconds * WAIT_SHARE)),
        "DEFAULT_SETTINGS": json.dumps(configuration.release.settings, sort_keys=True),
        "COMPOSE": compose(backend, configuration.alarms.p95_seconds),
    }
    return ssm.CfnDocument(
        scope,
        "ReleaseDocument",
        name=names.release_document,
        document_type="Command",
        document_format="JSON",
        target_type="/AWS::EC2::Instance",
        update_method="NewVersion",
        content={
            "schemaVersion": "2.2",
            "description": f"Brings a release of {names.repository} to an instance",
            "parameters": {name: {"type": "String", **rules} for name, rules in PARAMETERS.items()},
            "mainSteps": [
                {
                    "action": "aws:runShellScript",
                    "name": "release",
                    "inputs": {
                        "timeoutSeconds": str(configuration.release.timeout_seconds),
                        "runCommand": script(baked),
                    },
                }
            ],
        },
    )


def script(baked: dict[str, str]) -> list[str]:
    """The script's lines: shebang, the command's parameters, the environment's addresses, release.sh."""
    parameters = [f"export {name.upper()}='{{{{ {name} }}}}'" for name in PARAMETERS]
    addresses = [f"export {name}={_quoted(value)}" for name, value in baked.items()]
    body = SCRIPT.read_text(encoding="utf-8")
    if "{{" in body:
        raise ValueError(f"{SCRIPT.name} holds '{{{{', which Run Command would take for a parameter")
    return ["#!/usr/bin/env bash", *parameters, *addresses, *body.splitlines()]


def _quoted(value: str) -> str:
    """In single quotes. A token becomes an address or an ARN, with nothing in it that could leave them."""
    return "'" + value.replace("'", "'\"'\"'") + "'"


def compose(backend: Backend, slow_seconds: float) -> str:
    """The compose file for an instance, without its comments: one service for each container, and the one
    that tells their metrics. `slow_seconds`: an answer that took longer counts as slow."""
    service = _services(COMPOSE)
    services = [
        _fill(service, {"NUMBER": str(number), "PORT": str(port)})
        for number, port in enumerate(backend.ports, start=1)
    ]
    urls = ",".join(f"http://${{INSTANCE_ADDRESS}}:{port}" for port in backend.ports)
    metrics = _fill(_services(METRICS), {"CONTAINERS": urls, "SLOW": f"{slow_seconds:g}"})
    return "\n".join(["services:", *services, metrics])


def _services(file: Path) -> str:
    """What stands under `services:`, without comments."""
    lines = [
        line for line in file.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")
    ]
    return "\n".join(lines[lines.index("services:") + 1 :])


def _fill(text: str, values: dict[str, str]) -> str:
    return re.sub(r"@([A-Z]+)@", lambda match: values[match[1]], text)
