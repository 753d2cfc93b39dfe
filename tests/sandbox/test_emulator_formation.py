"""CloudFormation: the added resource types, change sets, rollback, parameters and dynamic references."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest
from botocore.exceptions import ClientError

NETWORK: dict[str, Any] = {
    "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "127.1.0.0/16"}},
    "Subnet": {
        "Type": "AWS::EC2::Subnet",
        "Properties": {"VpcId": {"Ref": "Vpc"}, "CidrBlock": "127.1.1.0/24"},
    },
    "Address": {"Type": "AWS::EC2::EIP", "Properties": {"Domain": "vpc"}},
    "Nat": {
        "Type": "AWS::EC2::NatGateway",
        "Properties": {
            "AllocationId": {"Fn::GetAtt": ["Address", "AllocationId"]},
            "SubnetId": {"Ref": "Subnet"},
        },
    },
    "Front": {
        "Type": "AWS::EC2::SecurityGroup",
        "Properties": {"GroupDescription": "front", "VpcId": {"Ref": "Vpc"}},
    },
    "Back": {
        "Type": "AWS::EC2::SecurityGroup",
        "Properties": {"GroupDescription": "back", "VpcId": {"Ref": "Vpc"}},
    },
    "FrontToBack": {
        "Type": "AWS::EC2::SecurityGroupIngress",
        "Properties": {
            "GroupId": {"Ref": "Back"},
            "IpProtocol": "tcp",
            "FromPort": 8080,
            "ToPort": 8080,
            "SourceSecurityGroupId": {"Ref": "Front"},
        },
    },
    "Out": {
        "Type": "AWS::EC2::SecurityGroupEgress",
        "Properties": {
            "GroupId": {"Ref": "Front"},
            "IpProtocol": "tcp",
            "FromPort": "8080",
            "ToPort": "8080",
            "CidrIp": {"Fn::GetAtt": ["Vpc", "CidrBlock"]},
        },
    },
    "Flows": {"Type": "AWS::Logs::LogGroup"},
    "Flow": {
        "Type": "AWS::EC2::FlowLog",
        "Properties": {
            "ResourceId": {"Ref": "Vpc"},
            "ResourceType": "VPC",
            "TrafficType": "REJECT",
            "LogGroupName": {"Ref": "Flows"},
            "DeliverLogsPermissionArn": "arn:aws:iam::123456789012:role/flows",
        },
    },
}


def stack(resources: dict[str, Any], **more: Any) -> str:
    return json.dumps({"Resources": resources, **more})


class Stacks:
    """CloudFormation as a deployment drives it: change sets, then their execution."""

    def __init__(self, emulator: Any) -> None:
        self._emulator = emulator
        self.client = emulator.client("cloudformation")

    def status(self, name: str) -> str:
        found: str = self.client.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        return found

    def propose(self, name: str, template: str, kind: str, **more: Any) -> dict[str, Any]:
        change_set = self._emulator.unique("change")
        self.client.create_change_set(
            StackName=name, ChangeSetName=change_set, ChangeSetType=kind, TemplateBody=template, **more
        )

        def settled() -> dict[str, Any] | None:
            found: dict[str, Any] = self.client.describe_change_set(
                StackName=name, ChangeSetName=change_set, IncludePropertyValues=True
            )
            return found if found["Status"] in ("CREATE_COMPLETE", "FAILED") else None

        return dict(self._emulator.wait_for(settled))

    def execute(self, name: str, proposed: dict[str, Any]) -> str:
        self.client.execute_change_set(StackName=name, ChangeSetName=proposed["ChangeSetName"])
        return str(
            self._emulator.wait_for(
                lambda: (
                    (found := self.status(name)).endswith(("_COMPLETE", "FAILED"))
                    and "IN_PROGRESS" not in found
                    and found != "REVIEW_IN_PROGRESS"
                    and found
                ),
                what=f"the end of {name}",
            )
        )

    def apply(self, name: str, template: str, kind: str = "CREATE", **more: Any) -> str:
        return self.execute(name, self.propose(name, template, kind, **more))

    def resources(self, name: str) -> dict[str, str]:
        found = self.client.describe_stack_resources(StackName=name)["StackResources"]
        return {each["LogicalResourceId"]: each["PhysicalResourceId"] for each in found}

    def reasons(self, name: str) -> list[str]:
        events = self.client.describe_stack_events(StackName=name)["StackEvents"]
        return [event.get("ResourceStatusReason", "") for event in events]


@pytest.fixture
def stacks(emulator: Any) -> Stacks:
    return Stacks(emulator)


def test_a_network_is_made_and_taken_down(emulator: Any, stacks: Stacks) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_EC2.html"""
    name = emulator.unique("network")
    assert stacks.apply(name, stack(NETWORK)) == "CREATE_COMPLETE"
    made, ec2 = stacks.resources(name), emulator.client("ec2")
    nat = ec2.describe_nat_gateways(NatGatewayIds=[made["Nat"]])["NatGateways"][0]
    assert nat["SubnetId"] == made["Subnet"]
    back = ec2.describe_security_groups(GroupIds=[made["Back"]])["SecurityGroups"][0]
    assert back["IpPermissions"][0]["UserIdGroupPairs"][0]["GroupId"] == made["Front"]
    front = ec2.describe_security_groups(GroupIds=[made["Front"]])["SecurityGroups"][0]
    assert {"CidrIp": "127.1.0.0/16"} in [r for p in front["IpPermissionsEgress"] for r in p["IpRanges"]]
    assert ec2.describe_flow_logs(FlowLogIds=[made["Flow"]])["FlowLogs"][0]["ResourceId"] == made["Vpc"]
    stacks.client.delete_stack(StackName=name)
    emulator.wait_for(
        lambda: stacks.status(stacks_id(stacks, name)) == "DELETE_COMPLETE", what="the deletion"
    )
    assert not ec2.describe_flow_logs(FlowLogIds=[made["Flow"]])["FlowLogs"]
    assert made["Address"] not in [each["PublicIp"] for each in ec2.describe_addresses()["Addresses"]]


