"""What the region offers: instance types of EC2, DocumentDB and ElastiCache. Any other is refused.

ministack takes any name. The lists are those of AWS's regions that cfn-lint carries; every zone of the region
offers all of its region's.
"""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

from ministack.services import autoscaling, documentdb, ec2, elasticache
from ministack.services.cloudformation import provisioners

from sandbox.emulator.context import Context, replace, seam

# https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html
ZONES = "abcd"
Parameters = dict[str, Any]
Handler = Callable[[Parameters], Any]


@functools.cache
def offered(kind: str, property_name: str, region: str) -> tuple[str, ...]:
    """The region's values of a property, as cfn-lint lists them; sorted."""
    tables = importlib.resources.files("cfnlint") / "data" / "schemas" / "extensions"
    text = (tables / kind / f"{property_name}_enum.json").read_text(encoding="utf-8")
    return tuple(sorted(json.loads(text)[region]["enum"]))


def install(context: Context) -> None:
    region = context.settings.region
    zones = tuple(f"{region}{letter}" for letter in ZONES)
    types = offered("aws_ec2_instance", "instancetype", region)
    _install_types(types, region, zones)
    _install_groups(frozenset(types))
    _install_classes(offered("aws_docdb_dbinstance", "dbinstanceclass", region), zones)
    _install_nodes(offered("aws_elasticache_cachecluster", "cachenodetype", region))


