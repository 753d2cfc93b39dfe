"""EC2 instances as running agents: their addresses, their metadata, and their start from launch templates."""

from __future__ import annotations

import base64
import datetime
import ipaddress
import logging
import threading
from typing import Any

from ministack.services import ec2, iam

from sandbox.compute.addresses import bindable, free_address
from sandbox.compute.agents import Agents
from sandbox.compute.instance_types import TYPES
from sandbox.compute.metadata import PORT
from sandbox.emulator.context import Context, replace, seam

log = logging.getLogger("sandbox.instances")
# How long credentials of an instance's role are said to be good; they are renewed when half of it is over.
CREDENTIAL_HOURS = 6
Record = dict[str, Any]


def install_addresses() -> None:
    """An instance's private address and zone come from its subnet (ministack invents both)."""
    launch = seam(ec2, "_launch_instances_internal")
    lock = threading.Lock()

    def launch_in_subnet(*arguments: Any, **options: Any) -> list[Record]:
        with lock:
            created: list[Record] = launch(*arguments, **options)
            for record in created:
                subnet = ec2._subnets.get(record["SubnetId"]) or {}
                cidr = subnet.get("CidrBlock")
                if not cidr:
                    continue
                if not options.get("requested_private_ip"):
                    taken = {
                        each["PrivateIpAddress"]
                        for each in ec2._instances.values()
                        if each is not record and each["State"]["Name"] not in ("terminated", "shutting-down")
                    }
                    address = free_address(cidr, taken)
                    while ipaddress.ip_address(address).is_loopback and not bindable(address, PORT):
                        taken.add(address)
                        address = free_address(cidr, taken)
                    record["PrivateIpAddress"] = address
                    dashed = record["PrivateIpAddress"].replace(".", "-")
                    record["PrivateDnsName"] = f"ip-{dashed}.{ec2.get_region()}.compute.internal"
                record["Placement"]["AvailabilityZone"] = (
                    subnet.get("AvailabilityZone") or record["Placement"]["AvailabilityZone"]
                )
        return created

    replace(ec2, "_launch_instances_internal", launch_in_subnet)


