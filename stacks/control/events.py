"""What moves by itself: our own event bus, the alarm's way to the rollback, the nightly run."""

import json

from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from config.model import Nightly, Window
from stacks.constructs.function import Function
from stacks.constructs.policy import Statement, acknowledge, only_tls, role
from stacks.naming import COLOURS, SERVICES, Names

#: An alarm's event that is older than this would move traffic for a reason that has passed.
EVENT_SECONDS = 900
FOURTEEN_DAYS = 14 * 24 * 3600


def bus(scope: Construct, names: Names) -> events.CfnEventBus:
    """The bus cutover-ENV-events: what deployments tell; nothing on it can hold a deployment up."""
    return events.CfnEventBus(
        scope, "Bus", name=names.bus, description="What Cutover's deployments have to tell"
    )


def alarm_rule(scope: Construct, names: Names, rollback: Function) -> events.CfnRule:
    """Alarm → rule → rollback function (requirement H4).

    Delivery is retried, and so is the function; what fails for good is kept in a queue for people to read.
    """
    here = Construct(scope, "Alarm")
    queue = dead_letters_queue(here, names, "alarm")
    rule = events.CfnRule(
        here,
        "Rule",
        name=names.named("alarm"),
        description="An alarm of a live colour rolls its release back",
        state="ENABLED",
        event_pattern={
            "source": ["aws.cloudwatch"],
            "detail-type": ["CloudWatch Alarm State Change"],
            "detail": {
                "alarmName": [{"prefix": names.named(f"{service}-")} for service in SERVICES],
                "state": {"value": ["ALARM"]},
            },
        },
        targets=[_rollback_target(rollback, queue)],
    )
    may_invoke(here, names, rollback, "alarm")
    retries(here, rollback, queue, seconds=EVENT_SECONDS)
    return rule


def ended_rule(scope: Construct, names: Names, rollback: Function) -> events.CfnRule:
    """An execution has ended other than well → rollback function: if it died with the traffic on its way,
    users go back to the release that is live. One that has ended by its own last states has left nothing to
    do.

    https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
    """
    here = Construct(scope, "Ended")
    queue = dead_letters_queue(here, names, "ended")
    rule = events.CfnRule(
        here,
        "Rule",
        name=names.named("ended"),
        description="Traffic that an execution was moving when it died goes back",
        state="ENABLED",
        event_pattern={
            "source": ["aws.states"],
            "detail-type": ["Step Functions Execution Status Change"],
            "detail": {
                "stateMachineArn": [names.state_machine_arn, names.drill_machine_arn],
                "status": ["FAILED", "TIMED_OUT", "ABORTED"],
            },
        },
        targets=[_rollback_target(rollback, queue)],
    )
    may_invoke(here, names, rollback, "ended")
    return rule


#: What a deployment's evidence grows by.
EVIDENCE_KINDS = (
    "PhaseCompleted",
    "GateFailed",
    "GoDecided",
    "ApprovalAnswered",
    "TrafficShifted",
    "RolledBack",
    "DeploymentSucceeded",
    "DeploymentPlanned",
    "DeploymentFailed",
)


def evidence_rule(
    scope: Construct, names: Names, bus: events.CfnEventBus, evidence: Function
) -> events.CfnRule:
    """What the bus hears → evidence function. Nothing waits for it; what fails for good lies in a queue."""
    here = Construct(scope, "Evidence")
    queue = dead_letters_queue(here, names, "evidence", names.bus)
    rule = events.CfnRule(
        here,
        "Rule",
        name=names.named("evidence"),
        description="What a deployment tells is added to its evidence",
        state="ENABLED",
        event_bus_name=bus.ref,
        event_pattern={"source": ["cutover"], "detail-type": list(EVIDENCE_KINDS)},
        targets=[
            events.CfnRule.TargetProperty(
                id="evidence",
                arn=evidence.arn,
                dead_letter_config=events.CfnRule.DeadLetterConfigProperty(arn=queue.attr_arn),
            )
        ],
    )
    may_invoke(here, names, evidence, "evidence", names.bus)
    retries(here, evidence, queue)
    return rule


def _rollback_target(rollback: Function, queue: sqs.CfnQueue) -> events.CfnRule.TargetProperty:
    return events.CfnRule.TargetProperty(
        id="rollback",
        arn=rollback.arn,
        dead_letter_config=events.CfnRule.DeadLetterConfigProperty(arn=queue.attr_arn),
        retry_policy=events.CfnRule.RetryPolicyProperty(
            maximum_event_age_in_seconds=EVENT_SECONDS, maximum_retry_attempts=185
        ),
    )


def may_invoke(scope: Construct, names: Names, function: Function, rule: str, bus: str = "") -> None:
    """The rule cutover-ENV-RULE invokes the function; of the default bus, or of `bus`."""
    lambda_.CfnPermission(
        scope,
        "Permission",
        action="lambda:InvokeFunction",
        function_name=function.function.ref,
        principal="events.amazonaws.com",
        source_arn=rule_arn(names, rule, bus),
    )


