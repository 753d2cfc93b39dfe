"""What Step Functions refuses in a definition (https://states-language.net/spec.html)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.emulator.states_definition import problems


def of(states: dict[str, Any], **more: Any) -> list[str]:
    machine = {"QueryLanguage": "JSONata", "StartAt": "A", "States": states, **more}
    return problems(json.dumps(machine))


def test_a_sound_definition_has_no_problems() -> None:
    assert of({"A": {"Type": "Wait", "Seconds": 1, "Next": "B"}, "B": {"Type": "Succeed"}}) == []


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ({"A": {"Type": "Pas", "End": True}}, "Type is 'Pas'"),
        ({"A": {"Type": "Pass"}}, "exactly one of 'Next' and 'End'"),
        ({"A": {"Type": "Pass", "Next": "B"}}, "Missing 'Next' target: B at /States/A/Next"),
        ({"A": {"Type": "Pass", "End": True}, "B": {"Type": "Succeed"}}, "State is not reachable: B"),
        ({"A": {"Type": "Task", "End": True}}, "The field 'Resource' is required"),
        (
            {"A": {"Type": "Pass", "InputPath": "$", "End": True}},
            "not supported with JSONata at /States/A/InputPath",
        ),
        ({"A": {"Type": "Pass", "Sedonds": 1, "End": True}}, "Field is not supported at /States/A/Sedonds"),
        ({"A": {"Type": "Choice", "Choices": [{"Next": "A"}]}}, "The field 'Condition' is required"),
        (
            {
                "A": {
                    "Type": "Task",
                    "Resource": "r",
                    "End": True,
                    "Catch": [{"Next": "B", "ErrorEquals": ["x"]}],
                }
            },
            "Missing 'Next' target: B at /States/A/Catch[0]/Next",
        ),
        (
            {
                "A": {
                    "Type": "Map",
                    "ItemProcessor": {"StartAt": "B", "States": {"C": {"Type": "Succeed"}}},
                    "End": True,
                }
            },
            "Missing 'Next' target: B at /States/A/ItemProcessor/StartAt",
        ),
    ],
)
def test_a_problem_is_named_with_its_place(states: dict[str, Any], said: str) -> None:
    assert any(said in problem for problem in of(states)), of(states)


def test_text_that_is_not_json_is_a_problem() -> None:
    assert problems("{")[0].startswith("INVALID_JSON_DESCRIPTION")
