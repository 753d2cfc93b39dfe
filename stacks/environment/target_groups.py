"""Where the load balancer sends requests: a target group for each service and colour (B7)."""

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_elasticloadbalancingv2 as elb
from constructs import Construct

from config.infrastructure import Service
from stacks.naming import COLOURS, Colour, Names, ServiceName

TargetGroups = dict[Colour, elb.CfnTargetGroup]


def target_groups(
    scope: Construct, names: Names, service: ServiceName, shape: Service, *, vpc: str, id: str
) -> TargetGroups:
    """Both groups of a service; `id` begins their logical ids."""
    return {
        colour: elb.CfnTargetGroup(
            scope,
            f"{id}{colour.capitalize()}",
            name=names.target_group(colour, service),
            vpc_id=vpc,
            tags=[cdk.CfnTag(key="cutover-colour", value=colour)],
            **_properties(shape),
        )
        for colour in COLOURS
    }


def _properties(shape: Service) -> dict[str, Any]:
    check = shape.health_check
    return {
        "target_type": "instance",
        "protocol": "HTTP",
        "protocol_version": "HTTP1",
        "port": shape.first_port,
        "health_check_enabled": True,
        "health_check_protocol": "HTTP",
        "health_check_port": "traffic-port",
        "health_check_path": check.path,
        "health_check_interval_seconds": check.interval_seconds,
        "health_check_timeout_seconds": check.timeout_seconds,
        "healthy_threshold_count": check.healthy_threshold,
        "unhealthy_threshold_count": check.unhealthy_threshold,
        "matcher": elb.CfnTargetGroup.MatcherProperty(http_code="200"),
        "target_group_attributes": [
            elb.CfnTargetGroup.TargetGroupAttributeProperty(key=key, value=value)
            for key, value in (
                ("deregistration_delay.timeout_seconds", str(shape.deregistration_delay_seconds)),
                # A client that sticks to a target group would ignore the weights.
                ("stickiness.enabled", "false"),
                ("load_balancing.algorithm.type", "least_outstanding_requests"),
            )
        ],
    }
