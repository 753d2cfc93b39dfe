"""Secrets made by CloudFormation.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-secretsmanager-secret.html:
Ref returns the ARN of the secret, with its random suffix; a change of the description updates it in place.
https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetRandomPassword.html: what is excluded is
never generated, and the length is the length asked for.
"""

from __future__ import annotations

import json
from typing import Any

import pytest


def template(description: str) -> dict[str, Any]:
    return {
        "Resources": {
            "Admin": {
                "Type": "AWS::SecretsManager::Secret",
                "Properties": {
                    "Name": "the-test/admin",
                    "Description": description,
                    "GenerateSecretString": {
                        "SecretStringTemplate": '{"username": "admin"}',
                        "GenerateStringKey": "password",
                        "PasswordLength": 64,
                        "ExcludePunctuation": True,
                        "ExcludeCharacters": "abc",
                    },
                },
            }
        },
        "Outputs": {"Arn": {"Value": {"Ref": "Admin"}}},
    }


def output(formation: Any) -> str:
    (stack,) = formation.describe_stacks(StackName="secrets")["Stacks"]
    return str(stack["Outputs"][0]["OutputValue"])


@pytest.fixture(scope="module")
def made(emulator: Any) -> Any:
    formation = emulator.client("cloudformation")
    formation.create_stack(StackName="secrets", TemplateBody=json.dumps(template("first")))
    formation.get_waiter("stack_create_complete").wait(
        StackName="secrets", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    yield emulator
    formation.delete_stack(StackName="secrets")


def test_a_secret_as_it_was_made_has_no_drift(made: Any) -> None:
    formation = made.client("cloudformation")
    detection = formation.detect_stack_drift(StackName="secrets")["StackDriftDetectionId"]
    found = formation.describe_stack_drift_detection_status(StackDriftDetectionId=detection)
    assert (found["DetectionStatus"], found["StackDriftStatus"]) == ("DETECTION_COMPLETE", "IN_SYNC")


def test_ref_of_a_secret_is_its_arn(made: Any) -> None:
    arn = output(made.client("cloudformation"))
    described = made.client("secretsmanager").describe_secret(SecretId="the-test/admin")
    assert arn == described["ARN"]
    assert arn.startswith("arn:aws:secretsmanager:")


def test_a_generated_secret_holds_nothing_that_was_excluded(made: Any) -> None:
    value = made.client("secretsmanager").get_secret_value(SecretId="the-test/admin")
    secret = json.loads(value["SecretString"])
    assert secret["username"] == "admin"
    assert len(secret["password"]) == 64
    assert secret["password"].isalnum()
    assert not set(secret["password"]) & set("abc")


def test_another_description_keeps_the_secret_and_its_value(made: Any) -> None:
    formation, secrets = made.client("cloudformation"), made.client("secretsmanager")
    arn, before = output(formation), secrets.get_secret_value(SecretId="the-test/admin")["SecretString"]
    formation.update_stack(StackName="secrets", TemplateBody=json.dumps(template("second")))
    formation.get_waiter("stack_update_complete").wait(
        StackName="secrets", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    assert output(formation) == arn
    assert secrets.describe_secret(SecretId=arn)["Description"] == "second"
    assert secrets.get_secret_value(SecretId=arn)["SecretString"] == before
