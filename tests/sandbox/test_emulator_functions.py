"""Lambda functions: their errors, their environment, their logs, metrics and end."""

from __future__ import annotations

import io
import json
import os
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError


def invoke(emulator: Any, function: str, event: Any = None) -> tuple[Any, str | None]:
    answer = emulator.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event))
    return json.loads(answer["Payload"].read()), answer.get("FunctionError")


def log_of(emulator: Any, function: str) -> list[str]:
    """The messages in the function's log group; [] while there is none."""
    logs = emulator.client("logs")
    try:
        events = logs.filter_log_events(logGroupName=f"/aws/lambda/{function.rsplit(':', 1)[-1]}")["events"]
    except logs.exceptions.ResourceNotFoundException:
        return []
    return [event["message"] for event in events]


def test_an_exception_is_answered_with_its_class_and_stack(emulator: Any) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html"""
    function = emulator.function(
        "class TransientError(Exception): pass\ndef handler(event, context):\n    raise TransientError('busy')\n"
    )
    body, error = invoke(emulator, function)
    assert error == "Unhandled"
    assert body["errorType"] == "TransientError"
    assert body["errorMessage"] == "busy"
    assert len(body["stackTrace"]) == 1
    assert "raise TransientError('busy')" in body["stackTrace"][0]
    assert any("[ERROR] TransientError: busy" in message for message in log_of(emulator, function))


def test_an_environment_outlives_an_exception(emulator: Any) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html"""
    function = emulator.function(
        "import os\ndef handler(event, context):\n    if event: raise ValueError()\n    return os.getpid()\n"
    )
    before, _ = invoke(emulator, function)
    assert invoke(emulator, function, 1)[0]["errorType"] == "ValueError"
    assert invoke(emulator, function)[0] == before


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("import nowhere\n", "Runtime.ImportModuleError"),
        ("handle = 1\n", "Runtime.HandlerNotFound"),
        ("def handler(:\n", "Runtime.UserCodeSyntaxError"),
        ("def handler(event, context): return object()\n", "Runtime.MarshalError"),
        ("import sys\ndef handler(event, context): sys.exit(3)\n", "Runtime.ExitError"),
        ("import time\ndef handler(event, context): time.sleep(9)\n", "Sandbox.Timedout"),
    ],
)
def test_a_function_that_can_not_answer_says_how_it_failed(emulator: Any, code: str, kind: str) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html"""
    body, error = invoke(emulator, emulator.function(code, Timeout=1))
    assert (error, body["errorType"]) == ("Unhandled", kind)


def test_a_function_sees_lambdas_environment_and_nothing_of_the_servers(emulator: Any) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime"""
    function = emulator.function(
        "import os, sys\ndef handler(event, context):\n    return [dict(os.environ), sys.path]\n",
        Environment={"Variables": {"MINE": "1", "AWS_REGION": "eu-west-1"}},
    )
    (environment, path), _ = invoke(emulator, function)
    assert environment["MINE"] == "1"
    assert environment["AWS_REGION"] == emulator.settings.region
    assert environment["AWS_ENDPOINT_URL"] == emulator.settings.endpoint_url
    assert not {"HOME", "GATEWAY_PORT", "AUTH", "MINISTACK_REGION", "VIRTUAL_ENV"} & environment.keys()
    assert not [folder for folder in path if "ministack" in folder or folder.endswith("sandbox/emulator")]


def test_a_function_acts_as_its_role_and_no_further(emulator: Any) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html"""
    code = """
import boto3
def handler(event, context):
    return [boto3.client("sts").get_caller_identity()["Arn"], len(boto3.client("s3").list_buckets()["Buckets"])]
"""
    body, _ = invoke(emulator, emulator.function(code, emulator.role("lambda.amazonaws.com")))
    assert body["errorType"] == "AccessDenied"
    assert "s3:ListAllMyBuckets" in body["errorMessage"]
    role = emulator.role("lambda.amazonaws.com", emulator.allow("s3:ListAllMyBuckets"))
    body, error = invoke(emulator, emulator.function(code, role))
    assert error is None, body
    who, _ = body
    assert f":assumed-role/{role.rsplit('/', 1)[-1]}/" in who


def test_a_role_that_does_not_trust_lambda_is_refused(emulator: Any) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html"""
    with pytest.raises(ClientError, match=r"cannot be assumed by Lambda"):
        emulator.function("def handler(e, c): pass\n", emulator.role("states.amazonaws.com"))


def test_embedded_metrics_become_metrics(emulator: Any) -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html"""
    namespace = emulator.unique("Space")
    code = f"""