def _install_types(types: tuple[str, ...], region: str, zones: tuple[str, ...]) -> None:
    actions: dict[str, Handler] = seam(ec2, "_ACTION_MAP")
    run, describe = actions["RunInstances"], actions["DescribeInstanceTypes"]

    def run_instances(parameters: Parameters) -> Any:
        wanted = ec2._p(parameters, "InstanceType")
        if wanted and wanted not in types:
            return ec2._error("InvalidParameterValue", f"Invalid value '{wanted}' for InstanceType.", 400)
        return run(parameters)

    def describe_types(parameters: Parameters) -> Any:
        unknown = [name for name in ec2._parse_member_list(parameters, "InstanceType") if name not in types]
        if unknown:
            told = f"The following supplied instance types do not exist: [{', '.join(unknown)}]"
            return ec2._error("InvalidInstanceType", told, 400)
        return describe(parameters)

    def describe_offerings(parameters: Parameters) -> Any:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypeOfferings.html"""
        kind = ec2._p(parameters, "LocationType") or "region"
        if kind not in ("region", "availability-zone"):
            return ec2._error("InvalidParameterValue", f"Invalid value '{kind}' for locationType.", 400)
        filters = ec2._parse_filters(parameters)
        items = "".join(
            f"<item><instanceType>{name}</instanceType><locationType>{kind}</locationType>"
            f"<location>{place}</location></item>"
            for name in types
            for place in ((region,) if kind == "region" else zones)
            if name in filters.get("instance-type", (name,)) and place in filters.get("location", (place,))
        )
        return ec2._xml(
            200,
            "DescribeInstanceTypeOfferingsResponse",
            f"<instanceTypeOfferingSet>{items}</instanceTypeOfferingSet>",
        )

    actions["RunInstances"], actions["DescribeInstanceTypes"] = run_instances, describe_types
    actions["DescribeInstanceTypeOfferings"] = describe_offerings


def _install_groups(types: frozenset[str]) -> None:
    """A group tries its launch template when it is given one.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/ts-as-launch-template.html
    """
    handlers = seam(provisioners, "_RESOURCE_HANDLERS")["AWS::AutoScaling::AutoScalingGroup"]
    create, update = handlers["create"], handlers["update"]

    def refusal(specification: Parameters) -> str | None:
        wanted = _type_in(provisioners._asg_launch_template(specification))
        if wanted is None or wanted in types:
            return None
        return (
            f"You must use a valid fully-formed launch template. Invalid value '{wanted}' for InstanceType."
        )

    def check(properties: Parameters) -> None:
        told = refusal(properties.get("LaunchTemplate") or {})
        if told:
            raise ValueError(f"{told} (Service: AutoScaling, Status Code: 400, Error Code: ValidationError)")

    def create_group(logical_id: str, properties: Parameters, stack: str) -> Any:
        check(properties)
        return create(logical_id, properties, stack)

    def update_group(
        physical_id: str, old: Parameters, new: Parameters, stack: str, *more: Any, **named: Any
    ) -> Any:
        check(new)
        return update(physical_id, old, new, stack, *more, **named)

    handlers["create"], handlers["update"] = create_group, update_group
    actions: dict[str, Handler] = seam(autoscaling, "_ACTION_MAP")
    for name in ("CreateAutoScalingGroup", "UpdateAutoScalingGroup"):
        original = actions[name]

        def checked(parameters: Parameters, original: Handler = original) -> Any:
            fields = ("LaunchTemplateId", "LaunchTemplateName", "Version")
            given = {key: autoscaling._p(parameters, f"LaunchTemplate.{key}") for key in fields}
            told = refusal({key: value for key, value in given.items() if value})
            return autoscaling._error("ValidationError", escape(told)) if told else original(parameters)

        actions[name] = checked


def _type_in(launch_template: Parameters) -> str | None:
    """The instance type of the version that is meant; None when there is no such template or type."""
    found = ec2._launch_templates.get(launch_template.get("LaunchTemplateId", ""))
    if not found:
        return None
    named = {"$Default": found["DefaultVersionNumber"], "$Latest": found["LatestVersionNumber"]}
    version = launch_template.get("Version") or "$Default"
    number = str(named.get(version, version))
    for each in found["Versions"]:
        if str(each["VersionNumber"]) == number:
            wanted: str | None = each["LaunchTemplateData"].get("InstanceType")
            return wanted
    return None


def _install_classes(classes: tuple[str, ...], zones: tuple[str, ...]) -> None:
    """https://docs.aws.amazon.com/documentdb/latest/developerguide/API_DescribeOrderableDBInstanceOptions.html"""
    actions: dict[str, Handler] = seam(documentdb, "_ACTION_MAP")
    create = seam(documentdb, "_create_db_instance")

    def create_instance(parameters: Parameters) -> Any:
        wanted = documentdb._evaluate_params(parameters, "DBInstanceClass")
        if wanted and wanted not in classes:
            return documentdb._error(
                "InvalidParameterValue", f"Invalid DB Instance class: {escape(wanted)}", 400
            )
        return create(parameters)

    def orderable(parameters: Parameters) -> Any:
        wanted = documentdb._evaluate_params(parameters, "DBInstanceClass")
        places = "".join(f"<AvailabilityZone><Name>{zone}</Name></AvailabilityZone>" for zone in zones)
        options = "".join(
            f"<OrderableDBInstanceOption><Engine>docdb</Engine><DBInstanceClass>{name}</DBInstanceClass>"
            f"<AvailabilityZones>{places}</AvailabilityZones><Vpc>true</Vpc></OrderableDBInstanceOption>"
            for name in classes
            if wanted in ("", name)
        )
        return documentdb._xml(
            200,
            "DescribeOrderableDBInstanceOptionsResponse",
            "<DescribeOrderableDBInstanceOptionsResult><OrderableDBInstanceOptions>"
            f"{options}</OrderableDBInstanceOptions></DescribeOrderableDBInstanceOptionsResult>",
        )

    replace(documentdb, "_create_db_instance", create_instance)
    actions["CreateDBInstance"] = create_instance
    actions["DescribeOrderableDBInstanceOptions"] = orderable


def _install_nodes(nodes: tuple[str, ...]) -> None:
    """https://docs.aws.amazon.com/AmazonElastiCache/latest/APIReference/API_CreateReplicationGroup.html"""
    create = seam(elasticache, "_create_replication_group")

    def create_group(parameters: Parameters) -> Any:
        wanted = elasticache._p(parameters, "CacheNodeType")
        if wanted and wanted not in nodes:
            return elasticache._error(
                "InvalidParameterValue", f"Invalid Cache Node Type: {escape(wanted)}", 400
            )
        return create(parameters)

    replace(elasticache, "_create_replication_group", create_group)
