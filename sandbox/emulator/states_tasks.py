"""What a Task state calls: real, signed API calls as the state machine's role, so that IAM decides.

https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html and
https://docs.aws.amazon.com/step-functions/latest/dg/integrate-optimized.html
"""

from __future__ import annotations

import datetime
import functools
import json
import re
from collections.abc import Callable
from typing import Any

import botocore
import botocore.exceptions
import botocore.session
from ministack.services import stepfunctions

from sandbox.emulator.context import Context, Credentials

# Names in `arn:aws:states:::aws-sdk:NAME:action` that are not botocore's without its dashes.
SDK_NAMES = {
    "cloudwatchlogs": "logs",
    "cognitoidentityprovider": "cognito-idp",
    "elasticloadbalancing": "elb",
    "elasticloadbalancingv2": "elbv2",
    "eventbridge": "events",
    "sfn": "stepfunctions",
}
# Optimized integrations: (prefix of the modelled errors, name of any other), after the service's first SDK.
OPTIMIZED = {
    "codebuild": ("CodeBuild", "AWSCodeBuildException"),
    "dynamodb": ("DynamoDB", "AmazonDynamoDBException"),
    "events": ("EventBridge", "AmazonEventBridgeException"),
    "lambda": ("Lambda", "AWSLambdaException"),
    "sns": ("SNS", "AmazonSNSException"),
    "sqs": ("SQS", "AmazonSQSException"),
    "states": ("StepFunctions", "AWSStepFunctionsException"),
}
# Fields of optimized integrations that may be given as JSON and are sent as text.
AS_TEXT = {"Message", "MessageBody", "Detail", "input"}
FINISHED_BUILDS = {"SUCCEEDED", "FAILED", "FAULT", "TIMED_OUT", "STOPPED"}
POLL_SECONDS = 0.3

Wait = Callable[[float], None]  # sleeps; raises when the task is to end early
TaskError = stepfunctions._ExecutionError  # (error name, cause)


class Tasks:
    """Calls as a role. `pause` sleeps between polls and raises when the task has to end.

    All executions of a role share a session, and so their clients, which are costly to make.
    """

    def __init__(self, context: Context, role_arn: str, session: str, pause: Wait) -> None:
        self._context = context
        self._credentials: Credentials = context.role_credentials(role_arn, session)
        self._pause = pause

    def run(self, resource: str, arguments: Any) -> Any:
        """The result of `resource` for `arguments`. Raises the task error that Retry and Catch go by."""
        if resource.startswith("arn:aws:lambda:"):
            return self._invoke({"FunctionName": resource, "Payload": arguments})["Payload"]
        name = resource.removeprefix("arn:aws:states:::").removesuffix(".waitForTaskToken")
        special: dict[str, Callable[[Any], Any]] = {
            "codebuild:startBuild.sync": self._build,
            "events:putEvents": self._put_events,
            "lambda:invoke": self._invoke,
            "states:startExecution.sync": functools.partial(self._nested, parse=False),
            "states:startExecution.sync:2": functools.partial(self._nested, parse=True),
        }
        if name in special:
            return special[name](arguments)
        match name.split(":"):
            case ["aws-sdk", service, action] if "." not in action:
                return self._call(sdk_service(service), action, arguments)
            case [service, action] if service in OPTIMIZED and "." not in action:
                return self._call(BOTOCORE.get(service, service), action, arguments, service)
        raise TaskError("States.Runtime", f"{resource} is not an integration of the sandbox's Step Functions")

    def _call(self, service: str, action: str, arguments: Any, optimized: str = "") -> Any:
        client = self._context.client(service, self._credentials)
        model = client.meta.service_model
        operation = {name.lower(): name for name in model.operation_names}.get(action.lower())
        if operation is None:
            raise TaskError("States.Runtime", f"{action} is not an API action of {service}")
        shapes = model.operation_model(operation)
        try:
            parameters = (
                to_request(arguments or {}, shapes.input_shape, optimized) if shapes.input_shape else {}
            )
            answer = getattr(client, botocore.xform_name(operation))(**parameters)
            return to_result(answer, shapes.output_shape)
        except botocore.exceptions.ClientError as error:
            name = error_name(error, shapes, model.service_id, optimized)
            raise TaskError(name, _cause(error, model.service_id)) from error
        except botocore.exceptions.ParamValidationError as error:
            raise TaskError("States.Runtime", str(error)) from error
        except botocore.exceptions.BotoCoreError as error:
            raise TaskError(f"{pascal(model.service_id)}.SdkClientException", str(error)) from error

    def _invoke(self, arguments: Any) -> dict[str, Any]:
        """https://docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html"""
        if not isinstance(arguments, dict) or not arguments.get("FunctionName"):
            raise TaskError("States.Runtime", "lambda:invoke needs the argument FunctionName")
        call = {key: value for key, value in arguments.items() if key != "Payload"}
        client = self._context.client("lambda", self._credentials)
        try:
            answer = client.invoke(**call, Payload=json.dumps(arguments.get("Payload", {})).encode())
        except botocore.exceptions.ClientError as error:
            shapes = client.meta.service_model.operation_model("Invoke")
            raise TaskError(
                error_name(error, shapes, "Lambda", "lambda"), _cause(error, "AWSLambda")
            ) from error
        except botocore.exceptions.ParamValidationError as error:
            raise TaskError("States.Runtime", str(error)) from error
        except botocore.exceptions.BotoCoreError as error:
            raise TaskError("Lambda.SdkClientException", str(error)) from error
        text = answer["Payload"].read()
        payload = json.loads(text) if text else None
        if answer.get("FunctionError"):
            kind = payload.get("errorType") if isinstance(payload, dict) else None
            raise TaskError(kind or "Lambda.Unknown", json.dumps(payload))
        return {
            "ExecutedVersion": answer.get("ExecutedVersion", "$LATEST"),
            "Payload": payload,
            "StatusCode": answer["StatusCode"],
        }

    def _build(self, arguments: Any) -> Any:
        """https://docs.aws.amazon.com/step-functions/latest/dg/connect-codebuild.html"""
        build = self._call("codebuild", "startBuild", arguments, "codebuild")["Build"]
        try:
            while build["BuildStatus"] not in FINISHED_BUILDS:
                self._pause(POLL_SECONDS)
                build = self._call("codebuild", "batchGetBuilds", {"Ids": [build["Id"]]}, "codebuild")[
                    "Builds"
                ][0]
        except BaseException:  # stopped or timed out: a build that nobody waits for is ended
            self._call("codebuild", "stopBuild", {"Id": build["Id"]}, "codebuild")
            raise
        if build["BuildStatus"] != "SUCCEEDED":
            raise TaskError("States.TaskFailed", json.dumps(build))
        return {"Build": build}

    def _nested(self, arguments: Any, parse: bool) -> Any:
        """https://docs.aws.amazon.com/step-functions/latest/dg/connect-stepfunctions.html"""
        started = self._call("stepfunctions", "startExecution", arguments, "states")
        arn = {"executionArn": started["ExecutionArn"]}
        try:
            while (child := self._call("stepfunctions", "describeExecution", arn, "states"))[
                "Status"
            ] == "RUNNING":
                self._pause(POLL_SECONDS)
        except BaseException:
            self._call("stepfunctions", "stopExecution", arn, "states")
            raise
        if child["Status"] != "SUCCEEDED":
            raise TaskError("States.TaskFailed", json.dumps(child))
        if parse:
            child = {
                **child,
                **{key: json.loads(child[key]) for key in ("Input", "Output") if child.get(key)},
            }
        return child

    def _put_events(self, arguments: Any) -> Any:
        """https://docs.aws.amazon.com/step-functions/latest/dg/connect-eventbridge.html"""
        result = self._call("events", "putEvents", arguments, "events")
        if result.get("FailedEntryCount"):
            raise TaskError("EventBridge.FailedEntry", json.dumps(result))
        return result


