"""The project that scans a release: where it stands, what it may do, and what it runs."""

import ast
import json
import re
from pathlib import Path

import yaml

from stacks.environment import scan

LOCK = Path(__file__).resolve().parents[2] / "requirements-dev.txt"


def project(each):
    return each.environment.one("AWS::CodeBuild::Project")


def statements(each):
    role = each.environment.named("AWS::IAM::Role", "RoleName", each.names.named("scan"))
    return role["Policies"][0]["PolicyDocument"]["Statement"]


def test_it_stands_in_the_private_subnets_and_reaches_the_test_listener_and_https(each):
    place = project(each)["VpcConfig"]
    subnets = each.environment.of("AWS::EC2::Subnet")
    blocks = [subnets[subnet["Ref"]]["CidrBlock"] for subnet in place["Subnets"]]
    assert blocks == list(each.configuration.network.private_subnets)
    ((id, attribute),) = (group["Fn::GetAtt"] for group in place["SecurityGroupIds"])
    group = each.environment.of("AWS::EC2::SecurityGroup")[id]
    assert (group["GroupName"], attribute) == (each.names.named("scan"), "GroupId")
    ports = {rule["FromPort"] for rule in group["SecurityGroupEgress"]}
    assert ports == {443, each.configuration.backend.test_listener_port}
    assert "SecurityGroupIngress" not in group


def test_it_writes_reports_and_its_log_and_reads_one_secret_alone(each):
    allowed = {action: s["Resource"] for s in statements(each) for action in s["Action"]}
    assert allowed["s3:PutObject"] == [f"arn:aws:s3:::{each.names.artifacts_bucket}/scans/web/*"]
    (secret,) = (each.environment.resources[arn["Ref"]] for arn in allowed["secretsmanager:GetSecretValue"])
    assert secret["Properties"]["Name"] == each.names.secret("smoke")
    others = {action for action in allowed if not action.startswith(("ec2:", "logs:"))}
    assert others == {"s3:PutObject", "secretsmanager:GetSecretValue"}


def test_its_interface_is_codebuilds_alone(each):
    (given,) = (s for s in statements(each) if "ec2:CreateNetworkInterfacePermission" in s["Action"])
    assert given["Condition"] == {"StringEquals": {"ec2:AuthorizedService": "codebuild.amazonaws.com"}}


def test_it_ends_before_the_phase_that_waits_for_it(each):
    made = project(each)
    assert made["TimeoutInMinutes"] + made["QueuedTimeoutInMinutes"] <= 45 - 5


def test_its_log_and_its_reports_end_some_day(each):
    group = project(each)["LogsConfig"]["CloudWatchLogs"]["GroupName"]
    assert each.environment.named("AWS::Logs::LogGroup", "LogGroupName", group)["RetentionInDays"]
    bucket = each.control.named("AWS::S3::Bucket", "BucketName", each.names.artifacts_bucket)
    prefixes = {rule["Prefix"] for rule in bucket["LifecycleConfiguration"]["Rules"] if "Prefix" in rule}
    assert "scans/" in prefixes


def test_no_variable_of_it_is_a_secret(each):
    variables = {each["Name"]: each["Value"] for each in project(each)["Environment"]["EnvironmentVariables"]}
    assert variables["SMOKE_SECRET"] == each.names.secret("smoke")
    assert "{{resolve" not in json.dumps(variables)


def test_the_buildspec_carries_the_session_whole_and_uses_only_what_it_is_given(each):
    text = project(each)["Source"]["BuildSpec"]
    phases = yaml.safe_load(text)["phases"]
    session = phases["pre_build"]["commands"][0]
    ast.parse(session.partition("<<'END'\n")[2].rpartition("END")[0])
    commands = "\n".join(c for phase in phases.values() for c in phase["commands"] if c != session)
    asked = set(re.findall(r"\$\{?([A-Z_]{3,})", commands)) | set(re.findall(r'os\.environ\["(\w+)"\]', text))
    given = {each["Name"] for each in project(each)["Environment"]["EnvironmentVariables"]}
    own = {"SCANNER", "SCAN_TOKEN", "PWD"}
    assert asked - own == given | {"DEPLOYMENT"}


def test_the_sandbox_scans_with_the_version_that_is_installed_elsewhere():
    assert f"schemathesis=={scan.SCHEMATHESIS_VERSION}\n" in LOCK.read_text()
