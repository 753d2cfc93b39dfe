"""What a change set says of each property: its values, and whether changing it replaces the resource.

https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_ResourceTargetDefinition.html
Which properties are create-only, the registry's resource schemas tell; cfn-lint ships them.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import re
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from ministack.services.cloudformation import changesets, handlers, helpers, provisioners, stacks

from sandbox.emulator.context import Context, replace, seam


def install(context: Context) -> None:
    ask_ministack = seam(provisioners, "_property_recreation")

    def recreation(type_name: str, property_name: str) -> str:
        return recreation_of(context.settings.region, type_name, property_name) or str(
            ask_ministack(type_name, property_name)
        )

    for module in (provisioners, stacks):
        replace(module, "_property_recreation", recreation)
    _install_values()


def recreation_of(region: str, type_name: str, property_name: str) -> str | None:
    """`Always`, `Conditionally` or `Never`; None for a type whose schema is not known."""
    schema = resource_schema(region, type_name)
    if schema is None:
        return None
    path = f"/properties/{property_name}"
    if path in schema.get("createOnlyProperties", []):
        return "Always"
    perhaps = schema.get("conditionalCreateOnlyProperties", []) + schema.get("createOnlyProperties", [])
    return (
        "Conditionally" if any(each == path or each.startswith(f"{path}/") for each in perhaps) else "Never"
    )


@functools.cache
def resource_schema(region: str, type_name: str) -> dict[str, Any] | None:
    """The registry's schema of a resource type in `region`; None for a type that it does not have."""
    found = importlib.util.find_spec("cfnlint")  # its data only: importing it takes seconds
    if found is None or not found.submodule_search_locations:
        raise RuntimeError("cfn-lint is not installed: install requirements-dev.txt")
    schemas = Path(found.submodule_search_locations[0]) / "data" / "schemas"
    types: dict[str, str] = json.loads((schemas / "providers" / f"{region}.json").read_text())
    if type_name not in types:
        return None
    schema: dict[str, Any] = json.loads((schemas / "resources" / f"{types[type_name]}.json").read_text())
    return schema


def _install_values() -> None:
    compare = seam(changesets, "_diff_resources")
    describe = seam(handlers, "_ACTION_HANDLERS")["DescribeChangeSet"]

    def compare_with_values(old: dict[str, Any], new: dict[str, Any], *rest: Any, **named: Any) -> Any:
        changes = compare(old, new, *rest, **named)
        for change in changes:
            about = change["ResourceChange"]
            before, after = (
                (side.get("Resources", {}).get(about["LogicalResourceId"]) or {}).get("Properties") or {}
                for side in (old, new)
            )
            for detail in about.get("Details", []):
                target = detail["Target"]
                if target.get("Attribute") == "Properties":
                    target.update(values_of(target["Name"], before, after))
        return changes

    def describe_with_values(parameters: dict[str, Any]) -> Any:
        status, headers, body = describe(parameters)
        name, stack = helpers._p(parameters, "ChangeSetName"), helpers._p(parameters, "StackName")
        _, change_set = changesets._find_change_set(name, stack)
        if not change_set or helpers._p(parameters, "IncludePropertyValues") != "true":
            return status, headers, body
        # The targets stand in the answer in the order in which the change set keeps them.
        targets = iter(
            detail["Target"]
            for change in change_set.get("Changes", [])
            for detail in change["ResourceChange"].get("Details", [])
        )
        text = re.sub(
            "</Target>",
            lambda _: _written(next(targets)) + "</Target>",
            body.decode() if isinstance(body, bytes) else body,
        )
        return status, headers, text.encode()

    replace(changesets, "_diff_resources", compare_with_values)
    seam(handlers, "_ACTION_HANDLERS")["DescribeChangeSet"] = describe_with_values


def values_of(name: str, before: dict[str, Any], after: dict[str, Any]) -> dict[str, str]:
    """The members of a change's target that tell of the property's values."""
    kind = "Modify" if name in before and name in after else "Add" if name in after else "Remove"
    found = {"Path": f"/Properties/{name}", "AttributeChangeType": kind}
    if name in before:
        found["BeforeValue"] = _as_text(before[name])
    if name in after:
        found["AfterValue"] = _as_text(after[name])
    return found


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _written(target: dict[str, str]) -> str:
    names = ("Path", "BeforeValue", "AfterValue", "AttributeChangeType")
    return "".join(f"<{name}>{escape(target[name])}</{name}>" for name in names if name in target)
