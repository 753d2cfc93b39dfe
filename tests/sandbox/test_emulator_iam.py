"""IAM as a deployment meets it: scoped policies work for what they name, and for nothing else."""

from __future__ import annotations

import re
from typing import Any

import pytest
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError

REGION, ACCOUNT = "ap-northeast-2", "123456789012"
DENIAL = re.compile("AccessDenied|UnauthorizedOperation|AuthorizationError")


def arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}"


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return error.value.response["Error"]["Code"]


def test_a_denial_names_the_principal_the_action_and_the_resource(emulator: Any) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html"""
    user = emulator.user()
    who = emulator.client("sts", user).get_caller_identity()["Arn"]
    topic = arn("sns", "news")
    with pytest.raises(ClientError) as denied:
        emulator.client("sns", user).publish(TopicArn=topic, Message="hello")
    assert denied.value.response["Error"]["Message"] == (
        f"User: {who} is not authorized to perform: sns:Publish on resource: {topic} "
        "because no identity-based policy allows the sns:Publish action"
    )


# service, method, arguments, action, a resource that allows it, one that does not
CALLS: list[tuple[str, str, dict[str, Any], str, str, str]] = [
    ("elbv2", "modify_listener", {"ListenerArn": arn("elasticloadbalancing", "listener/app/a/1/2")}, "elasticloadbalancing:ModifyListener", arn("elasticloadbalancing", "listener/app/a/*"), arn("elasticloadbalancing", "listener/app/b/*")),
    ("elbv2", "modify_rule", {"RuleArn": arn("elasticloadbalancing", "listener-rule/app/a/1/2/3")}, "elasticloadbalancing:ModifyRule", arn("elasticloadbalancing", "listener-rule/app/a/*"), arn("elasticloadbalancing", "listener-rule/app/b/*")),
    ("elbv2", "register_targets", {"TargetGroupArn": arn("elasticloadbalancing", "targetgroup/a/1"), "Targets": [{"Id": "i-1"}]}, "elasticloadbalancing:RegisterTargets", arn("elasticloadbalancing", "targetgroup/a/1"), arn("elasticloadbalancing", "targetgroup/b/1")),
    ("elbv2", "describe_target_health", {"TargetGroupArn": arn("elasticloadbalancing", "targetgroup/a/1")}, "elasticloadbalancing:DescribeTargetHealth", "*", arn("elasticloadbalancing", "targetgroup/a/1")),
    ("ssm", "send_command", {"DocumentName": "AWS-RunShellScript", "InstanceIds": ["i-1"]}, "ssm:SendCommand", "*", f"arn:aws:ssm:{REGION}::document/AWS-RunShellScript"),
    ("ssm", "get_parameters_by_path", {"Path": "/app/live/"}, "ssm:GetParametersByPath", arn("ssm", "parameter/app/*"), arn("ssm", "parameter/web/*")),
    ("ssm", "get_parameters", {"Names": ["/app/x", "/web/x"]}, "ssm:GetParameters", arn("ssm", "parameter/*/x"), arn("ssm", "parameter/app/x")),
    ("codebuild", "start_build", {"projectName": "image"}, "codebuild:StartBuild", arn("codebuild", "project/image"), arn("codebuild", "project/other")),
    ("codebuild", "batch_get_builds", {"ids": ["image:1"]}, "codebuild:BatchGetBuilds", arn("codebuild", "project/image"), arn("codebuild", "project/other")),
    ("ecr", "describe_images", {"repositoryName": "app"}, "ecr:DescribeImages", arn("ecr", "repository/app"), arn("ecr", "repository/web")),
    ("cloudformation", "create_change_set", {"StackName": "cutover-a", "ChangeSetName": "c", "TemplateBody": "{}"}, "cloudformation:CreateChangeSet", arn("cloudformation", "stack/cutover-*/*"), arn("cloudformation", "stack/other-*/*")),
    ("secretsmanager", "get_secret_value", {"SecretId": "db"}, "secretsmanager:GetSecretValue", arn("secretsmanager", "secret:db*"), arn("secretsmanager", "secret:web*")),
    ("dynamodb", "update_item", {"TableName": "t", "Key": {"pk": {"S": "1"}}, "ConditionExpression": "attribute_exists(pk)"}, "dynamodb:UpdateItem", arn("dynamodb", "table/t"), arn("dynamodb", "table/u")),
    ("dynamodb", "query", {"TableName": "t", "IndexName": "index", "KeyConditionExpression": "pk = :p"}, "dynamodb:Query", arn("dynamodb", "table/t/index/*"), arn("dynamodb", "table/t")),
    ("events", "put_events", {"Entries": [{"EventBusName": "cutover", "Source": "a", "DetailType": "b", "Detail": "{}"}]}, "events:PutEvents", arn("events", "event-bus/cutover"), arn("events", "event-bus/default")),
    ("events", "disable_rule", {"Name": "r", "EventBusName": "cutover"}, "events:DisableRule", arn("events", "rule/cutover/r"), arn("events", "rule/r")),
    ("lambda", "invoke", {"FunctionName": "f"}, "lambda:InvokeFunction", arn("lambda", "function:f"), arn("lambda", "function:g")),
    ("lambda", "invoke", {"FunctionName": "f", "Qualifier": "live"}, "lambda:InvokeFunction", arn("lambda", "function:f:live"), arn("lambda", "function:f")),
    ("lambda", "update_alias", {"FunctionName": "f", "Name": "live"}, "lambda:UpdateAlias", arn("lambda", "function:f"), arn("lambda", "function:g")),
    ("lambda", "get_function_concurrency", {"FunctionName": "f"}, "lambda:GetFunctionConcurrency", arn("lambda", "function:f"), arn("lambda", "function:g")),
    ("logs", "put_log_events", {"logGroupName": "g", "logStreamName": "s", "logEvents": [{"timestamp": 1, "message": "m"}]}, "logs:PutLogEvents", arn("logs", "log-group:g:*"), arn("logs", "log-group:h:*")),
    ("logs", "filter_log_events", {"logGroupName": "g"}, "logs:FilterLogEvents", arn("logs", "log-group:g:*"), arn("logs", "log-group:h:*")),
    ("s3", "create_bucket", {"Bucket": "bucket-one", "CreateBucketConfiguration": {"LocationConstraint": REGION}}, "s3:CreateBucket", "arn:aws:s3:::bucket-one", "arn:aws:s3:::bucket-two"),
    ("stepfunctions", "start_execution", {"stateMachineArn": arn("states", "stateMachine:m")}, "states:StartExecution", arn("states", "stateMachine:m"), arn("states", "stateMachine:n")),
    ("stepfunctions", "stop_execution", {"executionArn": arn("states", "execution:m:1")}, "states:StopExecution", arn("states", "execution:m:*"), arn("states", "stateMachine:m")),
    ("autoscaling", "set_desired_capacity", {"AutoScalingGroupName": "g", "DesiredCapacity": 1}, "autoscaling:SetDesiredCapacity", arn("autoscaling", "autoScalingGroup:*:autoScalingGroupName/g"), arn("autoscaling", "autoScalingGroup:*:autoScalingGroupName/h")),
    ("autoscaling", "describe_auto_scaling_groups", {"AutoScalingGroupNames": ["g"]}, "autoscaling:DescribeAutoScalingGroups", "*", arn("autoscaling", "autoScalingGroup:*:autoScalingGroupName/g")),
    ("cloudwatch", "disable_alarm_actions", {"AlarmNames": ["a-1", "a-2"]}, "cloudwatch:DisableAlarmActions", arn("cloudwatch", "alarm:a-*"), arn("cloudwatch", "alarm:a-1")),
    ("cloudwatch", "set_alarm_state", {"AlarmName": "a", "StateValue": "OK", "StateReason": "r"}, "cloudwatch:SetAlarmState", arn("cloudwatch", "alarm:a"), arn("cloudwatch", "alarm:b")),
    ("cloudwatch", "describe_alarms", {"AlarmNames": ["a"]}, "cloudwatch:DescribeAlarms", arn("cloudwatch", "alarm:*"), arn("cloudwatch", "alarm:a")),
    ("ec2", "create_tags", {"Resources": ["i-1", "vpc-1"], "Tags": [{"Key": "a", "Value": "b"}]}, "ec2:CreateTags", arn("ec2", "*"), arn("ec2", "instance/*")),
    ("ses", "send_email", {"Source": "Ops <ops@example.com>", "Destination": {"ToAddresses": ["a@example.com"]}, "Message": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}}}, "ses:SendEmail", arn("ses", "identity/example.com"), arn("ses", "identity/example.org")),
]  # fmt: skip


@pytest.mark.parametrize("call", CALLS, ids=[f"{call[3]}-{number}" for number, call in enumerate(CALLS)])
def test_a_policy_scoped_to_a_resource_covers_it_and_no_other(
    emulator: Any, call: tuple[str, str, dict[str, Any], str, str, str]
) -> None:
    """https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html"""
    service, method, arguments, action, allowed, refused = call
    try:
        getattr(emulator.client(service, emulator.user(emulator.allow(action, on=allowed))), method)(
            **arguments
        )
    except ClientError as error:  # the thing itself need not exist: IAM speaks first
        if DENIAL.search(error.response["Error"]["Code"]):
            raise
    with pytest.raises(ClientError) as denied:
        getattr(emulator.client(service, emulator.user(emulator.allow(action, on=refused))), method)(
            **arguments
        )
    assert DENIAL.search(code_of(denied)), denied.value
    assert action in denied.value.response["Error"]["Message"]


def test_a_transaction_needs_the_permission_of_each_item(emulator: Any) -> None:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html"""
    table = emulator.unique("table")
    emulator.client("dynamodb").create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    put = {
        "Put": {
            "TableName": table,
            "Item": {"pk": {"S": "1"}},
            "ConditionExpression": "attribute_not_exists(pk)",
        }
    }
    check = {
        "ConditionCheck": {
            "TableName": table,
            "Key": {"pk": {"S": "2"}},
            "ConditionExpression": "attribute_not_exists(pk)",
        }
    }
    on = arn("dynamodb", f"table/{table}")
    half = emulator.client("dynamodb", emulator.user(emulator.allow("dynamodb:PutItem", on=on)))
    with pytest.raises(ClientError, match=f"dynamodb:ConditionCheckItem on resource: {on}"):
        half.transact_write_items(TransactItems=[put, check])
    whole = emulator.user(emulator.allow("dynamodb:PutItem", "dynamodb:ConditionCheckItem", on=on))
    emulator.client("dynamodb", whole).transact_write_items(TransactItems=[put, check])
    with pytest.raises(ClientError, match="ConditionalCheckFailed"):
        emulator.client("dynamodb", whole).transact_write_items(TransactItems=[put, check])


