"""SSM documents of type Command, schema version 2.2: kept, checked, and turned into scripts.

https://docs.aws.amazon.com/systems-manager/latest/userguide/documents-schemas-features.html
Of the plugins, `aws:runShellScript` is known; a document with another one is refused when it is created.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

PARAMETER_TYPES = ("String", "StringList", "Integer", "Boolean")
PARAMETER_KEYS = frozenset(
    {
        "type",
        "description",
        "default",
        "allowedValues",
        "allowedPattern",
        "displayType",
        "minChars",
        "maxChars",
        "minItems",
        "maxItems",
        "interpolationType",
    }
)
STEP_KEYS = frozenset({"action", "name", "inputs", "precondition", "onFailure", "timeoutSeconds"})
INPUT_KEYS = frozenset({"runCommand", "workingDirectory", "timeoutSeconds"})
DEFAULT_TIMEOUT = "3600"
_REFERENCE = re.compile(r"\{\{\s*([\w]+)\s*\}\}")


class DocumentError(Exception):
    """What is wrong with a document or with its parameters; `code` is the API's error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Step:
    """One script to run on an instance; the time limit is in seconds."""

    name: str
    script: str
    working_directory: str
    timeout_seconds: float
    stop_on_failure: bool


@dataclass
class Document:
    """A document and its versions; `versions[0]` is version 1."""

    name: str
    versions: list[dict[str, Any]]
    format: str = "JSON"
    default_version: int = 1
    tags: list[dict[str, str]] = field(default_factory=list)

    def content(self, version: str | None) -> dict[str, Any]:
        number = self.number(version)
        if not 1 <= number <= len(self.versions):
            raise DocumentError("InvalidDocumentVersion", f"version {version} of {self.name} does not exist")
        return self.versions[number - 1]

    def number(self, version: str | None) -> int:
        if version in (None, "", "$DEFAULT"):
            return self.default_version
        return (
            len(self.versions)
            if version == "$LATEST"
            else int(version)
            if version and version.isdigit()
            else 0
        )

    def hash(self, version: str | None) -> str:
        return hashlib.sha256(json.dumps(self.content(version), sort_keys=True).encode()).hexdigest()


# Its content as published: https://docs.aws.amazon.com/systems-manager/latest/userguide/walkthrough-cli.html
RUN_SHELL_SCRIPT = {
    "schemaVersion": "2.2",
    "description": "Run a shell script or specify the commands to run.",
    "parameters": {
        "commands": {"type": "StringList"},
        "workingDirectory": {"type": "String", "default": ""},
        "executionTimeout": {
            "type": "String",
            "default": DEFAULT_TIMEOUT,
            "allowedPattern": r"[1-9]\d{0,4}|1[0-6]\d{4}|17[01]\d{3}|172[0-7]\d{2}|172800",
        },
    },
    "mainSteps": [
        {
            "action": "aws:runShellScript",
            "name": "runShellScript",
            "inputs": {
                "runCommand": "{{ commands }}",
                "workingDirectory": "{{ workingDirectory }}",
                "timeoutSeconds": "{{ executionTimeout }}",
            },
        }
    ],
}


def parse(text: str, form: str) -> dict[str, Any]:
    """Read and check a document. Raises `DocumentError` (InvalidDocumentContent) naming what is wrong."""
    try:
        content = json.loads(text) if form == "JSON" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise _content(f"the document is not valid {form}: {error}") from error
    if not isinstance(content, dict) or str(content.get("schemaVersion")) != "2.2":
        raise _content("schemaVersion must be 2.2")
    for name, spec in (content.get("parameters") or {}).items():
        unknown = set(spec) - PARAMETER_KEYS
        if unknown:
            raise _content(f"parameter {name}: unknown key {sorted(unknown)[0]}")
        if spec.get("type") not in PARAMETER_TYPES:
            raise _content(
                f"parameter {name}: type {spec.get('type')} is not among {', '.join(PARAMETER_TYPES)}"
            )
    steps = content.get("mainSteps")
    if not isinstance(steps, list) or not steps:
        raise _content("mainSteps must hold at least one step")
    for step in steps:
        if step.get("action") != "aws:runShellScript":
            raise _content(f"action {step.get('action')} is not supported (aws:runShellScript is)")
        unknown = (set(step) - STEP_KEYS) | (set(step.get("inputs") or {}) - INPUT_KEYS)
        if unknown or not step.get("name") or not (step.get("inputs") or {}).get("runCommand"):
            raise _content(
                f"step {step.get('name')}: {sorted(unknown)[0] if unknown else 'name and runCommand'}"
            )
        for used in _REFERENCE.findall(json.dumps(step)):
            if used not in (content.get("parameters") or {}):
                raise _content(f"step {step['name']} refers to the undeclared parameter {used}")
    return content


def _content(message: str) -> DocumentError:
    return DocumentError("InvalidDocumentContent", message)


