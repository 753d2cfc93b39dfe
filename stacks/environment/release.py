"""The SSM documents that bring a release to an instance: parameters, addresses, then release.sh (C3b, C3c).

Everything that is the same for every release is written into the documents here; a command brings the rest.
"""

import json
import re
from pathlib import Path
from typing import Any

from constructs import Construct

from config.infrastructure import Service
from config.model import Configuration
from stacks.constructs.command import command_document, content, script
from stacks.environment.balancer import Balancer
from stacks.environment.security import HTTPS
from stacks.environment.stack import EnvironmentStack
from stacks.naming import SERVICES, Names, ServiceName

SCRIPT = Path(__file__).with_name("release.sh")
COMPOSE = {service: Path(__file__).with_name(f"{service}.compose.yaml") for service in SERVICES}
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


def release_documents(
    stack: EnvironmentStack, names: Names, configuration: Configuration, front: Balancer
) -> None:
    """Make cutover-ENV-release and cutover-ENV-frontend-release."""
    backend = {
        "DATABASE_ENDPOINT": stack.given("DatabaseEndpoint"),
        "DATABASE_PORT": stack.given("DatabasePort"),
        "DATABASE_NAME": configuration.database.name,
        "DATABASE_OPTIONS": DATABASE_OPTIONS,
        "DATABASE_SECRET": names.secret("database-application"),
        "REDIS_ENDPOINT": stack.given("RedisEndpoint"),
        "REDIS_PORT": stack.given("RedisPort"),
        "REDIS_SECRET": names.secret("redis"),
        "JWT_SECRET_NAME": names.secret("jwt"),
        "FILES_BUCKET": stack.given("FilesBucket"),
        "DEFAULT_SETTINGS": json.dumps(configuration.release.settings, sort_keys=True),
    }
    # The pages keep nothing and call the backend by its public name.
    port = configuration.backend.listener_port
    api = f"https://{configuration.backend.domain}" + ("" if port == HTTPS else f":{port}")
    frontend = {"DEFAULT_SETTINGS": json.dumps({"API_URL": api})}
    _document(stack, names, configuration, front, id="ReleaseDocument", service="backend", own=backend)
    _document(
        stack, names, configuration, front, id="FrontendReleaseDocument", service="frontend", own=frontend
    )


def _document(
    scope: Construct,
    names: Names,
    configuration: Configuration,
    front: Balancer,
    *,
    id: str,
    service: ServiceName,
    own: dict[str, str],
) -> None:
    """One service's document; `own` is what only it is given."""
    shape = configuration.service(service)
    groups = front.target_groups[service]
    baked = {
        "SERVICE": service,
        "ENVIRONMENT": names.environment,
        "REGION": names.region,
        **own,
        "BLUE_TARGET_GROUP": groups["blue"].ref,
        "GREEN_TARGET_GROUP": groups["green"].ref,
        "FIRST_PORT": str(shape.first_port),
        "CONTAINERS": str(shape.containers_per_instance),
        "WAIT_SECONDS": str(round(configuration.release.timeout_seconds * WAIT_SHARE)),
        "COMPOSE": compose(service, shape, configuration.alarms.p95_seconds),
    }
    body = content(
        "release",
        f"Brings a release of {names.repository_of(service)} to an instance",
        PARAMETERS,
        configuration.release.timeout_seconds,
        script(PARAMETERS, baked, SCRIPT),
    )
    command_document(scope, id, names.document(service), body)


def compose(service: ServiceName, shape: Service, slow_seconds: float) -> str:
    """The compose file for an instance, without its comments: one service for each container and, for the
    backend, the one that tells their metrics. `slow_seconds`: an answer that took longer counts as slow."""
    container = _services(COMPOSE[service])
    containers = [
        _fill(container, {"NUMBER": str(number), "PORT": str(port)})
        for number, port in enumerate(shape.ports, start=1)
    ]
    if service == "backend":
        urls = ",".join(f"http://${{INSTANCE_ADDRESS}}:{port}" for port in shape.ports)
        containers.append(_fill(_services(METRICS), {"CONTAINERS": urls, "SLOW": f"{slow_seconds:g}"}))
    return "\n".join(["services:", *containers])


def _services(file: Path) -> str:
    """What stands under `services:`, without comments."""
    lines = [
        line for line in file.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")
    ]
    return "\n".join(lines[lines.index("services:") + 1 :])


def _fill(text: str, values: dict[str, str]) -> str:
    return re.sub(r"@([A-Z]+)@", lambda match: values[match[1]], text)
