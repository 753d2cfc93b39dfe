"""Events → people: one rule, one queue for each channel, one function (requirements A4, F2).

The bus hands an event over and forgets it, so that no deployment waits for anybody's inbox. Each channel's
queue is first in, first out: its messages arrive in order, however often the first one has to be tried.
"""

import json
from collections.abc import Mapping

from aws_cdk import aws_events as events
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from config.model import Configuration
from config.notifications import Notifications
from stacks.constructs.function import Code, Function, FunctionSpec, make_function
from stacks.constructs.parameter import compact
from stacks.constructs.policy import Statement, acknowledge, only_tls
from stacks.control.events import FOURTEEN_DAYS, dead_letters_queue, rule_arn
from stacks.naming import Names

#: SQS's own most: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
MOST_TRIES = 1000
#: The events that are more than `info`: a channel that takes less hears of these, so that the function is not
#: called to tell nobody.
MATTERS = (
    "ReleaseAnnounced",
    "ReleaseWithdrawn",
    "DeploymentSucceeded",
    "DeploymentFailed",
    "RolledBack",
    "RollbackRefused",
    "DriftFound",
    "ApprovalRequested",
    "Frozen",
    "Unfrozen",
    "ContractionFailed",
    "DrillFailed",
    "DrillStopped",
    "ReportReady",
)
RULE = "notices"
#: The application's is the key that signs: the random one is as good as any.
TOKENS = ("slack", "pagerduty", "application")


#: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html
_ONLY_WHAT_MATTERS = lambda_.CfnEventSourceMapping.FilterCriteriaProperty(
    filters=[
        lambda_.CfnEventSourceMapping.FilterProperty(
            pattern=json.dumps({"body": {"detail-type": list(MATTERS)}})
        )
    ]
)


def notifications(scope: Construct, names: Names, configuration: Configuration, code: Code) -> Function:
    """Make the function, for each configured channel its queue, and the rule where there is a channel."""
    here = Construct(scope, "Notifications")
    plan = configuration.notifications
    _parameter(here, names, plan)
    for name in TOKENS:
        if name in plan.channels:
            _token(here, names, name)
    if plan.sms is not None:
        _topic(here, names, plan.sms.to)
    function = make_function(here, names, _spec(names, plan), code)
    queues = {channel: _queue(here, names, channel, plan) for channel in plan.channels}
    if queues:
        _rule(here, names, queues)
    for channel, queue in queues.items():
        least = getattr(plan, channel).severity
        mapping = lambda_.CfnEventSourceMapping(
            here,
            f"{channel.capitalize()}Mapping",
            event_source_arn=queue.attr_arn,
            function_name=function.function.ref,
            batch_size=1,
            filter_criteria=_ONLY_WHAT_MATTERS if least != "info" else None,
        )
        # Lambda looks whether the role may read the queue when the mapping is made.
        mapping.add_resource_dependency(function.role)
    return function


def _spec(names: Names, plan: Notifications) -> FunctionSpec:
    table = names.arn("dynamodb", f"table/{names.journal}")
    statements = [
        Statement(["dynamodb:GetItem"], [table]),
        Statement(
            ["dynamodb:PutItem", "dynamodb:UpdateItem"],
            [table],
            {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["NOTICE#*", "THREAD#*"]}},
        ),
        Statement(["ssm:GetParameter"], [names.arn("ssm", f"parameter{names.notifications_parameter}")]),
    ]
    if plan.channels:
        queues = [names.arn("sqs", names.notices_queue(channel)) for channel in plan.channels]
        actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
        statements.append(Statement(actions, queues))
    tokens = [names.token(name) for name in TOKENS if name in plan.channels]
    if tokens:
        # A secret's ARN ends in six characters of AWS's own.
        secrets = [names.arn("secretsmanager", f"secret:{token}-??????") for token in tokens]
        statements.append(Statement(["secretsmanager:GetSecretValue"], secrets))
    if plan.email is not None:
        domain = plan.email.sender.rpartition("@")[2]
        identities = [names.arn("ses", f"identity/{name}") for name in (plan.email.sender, domain)]
        # Reports go with their pictures, as a message of our own making.
        statements.append(Statement(["ses:SendEmail", "ses:SendRawEmail"], identities))
        bucket = f"arn:aws:s3:::{names.artifacts_bucket}"
        statements.append(Statement(["s3:GetObject"], [f"{bucket}/reports/*"]))
        # Without it, an object that is not there answers 403 instead of 404.
        statements.append(Statement(["s3:ListBucket"], [bucket]))
    if plan.sms is not None:
        statements.append(Statement(["sns:Publish"], [names.arn("sns", names.topic)]))
    return FunctionSpec(
        name="notify",
        purpose="Tells people of deployments",
        timeout_seconds=plan.function_seconds,
        memory_mb=512,
        statements=statements,
        environment={
            "NOTIFICATIONS_PARAMETER": names.notifications_parameter,
            "SECRETS_PREFIX": names.token(""),
            "TOPIC_ARN": names.arn("sns", names.topic),
            "ARTIFACTS_BUCKET": names.artifacts_bucket,
        },
    )


