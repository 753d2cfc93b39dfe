"""From the ELBv2 API's records to what the balancer does."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from sandbox.balancer import translation
from sandbox.balancer.model import TLS_1_0, TLS_1_2, TLS_1_3, FixedResponse, Forward, Redirect, State, Target
from sandbox.balancer.translation import Records
from sandbox.pki import IssuedCertificate

ARN = "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:"
BALANCER = ARN + "loadbalancer/app/shop/0123456789abcdef"
LISTENER = ARN + "listener/app/shop/0123456789abcdef/fedcba9876543210"
BLUE, GREEN = (ARN + f"targetgroup/{name}/00000000000000{n}" for name, n in (("blue", "aa"), ("green", "bb")))
CERTIFICATE = IssuedCertificate(Path("/pki/a.pem"), Path("/pki/a.key"))


def forward(**weights: int) -> dict[str, Any]:
    groups = [
        {"TargetGroupArn": {"blue": BLUE, "green": GREEN}[name], "Weight": weight}
        for name, weight in weights.items()
    ]
    return {"Type": "forward", "Order": 1, "ForwardConfig": {"TargetGroups": groups}}


def records(**changes: Any) -> Records:
    listener = {
        "ListenerArn": LISTENER,
        "LoadBalancerArn": BALANCER,
        "Port": 9443,
        "Protocol": "HTTPS",
        "SslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
        "Certificates": ["arn:certificate"],
        "DefaultActions": [forward(blue=100, green=0)],
        **changes.pop("listener", {}),
    }
    group = {"Port": 8000, "Protocol": "HTTP", **changes.pop("group", {})}
    made = Records(
        balancers={BALANCER: {"DNSName": "127.1.1.10"}},
        listeners={LISTENER: listener},
        rules={},
        groups={BLUE: group, GREEN: group},
        targets={BLUE: [{"Id": "i-1"}], GREEN: [{"Id": "i-2", "Port": 9000}]},
        balancer_attributes={},
        group_attributes={},
    )
    return dataclasses.replace(made, **changes)


def translate(given: Records, *, minute_seconds: float = 60, certificate: Any = CERTIFICATE) -> State:
    addresses = {"i-1": "127.1.10.100", "i-2": "127.1.10.101"}
    return translation.state(
        given,
        address_of=addresses.get,
        certificate_of=lambda _arn: certificate,
        minute_seconds=minute_seconds,
    )


def test_a_listener_is_served_at_its_load_balancers_address() -> None:
    (listener,) = translate(records()).listeners
    assert (listener.address, listener.port, listener.idle_timeout) == ("127.1.1.10", 9443, 60.0)
    assert listener.rules[-1].action == Forward(
        (("tg-blue-00000000000000aa", 100), ("tg-green-00000000000000bb", 0))
    )


def test_a_target_is_served_at_its_instances_address_and_its_own_or_the_groups_port() -> None:
    blue, green = translate(records()).groups
    assert blue.targets == (Target("127.1.10.100", 8000),)
    assert green.targets == (Target("127.1.10.101", 9000),)


def test_an_instance_that_does_not_run_is_no_target() -> None:
    given = records(targets={BLUE: [{"Id": "i-gone"}]})
    assert translate(given).groups[0].targets == ()


def test_a_group_of_weight_0_is_still_there_to_be_checked() -> None:
    """ALB checks the targets of every group that a listener names, whatever its weight."""
    assert len(translate(records()).groups) == 2


def test_a_group_that_no_listener_names_is_not_served() -> None:
    given = records(listener={"DefaultActions": [forward(blue=1)]})
    assert [group.name for group in translate(given).groups] == ["tg-blue-00000000000000aa"]


def test_a_listener_whose_certificate_is_gone_is_not_served_in_the_clear() -> None:
    assert translate(records(), certificate=None).listeners == ()


def test_rules_come_in_the_order_of_their_priority_and_the_default_last() -> None:
    def rule(priority: str, status: str) -> dict[str, Any]:
        return {
            "ListenerArn": LISTENER,
            "Priority": priority,
            "Conditions": [{"Field": "path-pattern", "Values": ["/x"]}],
            "Actions": [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": status}}],
        }

    given = records(rules={"b": rule("20", "402"), "a": rule("3", "401")})
    actions = [each.action for each in translate(given).listeners[0].rules]
    assert actions[:2] == [FixedResponse(401), FixedResponse(402)]
    assert isinstance(actions[2], Forward)


def test_a_redirect_keeps_the_parts_that_it_takes_from_the_request() -> None:
    config = {
        "Protocol": "HTTPS",
        "Port": "443",
        "Host": "#{host}",
        "Path": "/#{path}",
        "Query": "#{query}",
        "StatusCode": "HTTP_301",
    }
    given = records(listener={"DefaultActions": [{"Type": "redirect", "RedirectConfig": config}]})
    assert translate(given).listeners[0].rules[-1].action == Redirect(permanent=True, https=True, port=443)


@pytest.mark.parametrize(
    ("minute_seconds", "interval", "timeout"),
    [(60, 10.0, 5.0), (6, 1.0, 1.0), (1, translation.FASTEST_CHECK, translation.SHORTEST_TIMEOUT)],
)
def test_a_health_check_is_compressed_with_the_minute_within_limits(
    minute_seconds: float, interval: float, timeout: float
) -> None:
    given = records(group={"HealthCheckIntervalSeconds": 10, "HealthCheckTimeoutSeconds": 5})
    health = translate(given, minute_seconds=minute_seconds).groups[0].health
    assert (health.interval, health.timeout) == (interval, timeout)


def test_a_health_check_is_what_the_group_says() -> None:
    group = {
        "HealthCheckPath": "/health",
        "HealthCheckPort": "8081",
        "HealthyThresholdCount": 3,
        "UnhealthyThresholdCount": 4,
        "Matcher": {"HttpCode": "200,300-302"},
    }
    health = translate(records(group=group)).groups[0].health
    assert (health.path, health.port) == ("/health", 8081)
    assert (health.healthy_threshold, health.unhealthy_threshold) == (3, 4)
    assert health.codes == ((200, 200), (300, 302))


@pytest.mark.parametrize(
    ("policy", "versions"),
    [
        ("ELBSecurityPolicy-TLS13-1-2-2021-06", (TLS_1_2, TLS_1_3)),
        ("ELBSecurityPolicy-TLS13-1-2-Res-2021-06", (TLS_1_2, TLS_1_3)),
        ("ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06", (TLS_1_2, TLS_1_3)),
        ("ELBSecurityPolicy-TLS13-1-3-2021-06", (TLS_1_3, TLS_1_3)),
        ("ELBSecurityPolicy-TLS13-1-0-2021-06", (TLS_1_0, TLS_1_3)),
        ("ELBSecurityPolicy-TLS-1-2-2017-01", (TLS_1_2, TLS_1_2)),
        ("ELBSecurityPolicy-FS-1-2-Res-2020-10", (TLS_1_2, TLS_1_2)),
        ("ELBSecurityPolicy-2016-08", (TLS_1_0, TLS_1_2)),
        ("ELBSecurityPolicy-TLS13-1-4-2021-06", None),
        ("", None),
    ],
)
def test_a_security_policy_allows_its_tls_versions(policy: str, versions: Any) -> None:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html"""
    assert translation.tls_versions(policy) == versions


def test_cloudwatch_names_are_the_tails_of_the_arns() -> None:
    assert translation.full_name(BALANCER) == "app/shop/0123456789abcdef"
    assert translation.full_name(BLUE) == "targetgroup/blue/00000000000000aa"
