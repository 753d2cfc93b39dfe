"""Secrets Manager's rotation by a function: four steps, one after another, with the pending version's token.

https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html and
https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html
ministack makes the old value current again and calls nobody. A rotation happens here when it is asked for;
schedules (RotationRules) are kept and shown, and never fire.
"""

from __future__ import annotations

import contextvars
import json
import logging
import threading
import time
from typing import Any
from uuid import uuid4

from ministack.core import iam_evaluator, responses
from ministack.services import lambda_svc, secretsmanager

from sandbox.emulator.context import Context, Properties, Provisioned, replace, seam

log = logging.getLogger(__name__)

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
_SERVICE = "secretsmanager.amazonaws.com"
_SCHEDULE = "AWS::SecretsManager::RotationSchedule"


def install(context: Context) -> None:
    resolve, describe = seam(secretsmanager, "_resolve"), seam(secretsmanager, "_describe_secret")

    def rotate(data: dict[str, Any]) -> Any:
        _, secret = resolve(data.get("SecretId"))
        if not secret:
            return _error("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
        function = data.get("RotationLambdaARN") or secret.get("RotationLambdaARN")
        if not function:
            return _error("InvalidRequestException", "No Lambda rotation function ARN is associated with it.")
        if not _permitted(context, function, secret["ARN"]):
            words = f"Secrets Manager cannot invoke the specified Lambda function: {function}"
            return _error("AccessDeniedException", words)
        if _pending(secret):
            return _error("InvalidRequestException", "A previous rotation isn't complete.")
        secret["RotationLambdaARN"], secret["RotationEnabled"] = function, True
        if data.get("RotationRules"):
            secret["RotationRules"] = data["RotationRules"]
        token = str(data.get("ClientRequestToken") or uuid4())
        if data.get("RotateImmediately", True):
            # The version is there before its value is.
            secret["Versions"][token] = {
                "SecretString": None,
                "SecretBinary": None,
                "CreatedDate": int(time.time()),
                "Stages": ["AWSPENDING"],
            }
            run = contextvars.copy_context().run
            arguments = (context, secret, function, token)
            threading.Thread(target=run, args=(_run, *arguments), daemon=True).start()
        return responses.json_response({"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token})

    def described(data: dict[str, Any]) -> Any:
        _, secret = resolve(data.get("SecretId"))
        status, headers, body = describe(data)
        if secret and secret.get("LastRotatedDate"):
            body = json.dumps({**json.loads(body), "LastRotatedDate": secret["LastRotatedDate"]}).encode()
        return status, headers, body

    replace(secretsmanager, "_rotate_secret", rotate)
    replace(secretsmanager, "_describe_secret", described)
    context.add_resource(
        _SCHEDULE, _scheduled(context), lambda id, _old, new, _stack: _schedule(context, id, new)
    )


def _run(context: Context, secret: dict[str, Any], function: str, token: str) -> None:
    """A step that fails ends the rotation; the pending version stays, as Secrets Manager leaves it."""
    client = context.client("lambda")
    for step in STEPS:
        event = {"Step": step, "SecretId": secret["ARN"], "ClientRequestToken": token}
        answer = client.invoke(FunctionName=function, Payload=json.dumps(event).encode())
        if answer.get("FunctionError"):
            log.warning("rotation of %s: %s: %s", secret["Name"], step, answer["Payload"].read().decode())
            if secret["Versions"].get(token, {}).get("SecretString") is None:
                # Nothing was ever in it: the next rotation begins anew.
                secret["Versions"].pop(token, None)
            return
    stages = secret["Versions"].get(token, {}).get("Stages", [])
    if "AWSCURRENT" in stages and "AWSPENDING" in stages:
        stages.remove("AWSPENDING")
    secret["LastRotatedDate"] = int(time.time())


def _pending(secret: dict[str, Any]) -> bool:
    return any(
        "AWSPENDING" in version["Stages"] and "AWSCURRENT" not in version["Stages"]
        for version in secret["Versions"].values()
    )


def _permitted(context: Context, function_arn: str, secret_arn: str) -> bool:
    """Whether the function's resource policy lets Secrets Manager invoke it.

    https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotating-secrets-required-permissions-function.html
    """
    found = lambda_svc.function_policy_for_arn(function_arn)
    if found is None:
        return False
    request = iam_evaluator.EvalContext(
        principal_arn="",
        principal_type="Service",
        principal_account=context.settings.account,
        action="lambda:InvokeFunction",
        resource_arn=function_arn,
        region=context.settings.region,
        service_context={"aws:sourcearn": secret_arn, "aws:sourceaccount": context.settings.account},
    )
    judged = iam_evaluator.evaluate_resource_policy(found[0], request, service=_SERVICE)
    return bool(judged.decision == "Allow")


def _scheduled(context: Context) -> Any:
    def create(_logical_id: str, properties: Properties, _stack: str) -> Provisioned:
        return _schedule(context, str(properties["SecretId"]), properties)

    return create


def _schedule(context: Context, secret_id: str, properties: Properties) -> Provisioned:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-secretsmanager-rotationschedule.html"""
    rules = {
        key: int(value) if str(value).isdigit() else value
        for key, value in properties["RotationRules"].items()
    }
    now = str(properties.get("RotateImmediatelyOnUpdate", "true")).lower() == "true"
    context.client("secretsmanager").rotate_secret(
        SecretId=secret_id,
        RotationLambdaARN=properties["RotationLambdaARN"],
        RotationRules=rules,
        RotateImmediately=now,
    )
    return secret_id, {}


def _error(code: str, words: str) -> Any:
    return responses.error_response_json(code, words, 400)
