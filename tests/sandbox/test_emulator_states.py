"""Step Functions: the language as a deployment uses it, tasks under a role, and how executions end."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

FLAKY = """
class TransientError(Exception): pass
class TerminalError(Exception): pass
seen = {}
def handler(event, context):
    seen[event["id"]] = seen.get(event["id"], 0) + 1
    if seen[event["id"]] <= event.get("failures", 0):
        raise TransientError("again")
    if event.get("terminal"):
        raise TerminalError("no way")
    return {"attempts": seen[event["id"]], "got": event}
"""


def task(function: str, payload: Any, **more: Any) -> dict[str, Any]:
    arguments = {"FunctionName": function, "Payload": payload}
    return {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Arguments": arguments, **more}


def machine(emulator: Any, states: dict[str, Any], *statements: dict[str, Any], **more: Any) -> str:
    """A state machine in JSONata that starts with its first state; its role may do `statements`."""
    definition = {"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states, **more}
    made = emulator.client("stepfunctions").create_state_machine(
        name=emulator.unique("machine"),
        definition=json.dumps(definition),
        roleArn=emulator.role("states.amazonaws.com", *statements),
    )
    return str(made["stateMachineArn"])


def start(emulator: Any, arn: str, given: Any = None, name: str | None = None) -> str:
    named = {"name": name} if name else {}
    answer = emulator.client("stepfunctions").start_execution(
        stateMachineArn=arn, input=json.dumps(given or {}), **named
    )
    return str(answer["executionArn"])


def end_of(emulator: Any, execution: str) -> dict[str, Any]:
    client = emulator.client("stepfunctions")

    def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = client.describe_execution(executionArn=execution)
        return found if found["status"] != "RUNNING" else None

    return dict(emulator.wait_for(ended, seconds=60, what=f"the end of {execution}"))


def output_of(emulator: Any, arn: str, given: Any = None) -> Any:
    ended = end_of(emulator, start(emulator, arn, given))
    assert ended["status"] == "SUCCEEDED", (ended["error"], ended["cause"])
    return json.loads(ended["output"])


def test_a_machine_uses_jsonata_throughout(emulator: Any) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html"""
    function = emulator.function(FLAKY)
    invoke = emulator.allow("lambda:InvokeFunction", on=function)
    states: dict[str, Any] = {
        "Call": task(
            function,
            {
                "id": "{% $states.context.Execution.Name %}",
                "colours": "{% $states.input.colours %}",
                "failures": 2,
            },
            Retry=[
                {
                    "ErrorEquals": ["TransientError"],
                    "IntervalSeconds": 1,
                    "BackoffRate": 2,
                    "MaxAttempts": 4,
                    "MaxDelaySeconds": 1,
                    "JitterStrategy": "FULL",
                }
            ],
            Assign={
                "attempts": "{% $states.result.Payload.attempts %}",
                "parsed": "{% $parse('{\"a\": [1, 2]}') %}",
                "name": "{% $states.context.Execution.Name %}",
                "id": "{% $states.context.Execution.Id %}",
                "unique": "{% $uuid() != $uuid() %}",
                "started": "{% $toMillis($states.context.Execution.StartTime) %}",
            },
            Output={"colours": "{% $states.result.Payload.got.colours %}"},
            Next="Pause",
        ),
        "Pause": {"Type": "Wait", "Seconds": "{% $count($states.input.colours) - 1 %}", "Next": "Each"},
        "Each": {
            "Type": "Map",
            "Items": "{% $states.input.colours %}",
            "ItemSelector": {
                "colour": "{% $states.context.Map.Item.Value %}",
                "index": "{% $states.context.Map.Item.Index %}",
            },
            "ItemProcessor": {
                "StartAt": "Shout",
                "States": {
                    "Shout": {
                        "Type": "Pass",
                        "Assign": {"attempts": 99},
                        "Output": "{% $uppercase($states.input.colour) & $string($attempts) %}",
                        "End": True,
                    }
                },
            },
            "Assign": {"shouted": "{% $states.result %}"},
            "Next": "Both",
        },
        "Both": {
            "Type": "Parallel",
            "Arguments": {"x": "{% $attempts %}"},
            "Branches": [
                {
                    "StartAt": "L",
                    "States": {"L": {"Type": "Pass", "Output": "{% $states.input.x + 1 %}", "End": True}},
                },
                {"StartAt": "R", "States": {"R": {"Type": "Succeed", "Output": "{% $states.input.x + 2 %}"}}},
            ],
            "Output": {"sums": "{% $states.result %}"},
            "Next": "Enough?",
        },
        "Enough?": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $attempts = 3 and $states.input.sums[0] = 4 %}", "Next": "Done"}],
            "Default": "Wrong",
        },
        "Wrong": {"Type": "Fail", "Error": "Wrong", "Cause": "{% $string($attempts) %}"},
        "Done": {
            "Type": "Succeed",
            "Output": {
                "attempts": "{% $attempts %}",
                "parsed": "{% $parsed.a[1] %}",
                "shouted": "{% $shouted %}",
                "sums": "{% $states.input.sums %}",
                "named": "{% $unique and $contains($id, $name) %}",
                "young": "{% $millis() - $started < 120000 %}",
            },
        },
    }
    assert output_of(emulator, machine(emulator, states, invoke), {"colours": ["blue", "green"]}) == {
        "attempts": 3,
        "parsed": 2,
        "shouted": ["BLUE3", "GREEN3"],
        "sums": [4, 5],
        "named": True,
        "young": True,
    }