def _parameter(scope: Construct, names: Names, plan: Notifications) -> None:
    ssm.CfnParameter(
        scope,
        "Configuration",
        name=names.notifications_parameter,
        type="String",
        description="Whom Cutover tells of deployments, and how",
        value=compact(plan.for_function()),
    )


def _token(scope: Construct, names: Names, channel: str) -> None:
    """Made with a random token, so that there is one to replace; the real one is put by a person."""
    secret = secretsmanager.CfnSecret(
        scope,
        f"{channel.capitalize()}Token",
        name=names.token(channel),
        description=f"The token for {channel}; put yours in its place",
        generate_secret_string=secretsmanager.CfnSecret.GenerateSecretStringProperty(
            secret_string_template=json.dumps({}),
            generate_string_key="token",
            password_length=32,
            exclude_punctuation=True,
        ),
    )
    acknowledge(secret, "AwsSolutions-SMG4", "Only the service that gave the token out can give another")


def _topic(scope: Construct, names: Names, numbers: tuple[str, ...]) -> None:
    topic = sns.CfnTopic(
        scope,
        "Topic",
        topic_name=names.topic,
        display_name="Cutover",
        kms_master_key_id="alias/aws/sns",
        subscription=[
            sns.CfnTopic.SubscriptionProperty(endpoint=number, protocol="sms") for number in numbers
        ],
    )
    sns.CfnTopicPolicy(
        scope,
        "TopicPolicy",
        topics=[topic.ref],
        policy_document=_document(only_tls("sns:Publish", topic.ref)),
    )


def _queue(scope: Construct, names: Names, channel: str, plan: Notifications) -> sqs.CfnQueue:
    title = channel.capitalize()
    dead = sqs.CfnQueue(
        scope,
        f"{title}DeadLetters",
        queue_name=names.notices_queue(f"dead-{channel}"),
        fifo_queue=True,
        sqs_managed_sse_enabled=True,
        message_retention_period=FOURTEEN_DAYS,
    )
    acknowledge(dead, "AwsSolutions-SQS3", "This is the dead-letter queue itself")
    queue = sqs.CfnQueue(
        scope,
        f"{title}Queue",
        queue_name=names.notices_queue(channel),
        fifo_queue=True,
        # An event's id is in its body: one that EventBridge delivers twice is mostly seen here already.
        # One that a step publishes twice has two; the function knows it by what happened.
        content_based_deduplication=True,
        sqs_managed_sse_enabled=True,
        message_retention_period=FOURTEEN_DAYS,
        visibility_timeout=plan.retry_seconds,
        redrive_policy={"deadLetterTargetArn": dead.attr_arn, "maxReceiveCount": MOST_TRIES},
    )
    delivery = {
        "Sid": "OurRule",
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue.attr_arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule_arn(names, RULE, names.bus)}},
    }
    for id, one, more in (("Queue", queue, [delivery]), ("DeadLetters", dead, [])):
        policy = _document(only_tls("sqs:*", one.attr_arn), *more)
        sqs.CfnQueuePolicy(scope, f"{title}{id}Policy", queues=[one.ref], policy_document=policy)
    return queue


def _document(*statements: Mapping[str, object]) -> dict[str, object]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _rule(scope: Construct, names: Names, queues: dict[str, sqs.CfnQueue]) -> None:
    """A rule has five targets at the most, and there are five channels.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
    """
    undelivered = dead_letters_queue(scope, names, RULE, names.bus)
    events.CfnRule(
        scope,
        "Rule",
        name=names.named(RULE),
        description="What deployments have to tell goes to the people's channels",
        event_bus_name=names.bus,
        state="ENABLED",
        event_pattern={"source": ["cutover"]},
        targets=[
            events.CfnRule.TargetProperty(
                id=channel,
                arn=queue.attr_arn,
                # One group: an environment has one deployment at a time.
                sqs_parameters=events.CfnRule.SqsParametersProperty(message_group_id=names.environment),
                dead_letter_config=events.CfnRule.DeadLetterConfigProperty(arn=undelivered.attr_arn),
            )
            for channel, queue in queues.items()
        ],
    )
