"""SSM Command documents of schema version 2.2.

https://docs.aws.amazon.com/systems-manager/latest/userguide/documents-schemas-features.html
"""

import json
from typing import Any

import pytest

from sandbox.emulator.command_documents import (
    RUN_SHELL_SCRIPT,
    DocumentError,
    Documents,
    bind,
    parse,
    steps,
)  # fmt: skip


def document(parameters: dict[str, Any] | None = None, *commands: str, **step: Any) -> dict[str, Any]:
    inputs = {"runCommand": list(commands) or ["true"], **step.pop("inputs", {})}
    return {
        "schemaVersion": "2.2",
        "parameters": parameters or {},
        "mainSteps": [{"action": "aws:runShellScript", "name": "run", "inputs": inputs, **step}],
    }


def test_the_commands_of_run_shell_script_become_one_script() -> None:
    bound = bind(RUN_SHELL_SCRIPT, {"commands": ["a", "b"], "executionTimeout": ["5"]})
    (step,) = steps(RUN_SHELL_SCRIPT, bound)
    assert (step.script, step.timeout_seconds) == ("a\nb\n", 5)


def test_parameters_are_put_into_the_script() -> None:
    content = document({"image": {"type": "String"}}, "pull {{ image }}", "echo '{{image}}'")
    (step,) = steps(content, bind(content, {"image": ["app@sha256:1"]}))
    assert step.script == "pull app@sha256:1\necho 'app@sha256:1'\n"


@pytest.mark.parametrize(
    ("parameter", "given", "message"),
    [
        ({"type": "String", "allowedPattern": "^[a-z]+$"}, ["A; rm -rf /"], "doesn't match"),
        ({"type": "String", "allowedPattern": "^[a-z]+$"}, ["ok\nrm"], "doesn't match"),
        ({"type": "String", "allowedValues": ["blue", "green"]}, ["red"], "not among the allowed values"),
        ({"type": "Integer"}, ["x"], "no integer"),
        ({"type": "Boolean"}, ["yes"], "neither true nor false"),
        ({"type": "String"}, ["a", "b"], "takes one value"),
        ({"type": "String"}, None, "required and has no value"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused(parameter: dict[str, Any], given: Any, message: str) -> None:
    content = document({"p": parameter})
    with pytest.raises(DocumentError, match=message) as caught:
        bind(content, {} if given is None else {"p": given})
    assert caught.value.code == "InvalidParameters"


def test_a_parameter_that_is_not_declared_is_refused() -> None:
    with pytest.raises(DocumentError, match="Parameter other is not declared"):
        bind(document(), {"other": ["1"]})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"schemaVersion": "1.2"}, "schemaVersion must be 2.2"),
        ({**document(), "mainSteps": []}, "at least one step"),
        (document(None, "{{ ghost }}"), "undeclared parameter ghost"),
        (document({"p": {"type": "StringMap"}}), "type StringMap is not among"),
        (
            {**document(), "mainSteps": [{"action": "aws:runDocument", "name": "x"}]},
            "aws:runDocument is not supported",
        ),
    ],
)
def test_a_document_that_cannot_be_honoured_is_refused_when_it_is_created(
    content: dict[str, Any], message: str
) -> None:
    with pytest.raises(DocumentError, match=message) as caught:
        parse(json.dumps(content), "JSON")
    assert caught.value.code == "InvalidDocumentContent"


def test_a_step_for_another_platform_is_left_out() -> None:
    content = document(None, "dir", precondition={"StringEquals": ["platformType", "Windows"]})
    assert steps(content, {}) == []


def test_a_new_version_counts_only_when_it_is_made_the_default() -> None:
    documents = Documents("123456789012")
    documents.create({"Name": "release", "Content": json.dumps(document(None, "one"))})
    documents.update({"Name": "release", "Content": json.dumps(document(None, "two"))})
    assert documents.find("release").content(None)["mainSteps"][0]["inputs"]["runCommand"] == ["one"]
    documents.set_default_version({"Name": "release", "DocumentVersion": "2"})
    assert documents.find("release").content(None)["mainSteps"][0]["inputs"]["runCommand"] == ["two"]