def test_errors_are_caught_by_their_class_and_a_fail_state_words_them(emulator: Any) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html"""
    function = emulator.function(FLAKY)
    states = {
        "Call": task(
            function,
            {"id": "x", "terminal": True},
            Retry=[{"ErrorEquals": ["TransientError"]}],
            Catch=[
                {"ErrorEquals": ["TransientError"], "Next": "Never"},
                {
                    "ErrorEquals": ["TerminalError"],
                    "Assign": {"failure": "{% $states.errorOutput %}"},
                    "Next": "Refused",
                },
            ],
            End=True,
        ),
        "Never": {"Type": "Succeed"},
        "Refused": {
            "Type": "Fail",
            "Error": "{% $failure.Error %}",
            "Cause": "{% $parse($failure.Cause).errorMessage %}",
        },
    }
    ended = end_of(
        emulator, start(emulator, machine(emulator, states, emulator.allow("lambda:InvokeFunction")))
    )
    assert (ended["status"], ended["error"], ended["cause"]) == ("FAILED", "TerminalError", "no way")


def test_a_task_acts_as_the_machines_role(emulator: Any) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/procedure-create-iam-role.html"""
    function = emulator.function(FLAKY)
    ended = end_of(
        emulator, start(emulator, machine(emulator, {"Call": task(function, {"id": "x"}, End=True)}))
    )
    assert (ended["status"], ended["error"]) == ("FAILED", "Lambda.AWSLambdaException")
    assert f"lambda:InvokeFunction on resource: {function}" in ended["cause"]