class Instances:
    """Keeps one agent for each running instance, and tells it its metadata."""

    def __init__(self, context: Context, agents: Agents) -> None:
        self._context, self.agents = context, agents
        self._refused: set[str] = set()
        self._lock = threading.Lock()

    def running(self) -> dict[str, Record]:
        return {key: each for key, each in list(ec2._instances.items()) if each["State"]["Name"] == "running"}

    def is_running(self, instance_id: str) -> bool:
        record = ec2._instances.get(instance_id)
        return record is not None and record["State"]["Name"] == "running"

    def reconcile(self) -> None:
        """Start agents for new instances, end those of instances that no longer run, pass on what changed."""
        with self._lock:
            running = self.running()
            for instance_id in self.agents.known():
                if instance_id not in running:
                    threading.Thread(target=self.agents.stop, args=(instance_id,), daemon=True).start()
            for instance_id, record in running.items():
                if not self._can_run(record):
                    continue
                self.agents.tell(instance_id, self.metadata(record))
                if instance_id in self.agents.known() and not self.agents.alive(instance_id):
                    log.warning("the agent of %s died: the instance counts as terminated", instance_id)
                    self.agents.stop(instance_id)
                    self._context.client("ec2").terminate_instances(InstanceIds=[instance_id])
                    continue
                self.agents.start(instance_id)

    def _can_run(self, record: Record) -> bool:
        address = ipaddress.ip_address(record["PrivateIpAddress"])
        if not address.is_loopback and record["InstanceId"] not in self._refused:
            self._refused.add(record["InstanceId"])
            log.warning(
                "instance %s has the address %s, which can't be bound on this machine: it stays a record. "
                "Give its subnet a CIDR of 127.0.0.0/8.",
                record["InstanceId"], address,
            )  # fmt: skip
        return address.is_loopback

    def tags(self, instance_id: str) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in ec2._tags.get(instance_id) or []}

    def metadata(self, record: Record) -> dict[str, Any]:
        """What the agent is told; credentials change every few hours, the rest when the API does."""
        instance_id = record["InstanceId"]
        options = record.get("MetadataOptions") or {}
        return {
            "account": self._context.settings.account,
            "region": self._context.settings.region,
            "availability_zone": record["Placement"]["AvailabilityZone"],
            "instance_id": instance_id,
            "instance_type": record["InstanceType"],
            "image_id": record["ImageId"],
            "private_ip": record["PrivateIpAddress"],
            "hostname": record["PrivateDnsName"],
            "user_data": _decoded(record.get("UserData") or ""),
            "tags": self.tags(instance_id),
            "tags_in_metadata": options.get("InstanceMetadataTags") == "enabled",
            "role": self._role(record),
        }

    def _role(self, record: Record) -> dict[str, str] | None:
        """A session of the instance profile's role: the instance's calls are judged by IAM."""
        profile = self.profile(record)
        roles = (profile or {}).get("Roles") or []
        if profile is None or not roles:
            return None
        name = roles[0] if isinstance(roles[0], str) else roles[0]["RoleName"]
        role = iam._roles.get(name)
        if role is None:
            return None
        credentials = self._context.role_credentials(role["Arn"], record["InstanceId"])
        hours = datetime.datetime.now(datetime.UTC).replace(minute=0, second=0, microsecond=0)
        began = hours - datetime.timedelta(hours=hours.hour % (CREDENTIAL_HOURS // 2))
        return {
            "name": name,
            "profile_arn": profile["Arn"],
            "access_key": credentials.access_key,
            "secret_key": credentials.secret_key,
            "token": credentials.token or "",
            "last_updated": began.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "expiration": (began + datetime.timedelta(hours=CREDENTIAL_HOURS)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def profile(self, record: Record) -> dict[str, Any] | None:
        arn = (record.get("IamInstanceProfile") or {}).get("Arn")
        found: dict[str, Any] | None = seam(iam, "_lookup_instance_profile")(arn=arn) if arn else None
        return found

    def launch(self, template: dict[str, Any], subnet: str | None, tags: dict[str, str]) -> Record:
        """Run one instance as a launch template says. Raises botocore's ClientError when it can't be."""
        client = self._context.client("ec2")
        data: dict[str, Any] = {}
        if template.get("LaunchTemplateId"):
            by = {"LaunchTemplateId": template["LaunchTemplateId"]}
            if not template["LaunchTemplateId"].startswith("lt-"):
                by = {"LaunchTemplateName": template["LaunchTemplateId"]}
            versions = client.describe_launch_template_versions(
                **by, Versions=[str(template.get("Version") or "$Default")]
            )
            data = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]
        if data.get("InstanceType") not in TYPES:
            log.warning(
                "instance type %r is not in the table of types: no usage in percent", data.get("InstanceType")
            )
        options = {
            key: data[key]
            for key in (
                "ImageId",
                "InstanceType",
                "UserData",
                "SecurityGroupIds",
                "KeyName",
                "IamInstanceProfile",
            )
            if data.get(key)
        }
        if "UserData" in options:  # base64 in the template, and botocore encodes it for RunInstances
            options["UserData"] = _decoded(options["UserData"])
        interface = (data.get("NetworkInterfaces") or [{}])[0]
        if interface.get("Groups"):
            options["SecurityGroupIds"] = interface["Groups"]
        given = {
            tag["Key"]: tag["Value"]
            for spec in data.get("TagSpecifications") or []
            if spec.get("ResourceType") == "instance"
            for tag in spec.get("Tags") or []
        }
        specification = [{"Key": key, "Value": value} for key, value in {**given, **tags}.items()]
        made = client.run_instances(
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": specification}],
            **({"SubnetId": subnet} if subnet else {}),
            **options,
        )["Instances"][0]
        record: Record = ec2._instances[made["InstanceId"]]
        record["MetadataOptions"] = dict(data.get("MetadataOptions") or {})
        self._shape_volume(record, data)
        return record

    def _shape_volume(self, record: Record, data: dict[str, Any]) -> None:
        """The root volume is as large as the template says, and encrypted if it says so.

        https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_EbsBlockDevice.html
        """
        for mapping in data.get("BlockDeviceMappings") or []:
            disk = mapping.get("Ebs") or {}
            for device in record["BlockDeviceMappings"][:1]:
                volume = ec2._volumes[device["Ebs"]["VolumeId"]]
                if disk.get("VolumeSize"):
                    volume["Size"] = int(disk["VolumeSize"])
                volume["Encrypted"] = str(disk.get("Encrypted", "false")).lower() == "true"

    def volume_bytes(self, record: Record) -> int:
        """The size of the root volume."""
        volume = ec2._volumes.get(record["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]) or {}
        return int(volume.get("Size") or 0) << 30


def _decoded(user_data: str) -> str:
    try:
        return base64.b64decode(user_data, validate=True).decode()
    except ValueError:
        return user_data