# Optimized integrations whose name differs from botocore's.
BOTOCORE = {"states": "stepfunctions"}


@functools.cache
def _services() -> dict[str, str]:
    names = botocore.session.Session().get_available_services()
    return {**{name.replace("-", ""): name for name in names}, **SDK_NAMES}


def sdk_service(name: str) -> str:
    """botocore's name of the service that a resource ARN names. Raises the task error States.Runtime."""
    service = _services().get(name.lower())
    if service is None:
        raise TaskError("States.Runtime", f"{name} is not a service of aws-sdk integrations")
    return service


def to_request(value: Any, shape: Any, optimized: str = "") -> Any:
    """A task's arguments as botocore takes them: the members' own spelling, JSON where the API wants text."""
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        members = {name.lower(): name for name in shape.members}
        unknown = next((key for key in value if key.lower() not in members), None)
        if unknown is not None:
            raise TaskError("States.Runtime", f"the field {unknown!r} is not supported by {shape.name}")
        return {
            members[key.lower()]: to_request(each, shape.members[members[key.lower()]], optimized)
            if not (optimized and key in AS_TEXT and not isinstance(each, str))
            else json.dumps(each)
            for key, each in value.items()
        }
    if kind == "list" and isinstance(value, list):
        return [to_request(each, shape.member, optimized) for each in value]
    if kind == "map" and isinstance(value, dict):
        return {key: to_request(each, shape.value, optimized) for key, each in value.items()}
    if kind in ("string", "blob") and not isinstance(value, str | bytes):
        return json.dumps(value)
    if kind in ("integer", "long") and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def to_result(value: Any, shape: Any) -> Any:
    """An API's answer as Step Functions gives it: members begin with a capital, times are ISO texts."""
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if hasattr(value, "read"):
        value = value.read()
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, dict) and (shape is None or shape.type_name == "structure"):
        members = shape.members if shape is not None else {}
        return {
            key[:1].upper() + key[1:]: to_result(each, members.get(key))
            for key, each in value.items()
            if key != "ResponseMetadata"
        }
    if isinstance(value, dict):
        return {key: to_result(each, shape.value) for key, each in value.items()}
    if isinstance(value, list):
        return [to_result(each, shape.member if shape is not None else None) for each in value]
    return value


def pascal(service_id: str) -> str:
    """A service's name as errors carry it: `DynamoDB` is DynamoDb, `Elastic Load Balancing v2` ends in V2."""
    if service_id == "SESv2":
        return "SesV2"
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z][a-z]+|[a-z]+|\d+", service_id)
    return "".join(word.capitalize() for word in words)


def error_name(
    error: botocore.exceptions.ClientError, operation: Any, service_id: str, optimized: str
) -> str:
    """The name under which Retry and Catch see an API's error.

    An error that the API's model names is called after it, any other (for most services AccessDenied is one)
    after the service: https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    """
    code = error.response["Error"]["Code"]
    prefix, other = OPTIMIZED.get(optimized, (pascal(service_id), f"{pascal(service_id)}Exception"))
    for shape in operation.error_shapes:
        if code in (shape.name, shape.metadata.get("error", {}).get("code")):
            return f"{prefix}.{re.sub('(Fault|Exception)$', '', shape.name)}Exception"
    return f"{prefix}.{other}"


def _cause(error: botocore.exceptions.ClientError, service_id: str) -> str:
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    request = error.response["ResponseMetadata"].get("RequestId", "")
    message = error.response["Error"].get("Message", "")
    return f"{message} (Service: {service_id}, Status Code: {status}, Request ID: {request})"