def test_a_metric_namespace_can_be_demanded(emulator: Any) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/iam-cw-condition-keys-namespace.html"""
    only = {"Condition": {"StringEquals": {"cloudwatch:namespace": "Cutover"}}}
    client = emulator.client("cloudwatch", emulator.user(emulator.allow("cloudwatch:PutMetricData", **only)))
    client.put_metric_data(Namespace="Cutover", MetricData=[{"MetricName": "m", "Value": 1}])
    with pytest.raises(ClientError, match="cloudwatch:PutMetricData"):
        client.put_metric_data(Namespace="Other", MetricData=[{"MetricName": "m", "Value": 1}])


def test_a_command_is_judged_by_the_tags_of_its_instances(emulator: Any) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/run-command-setting-up.html#rc-tag"""
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "Environment", "Value": "staging"}]}]
    instance = emulator.client("ec2").run_instances(
        ImageId="ami-12345678", MinCount=1, MaxCount=1, TagSpecifications=tags
    )["Instances"][0]["InstanceId"]

    def sender(environment: str) -> Any:
        return emulator.client(
            "ssm",
            emulator.user(
                emulator.allow("ssm:SendCommand", on=f"arn:aws:ssm:{REGION}::document/AWS-RunShellScript"),
                emulator.allow(
                    "ssm:SendCommand",
                    on=arn("ec2", "instance/*"),
                    Condition={"StringEquals": {"ssm:resourceTag/Environment": environment}},
                ),
            ),
        )

    call = {"DocumentName": "AWS-RunShellScript", "Parameters": {"commands": ["true"]}}
    # The instance runs no agent, which is said only to who may ask.
    with pytest.raises(ClientError, match="InvalidInstanceId"):
        sender("staging").send_command(InstanceIds=[instance], **call)
    with pytest.raises(ClientError, match=f"instance/{instance}"):
        sender("production").send_command(InstanceIds=[instance], **call)
    with pytest.raises(ClientError, match=f"instance/{instance}"):
        sender("production").send_command(Targets=[{"Key": "tag:Environment", "Values": ["staging"]}], **call)


