"""What section B asks for, as the emulator's own APIs tell it of the environment's stacks.

tests/infra/test_requirements.py holds the templates against the requirements. A property that the emulator took
and dropped would make the deployment's verification say what is not so, and each that B asks for is read back
here. Left to tests/infra/test_requirements.py, because the emulator drops them: a NAT gateway's address, a DocumentDB
instance's encryption (the cluster's is told), the log exports of DocumentDB, lifecycle rules and access logs of
buckets. That Redis and DocumentDB speak TLS alone is in test_managed_databases.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.model import Configuration, load
from stacks.app import environment_templates
from stacks.naming import COLOURS, Names
from tests.sandbox.sandbox_kit import Sandbox, running_sandbox, wait_for

#: What is not asked for here: instances, and functions, which need the control plane's code, with what is
#: attached to them.
LEFT_OUT = (
    "AWS::AutoScaling::AutoScalingGroup",
    "AWS::Lambda::Function",
    "AWS::Lambda::Permission",
    "AWS::SecretsManager::RotationSchedule",
)


class Environment:
    """The sandbox's environment, without instances and functions, in the emulator."""

    def __init__(self, sandbox: Sandbox, directory: Path) -> None:
        self.sandbox = sandbox
        self.configuration: Configuration = load("sandbox")
        self.names = Names("sandbox", sandbox.settings.account, sandbox.settings.region)
        self.outputs: dict[str, str] = {}
        place = {"LocationConstraint": self.names.region}
        self.of("s3").create_bucket(Bucket="templates", CreateBucketConfiguration=place)
        for template in environment_templates(self.names, self.configuration, directory):
            self._deploy(self.names.stack(template.name), template.body())

    def _deploy(self, stack: str, body: dict[str, Any]) -> None:
        body["Resources"] = {id: r for id, r in body["Resources"].items() if r["Type"] not in LEFT_OUT}
        # Sandboxes that run at the same time have networks of their own.
        text = self.here(json.dumps(body))
        parameters = body.get("Parameters", {}).items()
        given = {name: self.outputs.get(name, "unused") for name, p in parameters if "Default" not in p}
        formation = self.sandbox.client("cloudformation")
        formation.create_stack(
            StackName=stack,
            TemplateURL=self._published(stack, text),
            Parameters=[{"ParameterKey": k, "ParameterValue": v} for k, v in given.items()],
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )

        def ended() -> dict[str, Any] | None:
            found: dict[str, Any] = formation.describe_stacks(StackName=stack)["Stacks"][0]
            return None if found["StackStatus"].endswith("IN_PROGRESS") else found

        made = wait_for(ended, seconds=90, what=f"the end of {stack}")
        assert made["StackStatus"] == "CREATE_COMPLETE", made.get("StackStatusReason")
        self.outputs |= {each["OutputKey"]: each["OutputValue"] for each in made.get("Outputs", [])}

    def _published(self, stack: str, text: str) -> str:
        """As the control plane does it: a template in a call may have 51,200 bytes."""
        self.of("s3").put_object(Bucket="templates", Key=f"{stack}.json", Body=text.encode())
        return f"https://s3.amazonaws.com/templates/{stack}.json"

    def here(self, text: str) -> str:
        """`text` with this sandbox's addresses for those of the configuration."""
        return text.replace("127.1.", f"{self.sandbox.network}.")

    def of(self, service: str) -> Any:
        return self.sandbox.client(service)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    with running_sandbox() as sandbox:
        yield Environment(sandbox, tmp_path_factory.mktemp("templates"))


def network(e: Environment) -> object:
    ec2, vpc = e.of("ec2"), e.outputs["VpcId"]
    inside = [{"Name": "vpc-id", "Values": [vpc]}]
    return (
        ec2.describe_vpcs(VpcIds=[vpc])["Vpcs"][0]["CidrBlock"],
        {(s["CidrBlock"], s["AvailabilityZone"]) for s in ec2.describe_subnets(Filters=inside)["Subnets"]},
        {(g["SubnetId"], g["State"]) for g in ec2.describe_nat_gateways(Filters=inside)["NatGateways"]},
    )


