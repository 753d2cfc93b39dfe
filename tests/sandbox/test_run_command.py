"""SSM Run Command on real instances.

https://docs.aws.amazon.com/systems-manager/latest/userguide/run-command.html
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.sandbox.instance_kit import Fleet


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, emulator_with: Any) -> Iterator[Fleet]:
    root = tmp_path_factory.mktemp("commands")
    with emulator_with(root, without=("load_balancers", "databases")) as emulator:
        made = Fleet(emulator)
        yield made
        made.close()


@pytest.fixture(scope="module")
def pair(fleet: Fleet) -> list[str]:
    profile = fleet.profile(fleet.emulator.allow("s3:ListAllMyBuckets"))
    return fleet.in_service(fleet.group(profile, size=2, tags={"Colour": "blue"}), 2)


def test_a_script_runs_on_the_instance_and_its_exit_code_and_output_come_back(
    fleet: Fleet, pair: list[str]
) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetCommandInvocation.html"""
    done = fleet.run(pair[0], "echo out", "echo err >&2", "exit 7")
    assert (done["Status"], done["StatusDetails"], done["ResponseCode"]) == ("Failed", "Failed", 7)
    assert (done["StandardOutputContent"], done["StandardErrorContent"]) == ("out\n", "err\n")
    assert done["ExecutionStartDateTime"]
    assert done["ExecutionEndDateTime"]


def test_a_script_sees_the_agents_variables_and_nothing_of_this_machine(
    fleet: Fleet, pair: list[str]
) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/documents-command-ssm-plugin-reference.html"""
    os.environ["SECRET_OF_THE_MACHINE"] = "1"
    try:
        done = fleet.run(pair[0], "env", "docker version")
    finally:
        del os.environ["SECRET_OF_THE_MACHINE"]
    found = dict(line.split("=", 1) for line in done["StandardOutputContent"].splitlines() if "=" in line)
    assert found["AWS_SSM_INSTANCE_ID"] == pair[0]
    assert found["AWS_SSM_REGION_NAME"] == "ap-northeast-2"
    assert found["CUTOVER_HOME"] == f"{found['HOME']}/opt/cutover"
    assert found["AWS_EC2_METADATA_SERVICE_ENDPOINT"].startswith(f"http://{fleet.network}.")
    assert "SECRET_OF_THE_MACHINE" not in found
    assert done["Status"] == "Success"


def test_the_script_has_the_instances_role_and_iam_judges_it(fleet: Fleet, pair: list[str]) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_switch-role-ec2_instance-profiles.html"""
    allowed = fleet.run(pair[0], "aws s3api list-buckets --region $AWS_SSM_REGION_NAME")
    assert allowed["Status"] == "Success", allowed["StandardErrorContent"]
    denied = fleet.run(pair[0], "aws sns list-topics --region $AWS_SSM_REGION_NAME")
    assert denied["Status"] == "Failed"
    assert "AuthorizationError" in denied["StandardErrorContent"]


def test_a_shebang_is_honoured(fleet: Fleet, pair: list[str]) -> None:
    done = fleet.run(pair[0], "#!/bin/bash", "set -o pipefail", "a=(x y); echo ${a[1]}")
    assert done["StandardOutputContent"] == "y\n"


def test_output_is_cut_at_the_documented_limits(fleet: Fleet, pair: list[str]) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetCommandInvocation.html"""
    done = fleet.run(pair[0], "yes x | head -c 50000", "yes y | head -c 50000 >&2")
    assert len(done["StandardOutputContent"]) == 24000
    assert len(done["StandardErrorContent"]) == 8000


def test_a_script_that_takes_too_long_is_ended_with_its_children(fleet: Fleet, pair: list[str]) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/monitor-commands.html"""
    sent = fleet.ssm.send_command(
        InstanceIds=[pair[0]], DocumentName="AWS-RunShellScript",
        Parameters={"commands": ["sleep 600 & echo $!; wait"], "executionTimeout": ["1"]},
    )  # fmt: skip
    done = fleet.invocation(sent["Command"]["CommandId"], pair[0])
    assert (done["Status"], done["StatusDetails"]) == ("TimedOut", "ExecutionTimedOut")
    child = Path("/proc") / done["StandardOutputContent"].strip()
    fleet.emulator.wait_for(lambda: not child.exists(), what="the end of the child")


