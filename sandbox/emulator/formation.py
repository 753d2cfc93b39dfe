"""CloudFormation: the resource types that a deployment needs and ministack lacks, and the service role.

Each type is made through the service's own API. A type that is neither here nor in ministack stays an error.
The service role of a stack has to exist and to trust CloudFormation; the resource handlers act as root, and
formation_role judges its policies.
Types and what Ref and Fn::GetAtt give:
https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-template-resource-type-ref.html
"""

from __future__ import annotations

import base64
import json
import re
import urllib.parse
import uuid
from collections.abc import Callable
from typing import Any

from ministack.services import iam
from ministack.services.cloudformation import handlers, helpers, provisioners

from sandbox.emulator.context import Context, Properties, Provisioned, replace, seam
from sandbox.emulator.trust import distrusted


def install(context: Context) -> None:
    network = Network(context)
    context.add_resource("AWS::EC2::EIP", network.create_address, delete=network.delete_address)
    context.add_resource("AWS::EC2::NatGateway", network.create_nat, delete=network.delete_nat)
    context.add_resource("AWS::EC2::FlowLog", network.create_flow_log, delete=network.delete_flow_log)
    context.add_resource("AWS::EC2::Instance", network.create_instance, delete=network.delete_instance)
    for direction in ("ingress", "egress"):
        rule = SecurityGroupRule(context, direction)
        name = f"AWS::EC2::SecurityGroup{direction.capitalize()}"
        context.add_resource(name, rule.create, delete=rule.delete)
    operations = Operations(context)
    context.add_resource(
        "AWS::CloudWatch::CompositeAlarm",
        operations.create_alarm,
        operations.update_alarm,
        operations.delete_alarm,
    )
    context.add_resource(
        "AWS::SSM::Document",
        operations.create_document,
        operations.update_document,
        operations.delete_document,
    )
    context.add_resource(
        "AWS::WAFv2::WebACLAssociation",
        operations.associate_firewall,
        delete=operations.disassociate_firewall,
    )
    _install_vpc_attributes()
    _install_service_role()
    _install_template_addresses()


def _chosen(properties: Properties, *names: str) -> Properties:
    return {name: properties[name] for name in names if name in properties}


def _numbers(properties: Properties, *names: str) -> Properties:
    """Numbers, which a template may carry as texts."""
    return {name: int(properties[name]) for name in names if name in properties}


def _tags(kind: str, properties: Properties) -> Properties:
    tags = [{"Key": tag["Key"], "Value": str(tag["Value"])} for tag in properties.get("Tags") or []]
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": tags}]} if tags else {}


