"""The SSM document that rolls the monitoring tier out: parameters, the files, then rollout.sh (B8, C4).

As with a release, what is the same for every command is written into the document, so that a plan shows its
change; the document's digest says whether a rollout is due.
"""

import json
from pathlib import Path
from typing import Any

from config.model import Configuration
from stacks.constructs.command import content, script
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


def lines(names: Names, configuration: Configuration) -> list[str]:
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
    return script(PARAMETERS, baked, SCRIPT)


def document(script: list[str]) -> dict[str, Any]:
    """The document's content, of the script's lines."""
    description = "Brings the monitoring tier to its host, and Filebeat to the instances"
    return content("monitoring", description, PARAMETERS, TIMEOUT_SECONDS, script)


def digest_of(script: list[str]) -> str:
    """Changes with anything that a rollout would bring."""
    return digest(*script)
