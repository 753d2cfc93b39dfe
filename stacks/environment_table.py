"""Writes what docs/environment.md says of the template: `python -m stacks.environment_table`.

The table and the diagram are drawn from the synthesised template of staging, so that they can't tell of
anything that is not there. A test compares the file with what this would write.
"""

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from config.model import load
from stacks.app import environment_template
from stacks.naming import Names

ENVIRONMENT = "staging"
FILE = Path(__file__).resolve().parents[1] / "docs" / "environment.md"
BEGIN, END = "<!-- drawn from the template: begin -->", "<!-- drawn from the template: end -->"
#: The parts of the template, by how their logical ids begin, with the requirement that asks for each.
PARTS = {
    "Network": "B1",
    "Security": "B2",
    "Instances": "B3",
    "Data": "B4, B5, B6",
    "Balancer": "B7",
    "Monitoring": "D1",
    "Functions": "C2, C5, C6, C7",
    "ReleaseDocument": "C3",
}
#: Properties that tell most of a resource, in the order in which they are shown.
TELLING = (
    "CidrBlock",
    "AvailabilityZone",
    "DestinationCidrBlock",
    "InstanceType",
    "DBInstanceClass",
    "CacheNodeType",
    "NumCacheClusters",
    "DesiredCapacity",
    "Engine",
    "EngineVersion",
    "StorageEncrypted",
    "TransitEncryptionEnabled",
    "AtRestEncryptionEnabled",
    "SSEAlgorithm",
    "Scheme",
    "Port",
    "SslPolicy",
    "HealthCheckPath",
    "HealthCheckIntervalSeconds",
    "Threshold",
    "EvaluationPeriods",
    "TreatMissingData",
    "RetentionInDays",
    "Timeout",
    "MemorySize",
    "FromPort",
    "ToPort",
)
Template = Mapping[str, Any]


def drawn(template: Template) -> str:
    """The part of the file between the two marks, marks included."""
    return "\n".join([BEGIN, "", *_diagram(template), "", *_table(template), "", END])


def _table(template: Template) -> Iterator[str]:
    resources = template["Resources"]
    for part, requirement in PARTS.items():
        rows = [(id, body) for id, body in resources.items() if _part(id) == part]
        yield f"### {part} ({requirement}): {len(rows)}"
        yield ""
        yield "| logical id | type | name | what of it |"
        yield "|---|---|---|---|"
        for id, body in sorted(rows):
            properties = body.get("Properties") or {}
            told = ", ".join(f"{key} {value}" for key, value in _telling(properties))
            yield f"| `{id}` | {body['Type'].removeprefix('AWS::')} | {_name(properties)} | {told} |"
        yield ""


def _part(id: str) -> str:
    """KeyError-like ValueError for a resource of a part that the table does not know: add it to PARTS."""
    found = next((part for part in PARTS if id.startswith(part)), None)
    if found is None:
        raise ValueError(f"{id} belongs to no part of the table; add its part to PARTS in {__name__}")
    return found


def _name(properties: Mapping[str, Any]) -> str:
    names = ("Name", "Identifier", "GroupId", "BucketName")
    found = [
        v for k, v in properties.items() if isinstance(v, str) and k.endswith(names) and "Subnet" not in k
    ]
    return f"`{found[0]}`" if found else ""


def _telling(properties: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    flat = dict(_flat({k: v for k, v in properties.items() if not k.startswith("SecurityGroup")}))
    for key in TELLING:
        if key in flat:
            yield key, flat[key]


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _flat(inner, key)
    else:
        yield key, str(value)


def _diagram(template: Template) -> Iterator[str]:
    """Who may talk to whom, from the security groups' own rules; and the zones with their subnets."""
    resources = template["Resources"]
    groups = {
        id: re.sub(r"^cutover-\w+?-", "", body["Properties"]["GroupName"])
        for id, body in resources.items()
        if body["Type"] == "AWS::EC2::SecurityGroup"
    }
    yield "```mermaid"
    yield "flowchart LR"
    yield '  anywhere(["0.0.0.0/0"])'
    yield from (f"  {name}[{name}]" for name in sorted(groups.values()))
    yield from sorted(set(_arrows(resources, groups)))
    for zone in sorted({s["AvailabilityZone"] for s in _of(resources, "AWS::EC2::Subnet")}):
        yield f'  subgraph {zone.replace("-", "_")}["{zone}"]'
        for subnet in _of(resources, "AWS::EC2::Subnet"):
            if subnet["AvailabilityZone"] == zone:
                named = next(tag["Value"] for tag in subnet["Tags"] if tag["Key"] == "Name")
                kind = "public, NAT gateway" if "-public-" in named else "private"
                key = re.sub(r"\W", "_", subnet["CidrBlock"])
                yield f'    net_{key}["{subnet["CidrBlock"]} ({kind})"]'
        yield "  end"
    yield "```"


def _of(resources: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    return [body["Properties"] for body in resources.values() if body["Type"] == kind]


def _arrows(resources: Mapping[str, Any], groups: Mapping[str, str]) -> Iterator[str]:
    for id, body in resources.items():
        if body["Type"] == "AWS::EC2::SecurityGroupIngress":
            rule = body["Properties"]
            source, target = (
                groups[rule[key]["Fn::GetAtt"][0]] for key in ("SourceSecurityGroupId", "GroupId")
            )
            yield f"  {source} -- {_ports(rule)} --> {target}"
        for rule in (body.get("Properties") or {}).get("SecurityGroupIngress", []) if id in groups else []:
            if rule.get("CidrIp") == "0.0.0.0/0":
                yield f"  anywhere -- {_ports(rule)} --> {groups[id]}"
            elif isinstance(rule.get("CidrIp"), dict):
                yield f"  functions -- {_ports(rule)}, through NAT --> {groups[id]}"


def _ports(rule: Mapping[str, Any]) -> str:
    first, last = rule["FromPort"], rule["ToPort"]
    return str(first) if first == last else f"{first}-{last}"


def written(text: str, template: Template) -> str:
    """The file's text with its drawn part made new."""
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return before + drawn(template) + after


def main() -> None:
    """Synthesise and write."""
    configuration = load(ENVIRONMENT)
    names = Names(configuration.environment, configuration.account, configuration.region)
    with tempfile.TemporaryDirectory() as directory:
        path = environment_template(names, configuration, Path(directory))
        template = json.loads(path.read_text(encoding="utf-8"))
    FILE.write_text(written(FILE.read_text(encoding="utf-8"), template), encoding="utf-8")


if __name__ == "__main__":
    main()
