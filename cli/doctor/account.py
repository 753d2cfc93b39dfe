"""What the doctor asks of AWS: read-only calls, each of which may be refused without hiding the others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)

from cli.doctor.findings import (
    Finding,
    Quota,
    State,
    judge_account,
    judge_bootstrap,
    judge_installed,
    judge_quota,
    missing,
    sound,
    unknown,
)
from cli.session import WAYS_IN
from config.model import Configuration
from cutover.adapters.offers import AwsOffers
from cutover.domain.errors import CutoverError
from cutover.domain.preflight import Problem, unfit_certificate, unfit_class, unfit_type, unfit_zone

#: A person waits, and an answer that does not come is an answer, too.
_CONFIG = Config(retries={"total_max_attempts": 2, "mode": "standard"}, connect_timeout=3, read_timeout=15)
BOOTSTRAP = "/cdk-bootstrap/hnb659fds/version"
#: Of Service Quotas, service ec2. https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
VCPUS, ADDRESSES = "L-1216C47A", "L-0263D0A3"
#: Service vpc. https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
VPCS = "L-F678F1CE"


class Account:
    """The account that the configuration names, as the caller may see it."""

    def __init__(self, configuration: Configuration, session: boto3.Session | None = None) -> None:
        self._wanted = configuration
        self._session = session or boto3.Session(region_name=configuration.region)
        self._offers = AwsOffers(self._client)

    def examine(self) -> Iterator[Finding]:
        """Without credentials there is one finding, and nothing else is asked."""
        caller = _looked_at("Credentials", self._caller)
        yield caller
        if caller.state is not State.SOUND:
            return
        wanted = self._wanted
        yield _looked_at("Account", self._account)
        yield _looked_at("CDK bootstrap", self._bootstrap)
        yield _looked_at("Control plane", self._installed)
        for tier, table in (
            ("backend", wanted.backend),
            ("frontend", wanted.frontend),
            ("monitoring", wanted.monitoring),
        ):
            field, kind = f"{tier}.instance_type", table.instance_type
            yield _looked_at(field, lambda field=field, kind=kind: self._type(field, kind))  # type: ignore[misc]
        yield _looked_at("database.instance_class", self._class)
        yield _looked_at("Certificate", self._certificate)
        yield _looked_at("Hosted zone", self._zone)
        standing = self._stands()
        yield _looked_at("Quota: vCPUs", lambda: self._vcpus(standing))
        yield _looked_at("Quota: elastic addresses", lambda: self._addresses(standing))
        yield _looked_at("Quota: VPCs", lambda: self._vpcs(standing))

    def _client(self, service: str) -> Any:
        return self._session.client(service, config=_CONFIG)  # type: ignore[call-overload]

    def _caller(self) -> Finding:
        try:
            return sound("Credentials", str(self._client("sts").get_caller_identity()["Arn"]))
        except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
            return missing("Credentials", str(error), WAYS_IN)

    def _account(self) -> Finding:
        found = str(self._client("sts").get_caller_identity()["Account"])
        return judge_account(found, self._wanted.account, self._wanted.environment)

    def _parameter(self, name: str) -> str | None:
        try:
            return str(self._client("ssm").get_parameter(Name=name)["Parameter"]["Value"])
        except ClientError as error:
            if error.response["Error"]["Code"] == "ParameterNotFound":
                return None
            raise

    def _bootstrap(self) -> Finding:
        return judge_bootstrap(self._parameter(BOOTSTRAP), self._wanted.account, self._wanted.region)

    def _installed(self) -> Finding:
        environment = self._wanted.environment
        text = self._parameter(f"/cutover/{environment}/configuration")
        wanted = json.loads(json.dumps(self._wanted.for_lambdas()))
        return judge_installed(json.loads(text) if text else None, wanted, environment)

    def _type(self, field: str, kind: str) -> Finding:
        offered = self._offers.zones_of_type(kind)
        known = [] if offered else self._offers.types()
        problem = unfit_type(field, kind, self._wanted.availability_zones, offered, known)
        return _told(field, kind, problem)

    def _class(self) -> Finding:
        kind, field = self._wanted.database.instance_class, "database.instance_class"
        offered = self._offers.zones_of_class(kind)
        return _told(field, kind, unfit_class(field, kind, self._wanted.availability_zones, offered))

    @property
    def _domains(self) -> list[str]:
        return [self._wanted.backend.domain, self._wanted.frontend.domain]

    def _certificate(self) -> Finding:
        arn, zone = self._wanted.backend.certificate_arn, self._wanted.backend.hosted_zone_id
        if arn is not None:
            found = self._offers.certificate(arn)
            return _told("Certificate", arn, unfit_certificate(arn, found, self._domains))
        if zone is not None:
            return sound("Certificate", f"made by the first deployment, validated by zone {zone}")
        return missing(
            "Certificate",
            "neither backend.certificate_arn nor backend.hosted_zone_id is set",
            "set one of them; else the first deployment waits until somebody adds the DNS records it tells",
        )

    def _zone(self) -> Finding:
        zone = self._wanted.backend.hosted_zone_id
        if zone is None:
            return sound("Hosted zone", "none is configured: the names' DNS records are yours to make")
        found = self._offers.hosted_zone(zone)
        return _told("Hosted zone", zone, unfit_zone(zone, found, self._domains))

    def _stands(self) -> bool:
        """Whether the environment's network is there already, so that it needs nothing more."""
        try:
            name = f"cutover-{self._wanted.environment}-network"
            found = self._client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
        except (ClientError, BotoCoreError):
            return False
        return bool(found["StackStatus"] != "REVIEW_IN_PROGRESS")

    def _vcpus(self, standing: bool) -> Finding:
        wanted = self._wanted
        counts = (
            (wanted.backend.instance_type, 2 * wanted.backend.instances_per_colour),
            (wanted.frontend.instance_type, 2 * wanted.frontend.instances_per_colour),
            (wanted.monitoring.instance_type, 1),
        )
        ec2 = self._client("ec2")
        sizes = {
            each["InstanceType"]: each["VCpuInfo"]["DefaultVCpus"]
            for each in ec2.describe_instance_types(InstanceTypes=sorted({kind for kind, _ in counts}))[
                "InstanceTypes"
            ]
        }
        running = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
        pages = ec2.get_paginator("describe_instances").paginate(Filters=running)
        used = sum(
            each["CpuOptions"]["CoreCount"] * each["CpuOptions"]["ThreadsPerCore"]
            for page in pages
            for reservation in page["Reservations"]
            for each in reservation["Instances"]
        )
        needed = 0 if standing else sum(sizes[kind] * count for kind, count in counts)
        return judge_quota(Quota("vCPUs", "ec2", VCPUS, self._quota("ec2", VCPUS), used, needed))

    def _addresses(self, standing: bool) -> Finding:
        needs = len(self._wanted.availability_zones) if self._wanted.network.nat_gateways else 0
        used = len(self._client("ec2").describe_addresses()["Addresses"])
        allowed = self._quota("ec2", ADDRESSES)
        return judge_quota(
            Quota("elastic addresses", "ec2", ADDRESSES, allowed, used, 0 if standing else needs)
        )

    def _vpcs(self, standing: bool) -> Finding:
        pages = self._client("ec2").get_paginator("describe_vpcs").paginate()
        used = sum(len(page["Vpcs"]) for page in pages)
        return judge_quota(Quota("VPCs", "vpc", VPCS, self._quota("vpc", VPCS), used, 0 if standing else 1))

    def _quota(self, service: str, code: str) -> float:
        """What holds for this account; the default where nothing was ever asked for.

        https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html
        """
        quotas = self._client("service-quotas")
        try:
            found = quotas.get_service_quota(ServiceCode=service, QuotaCode=code)
        except quotas.exceptions.NoSuchResourceException:
            found = quotas.get_aws_default_service_quota(ServiceCode=service, QuotaCode=code)
        return float(found["Quota"]["Value"])


def _told(name: str, value: str, problem: Problem | None) -> Finding:
    if problem is None:
        return sound(name, value)
    what, _, way_out = problem.what.partition("; ")
    return missing(name, f"{value}: {what}", way_out or f"correct {problem.field}")


def _looked_at(name: str, look: Callable[[], Finding]) -> Finding:
    """A look that fails tells why, and leaves the others theirs."""
    try:
        return look()
    except ClientError as error:
        told = error.response["Error"]
        message = f"{told['Code']}: {told.get('Message') or error.operation_name}"
        return unknown(name, message, f"look with an identity that may call {error.operation_name}")
    except (BotoCoreError, CutoverError, KeyError) as error:
        return unknown(name, f"{type(error).__name__}: {error}")
