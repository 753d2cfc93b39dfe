"""Who may talk to whom (requirement B2): a security group per tier; from anywhere only to the front door.

Rules between two groups are resources of their own, because each of the two would else have to exist first.
"""

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from config.model import Configuration
from stacks.constructs.policy import acknowledge
from stacks.environment.network import ANYWHERE, Network
from stacks.naming import Names

DATABASE_PORT = 27017
REDIS_PORT = 6379
HTTP, HTTPS = 80, 443
#: What the monitoring host asks for on every machine, itself included (B2). The managed stores are none of
#: ours: CloudWatch tells of them.
MONITORING_PORTS = {"Prometheus": 9090, "Grafana": 3000, "NodeExporter": 9100}
#: Where Logstash takes the logs that Filebeat sends.
BEATS_PORT = 5044


def security_groups(
    scope: Construct, names: Names, configuration: Configuration, network: Network
) -> dict[str, str]:
    """Make the groups and their rules; the groups' ids by their names, as in Backend."""
    here = Construct(scope, "Security")
    balancer = _front_door(here, names, configuration, network)
    outward = [_to(ANYWHERE, HTTPS, "AWS APIs, the registry and snaps")]
    # Ubuntu's mirrors speak HTTP alone; apt checks the signatures of what it gets.
    machine = [*outward, _to(ANYWHERE, HTTP, "Package mirrors of Ubuntu")]
    backend = _group(here, "Backend", names, network, "Instances of the backend", egress=machine)
    frontend = _group(here, "Frontend", names, network, "Instances of the frontend", egress=machine)
    monitoring = _group(here, "Monitoring", names, network, "The monitoring host", egress=machine)
    listeners = {configuration.backend.listener_port, configuration.backend.test_listener_port}
    functions = _group(
        here,
        "Functions",
        names,
        network,
        "The functions that check the environment",
        egress=[
            *outward,
            *(
                _to(ANYWHERE, port, "The load balancer, by its public name")
                for port in sorted(listeners - {HTTPS})
            ),
        ],
    )
    scan = _group(
        here,
        "Scan",
        names,
        network,
        "The builds that scan the service",
        egress=[*outward, _to(ANYWHERE, configuration.backend.test_listener_port, "The test listener")],
    )
    database = _group(here, "Database", names, network, "DocumentDB")
    cache = _group(here, "Cache", names, network, "Redis")

    ports = configuration.backend.ports
    pages = configuration.frontend.ports
    _between(here, "BalancerToBackend", balancer, backend, (ports[0], ports[-1]))
    _between(here, "BalancerToFrontend", balancer, frontend, (pages[0], pages[-1]))
    if HTTPS not in pages:
        # For a frontend that ends TLS itself.
        _between(here, "BalancerToFrontendTls", balancer, frontend, (HTTPS, HTTPS))
    _between(here, "FrontendToBackend", frontend, backend, (ports[0], ports[0]))
    _between(here, "BackendToDatabase", backend, database, (DATABASE_PORT, DATABASE_PORT))
    _between(here, "FunctionsToDatabase", functions, database, (DATABASE_PORT, DATABASE_PORT))
    _between(here, "BackendToCache", backend, cache, (REDIS_PORT, REDIS_PORT))
    for watched in (backend, frontend, monitoring):
        for name, port in MONITORING_PORTS.items():
            _between(here, f"MonitoringTo{watched.node.id}{name}", monitoring, watched, (port, port))
    # The probe asks Prometheus whether it sees a release.
    prometheus = MONITORING_PORTS["Prometheus"]
    _between(here, "FunctionsToPrometheus", functions, monitoring, (prometheus, prometheus))
    # The containers' own metrics; the ports above are the machines'.
    _between(here, "MonitoringToBackend", monitoring, backend, (ports[0], ports[-1]))
    for watched in (backend, frontend):
        _between(here, f"{watched.node.id}ToLogs", watched, monitoring, (BEATS_PORT, BEATS_PORT))
    groups = (balancer, backend, frontend, database, cache, functions, scan, monitoring)
    return {group.node.id: group.attr_group_id for group in groups}


def _front_door(
    scope: Construct, names: Names, configuration: Configuration, network: Network
) -> ec2.CfnSecurityGroup:
    backend = configuration.backend
    balancer = _group(
        scope,
        "Balancer",
        names,
        network,
        "The load balancer",
        ingress=[
            _from(ANYWHERE, backend.listener_port, "HTTPS from anywhere"),
            # Functions reach the balancer by its public name, so that they arrive through the NAT gateways.
            *(
                _from(
                    cdk.Fn.join("", [address, "/32"]), backend.test_listener_port, "Tests of the idle colour"
                )
                for address in network.egress_addresses
            ),
            _from(network.cidr, backend.test_listener_port, "Tests of the idle colour, from the network"),
        ],
    )
    acknowledge(balancer, "AwsSolutions-EC23", "The front door: HTTPS is served to everybody")
    return balancer


def _group(
    scope: Construct,
    id: str,
    names: Names,
    network: Network,
    description: str,
    *,
    ingress: list[ec2.CfnSecurityGroup.IngressProperty] | None = None,
    egress: list[ec2.CfnSecurityGroup.EgressProperty] | None = None,
) -> ec2.CfnSecurityGroup:
    return ec2.CfnSecurityGroup(
        scope,
        id,
        group_name=names.named(id.lower()),
        group_description=f"{description} in {names.environment}",
        vpc_id=network.vpc,
        security_group_ingress=ingress,
        # Without any egress rule EC2 would add one to everywhere; this one leads nowhere, as CDK's own does.
        security_group_egress=egress
        or [
            ec2.CfnSecurityGroup.EgressProperty(
                cidr_ip="255.255.255.255/32",
                ip_protocol="icmp",
                from_port=252,
                to_port=86,
                description="Nothing leaves from here",
            )
        ],
        tags=[
            cdk.CfnTag(key="Name", value=names.named(id.lower())),
            # The drift function may close rules of groups with this tag, and of no others.
            cdk.CfnTag(key="cutover-environment", value=names.environment),
        ],
    )


def _from(cidr: str, port: int, description: str) -> ec2.CfnSecurityGroup.IngressProperty:
    return ec2.CfnSecurityGroup.IngressProperty(
        cidr_ip=cidr, ip_protocol="tcp", from_port=port, to_port=port, description=description
    )


def _to(cidr: str, port: int, description: str) -> ec2.CfnSecurityGroup.EgressProperty:
    return ec2.CfnSecurityGroup.EgressProperty(
        cidr_ip=cidr, ip_protocol="tcp", from_port=port, to_port=port, description=description
    )


def _between(
    scope: Construct,
    id: str,
    source: ec2.CfnSecurityGroup,
    target: ec2.CfnSecurityGroup,
    ports: tuple[int, int],
) -> None:
    first, last = ports
    ec2.CfnSecurityGroupEgress(
        scope,
        f"{id}Out",
        group_id=source.attr_group_id,
        destination_security_group_id=target.attr_group_id,
        ip_protocol="tcp",
        from_port=first,
        to_port=last,
        description=id,
    )
    ec2.CfnSecurityGroupIngress(
        scope,
        f"{id}In",
        group_id=target.attr_group_id,
        source_security_group_id=source.attr_group_id,
        ip_protocol="tcp",
        from_port=first,
        to_port=last,
        description=id,
    )