def test_a_role_may_be_given_to_a_service_only_with_pass_role(emulator: Any) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html"""
    role = emulator.role("cloudformation.amazonaws.com", emulator.allow("*"))
    call = {"ChangeSetType": "CREATE", "ChangeSetName": "c", "RoleARN": role}
    template = '{"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}'
    changing = emulator.allow("cloudformation:CreateChangeSet")

    def create(*statements: dict[str, Any]) -> None:
        emulator.client("cloudformation", emulator.user(changing, *statements)).create_change_set(
            StackName=emulator.unique("stack"), TemplateBody=template, **call
        )

    with pytest.raises(ClientError, match=f"iam:PassRole on resource: {role}"):
        create()
    to_lambda = {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
    with pytest.raises(ClientError, match="iam:PassRole"):
        create(emulator.allow("iam:PassRole", on=role, Condition=to_lambda))
    to_cloudformation = {"StringEquals": {"iam:PassedToService": "cloudformation.amazonaws.com"}}
    create(emulator.allow("iam:PassRole", on=role, Condition=to_cloudformation))


def test_a_lambda_function_and_a_state_machine_take_a_passed_role(emulator: Any) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/lambda-permissions.html"""
    role = emulator.role("lambda.amazonaws.com")
    user = emulator.user(emulator.allow("lambda:CreateFunction", "states:CreateStateMachine"))
    with pytest.raises(ClientError, match="iam:PassRole"):
        emulator.client("lambda", user).create_function(
            FunctionName=emulator.unique("f"),
            Role=role,
            Code={"ZipFile": b"x"},
            Handler="a.b",
            Runtime="python3.11",
        )
    with pytest.raises(ClientError, match="iam:PassRole"):
        emulator.client("stepfunctions", user).create_state_machine(
            name=emulator.unique("m"),
            roleArn=role,
            definition='{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}',
        )