def test_any_service_is_called_through_the_sdk_integration(emulator: Any) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html"""
    name = emulator.unique("/parameter")
    states = {
        "Put": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:ssm:putParameter",
            "Arguments": {"Name": name, "Value": "{% {'a': 1} %}", "Type": "String"},
            "Next": "Missing",
        },
        "Missing": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:ssm:getParameter",
            "Arguments": {"Name": f"{name}/missing"},
            "Catch": [{"ErrorEquals": ["Ssm.ParameterNotFoundException"], "Next": "Get"}],
            "End": True,
        },
        "Get": {
            "Type": "Task",
            "Resource": "arn:aws:states:::aws-sdk:ssm:getParameter",
            "Arguments": {"Name": name},
            "Output": "{% $parse($states.result.Parameter.Value).a %}",
            "End": True,
        },
    }
    allowed = emulator.allow("ssm:*Parameter")
    assert output_of(emulator, machine(emulator, states, allowed)) == 1
    refused = end_of(emulator, start(emulator, machine(emulator, states)))
    assert refused["error"] == "Ssm.SsmException"


def test_a_conditional_write_that_fails_is_caught_by_name(emulator: Any) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/connect-ddb.html"""
    table = emulator.unique("table")
    emulator.client("dynamodb").create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )

    def put(kind: str, error: str) -> dict[str, Any]:
        return {
            "Type": "Task",
            "Resource": f"arn:aws:states:::{kind}:putItem",
            "Arguments": {
                "TableName": table,
                "Item": {"pk": {"S": "1"}},
                "ConditionExpression": "attribute_exists(pk)",
            },
            "Catch": [{"ErrorEquals": [error], "Next": "Next" if kind == "dynamodb" else "Fine"}],
            "End": True,
        }

    states = {
        "First": put("dynamodb", "DynamoDB.ConditionalCheckFailedException"),
        "Next": put("aws-sdk:dynamodb", "DynamoDb.ConditionalCheckFailedException"),
        "Fine": {"Type": "Succeed", "Output": "fine"},
    }
    assert output_of(emulator, machine(emulator, states, emulator.allow("dynamodb:PutItem"))) == "fine"


def test_events_are_put_on_a_bus_and_the_end_of_an_execution_is_an_event(emulator: Any) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html"""
    queue = emulator.client("sqs").create_queue(QueueName=emulator.unique("queue"))["QueueUrl"]
    queue_arn = f"arn:aws:sqs:ap-northeast-2:123456789012:{queue.rsplit('/', 1)[-1]}"
    events, bus = emulator.client("events"), emulator.unique("bus")
    events.create_event_bus(Name=bus)
    arn = machine(
        emulator,
        {
            "Tell": {
                "Type": "Task",
                "Resource": "arn:aws:states:::events:putEvents",
                "Arguments": {
                    "Entries": [
                        {
                            "EventBusName": bus,
                            "Source": "test",
                            "DetailType": "Told",
                            "Detail": {"n": "{% 1 + 1 %}"},
                        }
                    ]
                },
                "End": True,
            }
        },
        emulator.allow("events:PutEvents"),
    )
    policy = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
    }
    emulator.client("sqs").set_queue_attributes(
        QueueUrl=queue, Attributes={"Policy": emulator.policy({**policy, "Resource": queue_arn})}
    )
    for rule_bus, pattern in (
        (bus, {"source": ["test"]}),
        (
            "default",
            {"source": ["aws.states"], "detail": {"stateMachineArn": [arn], "status": ["SUCCEEDED"]}},
        ),
    ):
        name = emulator.unique("rule")
        events.put_rule(Name=name, EventBusName=rule_bus, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=name, EventBusName=rule_bus, Targets=[{"Id": "1", "Arn": queue_arn}])
    end_of(emulator, start(emulator, arn))
    seen: dict[str, Any] = {}

    def both() -> bool:
        for message in emulator.client("sqs").receive_message(QueueUrl=queue).get("Messages", []):
            event = json.loads(message["Body"])
            seen[event["detail-type"]] = event["detail"]
        return len(seen) == 2

    emulator.wait_for(both, what="both events")
    assert seen["Told"] == {"n": 2}
    assert seen["Step Functions Execution Status Change"]["status"] == "SUCCEEDED"


def test_a_stopped_execution_stays_stopped_with_its_cause(emulator: Any) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_StopExecution.html"""
    function = emulator.function(
        "import time\ndef handler(e, c):\n    time.sleep(1)\n    raise ValueError()\n"
    )
    failing = task(function, {}, Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Hidden"}], End=True)
    states = {
        "Each": {
            "Type": "Map",
            "Items": [1, 2],
            "ItemProcessor": {"StartAt": "Call", "States": {"Call": failing, "Hidden": {"Type": "Succeed"}}},
            "End": True,
        }
    }
    arn = start(emulator, machine(emulator, states, emulator.allow("lambda:InvokeFunction")))
    client = emulator.client("stepfunctions")
    emulator.wait_for(
        lambda: (
            "TaskScheduled" in [e["type"] for e in client.get_execution_history(executionArn=arn)["events"]]
        )
    )
    client.stop_execution(executionArn=arn, error="RolledBack", cause="an alarm fired")
    time.sleep(2)
    ended = client.describe_execution(executionArn=arn)
    assert (ended["status"], ended["error"], ended["cause"]) == ("ABORTED", "RolledBack", "an alarm fired")
    types = [event["type"] for event in client.get_execution_history(executionArn=arn)["events"]]
    assert types[-1] == "ExecutionAborted"


def test_a_task_and_a_machine_run_out_of_time(emulator: Any) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/sfn-stuck-execution.html"""
    function = emulator.function("import time\ndef handler(e, c): time.sleep(5)\n")
    slow = task(
        function, {}, TimeoutSeconds=1, Catch=[{"ErrorEquals": ["States.Timeout"], "Next": "Wait"}], End=True
    )
    states = {"Slow": slow, "Wait": {"Type": "Wait", "Seconds": 60, "End": True}}
    arn = machine(emulator, states, emulator.allow("lambda:InvokeFunction"), TimeoutSeconds=3)
    execution = start(emulator, arn)
    ended = end_of(emulator, execution)
    assert ended["status"] == "TIMED_OUT"
    history = emulator.client("stepfunctions").get_execution_history(executionArn=execution)["events"]
    assert "WaitStateEntered" in [event["type"] for event in history]


def test_a_task_token_is_answered_or_its_heartbeat_runs_out(emulator: Any) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-wait-token"""
    queue = emulator.client("sqs").create_queue(QueueName=emulator.unique("queue"))["QueueUrl"]
    states = {
        "Ask": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Arguments": {"QueueUrl": queue, "MessageBody": {"token": "{% $states.context.Task.Token %}"}},
            "HeartbeatSeconds": 2,
            "End": True,
        }
    }
    arn = machine(emulator, states, emulator.allow("sqs:SendMessage"))

    def token() -> str:
        receive = emulator.client("sqs").receive_message
        messages = emulator.wait_for(lambda: receive(QueueUrl=queue).get("Messages"))
        return str(json.loads(messages[0]["Body"])["token"])

    answered = start(emulator, arn)
    emulator.client("stepfunctions").send_task_success(taskToken=token(), output='{"yes": true}')
    assert json.loads(end_of(emulator, answered)["output"]) == {"yes": True}
    assert end_of(emulator, start(emulator, arn))["error"] == "States.HeartbeatTimeout"