def stacks_id(stacks: Stacks, name: str) -> str:
    """A deleted stack is found by its id only."""
    found = stacks.client.list_stacks()["StackSummaries"]
    return str(next(each["StackId"] for each in found if each["StackName"] == name))


def test_a_composite_alarm_and_a_command_document_follow_their_template(
    emulator: Any, stacks: Stacks
) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-cloudwatch-compositealarm.html"""
    name, document = emulator.unique("operations"), emulator.unique("Release")

    def template(command: str, rule: str) -> str:
        step = {"action": "aws:runShellScript", "name": "run", "inputs": {"runCommand": [command]}}
        alarm = {
            "Namespace": "N",
            "MetricName": "m",
            "Statistic": "Sum",
            "Period": 60,
            "EvaluationPeriods": 1,
            "Threshold": 1,
            "ComparisonOperator": "GreaterThanThreshold",
        }
        return stack(
            {
                "Alarm": {
                    "Type": "AWS::CloudWatch::Alarm",
                    "Properties": {"AlarmName": f"{name}-a", **alarm},
                },
                "Either": {
                    "Type": "AWS::CloudWatch::CompositeAlarm",
                    "DependsOn": "Alarm",
                    "Properties": {"AlarmName": f"{name}-c", "AlarmRule": rule},
                },
                "Document": {
                    "Type": "AWS::SSM::Document",
                    "Properties": {
                        "Name": document,
                        "DocumentType": "Command",
                        "UpdateMethod": "NewVersion",
                        "Content": {"schemaVersion": "2.2", "mainSteps": [step]},
                    },
                },
            }
        )

    rule = f'ALARM("{name}-a")'
    assert stacks.apply(name, template("echo one", rule)) == "CREATE_COMPLETE"
    assert stacks.apply(name, template("echo two", f"NOT {rule}"), "UPDATE") == "UPDATE_COMPLETE"
    content = emulator.client("ssm").get_document(Name=document)["Content"]
    assert "echo two" in content
    alarms = emulator.client("cloudwatch").describe_alarms(
        AlarmNames=[f"{name}-c"], AlarmTypes=["CompositeAlarm"]
    )
    assert alarms["CompositeAlarms"][0]["AlarmRule"] == f"NOT {rule}"


def test_an_update_shows_the_properties_it_changes_and_leaves_the_rest_alone(
    emulator: Any, stacks: Stacks
) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-changesets.html"""
    name = emulator.unique("stack")

    def template(days: int) -> str:
        return stack(
            {
                "Log": {
                    "Type": "AWS::Logs::LogGroup",
                    "Properties": {"LogGroupName": f"/{name}", "RetentionInDays": days},
                },
                "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": {"Ref": "Name"}}},
            },
            Parameters={"Name": {"Type": "String"}},
        )

    given = {"Parameters": [{"ParameterKey": "Name", "ParameterValue": name}]}
    assert stacks.apply(name, template(7), **given) == "CREATE_COMPLETE"
    before = stacks.resources(name)
    same = {"Parameters": [{"ParameterKey": "Name", "UsePreviousValue": True}]}
    proposed = stacks.propose(name, template(14), "UPDATE", **same)
    changes = [change["ResourceChange"] for change in proposed["Changes"]]
    assert [(change["Action"], change["LogicalResourceId"]) for change in changes] == [("Modify", "Log")]
    target = changes[0]["Details"][0]["Target"]
    assert (target["Name"], target["BeforeValue"], target["AfterValue"]) == ("RetentionInDays", "7", "14")
    assert stacks.execute(name, proposed) == "UPDATE_COMPLETE"
    assert stacks.resources(name) == before
    nothing = stacks.propose(name, template(14), "UPDATE", **same)
    assert nothing["Status"] == "FAILED"
    assert "didn't contain changes" in nothing["StatusReason"]