import json, time
def handler(event, context):
    print(json.dumps({{"_aws": {{"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [
        {{"Namespace": "{namespace}", "Dimensions": [["Colour"]], "Metrics": [{{"Name": "Swaps", "Unit": "Count"}}]}}
    ]}}, "Colour": "blue", "Swaps": [1, 2]}}))
"""
    assert invoke(emulator, emulator.function(code)) == (None, None)
    cloudwatch = emulator.client("cloudwatch")
    found = emulator.wait_for(
        lambda: cloudwatch.list_metrics(Namespace=namespace)["Metrics"], what="the metric"
    )
    assert found[0]["Dimensions"] == [{"Name": "Colour", "Value": "blue"}]
    sums = cloudwatch.get_metric_statistics(
        Namespace=namespace,
        MetricName="Swaps",
        Dimensions=found[0]["Dimensions"],
        StartTime=time.time() - 600,
        EndTime=time.time() + 600,
        Period=3600,
        Statistics=["Sum"],
    )["Datapoints"]
    assert [point["Sum"] for point in sums] == [3.0]


def test_prints_and_log_records_are_in_the_functions_log_in_their_order(emulator: Any) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html"""
    function = emulator.function(
        "import logging\ndef handler(event, context):\n    print('one')\n    logging.warning('two')\n    print('three')\n"
    )
    invoke(emulator, function)
    messages = [
        message for message in log_of(emulator, function) if message.endswith(("one", "two", "three"))
    ]
    assert [message.split("\t")[-1] for message in messages] == ["one", "two", "three"]
    assert messages[1].startswith("[WARNING]\t")


def test_code_comes_from_s3_and_layers_lie_over_one_another(emulator: Any) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html"""

    def archive(path: str, text: str) -> bytes:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as file:
            file.writestr(path, text)
        return content.getvalue()

    client, bucket = emulator.client("lambda"), emulator.unique("bucket")
    layers = [
        client.publish_layer_version(
            LayerName=emulator.unique("layer"),
            Content={"ZipFile": archive("python/number.py", f"VALUE = {value}\n")},
        )["LayerVersionArn"]
        for value in (1, 2)
    ]
    emulator.client("s3").create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": emulator.settings.region}
    )
    code = archive("app/main.py", "import number\ndef handler(event, context): return number.VALUE\n")
    emulator.client("s3").put_object(Bucket=bucket, Key="code.zip", Body=code)
    function = emulator.function(
        "", Handler="app/main.handler", Code={"S3Bucket": bucket, "S3Key": "code.zip"}, Layers=layers
    )
    assert invoke(emulator, function) == (2, None)


def test_new_code_serves_the_next_call_and_lets_the_present_one_finish(emulator: Any) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-shutdown"""

    def code(word: str) -> bytes:
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as file:
            file.writestr(
                "index.py", f"import time\ndef handler(s, c):\n    time.sleep(s)\n    return '{word}'\n"
            )
        return content.getvalue()

    client = emulator.client("lambda")
    function = emulator.function("", Code={"ZipFile": code("old")})
    with ThreadPoolExecutor() as pool:
        present = pool.submit(invoke, emulator, function, 2)
        emulator.wait_for(lambda: invoke(emulator, function, 0)[0] == "old")
        client.update_function_code(FunctionName=function, ZipFile=code("new"))
        assert invoke(emulator, function, 0) == ("new", None)
        assert present.result() == ("old", None)


def test_an_asynchronous_call_is_tried_again_twice(emulator: Any) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html"""
    function = emulator.function("def handler(event, context): raise ValueError(event['id'])\n")
    emulator.client("lambda").invoke(FunctionName=function, InvocationType="Event", Payload='{"id": "x1"}')
    emulator.wait_for(
        lambda: sum("[ERROR] ValueError: x1" in message for message in log_of(emulator, function)) == 3,
        what="three attempts",
    )


def test_workers_end_with_the_emulator_even_when_it_is_killed(emulator_with: Any, tmp_path: Path) -> None:
    """A sandbox leaves no process behind (prctl(2), PR_SET_PDEATHSIG)."""
    with emulator_with(tmp_path) as running:
        code = "import os\ndef handler(event, context): return [os.getpid(), os.getppid()]\n"
        (worker, server), _ = invoke(running, running.function(code))
        os.kill(server, 9)
        running.wait_for(lambda: not Path(f"/proc/{worker}/environ").exists() or not environment(worker))


def environment(pid: int) -> bytes:
    """The environment of a live process; nothing of one that has ended."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