def test_a_task_that_nobody_answers_times_out_after_what_jsonata_says(emulator: Any) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/state-task.html (TimeoutSeconds may be JSONata)"""
    queue = emulator.client("sqs").create_queue(QueueName=emulator.unique("queue"))["QueueUrl"]
    states = {
        "Ask": {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Arguments": {"QueueUrl": queue, "MessageBody": {"token": "{% $states.context.Task.Token %}"}},
            "TimeoutSeconds": "{% 1 + 1 %}",
            "Catch": [
                {"ErrorEquals": ["States.Timeout"], "Assign": {"why": "nobody answered"}, "Next": "Tell"},
                {"ErrorEquals": ["States.ALL"], "Assign": {"why": "something else"}, "Next": "Tell"},
            ],
            "Next": "Tell",
        },
        "Tell": {"Type": "Pass", "Output": "{% $why %}", "End": True},
    }
    arn = machine(emulator, states, emulator.allow("sqs:SendMessage"))
    assert json.loads(end_of(emulator, start(emulator, arn))["output"]) == "nobody answered"


def test_a_build_is_waited_for(emulator: Any) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/connect-codebuild.html"""
    states = {
        "Build": {
            "Type": "Task",
            "Resource": "arn:aws:states:::codebuild:startBuild.sync",
            "Arguments": {"ProjectName": "missing"},
            "End": True,
        }
    }
    ended = end_of(emulator, start(emulator, machine(emulator, states, emulator.allow("codebuild:*"))))
    assert ended["error"] == "CodeBuild.ResourceNotFoundException"