def wanted_network(e: Environment) -> object:
    c, shape = e.configuration, e.configuration.network
    subnets = [*shape.public_subnets, *shape.private_subnets]
    places = zip(subnets, [*c.availability_zones, *c.availability_zones], strict=True)
    return (
        e.here(shape.cidr),
        {(e.here(cidr), zone) for cidr, zone in places},
        {(e.outputs[f"PublicSubnet{n}"], "available") for n in (1, 2)},
    )


def admitted(e: Environment) -> object:
    """(from, to, first port, last port) of every rule whose source is a group."""
    found = e.of("ec2").describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [e.outputs["VpcId"]]}])
    names = {g["GroupId"]: g["GroupName"].removeprefix("cutover-sandbox-") for g in found["SecurityGroups"]}
    return {
        (names[pair["GroupId"]], names[group["GroupId"]], rule["FromPort"], rule["ToPort"])
        for group in found["SecurityGroups"]
        for rule in group["IpPermissions"]
        for pair in rule["UserIdGroupPairs"]
        if group["GroupName"] != "default"
    }


def wanted_admitted(e: Environment) -> object:
    backend, frontend = e.configuration.backend.ports, e.configuration.frontend.ports
    machines = ("backend", "frontend", "monitoring")
    return {
        ("balancer", "backend", backend[0], backend[-1]),
        ("balancer", "frontend", frontend[0], frontend[-1]),
        ("balancer", "frontend", 443, 443),
        ("frontend", "backend", backend[0], backend[0]),
        ("backend", "database", 27017, 27017),
        ("functions", "database", 27017, 27017),
        ("backend", "cache", 6379, 6379),
        *(("monitoring", machine, port, port) for machine in machines for port in (9090, 3000, 9100)),
        ("monitoring", "backend", backend[0], backend[-1]),
        ("functions", "monitoring", 9090, 9090),
        *((machine, "monitoring", 5044, 5044) for machine in ("backend", "frontend")),
    }


def machines(e: Environment) -> object:
    """Of every kind of machine: type, image, disk, and which version of the metadata service it answers."""
    ec2, told = e.of("ec2"), set()
    for template in ec2.describe_launch_templates()["LaunchTemplates"]:
        versions = ec2.describe_launch_template_versions(
            LaunchTemplateId=template["LaunchTemplateId"], Versions=["$Latest"]
        )
        data = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]
        (disk,) = (mapping["Ebs"] for mapping in data["BlockDeviceMappings"])
        told.add(
            (
                template["LaunchTemplateName"],
                data["InstanceType"],
                data["ImageId"],
                (disk["VolumeType"], disk["VolumeSize"], disk["Encrypted"]),
                data["MetadataOptions"]["HttpTokens"],
            )
        )
    return told


def wanted_machines(e: Environment) -> object:
    c = e.configuration
    kinds = {"backend": (c.backend, 30), "frontend": (c.frontend, 30), "monitoring": (c.monitoring, 20)}
    return {
        (
            f"cutover-sandbox-{name}",
            shape.instance_type,
            f"resolve:ssm:{shape.ami}",
            ("gp3", gb, True),
            "required",
        )
        for name, (shape, gb) in kinds.items()
    }


def database(e: Environment) -> object:
    (cluster,) = e.of("docdb").describe_db_clusters()["DBClusters"]
    instances = e.of("docdb").describe_db_instances()["DBInstances"]
    group = cluster["DBClusterParameterGroup"]
    parameters = e.of("docdb").describe_db_cluster_parameters(DBClusterParameterGroupName=group)["Parameters"]
    return (
        cluster["EngineVersion"],
        cluster["StorageEncrypted"],
        cluster["DeletionProtection"],
        cluster["BackupRetentionPeriod"],
        [each["DBInstanceClass"] for each in instances],
        {each["ParameterValue"] for each in parameters if each["ParameterName"] == "tls"},
    )


def wanted_database(e: Environment) -> object:
    shape = e.configuration.database
    classes = [shape.instance_class] * shape.instances
    return ("5.0.0", True, shape.deletion_protection, 7, classes, {"enabled"})


