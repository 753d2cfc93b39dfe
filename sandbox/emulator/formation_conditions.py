"""Fn::Join in a template's conditions, which ministack leaves unresolved there (so that it equals nothing).

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-conditions.html
`cdk bootstrap` decides by it which policies its CloudFormation role gets.
"""

from __future__ import annotations

from typing import Any

from ministack.services.cloudformation import changesets, engine, handlers, stacks

from sandbox.emulator.context import Context, replace, seam


def install(_context: Context) -> None:
    evaluate = seam(engine, "_evaluate_conditions")

    def evaluate_joined(template: dict[str, Any], parameters: dict[str, Any]) -> Any:
        conditions = joined(template.get("Conditions", {}), parameters)
        return evaluate({**template, "Conditions": conditions}, parameters)

    for module in (engine, changesets, handlers, stacks):
        replace(module, "_evaluate_conditions", evaluate_joined)


def joined(value: Any, parameters: dict[str, Any]) -> Any:
    """`value` with each Fn::Join of texts and parameters replaced by its text."""
    if isinstance(value, list):
        return [joined(each, parameters) for each in value]
    if not isinstance(value, dict):
        return value
    if list(value) == ["Fn::Join"]:
        delimiter, items = value["Fn::Join"]
        texts = _texts(joined(items, parameters), parameters)
        return value if texts is None else str(delimiter).join(texts)
    return {key: joined(each, parameters) for key, each in value.items()}


def _texts(items: Any, parameters: dict[str, Any]) -> list[str] | None:
    """The elements as texts; None when one can't be known from the parameters alone."""
    if isinstance(items, dict):  # Ref of a list parameter, kept as one text with commas
        found = _parameter(items, parameters)
        return None if found is None else found.split(",")
    texts = [each if isinstance(each, str) else _parameter(each, parameters) for each in items]
    return None if None in texts else [str(each) for each in texts]


def _parameter(value: Any, parameters: dict[str, Any]) -> str | None:
    name = value.get("Ref") if isinstance(value, dict) else None
    return str(parameters[name]["Value"]) if name in parameters else None
