"""What AWS offers in this region, and which names are taken: read-only calls, each of one page mostly."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from botocore.exceptions import ClientError

from cutover.adapters.aws import aws_errors, code
from cutover.domain.preflight import BucketState, Certificate, HostedZone


class AwsOffers:
    """`clients` makes a client by a service's name."""

    def __init__(self, clients: Any) -> None:
        self._clients = clients

    def zones_of_type(self, instance_type: str) -> Collection[str]:
        """https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstanceTypeOfferings.html"""
        found = self._offerings(
            "availability-zone", Filters=[{"Name": "instance-type", "Values": [instance_type]}]
        )
        return {each["Location"] for each in found}

    def types(self) -> Sequence[str]:
        return sorted(each["InstanceType"] for each in self._offerings("region"))

    def _offerings(self, location: str, **more: Any) -> list[dict[str, str]]:
        pages = self._clients("ec2").get_paginator("describe_instance_type_offerings")
        with aws_errors():
            found = pages.paginate(LocationType=location, **more)
            return [each for page in found for each in page["InstanceTypeOfferings"]]

    def zones_of_class(self, instance_class: str) -> Collection[str]:
        """https://docs.aws.amazon.com/documentdb/latest/developerguide/API_DescribeOrderableDBInstanceOptions.html"""
        pages = self._clients("docdb").get_paginator("describe_orderable_db_instance_options")
        with aws_errors():
            found = pages.paginate(Engine="docdb", DBInstanceClass=instance_class)
            return {
                zone["Name"]
                for page in found
                for option in page["OrderableDBInstanceOptions"]
                for zone in option.get("AvailabilityZones") or []
            }

    def bucket(self, name: str) -> BucketState:
        """404 is nobody's, 403 somebody else's, and 301 ours in another region.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html
        """
        with aws_errors():
            try:
                self._clients("s3").head_bucket(Bucket=name)
            except ClientError as error:
                match code(error):
                    case "404" | "NoSuchBucket":
                        return BucketState.FREE
                    case "403" | "AccessDenied":
                        return BucketState.TAKEN
                    case "301" | "PermanentRedirect":
                        return BucketState.OURS
                raise
        return BucketState.OURS

    def certificate(self, arn: str) -> Certificate | None:
        with aws_errors():
            try:
                found = self._clients("acm").describe_certificate(CertificateArn=arn)["Certificate"]
            except ClientError as error:
                # Another account's, or one whose ARN is no ARN.
                if code(error) in ("ResourceNotFoundException", "InvalidArnException", "ValidationException"):
                    return None
                raise
        names = [found["DomainName"], *(found.get("SubjectAlternativeNames") or [])]
        return Certificate(found["Status"], list(dict.fromkeys(names)))

    def hosted_zone(self, identifier: str) -> HostedZone | None:
        with aws_errors():
            try:
                found = self._clients("route53").get_hosted_zone(Id=identifier)["HostedZone"]
            except ClientError as error:
                if code(error) in ("NoSuchHostedZone", "InvalidInput"):
                    return None
                raise
        return HostedZone(found["Name"].rstrip("."), bool((found.get("Config") or {}).get("PrivateZone")))
