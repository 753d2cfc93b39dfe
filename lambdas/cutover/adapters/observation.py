"""What watches the environment, and what can be seen of it: alarms, dashboards, open ports, data stores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from cutover.adapters.aws import aws_errors, code
from cutover.ports import Alarm, IngressRule


class CloudWatchAlarms:
    def __init__(self, client: Any) -> None:
        self._client = client

    def find(self, names: Sequence[str]) -> Sequence[Alarm]:
        with aws_errors():
            found = self._client.describe_alarms(AlarmNames=list(names), AlarmTypes=["MetricAlarm"])
        return [
            Alarm(
                name=alarm["AlarmName"],
                state=alarm["StateValue"],
                changed_at=alarm["StateUpdatedTimestamp"],
                description=alarm.get("AlarmDescription", ""),
            )
            for alarm in found.get("MetricAlarms") or []
        ]

    def dashboard(self, name: str) -> str | None:
        with aws_errors():
            try:
                return str(self._client.get_dashboard(DashboardName=name)["DashboardBody"])
            except ClientError as error:
                if code(error) in ("ResourceNotFound", "DashboardNotFoundError"):
                    return None
                raise


class VpcNetwork:
    """Security groups of the VPC that a load balancer stands in.

    The VPC's own `default` group is left out: nothing is in it, and it can't be deleted.
    """

    def __init__(self, balancers: Any, ec2: Any) -> None:
        self._balancers = balancers
        self._ec2 = ec2

    def ingress(self, listener: str) -> Sequence[IngressRule]:
        with aws_errors():
            listeners = self._balancers.describe_listeners(ListenerArns=[listener])["Listeners"]
            arn = listeners[0]["LoadBalancerArn"]
            vpc = self._balancers.describe_load_balancers(LoadBalancerArns=[arn])["LoadBalancers"][0]["VpcId"]
            pages = self._ec2.get_paginator("describe_security_groups").paginate(
                Filters=[{"Name": "vpc-id", "Values": [vpc]}]
            )
            groups = [group for page in pages for group in page["SecurityGroups"]]
        return [
            IngressRule(
                group=group["GroupName"],
                protocol=str(permission["IpProtocol"]),
                first_port=int(permission.get("FromPort", 0)),
                last_port=int(permission.get("ToPort", 65535)),
                sources=_sources(permission),
            )
            for group in groups
            if group["GroupName"] != "default"
            for permission in group.get("IpPermissions") or []
        ]


def _sources(permission: dict[str, Any]) -> list[str]:
    kinds = (
        ("IpRanges", "CidrIp"),
        ("Ipv6Ranges", "CidrIpv6"),
        ("UserIdGroupPairs", "GroupId"),
        ("PrefixListIds", "PrefixListId"),
    )
    return [str(entry[name]) for kind, name in kinds for entry in permission.get(kind) or []]


class DataStores:
    def __init__(self, docdb: Any, elasticache: Any) -> None:
        self._docdb = docdb
        self._elasticache = elasticache

    def database(self, cluster: str) -> str | None:
        with aws_errors():
            try:
                found = self._docdb.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"]
            except ClientError as error:
                if code(error) in ("DBClusterNotFoundFault", "DBClusterNotFound"):
                    return None
                raise
        return str(found[0]["Status"]) if found else None

    def cache(self, group: str) -> str | None:
        with aws_errors():
            try:
                found = self._elasticache.describe_replication_groups(ReplicationGroupId=group)[
                    "ReplicationGroups"
                ]
            except ClientError as error:
                if code(error) in ("ReplicationGroupNotFoundFault", "ReplicationGroupNotFound"):
                    return None
                raise
        return str(found[0]["Status"]) if found else None