class Network:
    """Addresses, NAT gateways, flow logs and single instances."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @property
    def _ec2(self) -> Any:
        return self._context.client("ec2")

    def create_address(self, _logical_id: str, properties: Properties, _stack: str) -> Provisioned:
        made = self._ec2.allocate_address(Domain="vpc", **_tags("elastic-ip", properties))
        return made["PublicIp"], {"AllocationId": made["AllocationId"], "PublicIp": made["PublicIp"]}

    def delete_address(self, public_ip: str, _properties: Properties) -> None:
        for address in self._ec2.describe_addresses(PublicIps=[public_ip])["Addresses"]:
            self._ec2.release_address(AllocationId=address["AllocationId"])

    def create_nat(self, _logical_id: str, properties: Properties, _stack: str) -> Provisioned:
        made = self._ec2.create_nat_gateway(
            **_chosen(properties, "SubnetId", "AllocationId", "ConnectivityType"),
            **_tags("natgateway", properties),
        )
        gateway = made["NatGateway"]["NatGatewayId"]
        return gateway, {"NatGatewayId": gateway}

    def delete_nat(self, gateway: str, _properties: Properties) -> None:
        self._ec2.delete_nat_gateway(NatGatewayId=gateway)

    def create_flow_log(self, _logical_id: str, properties: Properties, _stack: str) -> Provisioned:
        names = ("ResourceType", "TrafficType", "LogGroupName", "DeliverLogsPermissionArn", "LogFormat")
        made = self._ec2.create_flow_logs(
            ResourceIds=[properties["ResourceId"]],
            **_chosen(properties, *names, "LogDestinationType", "LogDestination"),
            **_numbers(properties, "MaxAggregationInterval"),
            **_tags("vpc-flow-log", properties),
        )
        if made.get("Unsuccessful"):
            raise ValueError(made["Unsuccessful"][0]["Error"]["Message"])
        return made["FlowLogIds"][0], {"Id": made["FlowLogIds"][0]}

    def delete_flow_log(self, flow_log: str, _properties: Properties) -> None:
        self._ec2.delete_flow_logs(FlowLogIds=[flow_log])

    def create_instance(self, _logical_id: str, properties: Properties, _stack: str) -> Provisioned:
        names = ("ImageId", "InstanceType", "SubnetId", "KeyName", "UserData", "SecurityGroupIds")
        asked = _chosen(properties, *names, "PrivateIpAddress", "LaunchTemplate")
        if "UserData" in asked:
            # A template carries it in base64, and botocore encodes what it is given.
            asked["UserData"] = base64.b64decode(asked["UserData"]).decode()
        if profile := properties.get("IamInstanceProfile"):
            asked["IamInstanceProfile"] = {"Name": profile}
        made = self._ec2.run_instances(MinCount=1, MaxCount=1, **asked, **_tags("instance", properties))
        instance = made["Instances"][0]
        return instance["InstanceId"], {
            "AvailabilityZone": instance.get("Placement", {}).get("AvailabilityZone", ""),
            "InstanceId": instance["InstanceId"],
            "PrivateDnsName": instance.get("PrivateDnsName", ""),
            "PrivateIp": instance.get("PrivateIpAddress", ""),
            "PublicIp": instance.get("PublicIpAddress", ""),
            "VpcId": instance.get("VpcId", ""),
        }

    def delete_instance(self, instance: str, _properties: Properties) -> None:
        self._ec2.terminate_instances(InstanceIds=[instance])


class SecurityGroupRule:
    """A rule of a security group that is a resource of its own."""

    def __init__(self, context: Context, direction: str) -> None:
        self._context = context
        self._direction = direction
        self._other = "SourceSecurityGroupId" if direction == "ingress" else "DestinationSecurityGroupId"

    def _call(self, verb: str, properties: Properties) -> None:
        described = _chosen(properties, "Description")
        permission: Properties = {
            "IpProtocol": str(properties["IpProtocol"]),
            **_numbers(properties, "FromPort", "ToPort"),
        }
        if "CidrIp" in properties:
            permission["IpRanges"] = [{"CidrIp": properties["CidrIp"], **described}]
        elif "CidrIpv6" in properties:
            permission["Ipv6Ranges"] = [{"CidrIpv6": properties["CidrIpv6"], **described}]
        else:
            permission["UserIdGroupPairs"] = [{"GroupId": properties[self._other], **described}]
        call = getattr(self._context.client("ec2"), f"{verb}_security_group_{self._direction}")
        call(GroupId=properties["GroupId"], IpPermissions=[permission])

    def create(self, _logical_id: str, properties: Properties, _stack: str) -> Provisioned:
        self._call("authorize", properties)
        rule = f"sgr-{uuid.uuid4().hex[:17]}"
        return rule, {"Id": rule}

    def delete(self, _rule: str, properties: Properties) -> None:
        self._call("revoke", properties)


class Operations:
    """Composite alarms, Systems Manager documents and the web firewall's associations."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def _put_alarm(self, name: str, properties: Properties) -> Provisioned:
        actions = ("AlarmActions", "OKActions", "InsufficientDataActions", "ActionsSuppressor")
        self._context.client("cloudwatch").put_composite_alarm(
            AlarmName=name,
            **_chosen(properties, "AlarmRule", "AlarmDescription", "ActionsEnabled", "Tags", *actions),
            **_numbers(properties, "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod"),
        )
        return name, {"Arn": self._context.arn("cloudwatch", f"alarm:{name}")}

    def create_alarm(self, logical_id: str, properties: Properties, stack: str) -> Provisioned:
        return self._put_alarm(_name(properties, "AlarmName", stack, logical_id), properties)

    def update_alarm(self, name: str, _old: Properties, new: Properties, _stack: str) -> Provisioned:
        return self._put_alarm(name, new)

    def delete_alarm(self, name: str, _properties: Properties) -> None:
        self._context.client("cloudwatch").delete_alarms(AlarmNames=[name])

    def create_document(self, logical_id: str, properties: Properties, stack: str) -> Provisioned:
        name = _name(properties, "Name", stack, logical_id)
        self._context.client("ssm").create_document(
            Name=name,
            Content=_text(properties["Content"]),
            DocumentType=properties.get("DocumentType", "Command"),
            DocumentFormat=_format(properties),
            **_chosen(properties, "TargetType", "VersionName", "Tags"),
        )
        return name, {}

    def update_document(self, name: str, old: Properties, new: Properties, _stack: str) -> Provisioned:
        if old.get("Content") != new["Content"]:
            client = self._context.client("ssm")
            changed = client.update_document(
                Name=name,
                Content=_text(new["Content"]),
                DocumentVersion="$LATEST",
                DocumentFormat=_format(new),
            )
            version = changed["DocumentDescription"]["DocumentVersion"]
            client.update_document_default_version(Name=name, DocumentVersion=version)
        return name, {}

    def delete_document(self, name: str, _properties: Properties) -> None:
        self._context.client("ssm").delete_document(Name=name)

    def associate_firewall(self, _logical_id: str, properties: Properties, _stack: str) -> Provisioned:
        chosen = _chosen(properties, "WebACLArn", "ResourceArn")
        self._context.client("wafv2").associate_web_acl(**chosen)
        return f"{chosen['WebACLArn']}|{chosen['ResourceArn']}", {}

    def disassociate_firewall(self, _association: str, properties: Properties) -> None:
        self._context.client("wafv2").disassociate_web_acl(ResourceArn=properties["ResourceArn"])