def test_a_cancelled_command_ends_its_process_tree(fleet: Fleet, pair: list[str]) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_CancelCommand.html"""
    sent = fleet.ssm.send_command(
        InstanceIds=[pair[0]], DocumentName="AWS-RunShellScript",
        Parameters={"commands": ["sleep 600 & echo $! > $HOME/child; wait"]},
    )  # fmt: skip
    command = sent["Command"]["CommandId"]
    note = fleet.emulator.settings.root / "instances" / pair[0] / "child"
    pid = fleet.emulator.wait_for(lambda: note.exists() and note.read_text().strip(), what="the child")
    fleet.ssm.cancel_command(CommandId=command)
    assert fleet.invocation(command, pair[0])["Status"] == "Cancelled"
    fleet.emulator.wait_for(lambda: not Path("/proc", pid).exists(), what="the end of the child")
    listed = fleet.ssm.list_commands(CommandId=command)["Commands"][0]
    assert listed["Status"] == "Cancelled"


def test_targets_by_tag_reach_every_instance_with_it(fleet: Fleet, pair: list[str]) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/send-commands-multiple.html"""
    sent = fleet.ssm.send_command(
        Targets=[{"Key": "tag:Colour", "Values": ["blue"]}], DocumentName="AWS-RunShellScript",
        Parameters={"commands": ["echo $AWS_SSM_INSTANCE_ID"]},
    )["Command"]  # fmt: skip
    outputs = [fleet.invocation(sent["CommandId"], each)["StandardOutputContent"].strip() for each in pair]
    assert outputs == pair
    listed = fleet.ssm.list_command_invocations(CommandId=sent["CommandId"], Details=True)[
        "CommandInvocations"
    ]
    assert {each["InstanceId"] for each in listed} == set(pair)
    assert {each["CommandPlugins"][0]["ResponseCode"] for each in listed} == {0}


def test_a_tag_that_no_instance_has_is_no_success(fleet: Fleet, pair: list[str]) -> None:
    sent = fleet.ssm.send_command(
        Targets=[{"Key": "tag:Colour", "Values": ["none"]}], DocumentName="AWS-RunShellScript",
        Parameters={"commands": ["true"]},
    )["Command"]  # fmt: skip
    assert sent["StatusDetails"] == "NoInstancesInTag"


def test_after_max_errors_no_further_instance_is_tried(fleet: Fleet, pair: list[str]) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/send-commands-multiple.html#send-commands-maxerrors"""
    sent = fleet.ssm.send_command(
        InstanceIds=pair, DocumentName="AWS-RunShellScript", Parameters={"commands": ["exit 1"]},
        MaxConcurrency="1", MaxErrors="0",
    )["Command"]  # fmt: skip
    ended = [fleet.invocation(sent["CommandId"], each) for each in pair]
    assert [each["StatusDetails"] for each in ended] == ["Failed", "Terminated"]


def test_a_document_of_ones_own_takes_checked_parameters(fleet: Fleet, pair: list[str]) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/documents-schemas-features.html"""
    name = fleet.emulator.unique("release")
    content = {
        "schemaVersion": "2.2",
        "parameters": {"colour": {"type": "String", "allowedValues": ["blue", "green"]}},
        "mainSteps": [
            {
                "action": "aws:runShellScript",
                "name": "say",
                "inputs": {"runCommand": ["echo 'it is {{ colour }}'"]},
            }
        ],
    }
    fleet.ssm.create_document(
        Name=name, Content=json.dumps(content), DocumentType="Command", DocumentFormat="JSON"
    )
    sent = fleet.ssm.send_command(InstanceIds=[pair[0]], DocumentName=name, Parameters={"colour": ["blue"]})
    done = fleet.invocation(sent["Command"]["CommandId"], pair[0])
    assert done["StandardOutputContent"] == "it is blue\n"
    with pytest.raises(ClientError, match=r"InvalidParameters.*not among the allowed values"):
        fleet.ssm.send_command(InstanceIds=[pair[0]], DocumentName=name, Parameters={"colour": ["red"]})
    with pytest.raises(ClientError, match="InvalidDocument"):
        fleet.ssm.send_command(InstanceIds=[pair[0]], DocumentName="nowhere")


def test_an_instance_whose_role_lacks_the_agents_permission_is_not_managed(fleet: Fleet) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/setup-instance-permissions.html"""
    (instance,) = fleet.in_service(fleet.group(fleet.profile(managed=False)), 1)
    with pytest.raises(ClientError, match="InvalidInstanceId"):
        fleet.run(instance, "true")
    known = fleet.ssm.describe_instance_information()["InstanceInformationList"]
    assert instance not in {each["InstanceId"] for each in known}


def test_a_command_on_an_instance_that_ends_meanwhile_fails(fleet: Fleet) -> None:
    """https://docs.aws.amazon.com/systems-manager/latest/userguide/monitor-commands.html"""
    (instance,) = fleet.in_service(fleet.group(fleet.profile()), 1)
    sent = fleet.ssm.send_command(
        InstanceIds=[instance],
        DocumentName="AWS-RunShellScript",
        Parameters={"commands": ["touch $HOME/begun; sleep 600"]},
    )
    begun = fleet.emulator.settings.root / "instances" / instance / "begun"
    fleet.emulator.wait_for(begun.exists, what="the start of the script")
    fleet.ec2.terminate_instances(InstanceIds=[instance])
    assert fleet.invocation(sent["Command"]["CommandId"], instance)["Status"] in ("Failed", "Cancelled")


def test_what_the_sandbox_cannot_do_is_refused(fleet: Fleet, pair: list[str]) -> None:
    with pytest.raises(ClientError, match="OutputS3BucketName is not supported"):
        fleet.ssm.send_command(
            InstanceIds=[pair[0]], DocumentName="AWS-RunShellScript", Parameters={"commands": ["true"]},
            OutputS3BucketName="bucket",
        )  # fmt: skip
