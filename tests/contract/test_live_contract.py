"""The rows of phase 1's table that no other contract covers: routes, the flow log and secrets, declared and live."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cutover.adapters.live import LiveResources
from cutover.domain.declared import KINDS, Declared, wanted
from tests.contract.site import Site, deployment
from tests.sandbox.conftest import Emulator


class Networked(Site):
    """A route to the internet, a flow log and a generated secret."""

    def __init__(self, aws: Emulator) -> None:
        super().__init__(aws)
        role = aws.role("vpc-flow-logs.amazonaws.com", aws.allow("logs:*", on="*"))
        secret = {"Name": aws.unique("secret"), "GenerateSecretString": {"PasswordLength": 32}}
        flow = {
            "ResourceId": {"Ref": "Vpc"},
            "ResourceType": "VPC",
            "TrafficType": "REJECT",
            "LogGroupName": "rejected",
            "DeliverLogsPermissionArn": role,
        }
        route = {
            "RouteTableId": {"Ref": "Table"},
            "DestinationCidrBlock": "0.0.0.0/0",
            "GatewayId": {"Ref": "Internet"},
        }
        self.write_all(
            {
                "Vpc": _resource("EC2::VPC", CidrBlock="10.8.0.0/16"),
                "Internet": _resource("EC2::InternetGateway"),
                "Attachment": _resource(
                    "EC2::VPCGatewayAttachment", VpcId={"Ref": "Vpc"}, InternetGatewayId={"Ref": "Internet"}
                ),
                "Table": _resource("EC2::RouteTable", VpcId={"Ref": "Vpc"}),
                "Route": {**_resource("EC2::Route", **route), "DependsOn": "Attachment"},
                "Flow": _resource("EC2::FlowLog", **flow),
                "Secret": _resource("SecretsManager::Secret", **secret),
            }
        )
        self.provision(deployment(1))
        self.declared = {each.logical_id: each for each in self.stacks.declared()}
        self.live = LiveResources(aws.client)

    def look(self, name: str) -> tuple[Mapping[str, str] | None, Mapping[str, str]]:
        one = self.declared[name]
        return self.live.look(one), wanted(one, list(self.declared.values()))


def _resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": f"AWS::{kind}", "Properties": properties}


@pytest.fixture(scope="module")
def site(aws: Emulator) -> Networked:
    return Networked(aws)


@pytest.mark.parametrize("name", ["Vpc", "Route", "Flow", "Secret"])
def test_what_was_deployed_has_the_facts_that_were_declared(site: Networked, name: str) -> None:
    assert site.declared[name].type in KINDS
    found, facts = site.look(name)
    assert found == facts


def _without_route(site: Networked, route: Declared) -> None:
    cidr, table = route.properties["DestinationCidrBlock"], route.properties["RouteTableId"]
    site.aws.client("ec2").delete_route(RouteTableId=table, DestinationCidrBlock=cidr)


def _without_log(site: Networked, log: Declared) -> None:
    site.aws.client("ec2").delete_flow_logs(FlowLogIds=[log.physical_id])


def _without_secret(site: Networked, secret: Declared) -> None:
    site.aws.client("secretsmanager").delete_secret(SecretId=secret.physical_id, RecoveryWindowInDays=7)


@pytest.mark.parametrize(
    ("name", "remove", "found"),
    [
        ("Route", _without_route, None),
        ("Flow", _without_log, None),
        # Until the window ends it can be brought back, but nothing can read it.
        ("Secret", _without_secret, "being deleted"),
    ],
)
def test_what_somebody_removed_by_hand_is_seen(
    site: Networked, name: str, remove: Callable[[Networked, Declared], None], found: str | None
) -> None:
    remove(site, site.declared[name])
    told, facts = site.look(name)
    assert told != facts
    assert (told or {}).get("value") == found
