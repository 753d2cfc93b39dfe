"""Images: a vulnerable one is not released, and a new instance brings the live one up by itself."""

from __future__ import annotations

import time
from pathlib import Path

from cli.execution import Request, start
from cli.source import upload

VULNERABLE = Path(__file__).resolve().parents[2] / "examples" / "vulnerable-backend"


def test_an_image_with_a_known_vulnerability_never_runs_anywhere(product):
    before = product.given_live()
    source = upload(product.environment, VULNERABLE)
    execution_arn = start(product.environment, Request("sandbox", "v21", "deploy", source=source))
    ended = product.end_of(execution_arn)
    assert (ended.status, ended.error) == ("FAILED", "GateFailedError")
    assert "urllib3 1.24.1 CVE-2019-11324 (HIGH, fixed in 1.24.2)" in ended.cause
    assert "urllib3 1.24.1 CVE-2019-11324 (fixed in 1.24.2)" in ended.cause, "the audit of its requirements"
    assert not product.record(execution_arn).get("command_id"), "a command was sent to the instances"
    assert product.live() == before


def test_an_instance_of_the_live_colour_that_is_lost_is_replaced_and_nothing_is_rolled_back(product):
    """Within the watch: the health alarm's minutes are seconds here, and pass before the new one is up."""
    now = product.given_live()
    groups, balancer = product.root("autoscaling"), product.root("elbv2")
    group = f"cutover-sandbox-backend-{now['colour']}"

    def members():
        found = groups.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"][0]
        return {each["InstanceId"] for each in found["Instances"]}

    def healthy():
        found = balancer.describe_target_health(TargetGroupArn=now[now["colour"]])
        return [
            (each["Target"]["Id"], each["Target"]["Port"])
            for each in found["TargetHealthDescriptions"]
            if each["TargetHealth"]["State"] == "healthy"
        ]

    before = members()
    targets = len(healthy())
    lost = sorted(before)[0]
    product.root("ec2").terminate_instances(InstanceIds=[lost])
    deadline = time.monotonic() + 120
    while True:
        fresh = members() - before
        up = [target for target in healthy() if target[0] in fresh]
        if len(fresh) == 1 and len(up) == targets // len(before) and len(healthy()) == targets:
            break
        assert time.monotonic() < deadline, f"after 120 s: new {fresh}, healthy {healthy()}"
        time.sleep(0.5)
    assert product.live() == now, "the release was rolled back"
    users = product.load()
    time.sleep(3)
    users.stop()
    report = users.report()
    assert report["failed"] == 0, report