def retries(scope: Construct, function: Function, queue: sqs.CfnQueue, seconds: int | None = None) -> None:
    """What the function fails at is tried twice more, no later than `seconds` after the event, and then kept
    in the queue."""
    lambda_.CfnEventInvokeConfig(
        scope,
        "Retries",
        function_name=function.function.ref,
        qualifier="$LATEST",
        maximum_event_age_in_seconds=seconds,
        maximum_retry_attempts=2,
        destination_config=lambda_.CfnEventInvokeConfig.DestinationConfigProperty(
            on_failure=lambda_.CfnEventInvokeConfig.OnFailureProperty(destination=queue.attr_arn)
        ),
    )


def rule_arn(names: Names, rule: str, bus: str) -> str:
    """Of the rule cutover-ENV-RULE; of the default bus (""), or of `bus`."""
    return names.arn("events", f"rule/{f'{bus}/' if bus else ''}{names.named(rule)}")


def dead_letters_queue(scope: Construct, names: Names, rule: str, bus: str = "") -> sqs.CfnQueue:
    """The queue for what the rule cutover-ENV-RULE could not deliver; of the default bus, or of `bus`."""
    queue = sqs.CfnQueue(
        scope,
        "DeadLetters",
        queue_name=names.named(f"{rule}-dead-letters"),
        sqs_managed_sse_enabled=True,
        message_retention_period=FOURTEEN_DAYS,
    )
    acknowledge(queue, "AwsSolutions-SQS3", "This is the dead-letter queue itself")
    sqs.CfnQueuePolicy(
        scope,
        "DeadLettersPolicy",
        queues=[queue.ref],
        policy_document={
            "Version": "2012-10-17",
            "Statement": [
                only_tls("sqs:*", queue.attr_arn),
                {
                    "Sid": "Undelivered",
                    "Effect": "Allow",
                    "Principal": {"Service": "events.amazonaws.com"},
                    "Action": "sqs:SendMessage",
                    "Resource": queue.attr_arn,
                    "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn(names, rule, bus)}},
                },
            ],
        },
    )
    return queue


def dead_letters(names: Names, rule: str = "alarm") -> Statement:
    """What the function behind a rule needs for its failed events to reach the queue."""
    return Statement(["sqs:SendMessage"], [names.arn("sqs", names.named(f"{rule}-dead-letters"))])


def launch_rule(scope: Construct, names: Names, machine_arn: str) -> events.CfnRule:
    """Auto Scaling has launched an instance → its colour's current release is brought to it.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html
    """
    here = Construct(scope, "Launch")
    its_role = role(
        here,
        names,
        "launch",
        service="events.amazonaws.com",
        purpose="Starts the release of a new instance",
        statements=[Statement(["states:StartExecution"], [machine_arn])],
    )
    queue = dead_letters_queue(here, names, "launch")
    return events.CfnRule(
        here,
        "Rule",
        name=names.named("launch"),
        description="A new instance comes up with its colour's current release",
        state="ENABLED",
        event_pattern={
            "source": ["aws.autoscaling"],
            "detail-type": ["EC2 Instance Launch Successful"],
            "detail": {
                "AutoScalingGroupName": [
                    names.group(colour, service) for service in SERVICES for colour in COLOURS
                ]
            },
        },
        targets=[
            events.CfnRule.TargetProperty(
                id="boot",
                arn=machine_arn,
                role_arn=its_role.attr_arn,
                dead_letter_config=events.CfnRule.DeadLetterConfigProperty(arn=queue.attr_arn),
                # An instance without its release waits for nobody else: EventBridge's own day and 185 tries.
                # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html
                retry_policy=events.CfnRule.RetryPolicyProperty(
                    maximum_event_age_in_seconds=86400, maximum_retry_attempts=185
                ),
            )
        ],
    )


def nightly(
    scope: Construct, names: Names, window: Window, plan: Nightly, machine_arn: str
) -> scheduler.CfnSchedule:
    """The nightly run at the window's start (requirement H3): a deployment, where one is configured and
    pending, else a look at the environment."""
    here = Construct(scope, "Nightly")
    its_role = role(
        here,
        names,
        "nightly",
        service="scheduler.amazonaws.com",
        purpose="Starts the nightly run",
        statements=[Statement(["states:StartExecution"], [machine_arn])],
    )
    hour, minute = (int(part) for part in window.start.split(":"))
    release = {"source": plan.source, "image": plan.image} if plan.enabled else {}
    mode = {"mode": "nightly"} if plan.verify else {}
    execution = {
        "environment": names.environment,
        "version": plan.version,
        **mode,
        **{key: value for key, value in release.items() if value is not None},
    }
    return scheduler.CfnSchedule(
        here,
        "Schedule",
        name=names.named("nightly"),
        description="Deploys what is pending when the window opens, or looks at the environment",
        state="ENABLED" if plan.enabled or plan.verify else "DISABLED",
        schedule_expression=f"cron({minute} {hour} * * ? *)",
        schedule_expression_timezone=window.zone,
        flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
        target=scheduler.CfnSchedule.TargetProperty(
            arn=machine_arn,
            role_arn=its_role.attr_arn,
            input=json.dumps(execution),
            # A night that could not be started is not made up for in the morning.
            retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(
                maximum_event_age_in_seconds=EVENT_SECONDS, maximum_retry_attempts=3
            ),
        ),
    )