def test_a_failed_creation_says_why_and_rolls_back(emulator: Any, stacks: Stacks) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/stack-failure-options.html"""
    name = emulator.unique("stack")
    resources = {
        "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": name}},
        "Machine": {
            "Type": "AWS::StepFunctions::StateMachine",
            "DependsOn": "Topic",
            "Properties": {
                "RoleArn": emulator.role("states.amazonaws.com"),
                "DefinitionString": '{"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}}',
            },
        },
    }
    assert stacks.apply(name, stack(resources)) == "ROLLBACK_COMPLETE"
    assert any("Missing 'Next' target: B" in reason for reason in stacks.reasons(name))
    topics = emulator.client("sns").list_topics()["Topics"]
    assert not [topic for topic in topics if topic["TopicArn"].endswith(f":{name}")]


def test_secrets_and_parameters_are_resolved_in_templates(emulator: Any, stacks: Stacks) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html"""
    name = emulator.unique("stack")
    secret = emulator.client("secretsmanager").create_secret(Name=name, SecretString='{"token": "t0ken"}')[
        "ARN"
    ]
    emulator.client("ssm").put_parameter(Name=f"/{name}", Value="blue", Type="String")
    environment = {
        "TOKEN": f"{{{{resolve:secretsmanager:{secret}:SecretString:token}}}}",
        "COLOUR": f"{{{{resolve:ssm:/{name}}}}}",
    }
    function = {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "FunctionName": name,
            "Runtime": "python3.11",
            "Handler": "index.handler",
            "Role": emulator.role("lambda.amazonaws.com"),
            "Environment": {"Variables": environment},
            "Code": {
                "ZipFile": "import os\ndef handler(e, c): return [os.environ['TOKEN'], os.environ['COLOUR']]\n"
            },
        },
    }
    assert stacks.apply(name, stack({"Function": function})) == "CREATE_COMPLETE"
    answer = emulator.client("lambda").invoke(FunctionName=name)["Payload"].read()
    assert json.loads(answer) == ["t0ken", "blue"]


def test_a_function_takes_its_code_from_parameters_and_stands_in_a_vpc(emulator: Any, stacks: Stacks) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-properties-lambda-function-code.html"""
    name, archive = emulator.unique("stack"), io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("index.py", "def handler(e, c): return 'from s3'\n")
    emulator.client("s3").create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": emulator.settings.region}
    )
    emulator.client("s3").put_object(Bucket=name, Key="code.zip", Body=archive.getvalue())
    function = {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "FunctionName": name,
            "Runtime": "python3.12",
            "Handler": "index.handler",
            "Role": emulator.role("lambda.amazonaws.com"),
            "Code": {"S3Bucket": {"Ref": "Bucket"}, "S3Key": {"Ref": "Key"}},
            "VpcConfig": {"SubnetIds": [{"Ref": "Subnet"}], "SecurityGroupIds": [{"Ref": "Front"}]},
        },
    }
    network = {key: NETWORK[key] for key in ("Vpc", "Subnet", "Front")}
    template = stack(
        {**network, "Function": function},
        Parameters={"Bucket": {"Type": "String"}, "Key": {"Type": "String"}},
    )
    given = [
        {"ParameterKey": "Bucket", "ParameterValue": name},
        {"ParameterKey": "Key", "ParameterValue": "code.zip"},
    ]
    assert stacks.apply(name, template, Parameters=given) == "CREATE_COMPLETE"
    assert emulator.client("lambda").invoke(FunctionName=name)["Payload"].read() == b'"from s3"'


def test_a_service_role_has_to_trust_cloudformation(emulator: Any, stacks: Stacks) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-iam-servicerole.html"""
    with pytest.raises(ClientError, match="is invalid or cannot be assumed"):
        stacks.propose(
            emulator.unique("stack"),
            stack({"Topic": {"Type": "AWS::SNS::Topic"}}),
            "CREATE",
            RoleARN=emulator.role("lambda.amazonaws.com"),
        )


