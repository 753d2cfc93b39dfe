"""The state machine and the code agree: on errors, on actions, on what can be reached."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from cutover.domain import errors
from cutover.domain.errors import TransientError
from tests.contract.machine import BUILD, DEFINITION, LAMBDA, ROOT, SCHEDULE, START, STATES, WAITING
from tests.unit.test_contraction import CONTRACT

# https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
STATES_ERRORS = {"States.ALL", "States.Timeout", "States.TaskFailed", "States.Permissions"}
# https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html
LAMBDA_ERRORS = {
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
}
# A function that ran out of its 15 minutes, by its own name or, where the runtime could not tell, by none:
# https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
TIMEOUTS = {"Sandbox.Timedout", "Lambda.Unknown", "States.Timeout"}
# Each call of these goes on where the last one stopped, however that ended.
SLICED = {"Migrate the database", "Undo the expansion"}
# https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
SCHEDULER_ERRORS = {
    "Scheduler.ConflictException",
    "Scheduler.InternalServerException",
    "Scheduler.SdkClientException",
    "Scheduler.ThrottlingException",
}
# https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
START_ERRORS = {"Sfn.SdkClientException"}
DRILL = json.loads((ROOT / "statemachines" / "drill.asl.json").read_text())
DRILL_STATES = [
    *DRILL["States"].values(),
    *(s for b in DRILL["States"]["There and back under load"]["Branches"] for s in b["States"].values()),
]
FUNCTIONS = re.compile(r"\$\{(\w+)Function\}")
EXPIRY = "{% $configuration.approval.expires_minutes * 60 %}"
OWN = {"PhaseBudgetExceededError"}


def leaves(kind: type) -> set[str]:
    below = kind.__subclasses__()
    return set().union(*(leaves(each) for each in below)) if below else {kind.__name__}


def tasks() -> Iterator[tuple[str, dict[str, Any]]]:
    """Those of the machine, and those that a Map does for each of its items."""
    yield from ((name, state) for name, state in STATES.items() if state["Type"] == "Task")
    yield from (
        (name, {"Catch": each["Catch"], **state})
        for each in STATES.values()
        if each["Type"] == "Map"
        for name, state in each["ItemProcessor"]["States"].items()
    )


def rules(field: str) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((name, rule) for name, state in STATES.items() for rule in state.get(field, []))


def ways_out(state: dict[str, Any]) -> set[str]:
    found = {state[field] for field in ("Next", "Default") if field in state}
    return found | {rule["Next"] for field in ("Choices", "Catch") for rule in state.get(field, [])}


@pytest.mark.parametrize("field", ["Retry", "Catch"])
def test_every_error_name_is_a_class_of_ours_or_one_of_awss(field: str) -> None:
    every = [rule for _, rule in rules(field)] + [rule for s in DRILL_STATES for rule in s.get(field, [])]
    names = {name for rule in every for name in rule["ErrorEquals"]}
    ours = {name for name in names if hasattr(errors, name)}

    assert names - ours - LAMBDA_ERRORS - TIMEOUTS - SCHEDULER_ERRORS - START_ERRORS <= STATES_ERRORS
    assert all(issubclass(getattr(errors, name), Exception) for name in ours)


def test_exactly_the_transient_errors_are_tried_again() -> None:
    for name, state in tasks():
        if state["Resource"] in (SCHEDULE, START):
            continue
        retried = [set(rule["ErrorEquals"]) for rule in state.get("Retry", [])]
        assert retried[:1] in ([leaves(TransientError) | LAMBDA_ERRORS], []), name
        assert retried[1:] == ([TIMEOUTS] if name in SLICED else []), name


def test_every_call_of_a_function_is_tried_again_with_jitter_and_an_end() -> None:
    for name, state in tasks():
        if state["Resource"] == LAMBDA:
            assert state["Retry"], name
            for rule in state["Retry"]:
                assert rule["JitterStrategy"] == "FULL", name
                assert rule["MaxAttempts"] >= 1, name
                assert rule["MaxDelaySeconds"] <= 60, name


def test_every_task_ends_in_time_and_every_failure_is_caught() -> None:
    for name, state in tasks():
        seconds = state["TimeoutSeconds"]
        # Only a person's time to answer is the configuration's business.
        assert seconds == EXPIRY if state["Resource"] == WAITING else seconds > 0, name
        assert state["Catch"][-1]["ErrorEquals"] == ["States.ALL"], name


# What says that a source of data did not answer.
NO_DATA = {
    "NotReachableError",
    "ThrottledError",
    "AccessDeniedError",
    "ServiceRefusedError",
    "States.Timeout",
}


def test_once_the_lock_is_taken_every_failure_leads_to_its_release() -> None:
    """Only the first task may end without; the ones of the failure's own path go on to its end. A migration's
    failure is undone first, and closes its phase by a gate that says what it was."""
    own_way = {
        "Take the lock": "Refused",
        "Ask the live release": "Undo the expansion",
        "Undo the expansion": "Conclude phase 2",
        # A scan that fails is judged: it is Inconclusive.
        "Scan the service": "Look at the web scan",
        # What is not contracted now is so after the next release: no reason to take this one back.
        "Schedule the contraction": "Start the watch",
        # Whether the live release is well, its alarms say and the watch.
        "Ask the live release a little": "Watch",
        # The look has ended and its lock is gone.
        "Start the drill": "Looked, and a drill",
        "Roll back": "Discard what was not executed",
        "Discard what was not executed": "Conclude the failure",
        "Conclude the failure": "Failed",
    }
    for name, state in tasks():
        for catch in state["Catch"]:
            if name == "Migrate the database" and catch["ErrorEquals"] == ["States.ALL"]:
                assert catch["Next"] == "Undo the expansion"
            elif catch["Next"] == "Conclude without data":
                assert set(catch["ErrorEquals"]) == NO_DATA, name
                assert catch["Assign"]["unmeasured"].keys() == {"name", "requirement", "persona"}, name
            else:
                assert catch["Next"] == own_way.get(name, "Roll back"), name
            # What could not be discarded is no other failure; the next deployment clears it away.
            if name not in ("Take the lock", "Discard what was not executed"):
                assert "Assign" in catch, name


def test_every_state_can_be_reached() -> None:
    reached, ahead = set(), [DEFINITION["StartAt"]]
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached.add(name)
            ahead += ways_out(STATES[name])
    assert reached == set(STATES)


# What `cutover` itself asks functions for.
BY_COMMAND = {"drift": {"look"}}


def test_every_action_of_a_payload_is_handled() -> None:
    # Asked for by the other machines: see test_step_boot.py and test_contraction.py; and by the
    # rollback after it has moved the traffic: see test_rollback_clock.py.
    handled: dict[str, set[str]] = {"release": {"boot", "booted"}, "probe": {"gone"}}
    handled["evidence"] = {"hear"}  # by the bus
    for state in (*CONTRACT["States"].values(), *DRILL_STATES):
        if state["Type"] == "Task" and "action" in state["Arguments"]["Payload"]:
            found = FUNCTIONS.fullmatch(state["Arguments"]["FunctionName"])
            assert found
            handled.setdefault(found[1].lower(), set()).add(state["Arguments"]["Payload"]["action"])
    for name, state in tasks():
        if state["Resource"] in (BUILD, SCHEDULE, START):
            continue
        assert state["Resource"] in (LAMBDA, WAITING), name
        found = FUNCTIONS.fullmatch(state["Arguments"]["FunctionName"])
        assert found, name
        module = importlib.import_module(f"cutover.handlers.{found[1].lower()}")
        assert callable(module.handler)
        action = state["Arguments"]["Payload"].get("action")
        handled.setdefault(found[1].lower(), set()).add(action)
        if found[1] != "Rollback":
            # A function without actions has one default.
            assert action in module.ACTIONS or (action is None and len(module.ACTIONS) == 1), name
    asked = {function: actions for function, actions in handled.items() if actions != {None}}
    for function, actions in asked.items():
        module = importlib.import_module(f"cutover.handlers.{function}")
        by_people = BY_COMMAND.get(function, set()) | getattr(module, "BY_PEOPLE", set())
        assert actions | by_people == set(module.ACTIONS), (
            f"{function} handles what nobody asks for, or the other way round"
        )


def test_the_seven_phases_have_the_budgets_of_the_plan() -> None:
    from cutover.domain.plan import PHASES

    written = []
    for state in STATES.values():
        phase = state.get("Assign", {}).get("phase")
        if phase and "deadline" in phase:  # a look and a share have none
            minutes = re.search(r"\+ (\d+) \* 60000", phase["deadline"])
            assert minutes
            written.append((phase["number"], phase["name"], int(minutes[1])))
    assert written == [(number, name, minutes) for number, (name, minutes) in enumerate(PHASES, start=1)]


def test_errors_that_the_machine_raises_itself_are_known() -> None:
    raised = {state["Assign"]["failure"]["Error"] for state in STATES.values() if _fails_by_itself(state)}
    assert raised == OWN


def _fails_by_itself(state: dict[str, Any]) -> bool:
    return state["Type"] == "Pass" and "failure" in state.get("Assign", {})


def test_every_state_says_what_it_does_and_is_named_as_a_person_would() -> None:
    plain = {"Choice", "Wait", "Succeed", "Fail"}
    for name, state in STATES.items():
        assert re.match(r"[A-Z1-7]", name), name
        assert state["Type"] in plain or state.get("Comment") or name == "The phase is over its budget", name
