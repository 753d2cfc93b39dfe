"""What the live API says of one resource, in the same few facts that the template's declaration gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from cutover.adapters.aws import aws_errors, code
from cutover.adapters.doors import rules_of
from cutover.domain.declared import Declared, hosts, names, number, rule_facts, yes

Facts = Mapping[str, str]
NOWHERE = ("NotFound", "NoSuch", "DoesNotExist", "does not exist")


class LiveResources:
    """`client` makes the client of a service when a resource of it is first asked for."""

    def __init__(self, client: Callable[[str], Any]) -> None:
        self._client = client
        self._clients: dict[str, Any] = {}

    def look(self, declared: Declared) -> Facts | None:
        """None when there is no such resource. KeyError for a type that this table does not know."""
        read = READERS[declared.type]
        with aws_errors():
            try:
                return read(self._of, declared)
            except ClientError as error:
                if any(word in code(error) or word in str(error) for word in NOWHERE):
                    return None
                raise
            except IndexError:  # an empty list instead of an error
                return None

    def _of(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._client(service)
        return self._clients[service]


Services = Callable[[str], Any]


def _vpc(of: Services, d: Declared) -> Facts:
    return {"cidr": of("ec2").describe_vpcs(VpcIds=[d.physical_id])["Vpcs"][0]["CidrBlock"]}


def _subnet(of: Services, d: Declared) -> Facts:
    found = of("ec2").describe_subnets(SubnetIds=[d.physical_id])["Subnets"][0]
    return {"cidr": found["CidrBlock"], "zone": found["AvailabilityZone"]}


def _nat(of: Services, d: Declared) -> Facts:
    found = of("ec2").describe_nat_gateways(NatGatewayIds=[d.physical_id])["NatGateways"][0]
    return {"subnet": found["SubnetId"], "state": found["State"]}


def _route(of: Services, d: Declared) -> Facts | None:
    table = of("ec2").describe_route_tables(RouteTableIds=[d.properties["RouteTableId"]])["RouteTables"][0]
    to = d.properties["DestinationCidrBlock"]
    found = next((route for route in table["Routes"] if route.get("DestinationCidrBlock") == to), None)
    if found is None:
        return None
    through = str(found.get("NatGatewayId") or found.get("GatewayId"))
    return {"to": to, "through": through, "state": found["State"]}


def _flow_log(of: Services, d: Declared) -> Facts:
    found = of("ec2").describe_flow_logs(FlowLogIds=[d.physical_id])["FlowLogs"][0]
    told = {"of": found["ResourceId"], "traffic": found["TrafficType"], "state": found["FlowLogStatus"]}
    # A log that can't be written to its group stays ACTIVE.
    # https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-troubleshooting.html
    return {**told, "state": "FAILED"} if found.get("DeliverLogsStatus") == "FAILED" else told


def _secret(of: Services, d: Declared) -> Facts:
    found = of("secretsmanager").describe_secret(SecretId=d.physical_id)
    stages = [stage for each in (found.get("VersionIdsToStages") or {}).values() for stage in each]
    value = "generated" if "AWSCURRENT" in stages else "none"
    if found.get("DeletedDate"):
        value = "being deleted"
    return {"name": found["Name"], "value": value, "rotated": yes(found.get("RotationEnabled"))}


def _group(of: Services, d: Declared) -> Facts:
    found = of("ec2").describe_security_groups(GroupIds=[d.physical_id])["SecurityGroups"][0]
    return rule_facts(rules_of(found))


def _template(of: Services, d: Declared) -> Facts:
    found = of("ec2").describe_launch_template_versions(LaunchTemplateId=d.physical_id, Versions=["$Latest"])[
        "LaunchTemplateVersions"
    ][0]
    return {"type": found["LaunchTemplateData"]["InstanceType"]}


def _scaling(of: Services, d: Declared) -> Facts:
    found = of("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[d.physical_id])
    group = found["AutoScalingGroups"][0]
    there = [i for i in group.get("Instances") or [] if i["LifecycleState"] == "InService"]
    return {"desired": number(group["DesiredCapacity"]), "in service": number(len(there))}


def _cluster(of: Services, d: Declared) -> Facts:
    found = of("docdb").describe_db_clusters(DBClusterIdentifier=d.physical_id)["DBClusters"][0]
    nodes, encrypted = str(len(found.get("DBClusterMembers") or [])), yes(found.get("StorageEncrypted"))
    return {"status": found["Status"], "nodes": nodes, "encrypted": encrypted}


def _node(of: Services, d: Declared) -> Facts:
    found = of("docdb").describe_db_instances(DBInstanceIdentifier=d.physical_id)["DBInstances"][0]
    return {"class": found["DBInstanceClass"], "status": found["DBInstanceStatus"]}


def _cache(of: Services, d: Declared) -> Facts:
    found = of("elasticache").describe_replication_groups(ReplicationGroupId=d.physical_id)
    group = found["ReplicationGroups"][0]
    return {
        "status": group["Status"],
        "nodes": str(len(group.get("MemberClusters") or [])),
        "TLS": yes(group.get("TransitEncryptionEnabled")),
        "encrypted": yes(group.get("AtRestEncryptionEnabled")),
    }


def _bucket(of: Services, d: Declared) -> Facts:
    try:
        found = of("s3").get_bucket_encryption(Bucket=d.physical_id)
    except ClientError as error:
        if code(error) == "ServerSideEncryptionConfigurationNotFoundError":
            return {"encryption": "none"}
        raise
    rule = found["ServerSideEncryptionConfiguration"]["Rules"][0]
    return {"encryption": rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]}


def _balancer(of: Services, d: Declared) -> Facts:
    found = of("elbv2").describe_load_balancers(LoadBalancerArns=[d.physical_id])["LoadBalancers"][0]
    zones = str(len(found["AvailabilityZones"]))
    return {"state": found["State"]["Code"], "scheme": found["Scheme"], "zones": zones}


def _listener(of: Services, d: Declared) -> Facts:
    found = of("elbv2").describe_listeners(ListenerArns=[d.physical_id])["Listeners"][0]
    return {
        "port": number(found["Port"]),
        "protocol": found["Protocol"],
        "TLS policy": str(found.get("SslPolicy") or None),
    }


def _rule(of: Services, d: Declared) -> Facts:
    found = of("elbv2").describe_rules(RuleArns=[d.physical_id])["Rules"][0]
    return {"priority": number(found["Priority"]), "hosts": hosts(found["Conditions"])}


def _target_group(of: Services, d: Declared) -> Facts:
    found = of("elbv2").describe_target_groups(TargetGroupArns=[d.physical_id])["TargetGroups"][0]
    check = (
        f"{found['HealthCheckPath']} every {found['HealthCheckIntervalSeconds']} s, "
        f"{found['HealthyThresholdCount']} up, {found['UnhealthyThresholdCount']} down"
    )
    return {"port": number(found["Port"]), "health check": check}


def _certificate(of: Services, d: Declared) -> Facts:
    found = of("acm").describe_certificate(CertificateArn=d.physical_id)["Certificate"]
    told = names(found["DomainName"], found.get("SubjectAlternativeNames"))
    return {"status": found["Status"], "names": told}


def _alarm(of: Services, d: Declared) -> Facts:
    found = of("cloudwatch").describe_alarms(AlarmNames=[d.physical_id])["MetricAlarms"][0]
    return {
        "threshold": number(found["Threshold"]),
        "periods": number(found["EvaluationPeriods"]),
        "missing data": found.get("TreatMissingData", "missing"),
    }


READERS: Mapping[str, Callable[[Services, Declared], Facts | None]] = {
    "AWS::EC2::VPC": _vpc,
    "AWS::EC2::Subnet": _subnet,
    "AWS::EC2::NatGateway": _nat,
    "AWS::EC2::Route": _route,
    "AWS::EC2::FlowLog": _flow_log,
    "AWS::EC2::SecurityGroup": _group,
    "AWS::EC2::LaunchTemplate": _template,
    "AWS::AutoScaling::AutoScalingGroup": _scaling,
    "AWS::DocDB::DBCluster": _cluster,
    "AWS::DocDB::DBInstance": _node,
    "AWS::ElastiCache::ReplicationGroup": _cache,
    "AWS::SecretsManager::Secret": _secret,
    "AWS::S3::Bucket": _bucket,
    "AWS::ElasticLoadBalancingV2::LoadBalancer": _balancer,
    "AWS::ElasticLoadBalancingV2::Listener": _listener,
    "AWS::ElasticLoadBalancingV2::ListenerRule": _rule,
    "AWS::ElasticLoadBalancingV2::TargetGroup": _target_group,
    "AWS::CertificateManager::Certificate": _certificate,
    "AWS::CloudWatch::Alarm": _alarm,
}
