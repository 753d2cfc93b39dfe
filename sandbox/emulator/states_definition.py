"""What is wrong with a state machine's definition, said when it is created rather than when it runs.

The error InvalidDefinition of
https://docs.aws.amazon.com/step-functions/latest/apireference/API_CreateStateMachine.html;
the language is https://states-language.net/spec.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

LEAVES = {"Next", "End"}
COMMON = {"Type", "Comment", "QueryLanguage"}
JSONPATH_ONLY = {
    "InputPath",
    "OutputPath",
    "ResultPath",
    "Parameters",
    "ResultSelector",
    "Result",
    "ItemsPath",
    "SecondsPath",
    "TimestampPath",
    "TimeoutSecondsPath",
    "HeartbeatSecondsPath",
    "MaxConcurrencyPath",
    "ErrorPath",
    "CausePath",
}
JSONATA_ONLY = {"Arguments", "Output", "Items"}
PATHS = {"InputPath", "OutputPath"}
RESULT = {"ResultPath", "ResultSelector", "Parameters", "Arguments", "Output", "Assign"}
HANDLING = {"Retry", "Catch"}
# The fields of each type of state, beside those that all have.
FIELDS: dict[str, set[str]] = {
    "Pass": LEAVES | PATHS | {"Result", "ResultPath", "Parameters", "Output", "Assign"},
    "Task": LEAVES
    | PATHS
    | RESULT
    | HANDLING
    | {
        "Resource",
        "Credentials",
        "TimeoutSeconds",
        "TimeoutSecondsPath",
        "HeartbeatSeconds",
        "HeartbeatSecondsPath",
    },
    "Choice": PATHS | {"Choices", "Default", "Output", "Assign"},
    "Wait": LEAVES | PATHS | {"Seconds", "SecondsPath", "Timestamp", "TimestampPath", "Output", "Assign"},
    "Succeed": PATHS | {"Output"},
    "Fail": {"Error", "ErrorPath", "Cause", "CausePath"},
    "Parallel": LEAVES | PATHS | RESULT | HANDLING | {"Branches"},
    "Map": LEAVES
    | PATHS
    | RESULT
    | HANDLING
    | {"ItemProcessor", "Iterator", "ItemsPath", "Items", "ItemSelector", "ItemReader", "ItemBatcher"}
    | {"MaxConcurrency", "MaxConcurrencyPath", "ResultWriter", "Label"}
    | {"ToleratedFailureCount", "ToleratedFailurePercentage"},
}
NEEDED = {"Task": "Resource", "Choice": "Choices", "Parallel": "Branches"}


def problems(definition: str) -> list[str]:
    """Every problem found, each as `CODE: message at PATH`; [] for a definition that can be used."""
    try:
        machine = json.loads(definition)
    except ValueError as error:
        return [f"INVALID_JSON_DESCRIPTION: {error}"]
    if not isinstance(machine, dict):
        return ["SCHEMA_VALIDATION_FAILED: the definition is not an object at /"]
    return list(_machine(machine, "", machine.get("QueryLanguage", "JSONPath")))


def _machine(machine: dict[str, Any], at: str, language: str) -> Iterator[str]:
    states = machine.get("States")
    if not isinstance(states, dict) or not states:
        yield f"SCHEMA_VALIDATION_FAILED: the field 'States' has to be a non-empty object at {at}/States"
        return
    start = machine.get("StartAt")
    if start not in states:
        yield f"MISSING_TRANSITION_TARGET: Missing 'Next' target: {start} at {at}/StartAt"
    targets = {start}
    for name, state in states.items():
        where = f"{at}/States/{name}"
        if len(name) > 80:
            yield f"SCHEMA_VALIDATION_FAILED: the name has more than 80 characters at {where}"
        yield from _state(state, where, state.get("QueryLanguage", language))
        for path, target in _transitions(state):
            targets.add(target)
            if target not in states:
                yield f"MISSING_TRANSITION_TARGET: Missing 'Next' target: {target} at {where}/{path}"
    for name in states.keys() - targets:
        yield f"UNREACHABLE_STATE: State is not reachable: {name} at {at}/States/{name}"


def _state(state: dict[str, Any], at: str, language: str) -> Iterator[str]:
    kind = state.get("Type")
    if kind not in FIELDS:
        known = ", ".join(sorted(FIELDS))
        yield f"SCHEMA_VALIDATION_FAILED: Type is {kind!r}; it has to be one of {known} at {at}/Type"
        return
    foreign = JSONPATH_ONLY if language == "JSONata" else JSONATA_ONLY
    for field in state:
        if field not in FIELDS[kind] | COMMON:
            yield f"SCHEMA_VALIDATION_FAILED: Field is not supported at {at}/{field}"
        elif field in foreign:
            yield f"SCHEMA_VALIDATION_FAILED: Field is not supported with {language} at {at}/{field}"
    if "Next" in FIELDS[kind] and ("Next" in state) == bool(state.get("End")):
        yield f"SCHEMA_VALIDATION_FAILED: exactly one of 'Next' and 'End' has to be given at {at}"
    if kind in NEEDED and not state.get(NEEDED[kind]):
        yield f"SCHEMA_VALIDATION_FAILED: The field '{NEEDED[kind]}' is required at {at}"
    yield from _entries(state, at, language)
    for number, branch in enumerate(state.get("Branches") or []):
        yield from _machine(branch, f"{at}/Branches[{number}]", branch.get("QueryLanguage", language))
    if kind == "Map":
        processor = state.get("ItemProcessor") or state.get("Iterator")
        if not isinstance(processor, dict):
            yield f"SCHEMA_VALIDATION_FAILED: The field 'ItemProcessor' is required at {at}"
        else:
            inner = processor.get("QueryLanguage", language)
            yield from _machine(processor, f"{at}/ItemProcessor", inner)


def _entries(state: dict[str, Any], at: str, language: str) -> Iterator[str]:
    for number, choice in enumerate(state.get("Choices") or []):
        if "Next" not in choice:
            yield f"SCHEMA_VALIDATION_FAILED: The field 'Next' is required at {at}/Choices[{number}]"
        if language == "JSONata" and "Condition" not in choice:
            yield f"SCHEMA_VALIDATION_FAILED: The field 'Condition' is required at {at}/Choices[{number}]"
    for field in HANDLING:
        for number, entry in enumerate(state.get(field) or []):
            if not entry.get("ErrorEquals"):
                yield f"SCHEMA_VALIDATION_FAILED: 'ErrorEquals' is required at {at}/{field}[{number}]"


def _transitions(state: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for field in ("Next", "Default"):
        if field in state:
            yield field, state[field]
    for field in ("Choices", "Catch"):
        for number, entry in enumerate(state.get(field) or []):
            if "Next" in entry:
                yield f"{field}[{number}]/Next", entry["Next"]
