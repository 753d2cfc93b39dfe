"""Bad input and bad moments: one clear message, a non-zero exit, and nothing changed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

CONFIG = Path(__file__).resolve().parents[2] / "config"


def refused(done, code, *words):
    """The command said why in one message, in words, and exited with this code."""
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr, done.stderr


def test_an_unknown_environment_is_refused_with_the_known_ones(product):
    done = product.cutover("deploy", "stagging", "--version", "v9")
    refused(done, 2, "stagging", "staging", "sandbox")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("instance_type =", "instance_typ =", ("instance_typ", "instance_type")),
        ('cidr = "127.1.0.0/16"', 'cidr = "127.1.0.0/99"', ("network.cidr", "127.1.0.0/99")),
        ("[thresholds]", "[thresholds]\np95_ms = -1", ("thresholds.p95_ms", "-1")),
    ],
)
def test_a_wrong_configuration_is_refused_by_field(product, tmp_path, old, new, words):
    text = (CONFIG / "sandbox.toml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "sandbox.toml").write_text(text.replace(old, new), encoding="utf-8")
    done = product.cutover("deploy", "sandbox", "--version", "v9", "--config-dir", str(tmp_path))
    refused(done, 2, *words)


PARAMETER = "/cutover/sandbox/configuration"


def stacks(product):
    """Every resource of the environment's stacks, by CloudFormation's own time of its last change."""
    formation = product.root("cloudformation")
    return {
        (each["StackName"], each["LogicalResourceId"]): (each["PhysicalResourceId"], each["Timestamp"])
        for stack in formation.describe_stacks()["Stacks"]
        if stack["StackName"].startswith("cutover-sandbox-") and stack["StackStatus"] != "REVIEW_IN_PROGRESS"
        for each in formation.describe_stack_resources(StackName=stack["StackName"])["StackResources"]
    }


def test_what_aws_would_refuse_is_told_by_field_before_anything_is_changed(product):
    ssm, before = product.root("ssm"), stacks(product)
    installed = ssm.get_parameter(Name=PARAMETER)["Parameter"]["Value"]
    wrong = json.loads(installed)
    wrong["backend"] |= {"instance_type": "t3.gigantic", "hosted_zone_id": "Z0000000000"}
    ssm.put_parameter(Name=PARAMETER, Value=json.dumps(wrong), Type="String", Overwrite=True)
    try:
        done = product.cutover("deploy", "sandbox", "--version", "v9")
    finally:
        ssm.put_parameter(Name=PARAMETER, Value=installed, Type="String", Overwrite=True)
    refused(done, 2, "backend.instance_type = 't3.gigantic'", "t3.", "backend.hosted_zone_id = 'Z0000000000'")
    assert stacks(product) == before
    assert json.loads(product.cutover("status", "sandbox", "--json").stdout)["lock"] is None


def test_an_image_that_does_not_exist_is_refused_and_the_lock_is_free_again(product):
    digest = "sha256:" + "0" * 64
    done = product.cutover("deploy", "sandbox", "--version", "v9", "--image", digest)
    refused(done, 2, "ImageNotFoundError", digest)
    assert json.loads(product.cutover("status", "sandbox", "--json").stdout)["lock"] is None


def test_a_second_deployment_is_refused_naming_the_holder_and_a_freeze_stops_the_first(product):
    before, weights = product.given_live(), product.weights()
    first = product.start("v8")
    done = product.cutover("deploy", "sandbox", "--version", "v9")
    refused(done, 3, "LockHeldError", first.rsplit(":", 1)[-1], "since")
    frozen = product.cutover("freeze", "sandbox", "--reason", "v8 is not wanted after all")
    assert frozen.returncode == 0, frozen.stderr
    assert product.end_of(first).status == "ABORTED"
    assert product.cutover("unfreeze", "sandbox").returncode == 0
    assert (product.live(), product.weights()) == (before, weights)
    assert json.loads(product.cutover("status", "sandbox", "--json").stdout)["lock"] is None


def test_the_console_reads_the_same_message_in_its_cause_field(product):
    execution = product.environment.states.start_execution(
        stateMachineArn=product.environment.state_machine_arn,
        input=json.dumps({"environment": "sandbox", "version": "v9", "sauce": "sources/x.zip"}),
    )
    ended = product.end_of(execution["executionArn"])
    assert ended.error == "InvalidInputError"
    assert "sauce" in ended.cause
    assert "Traceback" not in ended.cause


def test_deploying_with_no_sandbox_and_no_credentials_says_how_to_get_either(product):
    bare = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")} | {"HOME": "/nonexistent"}
    done = product.cutover("deploy", "sandbox", "--version", "v9", env=bare)
    refused(done, 4, "credentials", "cutover sandbox up")


def _sandbox(root, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "cli.main", "sandbox", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"CUTOVER_SANDBOX_DIR": str(root)},
        cwd=CONFIG.parent,
    )


def test_a_taken_port_is_named_and_nothing_is_started(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = _sandbox(tmp_path / "root", "up", "--port", port)
    assert done.returncode != 0
    assert port in done.stderr
    assert "Traceback" not in done.stderr


def test_a_corrupt_sandbox_state_is_named_with_the_way_out(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "settings.json").write_text("{not json", encoding="utf-8")
    done = _sandbox(root, "up")
    assert done.returncode != 0
    assert "settings.json" in done.stderr
    assert "cutover sandbox reset" in done.stderr
    assert "Traceback" not in done.stderr