def cache(e: Environment) -> object:
    (group,) = e.of("elasticache").describe_replication_groups()["ReplicationGroups"]
    nodes = e.of("elasticache").describe_cache_clusters()["CacheClusters"]
    return (
        {(node["Engine"], node["EngineVersion"], node["CacheNodeType"]) for node in nodes},
        len(nodes),
        group["TransitEncryptionEnabled"],
        group["AtRestEncryptionEnabled"],
        group["AuthTokenEnabled"],
        group["AutomaticFailover"],
    )


def wanted_cache(e: Environment) -> object:
    shape = e.configuration.cache
    return ({("redis", "7.1", shape.node_type)}, shape.nodes, True, True, True, "enabled")


def buckets(e: Environment) -> object:
    s3, told = e.of("s3"), set()
    for bucket in (e.outputs["FilesBucket"], e.outputs["LogsBucket"]):
        (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        told.add((rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"], all(block.values())))
    return told


def front_door(e: Environment) -> object:
    elb = e.of("elbv2")
    arns = [e.outputs["ListenerArn"], e.outputs["TestListenerArn"]]
    listeners = elb.describe_listeners(ListenerArns=arns)["Listeners"]
    certificate = listeners[0]["Certificates"][0]["CertificateArn"]
    names = e.of("acm").describe_certificate(CertificateArn=certificate)["Certificate"]
    return (
        {(each["Port"], each["Protocol"], each["SslPolicy"]) for each in listeners},
        set(names["SubjectAlternativeNames"]),
        names["DomainValidationOptions"][0]["ValidationMethod"],
        {
            (g["TargetGroupName"], g["HealthCheckPath"], g["HealthCheckIntervalSeconds"])
            for g in elb.describe_target_groups()["TargetGroups"]
        },
    )


def wanted_front_door(e: Environment) -> object:
    backend, frontend = e.configuration.backend, e.configuration.frontend
    return (
        {(port, "HTTPS", backend.tls_policy) for port in (backend.listener_port, backend.test_listener_port)},
        {backend.domain, frontend.domain},
        "DNS",
        {
            (
                e.names.target_group(colour, service),
                shape.health_check.path,
                shape.health_check.interval_seconds,
            )
            for service, shape in (("backend", backend), ("frontend", frontend))
            for colour in COLOURS
        },
    )


def frontend_rules(e: Environment) -> object:
    arns = [e.outputs["FrontendRuleArn"], e.outputs["FrontendTestRuleArn"]]
    return [
        (
            rule["Conditions"][0]["HostHeaderConfig"]["Values"],
            [
                (group["TargetGroupArn"], group["Weight"])
                for group in rule["Actions"][0]["ForwardConfig"]["TargetGroups"]
            ],
        )
        for rule in e.of("elbv2").describe_rules(RuleArns=arns)["Rules"]
    ]


def wanted_frontend_rules(e: Environment) -> object:
    blue, green = e.outputs["FrontendBlueTargetGroupArn"], e.outputs["FrontendGreenTargetGroupArn"]
    hosts = [e.configuration.frontend.domain]
    return [(hosts, [(blue, 100), (green, 0)]), (hosts, [(blue, 0), (green, 100)])]


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        pytest.param(network, wanted_network, id="B1 network, subnets, NAT gateways"),
        pytest.param(admitted, wanted_admitted, id="B2 who is admitted"),
        pytest.param(machines, wanted_machines, id="B3, B8 types, images, encrypted disks"),
        pytest.param(database, wanted_database, id="B4 DocumentDB"),
        pytest.param(cache, wanted_cache, id="B5 Redis"),
        pytest.param(buckets, lambda _: {("AES256", True)}, id="B6 buckets"),
        pytest.param(front_door, wanted_front_door, id="B7 listeners, certificate, health checks"),
        pytest.param(frontend_rules, wanted_frontend_rules, id="B7 the frontend's rules"),
    ],
)
def test_the_emulator_keeps_what_section_b_asks_for(environment, found, wanted):
    assert found(environment) == wanted(environment)