def bind(content: dict[str, Any], given: dict[str, Any]) -> dict[str, list[str]]:
    """The values of all parameters. Raises `DocumentError` (InvalidParameters) naming the parameter."""
    declared: dict[str, dict[str, Any]] = content.get("parameters") or {}
    for name in given:
        if name not in declared:
            raise DocumentError("InvalidParameters", f"Parameter {name} is not declared by the document")
    bound = {}
    for name, spec in declared.items():
        raw = given.get(name, spec.get("default"))
        if raw is None:
            raise DocumentError("InvalidParameters", f"Parameter {name} is required and has no value")
        values = [_text(each) for each in (raw if isinstance(raw, list) else [raw])]
        if spec["type"] != "StringList" and len(values) > 1:
            raise DocumentError(
                "InvalidParameters", f"Parameter {name} of type {spec['type']} takes one value"
            )
        for value in values:
            _check(name, spec, value)
        bound[name] = values
    return bound


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check(name: str, spec: dict[str, Any], value: str) -> None:
    allowed = [_text(each) for each in spec.get("allowedValues") or []]
    if allowed and value not in allowed:
        raise DocumentError(
            "InvalidParameters",
            f"Parameter {name}: value {value!r} is not among the allowed values {allowed}",
        )
    pattern = spec.get("allowedPattern")
    if pattern and re.fullmatch(pattern, value) is None:
        raise DocumentError("InvalidParameters", f"Parameter {name}: value {value!r} doesn't match {pattern}")
    if spec["type"] == "Integer" and not re.fullmatch(r"-?\d+", value):
        raise DocumentError("InvalidParameters", f"Parameter {name}: value {value!r} is no integer")
    if spec["type"] == "Boolean" and value not in ("true", "false"):
        raise DocumentError(
            "InvalidParameters", f"Parameter {name}: value {value!r} is neither true nor false"
        )


def steps(content: dict[str, Any], bound: dict[str, list[str]]) -> list[Step]:
    """The scripts of a document with its parameters put in."""
    found = []
    for step in content["mainSteps"]:
        if not _applies(step.get("precondition") or {}):
            continue
        inputs = step["inputs"]
        lines = inputs["runCommand"]
        script: list[str] = []
        for line in lines if isinstance(lines, list) else [lines]:
            whole = _REFERENCE.fullmatch(str(line).strip())
            script += bound[whole[1]] if whole else [_put(str(line), bound)]
        limit = _put(str(inputs.get("timeoutSeconds", step.get("timeoutSeconds", DEFAULT_TIMEOUT))), bound)
        found.append(
            Step(
                step["name"],
                "\n".join(script) + "\n",
                _put(str(inputs.get("workingDirectory") or ""), bound),
                float(limit or DEFAULT_TIMEOUT),
                step.get("onFailure") in ("exit", "Abort"),
            )
        )
    return found


def _applies(precondition: dict[str, Any]) -> bool:
    return all(set(operands) == {"platformType", "Linux"} for operands in precondition.values())


def _put(text: str, bound: dict[str, list[str]]) -> str:
    return _REFERENCE.sub(lambda match: " ".join(bound[match[1]]), text)


class Documents:
    """The documents of the account, and the API's operations on them: request body in, response body out."""

    def __init__(self, account: str) -> None:
        self._account = account
        self._known = {"AWS-RunShellScript": Document("AWS-RunShellScript", [RUN_SHELL_SCRIPT])}

    def find(self, name: str) -> Document:
        found = self._known.get(name.rpartition("/")[2])
        if found is None:
            raise DocumentError("InvalidDocument", f"Document with name {name} does not exist.")
        return found

    def create(self, data: dict[str, Any]) -> dict[str, Any]:
        name, form = data.get("Name", ""), data.get("DocumentFormat", "JSON")
        if data.get("DocumentType", "Command") != "Command":
            raise DocumentError(
                "InvalidDocumentType", f"type {data['DocumentType']}: only Command is supported"
            )
        if name in self._known:
            raise DocumentError("DocumentAlreadyExists", f"Document with name {name} already exists.")
        content = parse(data.get("Content", ""), form)
        self._known[name] = Document(name, [content], form, tags=list(data.get("Tags") or []))
        return {"DocumentDescription": self._description(self._known[name], None)}

    def update(self, data: dict[str, Any]) -> dict[str, Any]:
        document = self.find(data.get("Name", ""))
        content = parse(data.get("Content", ""), data.get("DocumentFormat", document.format))
        if content == document.versions[-1]:
            raise DocumentError("DuplicateDocumentContent", "the content is that of the latest version")
        document.versions.append(content)
        return {"DocumentDescription": self._description(document, "$LATEST")}

    def set_default_version(self, data: dict[str, Any]) -> dict[str, Any]:
        document = self.find(data.get("Name", ""))
        document.content(data.get("DocumentVersion"))
        document.default_version = document.number(data.get("DocumentVersion"))
        return {"Description": {"Name": document.name, "DefaultVersion": str(document.default_version)}}

    def get(self, data: dict[str, Any]) -> dict[str, Any]:
        document, version = self.find(data.get("Name", "")), data.get("DocumentVersion")
        return {
            "Name": document.name,
            "DocumentVersion": str(document.number(version)),
            "Status": "Active",
            "Content": json.dumps(document.content(version)),
            "DocumentType": "Command",
            "DocumentFormat": "JSON",
        }

    def describe(self, data: dict[str, Any]) -> dict[str, Any]:
        return {"Document": self._description(self.find(data.get("Name", "")), data.get("DocumentVersion"))}

    def delete(self, data: dict[str, Any]) -> dict[str, Any]:
        self.find(data.get("Name", ""))
        if data["Name"].startswith("AWS-"):
            raise DocumentError("InvalidDocument", f"{data['Name']} belongs to AWS")
        del self._known[data["Name"]]
        return {}

    def _description(self, document: Document, version: str | None) -> dict[str, Any]:
        content = document.content(version)
        parameters = [
            {"Name": name, "Type": spec["type"], "Description": spec.get("description", "")}
            for name, spec in (content.get("parameters") or {}).items()
        ]
        return {
            "Name": document.name,
            "Owner": self._account,
            "Status": "Active",
            "DocumentVersion": str(document.number(version)),
            "LatestVersion": str(len(document.versions)),
            "DefaultVersion": str(document.default_version),
            "SchemaVersion": "2.2",
            "DocumentType": "Command",
            "DocumentFormat": document.format,
            "Hash": document.hash(version),
            "HashType": "Sha256",
            "PlatformTypes": ["Linux"],
            "Parameters": parameters,
            "Tags": document.tags,
        }
