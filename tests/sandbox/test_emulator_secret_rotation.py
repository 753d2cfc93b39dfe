"""Rotation of a secret by a function.

https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html: four steps in
order, each with the token of a version that is pending; the function moves AWSCURRENT itself.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

ROTATION = """
import json
import boto3

def handler(event, context):
    secrets, token, name = boto3.client("secretsmanager"), event["ClientRequestToken"], event["SecretId"]
    if event["Step"] == "createSecret":
        old = json.loads(secrets.get_secret_value(SecretId=name)["SecretString"])
        if old.get("fails"):
            raise ValueError("no")
        new = json.dumps({"steps": old["steps"] + ["createSecret"]})
        secrets.put_secret_value(SecretId=name, ClientRequestToken=token, SecretString=new, VersionStages=["AWSPENDING"])
        return
    pending = json.loads(secrets.get_secret_value(SecretId=name, VersionStage="AWSPENDING")["SecretString"])
    pending["steps"].append(event["Step"])
    secrets.put_secret_value(
        SecretId=name, ClientRequestToken=token, SecretString=json.dumps(pending), VersionStages=["AWSPENDING"]
    )
    if event["Step"] == "finishSecret":
        old = secrets.get_secret_value(SecretId=name)["VersionId"]
        secrets.update_secret_version_stage(
            SecretId=name, VersionStage="AWSCURRENT", MoveToVersionId=token, RemoveFromVersionId=old
        )
"""


def permitted(emulator: Any) -> str:
    rights = emulator.allow("logs:*", "secretsmanager:*")
    arn = emulator.function(ROTATION, emulator.role("lambda.amazonaws.com", rights))
    emulator.client("lambda").add_permission(
        FunctionName=arn,
        StatementId="rotation",
        Action="lambda:InvokeFunction",
        Principal="secretsmanager.amazonaws.com",
    )
    return str(arn)


def stages(emulator: Any, name: str) -> set[str]:
    described = emulator.client("secretsmanager").describe_secret(SecretId=name)
    return {label for labels in described["VersionIdsToStages"].values() for label in labels}


def test_the_function_is_called_step_by_step_and_moves_the_current_value(emulator: Any) -> None:
    secrets, function = emulator.client("secretsmanager"), permitted(emulator)
    secrets.create_secret(Name="rotated", SecretString='{"steps": []}')
    secrets.rotate_secret(SecretId="rotated", RotationLambdaARN=function)

    deadline = time.monotonic() + 60
    while "LastRotatedDate" not in (described := secrets.describe_secret(SecretId="rotated")):
        assert time.monotonic() < deadline, described
        time.sleep(0.2)
    value = json.loads(secrets.get_secret_value(SecretId="rotated")["SecretString"])
    assert value["steps"] == ["createSecret", "setSecret", "testSecret", "finishSecret"]
    assert stages(emulator, "rotated") == {"AWSCURRENT", "AWSPREVIOUS"}
    assert described["RotationEnabled"]


def test_a_step_that_fails_leaves_the_current_value(emulator: Any) -> None:
    secrets, function = emulator.client("secretsmanager"), permitted(emulator)
    before = '{"steps": [], "fails": true}'
    secrets.create_secret(Name="kept", SecretString=before)
    secrets.rotate_secret(SecretId="kept", RotationLambdaARN=function)

    deadline = time.monotonic() + 60
    while "AWSPENDING" in stages(emulator, "kept"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert secrets.get_secret_value(SecretId="kept")["SecretString"] == before


def test_a_function_that_does_not_permit_it_is_not_called(emulator: Any) -> None:
    """https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot_rotation.html"""
    secrets = emulator.client("secretsmanager")
    secrets.create_secret(Name="closed", SecretString='{"steps": []}')
    with pytest.raises(ClientError, match="cannot invoke the specified Lambda function"):
        secrets.rotate_secret(SecretId="closed", RotationLambdaARN=emulator.function(ROTATION))
