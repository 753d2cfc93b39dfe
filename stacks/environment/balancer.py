"""The front door (requirement B7): load balancer, certificate, target groups, the live and the test listener.

The weights are the template's parameters and belong to the deployments: the provision step passes what it
reads from the listeners, so that no change of infrastructure moves traffic.
"""

from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_route53 as route53
from constructs import Construct

from config.model import Configuration
from stacks.environment.stack import Given
from stacks.naming import COLOURS, Colour, Names


@dataclass(frozen=True)
class Weights:
    """The parameters' values of one listener."""

    blue: str
    green: str

    def of(self, colour: Colour) -> str:
        return self.blue if colour == "blue" else self.green


@dataclass(frozen=True)
class Balancer:
    """What was made; `listener` and `test_listener` are ARNs."""

    balancer: elb.CfnLoadBalancer
    listener: elb.CfnListener
    test_listener: elb.CfnListener
    target_groups: dict[Colour, elb.CfnTargetGroup]


def balancer(
    scope: Construct,
    names: Names,
    configuration: Configuration,
    *,
    subnets: list[str],
    given: Given,
    live: Weights,
    test: Weights,
) -> Balancer:
    """Make the load balancer with both listeners."""
    here = Construct(scope, "Balancer")
    backend = configuration.backend
    made = elb.CfnLoadBalancer(
        here,
        "LoadBalancer",
        name=names.prefix,
        type="application",
        scheme="internet-facing",
        subnets=subnets,
        security_groups=[given("BalancerSecurityGroup")],
        load_balancer_attributes=[
            elb.CfnLoadBalancer.LoadBalancerAttributeProperty(key=key, value=value)
            for key, value in (
                ("access_logs.s3.enabled", "true"),
                ("access_logs.s3.bucket", given("LogsBucket")),
                ("access_logs.s3.prefix", "balancer"),
                ("deletion_protection.enabled", str(configuration.database.deletion_protection).lower()),
                # Shorter than the backend's own keep-alive: never is it the target that hangs up first.
                ("idle_timeout.timeout_seconds", "60"),
                ("routing.http.drop_invalid_header_fields.enabled", "true"),
            )
        ],
    )
    target_groups: dict[Colour, elb.CfnTargetGroup] = {
        colour: _target_group(here, names, configuration, given("VpcId"), colour) for colour in COLOURS
    }
    certificate = backend.certificate_arn or _certificate(here, backend.domain, backend.hosted_zone_id)
    listeners = [
        elb.CfnListener(
            here,
            id,
            load_balancer_arn=made.ref,
            port=port,
            protocol="HTTPS",
            ssl_policy=backend.tls_policy,
            certificates=[elb.CfnListener.CertificateProperty(certificate_arn=certificate)],
            default_actions=[_forward(target_groups, weights)],
        )
        for id, port, weights in (
            ("Listener", backend.listener_port, live),
            ("TestListener", backend.test_listener_port, test),
        )
    ]
    if backend.hosted_zone_id:
        route53.CfnRecordSet(
            here,
            "Record",
            hosted_zone_id=backend.hosted_zone_id,
            name=backend.domain,
            type="A",
            alias_target=route53.CfnRecordSet.AliasTargetProperty(
                dns_name=made.attr_dns_name,
                hosted_zone_id=made.attr_canonical_hosted_zone_id,
                evaluate_target_health=False,
            ),
        )
    return Balancer(made, listeners[0], listeners[1], target_groups)


def _target_group(
    scope: Construct, names: Names, configuration: Configuration, vpc: str, colour: Colour
) -> elb.CfnTargetGroup:
    backend = configuration.backend
    check = backend.health_check
    return elb.CfnTargetGroup(
        scope,
        colour.capitalize(),
        name=names.target_group(colour),
        vpc_id=vpc,
        target_type="instance",
        protocol="HTTP",
        protocol_version="HTTP1",
        port=backend.first_port,
        health_check_enabled=True,
        health_check_protocol="HTTP",
        health_check_port="traffic-port",
        health_check_path=check.path,
        health_check_interval_seconds=check.interval_seconds,
        health_check_timeout_seconds=check.timeout_seconds,
        healthy_threshold_count=check.healthy_threshold,
        unhealthy_threshold_count=check.unhealthy_threshold,
        matcher=elb.CfnTargetGroup.MatcherProperty(http_code="200"),
        target_group_attributes=[
            elb.CfnTargetGroup.TargetGroupAttributeProperty(key=key, value=value)
            for key, value in (
                ("deregistration_delay.timeout_seconds", str(backend.deregistration_delay_seconds)),
                # A client that sticks to a target group would ignore the weights.
                ("stickiness.enabled", "false"),
                ("load_balancing.algorithm.type", "least_outstanding_requests"),
            )
        ],
        tags=[cdk.CfnTag(key="cutover-colour", value=colour)],
    )


def _certificate(scope: Construct, domain: str, hosted_zone_id: str | None) -> str:
    """A certificate by DNS: Route 53 answers by itself, elsewhere a person adds the record ACM shows."""
    return acm.CfnCertificate(
        scope,
        "Certificate",
        domain_name=domain,
        validation_method="DNS",
        domain_validation_options=[
            acm.CfnCertificate.DomainValidationOptionProperty(
                domain_name=domain, hosted_zone_id=hosted_zone_id
            )
        ]
        if hosted_zone_id
        else None,
    ).ref


def _forward(
    target_groups: dict[Colour, elb.CfnTargetGroup], weights: Weights
) -> elb.CfnListener.ActionProperty:
    return elb.CfnListener.ActionProperty(
        type="forward",
        forward_config=elb.CfnListener.ForwardConfigProperty(
            target_groups=[
                elb.CfnListener.TargetGroupTupleProperty(
                    target_group_arn=group.ref, weight=cdk.Token.as_number(cdk.Fn.ref(weights.of(colour)))
                )
                for colour, group in target_groups.items()
            ],
            target_group_stickiness_config=elb.CfnListener.TargetGroupStickinessConfigProperty(enabled=False),
        ),
    )
