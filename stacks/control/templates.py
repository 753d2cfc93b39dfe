"""The environment's templates as the control plane carries them, and what its functions are told of them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from stacks.environment.stack import CODE_PARAMETERS
from stacks.naming import Names, TemplateName


@dataclass(frozen=True)
class EnvironmentTemplate:
    """A synthesised template of the environment."""

    name: TemplateName
    path: Path

    def body(self) -> dict[str, Any]:
        """The template itself."""
        read: dict[str, Any] = json.loads(self.path.read_text(encoding="utf-8"))
        return read


@dataclass(frozen=True)
class Published:
    """The templates where CloudFormation finds them; `told` is the functions' variable TEMPLATES."""

    bucket: str
    told: str


def publish(scope: Construct, names: Names, templates: Sequence[EnvironmentTemplate]) -> Published:
    """Carry the templates as assets, and list them in order as JSON: name, stack, url, parameters.

    ValueError for a parameter that nothing fills: neither the code's, nor a weight, nor an earlier output.
    """
    here = Construct(scope, "Templates")
    filled = set(CODE_PARAMETERS)
    told: list[dict[str, Any]] = []
    bucket = ""
    for template in templates:
        body = template.body()
        parameters = body.get("Parameters", {})
        unknown = [name for name in parameters if name not in filled and not name.endswith("Weight")]
        if unknown:
            raise ValueError(f"{template.name}: no earlier stack has the output {', '.join(unknown)}")
        filled |= set(body.get("Outputs", {}))
        asset = assets.Asset(here, template.name.capitalize(), path=str(template.path))
        bucket = asset.s3_bucket_name
        told.append(
            {
                "name": template.name,
                "stack": names.stack(template.name),
                "url": asset.http_url,
                "parameters": sorted(parameters),
            }
        )
    return Published(bucket, cdk.Stack.of(scope).to_json_string(told))
