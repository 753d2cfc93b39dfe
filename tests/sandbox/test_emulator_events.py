"""EventBridge and its Scheduler reach their targets with a permission, and not without one."""

from __future__ import annotations

import datetime
import json
from typing import Any

CODE = "def handler(event, context):\n    print('seen', event['detail']['id'])\n"
FAILING = "def handler(event, context):\n    print('seen', event['detail']['id'])\n    raise ValueError()\n"


def messages(emulator: Any, function: str) -> str:
    logs = emulator.client("logs")
    try:
        events = logs.filter_log_events(logGroupName=f"/aws/lambda/{function.rsplit(':', 1)[-1]}")["events"]
    except logs.exceptions.ResourceNotFoundException:
        return ""
    return "\n".join(event["message"] for event in events)


def queue(emulator: Any) -> tuple[str, str]:
    url = emulator.client("sqs").create_queue(QueueName=emulator.unique("queue"))["QueueUrl"]
    return url, f"arn:aws:sqs:ap-northeast-2:123456789012:{url.rsplit('/', 1)[-1]}"


def rule(emulator: Any, source: str, target: dict[str, Any]) -> str:
    events, name = emulator.client("events"), emulator.unique("rule")
    arn: str = events.put_rule(Name=name, EventPattern=json.dumps({"source": [source]}))["RuleArn"]
    events.put_targets(Rule=name, Targets=[{"Id": "1", **target}])
    return arn


def tell(emulator: Any, source: str) -> None:
    entry = {"Source": source, "DetailType": "t", "Detail": '{"id": 7}'}
    emulator.client("events").put_events(Entries=[entry])


def received(emulator: Any, url: str) -> str:
    found = emulator.wait_for(
        lambda: emulator.client("sqs").receive_message(QueueUrl=url).get("Messages"), what="the message"
    )
    return str(found[0]["Body"])


def test_a_function_is_invoked_for_a_rule_only_when_its_policy_permits_it(emulator: Any) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html"""
    source = emulator.unique("source")
    function, (url, dead) = emulator.function(CODE), queue(emulator)
    arn = rule(emulator, source, {"Arn": function, "DeadLetterConfig": {"Arn": dead}})
    tell(emulator, source)
    assert json.loads(received(emulator, url))["detail"] == {"id": 7}
    assert "seen 7" not in messages(emulator, function)
    emulator.client("lambda").add_permission(
        FunctionName=function,
        StatementId="s",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=arn,
    )
    tell(emulator, source)
    emulator.wait_for(lambda: "seen 7" in messages(emulator, function), what="the invocation")


def test_a_function_that_fails_is_invoked_three_times(emulator: Any) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html"""
    source, function = emulator.unique("source"), emulator.function(FAILING)
    rule(emulator, source, {"Arn": function})
    emulator.client("lambda").add_permission(
        FunctionName=function,
        StatementId="s",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
    )
    tell(emulator, source)
    emulator.wait_for(lambda: messages(emulator, function).count("seen 7") == 3, what="three attempts")


def test_a_state_machine_is_started_for_a_rule_as_the_targets_role(emulator: Any) -> None:
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-identity-based.html"""
    source, states = emulator.unique("source"), emulator.client("stepfunctions")
    machine = states.create_state_machine(
        name=emulator.unique("machine"),
        roleArn=emulator.role("states.amazonaws.com"),
        definition='{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}',
    )["stateMachineArn"]
    url, dead = queue(emulator)
    powerless = emulator.role("events.amazonaws.com")
    rule(emulator, source, {"Arn": machine, "RoleArn": powerless, "DeadLetterConfig": {"Arn": dead}})
    tell(emulator, source)
    assert json.loads(received(emulator, url))["detail"] == {"id": 7}
    able = emulator.role("events.amazonaws.com", emulator.allow("states:StartExecution", on=machine))
    rule(emulator, source, {"Arn": machine, "RoleArn": able})
    tell(emulator, source)
    emulator.wait_for(lambda: states.list_executions(stateMachineArn=machine)["executions"])


def test_a_schedule_starts_a_state_machine_as_its_role_at_its_zones_time(emulator: Any) -> None:
    """https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#time-zones"""
    states = emulator.client("stepfunctions")
    machine = states.create_state_machine(
        name=emulator.unique("machine"),
        roleArn=emulator.role("states.amazonaws.com"),
        definition='{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}',
    )["stateMachineArn"]
    seoul = datetime.datetime.now(datetime.timezone(datetime.timedelta(hours=9))) + datetime.timedelta(
        seconds=1
    )
    url, dead = queue(emulator)

    def schedule(role: str, **more: Any) -> None:
        emulator.client("scheduler").create_schedule(
            Name=emulator.unique("schedule"),
            ScheduleExpression=f"at({seoul:%Y-%m-%dT%H:%M:%S})",
            ScheduleExpressionTimezone="Asia/Seoul",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target={"Arn": machine, "RoleArn": role, "Input": '{"n": 1}', **more},
        )

    schedule(
        emulator.role("scheduler.amazonaws.com"),
        RetryPolicy={"MaximumRetryAttempts": 0},
        DeadLetterConfig={"Arn": dead},
    )
    assert received(emulator, url) == '{"n": 1}'
    assert not states.list_executions(stateMachineArn=machine)["executions"]
    schedule(emulator.role("scheduler.amazonaws.com", emulator.allow("states:StartExecution", on=machine)))
    emulator.wait_for(lambda: states.list_executions(stateMachineArn=machine)["executions"])