def test_a_type_that_nobody_implements_is_an_error(emulator: Any, stacks: Stacks) -> None:
    """An addition does what the product needs; the rest is refused, never silently accepted."""
    name = emulator.unique("stack")
    with pytest.raises(ClientError, match="AWS::Synthetics::Canary"):
        stacks.propose(name, stack({"Canary": {"Type": "AWS::Synthetics::Canary"}}), "CREATE")


def test_a_property_that_can_only_be_created_replaces_its_resource(emulator: Any, stacks: Stacks) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ec2-securitygroup.html"""
    name = emulator.unique("stack")

    def template(description: str) -> str:
        group = {"GroupDescription": description, "VpcId": {"Ref": "Vpc"}}
        return stack(
            {"Vpc": NETWORK["Vpc"], "Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": group}}
        )

    assert stacks.apply(name, template("one")) == "CREATE_COMPLETE"
    before = stacks.resources(name)
    proposed = stacks.propose(name, template("two"), "UPDATE")
    change = proposed["Changes"][0]["ResourceChange"]
    assert (change["LogicalResourceId"], change["Replacement"]) == ("Group", "True")
    assert change["Details"][0]["Target"]["RequiresRecreation"] == "Always"
    assert stacks.execute(name, proposed) == "UPDATE_COMPLETE"
    after = stacks.resources(name)
    assert after["Vpc"] == before["Vpc"]
    assert after["Group"] != before["Group"]
    groups = emulator.client("ec2").describe_security_groups()["SecurityGroups"]
    assert before["Group"] not in [group["GroupId"] for group in groups]


@pytest.mark.parametrize(
    "style", ["https://{0}.s3.ap-northeast-2.amazonaws.com/{1}", "https://s3.amazonaws.com/{0}/{1}"]
)
def test_a_template_is_read_from_s3_as_the_caller(emulator: Any, stacks: Stacks, style: str) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_CreateChangeSet.html"""
    bucket = emulator.unique("bucket")
    emulator.client("s3").create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": emulator.settings.region}
    )
    topic = stack({"Topic": {"Type": "AWS::SNS::Topic"}})
    emulator.client("s3").put_object(Bucket=bucket, Key="a/b.json", Body=topic.encode())
    changing = emulator.allow("cloudformation:CreateChangeSet")

    def create(*statements: dict[str, Any]) -> None:
        emulator.client("cloudformation", emulator.user(changing, *statements)).create_change_set(
            StackName=emulator.unique("stack"),
            ChangeSetName="one",
            ChangeSetType="CREATE",
            TemplateURL=style.format(bucket, "a/b.json"),
        )

    with pytest.raises(ClientError, match="s3:GetObject"):
        create()
    create(emulator.allow("s3:GetObject", on=f"arn:aws:s3:::{bucket}/a/*"))


def test_a_service_role_without_the_permission_fails_the_resource(emulator: Any, stacks: Stacks) -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-iam-servicerole.html"""
    template = stack({"Topic": {"Type": "AWS::SNS::Topic"}, "Log": {"Type": "AWS::Logs::LogGroup"}})
    name = emulator.unique("stack")
    half = emulator.role("cloudformation.amazonaws.com", emulator.allow("sns:*"))
    assert stacks.apply(name, template, RoleARN=half) == "ROLLBACK_COMPLETE"
    assert any(
        "is not authorized to perform: logs:CreateLogGroup" in reason for reason in stacks.reasons(name)
    )
    whole = emulator.role("cloudformation.amazonaws.com", emulator.allow("sns:*", "logs:*"))
    assert stacks.apply(emulator.unique("stack"), template, RoleARN=whole) == "CREATE_COMPLETE"
