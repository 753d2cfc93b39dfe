"""Fn::Join in conditions (https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference-conditions.html)."""

from __future__ import annotations

import pytest

from sandbox.emulator.formation_conditions import joined


@pytest.mark.parametrize(("given", "text"), [("", ""), ("a", "a"), ("a,b", "a-b")])
def test_a_list_parameter_is_joined(given: str, text: str) -> None:
    condition = {"Fn::Equals": ["", {"Fn::Join": ["-", {"Ref": "List"}]}]}
    assert joined(condition, {"List": {"Value": given}}) == {"Fn::Equals": ["", text]}


def test_what_the_parameters_do_not_tell_stays_as_it_is() -> None:
    condition = {"Fn::Join": ["", ["a", {"Ref": "AWS::Partition"}]]}
    assert joined(condition, {}) == condition
