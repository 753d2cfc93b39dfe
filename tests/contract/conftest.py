"""The real sides of the contracts: one emulator with a balancer, one database, for the whole session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from cutover.domain.environment import Targets
from tests.contract.migration_kit import Site, site
from tests.loopback import own_network
from tests.sandbox.conftest import Emulator, running_emulator
from tests.sandbox.database_kit import Server, given, start, stop


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running_emulator(
        tmp_path_factory.mktemp("contract"), without=("autoscaling", "databases")
    ) as running:
        yield running


@pytest.fixture(scope="session")
def database_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The embedded server, or the one that MONGO_URL names."""
    server = given() or start(tmp_path_factory.mktemp("database"))
    try:
        yield server
    finally:
        stop(server)


@pytest.fixture
def migrated(database_server: Server) -> Iterator[Site]:
    """A database of the test's own."""
    with site(database_server.client) as made:
        yield made


@dataclass(frozen=True)
class Balancer:
    """A load balancer without instances: two listeners, two target groups."""

    client: Any
    targets: Targets


@pytest.fixture(scope="session")
def balancer(aws: Emulator) -> Balancer:
    elb, ec2 = aws.client("elbv2"), aws.client("ec2")
    network = own_network()
    vpc = ec2.create_vpc(CidrBlock=f"{network}.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(
            VpcId=vpc, CidrBlock=f"{network}.{number}.0/24", AvailabilityZone=f"ap-northeast-2{zone}"
        )["Subnet"]["SubnetId"]
        for number, zone in ((1, "a"), (2, "c"))
    ]
    arn = elb.create_load_balancer(Name=aws.unique("app"), Subnets=subnets)["LoadBalancers"][0][
        "LoadBalancerArn"
    ]
    blue, green = (
        elb.create_target_group(
            Name=aws.unique(colour), Protocol="HTTP", Port=8000, VpcId=vpc, TargetType="ip"
        )["TargetGroups"][0]["TargetGroupArn"]
        for colour in ("blue", "green")
    )
    listeners = [
        elb.create_listener(
            LoadBalancerArn=arn,
            Port=port,
            Protocol="HTTP",
            DefaultActions=[
                {
                    "Type": "forward",
                    "ForwardConfig": {
                        "TargetGroups": [
                            {"TargetGroupArn": blue, "Weight": 100},
                            {"TargetGroupArn": green, "Weight": 0},
                        ]
                    },
                }
            ],
        )["Listeners"][0]["ListenerArn"]
        for port in (18080, 18443)
    ]
    return Balancer(elb, Targets(*listeners, blue, green))
