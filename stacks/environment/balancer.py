"""The front door (requirement B7): load balancer, certificate, the live and the test listener.

The listeners lead to the backend, and a rule on each leads requests for the frontend's name to the frontend.
The weights are the template's parameters and belong to the deployments: the provision step passes what it
reads from the listeners and the rules, so that no change of infrastructure moves traffic.
"""

from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_route53 as route53
from constructs import Construct

from config.infrastructure import Backend
from config.model import Configuration
from stacks.environment.stack import EnvironmentStack
from stacks.environment.target_groups import TargetGroups, target_groups
from stacks.naming import COLOURS, Colour, Names, ServiceName

FRONTEND_PRIORITY = 10


#: By the colour, the name of the parameter that holds its weight.
Weights = dict[Colour, str]


@dataclass(frozen=True)
class Balancer:
    """What was made."""

    balancer: elb.CfnLoadBalancer
    listener: elb.CfnListener
    test_listener: elb.CfnListener
    frontend_rule: elb.CfnListenerRule
    frontend_test_rule: elb.CfnListenerRule
    target_groups: dict[ServiceName, TargetGroups]


def balancer(stack: EnvironmentStack, names: Names, configuration: Configuration) -> Balancer:
    """Make the load balancer with both listeners: blue is live at first, and green tested."""
    here = Construct(stack, "Balancer")
    backend, frontend = configuration.backend, configuration.frontend
    vpc = stack.given("VpcId")
    groups: dict[ServiceName, TargetGroups] = {
        "backend": target_groups(here, names, "backend", backend, vpc=vpc, id=""),
        "frontend": target_groups(here, names, "frontend", frontend, vpc=vpc, id="Frontend"),
    }
    made = _load_balancer(here, names, configuration, stack)
    certificate = backend.certificate_arn or _certificate(
        here, [backend.domain, frontend.domain], backend.hosted_zone_id
    )
    # The parameters' names begin with these.
    live, test = _weights(stack, "", "blue"), _weights(stack, "Test", "green")
    pages_live, pages_test = _weights(stack, "Frontend", "blue"), _weights(stack, "FrontendTest", "green")

    def listener(id: str, port: int, weights: Weights) -> elb.CfnListener:
        forward = _forward(groups["backend"], weights)
        return _listener(here, id, made, backend, port=port, certificate=certificate, action=forward)

    def rule(id: str, of: elb.CfnListener, weights: Weights) -> elb.CfnListenerRule:
        forward = _forward(groups["frontend"], weights)
        return _host_rule(here, id, of, host=frontend.domain, action=forward)

    live_listener = listener("Listener", backend.listener_port, live)
    test_listener = listener("TestListener", backend.test_listener_port, test)
    if backend.hosted_zone_id:
        _record(here, "Record", backend.domain, backend.hosted_zone_id, made)
        _record(here, "FrontendRecord", frontend.domain, backend.hosted_zone_id, made)
    return Balancer(
        balancer=made,
        listener=live_listener,
        test_listener=test_listener,
        frontend_rule=rule("FrontendRule", live_listener, pages_live),
        frontend_test_rule=rule("FrontendTestRule", test_listener, pages_test),
        target_groups=groups,
    )


def _weights(stack: EnvironmentStack, prefix: str, first: Colour) -> Weights:
    """The parameters of one action; a first deployment finds all weight on `first`."""
    return {
        colour: stack.weight(f"{prefix}{colour.capitalize()}Weight", 100 if colour == first else 0)
        for colour in COLOURS
    }


def _load_balancer(
    scope: Construct, names: Names, configuration: Configuration, stack: EnvironmentStack
) -> elb.CfnLoadBalancer:
    return elb.CfnLoadBalancer(
        scope,
        "LoadBalancer",
        name=names.prefix,
        type="application",
        scheme="internet-facing",
        subnets=stack.given_subnets("Public"),
        security_groups=[stack.given("BalancerSecurityGroup")],
        load_balancer_attributes=[
            elb.CfnLoadBalancer.LoadBalancerAttributeProperty(key=key, value=value)
            for key, value in (
                ("access_logs.s3.enabled", "true"),
                ("access_logs.s3.bucket", stack.given("LogsBucket")),
                ("access_logs.s3.prefix", "balancer"),
                ("deletion_protection.enabled", str(configuration.database.deletion_protection).lower()),
                # Shorter than the backend's own keep-alive: never is it the target that hangs up first.
                ("idle_timeout.timeout_seconds", "60"),
                ("routing.http.drop_invalid_header_fields.enabled", "true"),
            )
        ],
    )


def _listener(
    scope: Construct,
    id: str,
    of: elb.CfnLoadBalancer,
    backend: Backend,
    *,
    port: int,
    certificate: str,
    action: dict[str, Any],
) -> elb.CfnListener:
    return elb.CfnListener(
        scope,
        id,
        load_balancer_arn=of.ref,
        port=port,
        protocol="HTTPS",
        ssl_policy=backend.tls_policy,
        certificates=[elb.CfnListener.CertificateProperty(certificate_arn=certificate)],
        default_actions=[action],
    )


def _certificate(scope: Construct, domains: list[str], hosted_zone_id: str | None) -> str:
    """A certificate by DNS: Route 53 answers by itself, elsewhere a person adds the records ACM shows."""
    return acm.CfnCertificate(
        scope,
        "Certificate",
        domain_name=domains[0],
        subject_alternative_names=domains[1:],
        validation_method="DNS",
        domain_validation_options=[
            acm.CfnCertificate.DomainValidationOptionProperty(
                domain_name=domain, hosted_zone_id=hosted_zone_id
            )
            for domain in domains
        ]
        if hosted_zone_id
        else None,
    ).ref


def _record(scope: Construct, id: str, domain: str, zone: str, of: elb.CfnLoadBalancer) -> None:
    route53.CfnRecordSet(
        scope,
        id,
        hosted_zone_id=zone,
        name=domain,
        type="A",
        alias_target=route53.CfnRecordSet.AliasTargetProperty(
            dns_name=of.attr_dns_name,
            hosted_zone_id=of.attr_canonical_hosted_zone_id,
            evaluate_target_health=False,
        ),
    )


def _forward(groups: TargetGroups, weights: Weights) -> dict[str, Any]:
    """The action of a listener and of a rule alike, for which CDK has two types of the same shape."""
    return {
        "type": "forward",
        "forwardConfig": {
            "targetGroups": [
                {
                    "targetGroupArn": group.ref,
                    "weight": cdk.Token.as_number(cdk.Fn.ref(weights[colour])),
                }
                for colour, group in groups.items()
            ],
            "targetGroupStickinessConfig": {"enabled": False},
        },
    }


def _host_rule(
    scope: Construct, id: str, of: elb.CfnListener, *, host: str, action: dict[str, Any]
) -> elb.CfnListenerRule:
    return elb.CfnListenerRule(
        scope,
        id,
        listener_arn=of.ref,
        priority=FRONTEND_PRIORITY,
        conditions=[
            elb.CfnListenerRule.RuleConditionProperty(
                field="host-header",
                host_header_config=elb.CfnListenerRule.HostHeaderConfigProperty(values=[host]),
            )
        ],
        actions=[action],
    )
