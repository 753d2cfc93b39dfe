"""The network (requirement B1): one VPC, a public and a private subnet per zone, one NAT gateway per zone."""

from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from config.model import Configuration
from stacks.constructs.function import log_group
from stacks.constructs.policy import Statement, role
from stacks.naming import Names

ANYWHERE = "0.0.0.0/0"


@dataclass(frozen=True)
class Network:
    """Ids of what was made; `egress_addresses` are the public addresses that private subnets come from."""

    vpc: str
    cidr: str
    public_subnets: list[str]
    private_subnets: list[str]
    egress_addresses: list[str]


def network(scope: Construct, names: Names, configuration: Configuration) -> Network:
    """Make the network in the zones the configuration gives, so that no account is looked up."""
    here = Construct(scope, "Network")
    shape = configuration.network
    vpc = ec2.CfnVPC(
        here,
        "Vpc",
        cidr_block=shape.cidr,
        enable_dns_support=True,
        enable_dns_hostnames=True,
        tags=[_name(names.prefix)],
    )
    gateway = ec2.CfnInternetGateway(here, "Internet", tags=[_name(names.prefix)])
    attachment = ec2.CfnVPCGatewayAttachment(
        here, "InternetAttachment", vpc_id=vpc.ref, internet_gateway_id=gateway.ref
    )
    public: list[str] = []
    private: list[str] = []
    addresses: list[str] = []
    for index, zone in enumerate(configuration.availability_zones):
        part = Construct(here, f"Zone{index + 1}")
        subnet, table = _subnet(
            part, "Public", names, vpc=vpc.ref, zone=zone, cidr=shape.public_subnets[index]
        )
        route = ec2.CfnRoute(
            part,
            "PublicRoute",
            route_table_id=table.ref,
            destination_cidr_block=ANYWHERE,
            gateway_id=gateway.ref,
        )
        route.add_resource_dependency(attachment)
        public.append(subnet.ref)
        inner, inner_table = _subnet(
            part, "Private", names, vpc=vpc.ref, zone=zone, cidr=shape.private_subnets[index]
        )
        private.append(inner.ref)
        if shape.nat_gateways:
            address = ec2.CfnEIP(part, "Address", domain="vpc", tags=[_name(names.prefix)])
            address.add_resource_dependency(attachment)
            nat = ec2.CfnNatGateway(
                part,
                "Nat",
                subnet_id=subnet.ref,
                allocation_id=address.attr_allocation_id,
                tags=[_name(names.prefix)],
            )
            ec2.CfnRoute(
                part,
                "PrivateRoute",
                route_table_id=inner_table.ref,
                destination_cidr_block=ANYWHERE,
                nat_gateway_id=nat.ref,
            )
            addresses.append(address.ref)
    _flow_log(here, names, vpc.ref)
    return Network(vpc.ref, shape.cidr, public, private, addresses)


def _subnet(
    scope: Construct, kind: str, names: Names, *, vpc: str, zone: str, cidr: str
) -> tuple[ec2.CfnSubnet, ec2.CfnRouteTable]:
    subnet = ec2.CfnSubnet(
        scope,
        f"{kind}Subnet",
        vpc_id=vpc,
        cidr_block=cidr,
        availability_zone=zone,
        # Only the load balancer and the NAT gateways stand in public subnets, and they bring their addresses.
        map_public_ip_on_launch=False,
        tags=[_name(f"{names.prefix}-{kind.lower()}-{zone}")],
    )
    table = ec2.CfnRouteTable(
        scope, f"{kind}Routes", vpc_id=vpc, tags=[_name(f"{names.prefix}-{kind.lower()}-{zone}")]
    )
    ec2.CfnSubnetRouteTableAssociation(
        scope, f"{kind}Association", subnet_id=subnet.ref, route_table_id=table.ref
    )
    return subnet, table


def _flow_log(scope: Construct, names: Names, vpc: str) -> None:
    here = Construct(scope, "FlowLog")
    name = f"/cutover/{names.environment}/flow-logs"
    group = log_group(here, name)
    its_role = role(
        here,
        names,
        "flow-logs",
        service="vpc-flow-logs.amazonaws.com",
        purpose="Writes the network's flow log",
        statements=[
            Statement(
                ["logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams"],
                [names.arn("logs", f"log-group:{name}:*")],
            )
        ],
    )
    flow = ec2.CfnFlowLog(
        here,
        "Rejected",
        resource_id=vpc,
        resource_type="VPC",
        # What was refused is what a hardening review asks for; what was let through is in the access logs.
        traffic_type="REJECT",
        log_destination_type="cloud-watch-logs",
        log_group_name=name,
        deliver_logs_permission_arn=its_role.attr_arn,
    )
    flow.add_resource_dependency(group)


def _name(value: str) -> cdk.CfnTag:
    return cdk.CfnTag(key="Name", value=value)
