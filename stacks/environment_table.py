"""Writes what docs/environment.md says of the templates: `python -m stacks.environment_table`.

The table and the diagram are drawn from the synthesised templates of staging, so that they can't tell of
anything that is not there. A test compares the file with what this would write.
"""

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from config.model import load
from cutover.domain.cost import compare, cost_of
from cutover.domain.prices import PriceTable
from stacks.app import environment_templates
from stacks.naming import Names

ENVIRONMENT = "staging"
#: The price table of the plans: this document and they tell the same.
PRICES = Path(__file__).resolve().parents[1] / "lambdas" / "cutover" / "prices" / "ap-northeast-2.json"
FILE = Path(__file__).resolve().parents[1] / "docs" / "environment.md"
BEGIN, END = "<!-- drawn from the templates: begin -->", "<!-- drawn from the templates: end -->"
#: The parts of the templates, by how their logical ids begin (the first that fits), with the requirement that
#: asks for each.
PARTS = {
    "Network": "B1",
    "Security": "B2",
    "Instances": "B3",
    "ErrorLogDocument": "F3",
    "FrontendReleaseDocument": "C3",
    "Frontend": "B3",
    "Data": "B4, B5, B6",
    "Balancer": "B7",
    "MonitoringHost": "B8",
    "Monitoring": "D1",
    "Functions": "C2, C5, C6, C7",
    "Scan": "C5c",
    "Rotation": "C2",
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
Resource = Mapping[str, Any]
Template = Mapping[str, Any]
#: By the templates' names, in the order of deployment.
Templates = Mapping[str, Template]


def drawn(templates: Templates) -> str:
    """The part of the file between the two marks, marks included."""
    resources = {id: body for template in templates.values() for id, body in template["Resources"].items()}
    prices = PriceTable.read(json.loads(PRICES.read_text(encoding="utf-8")))
    tables = (*_tables(templates, prices), "### A month", "", *_bill(templates, prices))
    return "\n".join([BEGIN, "", *_diagram(resources), "", *tables, "", END])


def _tables(templates: Templates, prices: PriceTable) -> Iterator[str]:
    for name, template in templates.items():
        resources = template["Resources"]
        yield f"### {name}: {len(resources)}"
        yield ""
        yield f"| {' | '.join(COLUMNS)} | {prices.currency} a month |"
        yield "|---" * len(COLUMNS) + "|--:|"
        for id, body in sorted(resources.items()):
            cells = [*(cell(id, body) for cell in COLUMNS.values()), cost_of(id, template, prices)]
            yield f"| {' | '.join(cells)} |"
        yield ""


def _bill(templates: Templates, prices: PriceTable) -> Iterator[str]:
    """The month's bill, by the template; with what it leaves out."""
    bill = compare(templates, {}, prices)
    yield f"| template | {prices.currency} a month |"
    yield "|---|--:|"
    for name in templates:
        lines = [line["monthly"] for line in bill["lines"] if line["template"] == name]
        known = sum(amount for amount in lines if not isinstance(amount, str))
        more = " + unpriced" if "unpriced" in lines else ""
        yield f"| {name} | {known:.2f}{more} |"
    yield f"| all | {bill['monthly']['after']:.2f}{'' if bill['monthly']['complete'] else ' + unpriced'} |"
    yield ""
    yield f"List prices on demand, as of {bill['as_of']}. Not in it: {', '.join(bill['billed_by_use'])}."
    if bill["unchecked"]:
        yield f"Remembered and not looked up (`?` in the tables): {', '.join(bill['unchecked'])}."
    if bill["unpriced"]:
        yield f"Nobody knows a price of: {', '.join(bill['unpriced'])}."


def _id(id: str, _body: Resource) -> str:
    return f"`{id}`"


def _requirement(id: str, _body: Resource) -> str:
    """ValueError for a resource of a part that the table does not know: add it to PARTS."""
    found = next((asked for part, asked in PARTS.items() if id.startswith(part)), None)
    if found is None:
        raise ValueError(f"{id} belongs to no part of the table; add its part to PARTS in {__name__}")
    return found


def _type(_id: str, body: Resource) -> str:
    return str(body["Type"]).removeprefix("AWS::")


def _name(_id: str, body: Resource) -> str:
    names = ("Name", "Identifier", "GroupId", "BucketName")
    properties = body.get("Properties") or {}
    found = [
        v for k, v in properties.items() if isinstance(v, str) and k.endswith(names) and "Subnet" not in k
    ]
    return f"`{found[0]}`" if found else ""


def _told(_id: str, body: Resource) -> str:
    properties = {
        k: v for k, v in (body.get("Properties") or {}).items() if not k.startswith("SecurityGroup")
    }
    flat = dict(_flat(properties))
    return ", ".join(f"{key} {flat[key]}" for key in TELLING if key in flat)


#: The columns, each by what it says of a resource.
COLUMNS: Mapping[str, Callable[[str, Resource], str]] = {
    "logical id": _id,
    "for": _requirement,
    "type": _type,
    "name": _name,
    "what of it": _told,
}


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _flat(inner, key)
    else:
        yield key, str(value)


def _diagram(resources: Mapping[str, Resource]) -> Iterator[str]:
    """Who may talk to whom, from the security groups' own rules; and the zones with their subnets."""
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


def _of(resources: Mapping[str, Resource], kind: str) -> list[dict[str, Any]]:
    return [body["Properties"] for body in resources.values() if body["Type"] == kind]


def _arrows(resources: Mapping[str, Resource], groups: Mapping[str, str]) -> Iterator[str]:
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


def written(text: str, templates: Templates) -> str:
    """The file's text with its drawn part made new."""
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return before + drawn(templates) + after


def main() -> None:
    """Synthesise and write."""
    configuration = load(ENVIRONMENT)
    names = Names(configuration.environment, configuration.account, configuration.region)
    with tempfile.TemporaryDirectory() as directory:
        made = environment_templates(names, configuration, Path(directory))
        templates: Templates = {str(template.name): template.body() for template in made}
    FILE.write_text(written(FILE.read_text(encoding="utf-8"), templates), encoding="utf-8")


if __name__ == "__main__":
    main()