def test_a_managed_policy_that_is_not_known_allows_nothing(emulator: Any) -> None:
    """A policy's document can't be guessed; one that allowed everything would hide what a role lacks."""
    user = emulator.user()
    name = emulator.client("sts", user).get_caller_identity()["Arn"].rsplit("/", 1)[-1]
    emulator.client("iam").attach_user_policy(
        UserName=name, PolicyArn="arn:aws:iam::aws:policy/AmazonMadeUpFullAccess"
    )
    with pytest.raises(ClientError, match="AccessDenied"):
        emulator.client("s3", user).list_buckets()


SERVICES = "autoscaling cloudformation codebuild dynamodb ecr elbv2 events lambda scheduler ssm stepfunctions"


def smallest(shape: Any) -> Any:
    """The least that botocore takes for a shape."""
    match shape.type_name:
        case "structure":
            return {name: smallest(shape.members[name]) for name in shape.required_members}
        case "list":
            return [smallest(shape.member)]
        case "map":
            return {"k": smallest(shape.value)}
        case "integer" | "long":
            return max(1, shape.metadata.get("min", 1))
        case "float" | "double":
            return 1.0
        case "boolean":
            return True
        case "timestamp":
            return 1_700_000_000
        case "blob":
            return b"x"
    if shape.enum:
        return shape.enum[0]
    return ("abcdefgh" * 32)[: max(shape.metadata.get("min", 1), 8)]


@pytest.mark.parametrize("service", SERVICES.split())
def test_no_operation_is_open_to_a_user_without_a_policy(emulator: Any, service: str) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html"""
    client = emulator.client(service, emulator.user())
    model, allowed = client.meta.service_model, []
    for operation in model.operation_names:
        shape = model.operation_model(operation).input_shape
        try:
            getattr(client, xform_name(operation))(**(smallest(shape) if shape else {}))
            allowed.append(operation)
        except ClientError as error:
            if not DENIAL.search(error.response["Error"]["Code"]):
                allowed.append(f"{operation}: {error.response['Error']['Code']}")
        except (BotoCoreError, TypeError):
            continue  # a stream or an address in the host name: not sent as an ordinary call
    assert allowed == []