def test_a_nested_machine_is_waited_for_and_its_output_is_json(emulator: Any) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html"""
    child = machine(
        emulator, {"Double": {"Type": "Pass", "Output": "{% $states.input.n * 2 %}", "End": True}}
    )
    states = {
        "Child": {
            "Type": "Task",
            "Resource": "arn:aws:states:::states:startExecution.sync:2",
            "Arguments": {"StateMachineArn": child, "Input": {"n": 21}},
            "Output": "{% $states.result.Output %}",
            "End": True,
        }
    }
    assert output_of(emulator, machine(emulator, states, emulator.allow("states:*"))) == 42


def test_a_definition_that_can_not_run_is_refused_when_it_is_created(emulator: Any) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_CreateStateMachine.html"""
    with pytest.raises(ClientError, match=r"InvalidDefinition.*Missing 'Next' target: Nowhere"):
        machine(emulator, {"A": {"Type": "Pass", "Next": "Nowhere"}})


def test_a_role_that_does_not_trust_step_functions_is_refused(emulator: Any) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/procedure-create-iam-role.html"""
    with pytest.raises(ClientError, match=r"states\.amazonaws\.com"):
        emulator.client("stepfunctions").create_state_machine(
            name=emulator.unique("machine"),
            definition='{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}',
            roleArn=emulator.role("lambda.amazonaws.com"),
        )


def test_starting_the_same_execution_twice_starts_it_once(emulator: Any) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html"""
    arn = machine(emulator, {"Wait": {"Type": "Wait", "Seconds": 30, "End": True}})
    assert start(emulator, arn, {"a": 1}, "once") == start(emulator, arn, {"a": 1}, "once")
    with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
        start(emulator, arn, {"a": 2}, "once")


def test_a_maps_workers_run_at_once_see_the_variables_and_come_back_in_their_order(emulator: Any) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/state-map-inline.html"""
    function = emulator.function(
        "import time\ndef handler(e, c):\n"
        "    began = time.time()\n    time.sleep(1.5)\n    return {**e, 'began': began, 'ended': time.time()}\n"
    )
    payload = {"worker": "{% $states.input.worker %}", "rate": "{% $rate %}"}
    inner = task(function, payload, Output="{% $states.result.Payload %}", End=True)
    states = {
        "Begin": {"Type": "Pass", "Assign": {"rate": 100, "workers": 2}, "Next": "Each"},
        "Each": {
            "Type": "Map",
            "Items": "{% [[0..($workers - 1)].{'worker': $}] %}",
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "INLINE"},
                "StartAt": "Work",
                "States": {"Work": inner},
            },
            "Output": "{% {'workers': $states.result} %}",
            "End": True,
        },
    }
    answer = output_of(emulator, machine(emulator, states, emulator.allow("lambda:InvokeFunction")))

    first, second = answer["workers"]
    assert [(each["worker"], each["rate"]) for each in (first, second)] == [(0, 100), (1, 100)]
    assert max(first["began"], second["began"]) < min(first["ended"], second["ended"])


def test_a_maps_failed_worker_is_caught_by_its_own_error(emulator: Any) -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html"""
    function = emulator.function(FLAKY)
    inner = task(function, {"id": "{% $states.input.worker %}", "terminal": True}, End=True)
    states = {
        "Each": {
            "Type": "Map",
            "Items": "{% [[0..0].{'worker': $string($)}] %}",  # one item is a list of one
            "ItemProcessor": {"StartAt": "Work", "States": {"Work": inner}},
            "Catch": [
                {
                    "ErrorEquals": ["States.ALL"],
                    "Assign": {"failure": "{% $states.errorOutput %}"},
                    "Next": "Told",
                }
            ],
            "End": True,
        },
        "Told": {"Type": "Pass", "Output": "{% $failure.Error %}", "End": True},
    }
    arn = machine(emulator, states, emulator.allow("lambda:InvokeFunction"))

    assert output_of(emulator, arn) == "TerminalError"