def _name(properties: Properties, key: str, stack: str, logical_id: str) -> str:
    return str(properties.get(key) or provisioners._physical_name(stack, logical_id))


def _text(content: Any) -> str:
    return content if isinstance(content, str) else json.dumps(content)


def _format(properties: Properties) -> str:
    return str(properties.get("DocumentFormat", "JSON")) if isinstance(properties["Content"], str) else "JSON"


def _install_vpc_attributes() -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ec2-vpc.html"""
    vpc = seam(provisioners, "_RESOURCE_HANDLERS")["AWS::EC2::VPC"]
    create = vpc["create"]

    def create_with_attributes(logical_id: str, properties: Properties, stack: str) -> Provisioned:
        vpc_id, attributes = create(logical_id, properties, stack)
        given: Properties = {
            "CidrBlock": properties.get("CidrBlock"),
            "CidrBlockAssociations": [],
            "Ipv6CidrBlocks": [],
        }
        return vpc_id, {**given, **attributes}

    vpc["create"] = create_with_attributes


def _install_service_role() -> None:
    """https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-iam-servicerole.html"""
    table = seam(handlers, "_ACTION_HANDLERS")

    def with_role(call: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
        def checked(parameters: dict[str, Any]) -> Any:
            role = helpers._p(parameters, "RoleARN")
            if role and (
                role.rsplit("/", 1)[-1] not in iam._roles or distrusted(role, "cloudformation.amazonaws.com")
            ):
                return helpers._error("ValidationError", f"Role {role} is invalid or cannot be assumed")
            return call(parameters)

        return checked

    for action in ("CreateStack", "UpdateStack", "DeleteStack", "CreateChangeSet"):
        table[action] = with_role(table[action])


def template_place(url: str) -> tuple[str, str]:
    """The bucket and the key of a template's URL, virtual-hosted or path-style; ("", "") for any other.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
    """
    address = urllib.parse.urlparse(url)
    path = urllib.parse.unquote(address.path).lstrip("/")
    hosted = re.fullmatch(r"(.+)\.s3[.-][^/]*amazonaws\.com(\.cn)?", address.hostname or "")
    bucket, _, key = (f"{hosted[1]}/{path}" if hosted else path).partition("/")
    return (bucket, key) if key else ("", "")


def _install_template_addresses() -> None:
    """ministack reads path-style addresses; CloudFormation reads both styles."""
    resolve = seam(helpers, "_resolve_document")

    def resolve_any(parameters: dict[str, Any], body_key: str, url_key: str, label: str) -> Any:
        bucket, key = template_place(helpers._p(parameters, url_key) or "")
        if bucket:
            place = f"https://s3.amazonaws.com/{bucket}/{key}"
            parameters = {**parameters, url_key: [place]}
        return resolve(parameters, body_key, url_key, label)

    replace(helpers, "_resolve_document", resolve_any)
