"""What the command line makes of a function's answer and of its errors."""

import io
import json
from types import SimpleNamespace

import pytest

from cli.errors import ExitCode, UserError
from cli.functions import invoke


def environment(document, **more):
    """An environment whose functions answer with this document, and remember what they were asked."""
    asked = []

    def answer(**call):
        asked.append(call)
        return {"Payload": io.BytesIO(json.dumps(document).encode()), **more}

    return SimpleNamespace(functions=SimpleNamespace(invoke=answer), asked=asked)


def test_the_answer_is_the_functions_document():
    there = environment({"action": "rolled_back"})
    assert invoke(there, "cutover-sandbox-rollback", {"reason": "r"}) == {"action": "rolled_back"}
    assert there.asked == [{"FunctionName": "cutover-sandbox-rollback", "Payload": b'{"reason": "r"}'}]


def test_an_error_of_the_function_is_told_in_its_own_words():
    there = environment({"errorType": "SomeError", "errorMessage": "why"}, FunctionError="Unhandled")
    with pytest.raises(UserError, match=r"^why$") as raised:
        invoke(there, "f", {})
    assert raised.value.code is ExitCode.FAILED


def test_a_refusal_has_an_exit_code_of_its_own():
    there = environment({"errorType": "NotWaitingError", "errorMessage": "why"}, FunctionError="Unhandled")
    with pytest.raises(UserError) as raised:
        invoke(there, "f", {}, {"NotWaitingError": ExitCode.REFUSED})
    assert raised.value.code is ExitCode.REFUSED
