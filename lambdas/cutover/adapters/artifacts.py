"""What a deployment is made from: images in ECR, sources in S3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from cutover.adapters.aws import aws_errors, code
from cutover.adapters.source_zip import files_of, verified
from cutover.domain.errors import SourceNotFoundError
from cutover.ports import Finding, ImageScan

#: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageScanFinding.html
SEVERITIES = frozenset({"CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED"})


class ElasticRegistry:
    """One ECR repository; `uri` is ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME."""

    def __init__(self, client: Any, name: str, uri: str) -> None:
        self._client = client
        self.name = name
        self.uri = uri

    def digest(self, *, tag: str | None = None, digest: str | None = None) -> str | None:
        wanted = {"imageTag": tag} if tag else {"imageDigest": digest}
        with aws_errors():
            try:
                found = self._client.describe_images(repositoryName=self.name, imageIds=[wanted])
            except ClientError as error:
                if code(error) == "ImageNotFoundException":
                    return None
                raise
        images = found["imageDetails"]
        return str(images[0]["imageDigest"]) if images else None

    def scan(self, digest: str) -> ImageScan | None:
        """Basic scanning (`findings`) and enhanced scanning (`enhancedFindings`) alike.

        https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImageScanFindings.html
        """
        pages = self._client.get_paginator("describe_image_scan_findings").paginate(
            repositoryName=self.name, imageId={"imageDigest": digest}
        )
        state: Mapping[str, Any] = {}
        counts: Mapping[str, int] = {}
        found: list[Finding] = []
        with aws_errors():
            try:
                for page in pages:
                    state = page["imageScanStatus"]
                    table = page.get("imageScanFindings") or {}
                    counts = table.get("findingSeverityCounts") or counts
                    found += [_basic(each) for each in table.get("findings") or []]
                    found += [one for each in table.get("enhancedFindings") or [] for one in _enhanced(each)]
            except ClientError as error:
                if code(error) == "ScanNotFoundException":
                    return None
                if code(error) == "UnsupportedImageTypeException":
                    return ImageScan("UNSUPPORTED_IMAGE", str(error))
                raise
        return ImageScan(str(state.get("status")), str(state.get("description") or ""), counts, found)


def _basic(finding: Mapping[str, Any]) -> Finding:
    about = {each["key"]: str(each.get("value") or "") for each in finding.get("attributes") or []}
    return Finding(
        str(finding["name"]),
        _severity(finding),
        about.get("package_name", "a package"),
        about.get("package_version", "of unknown version"),
        about.get("fixed_version") or None,
    )


def _enhanced(finding: Mapping[str, Any]) -> list[Finding]:
    """One for each package. Those that a person has suppressed, or that are closed, count no more."""
    if finding.get("status", "ACTIVE") != "ACTIVE":
        return []
    details = finding.get("packageVulnerabilityDetails") or {}
    name = str(details.get("vulnerabilityId") or finding.get("title") or finding.get("findingArn"))
    packages = details.get("vulnerablePackages") or [{}]
    return [
        Finding(
            name,
            _severity(finding),
            str(each.get("name") or "a package"),
            str(each.get("version") or "of unknown version"),
            _fix(each.get("fixedInVersion")),
        )
        for each in packages
    ]


def _fix(version: object) -> str | None:
    return None if version in (None, "", "NotAvailable") else str(version)


def _severity(finding: Mapping[str, Any]) -> str:
    """In capitals; a word that is none of the registry's counts as the worst."""
    given = str(finding.get("severity") or "UNDEFINED").upper()
    given = {"UNTRIAGED": "UNDEFINED"}.get(given, given)
    return given if given in SEVERITIES else "CRITICAL"


class BucketSources:
    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def holds(self, key: str) -> bool:
        with aws_errors():
            try:
                self._client.head_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                # A HEAD answer has no body, hence no error code but the status.
                if code(error) in ("404", "NoSuchKey", "NotFound"):
                    return False
                raise
        return True

    def folder(self, key: str, name: str) -> Mapping[str, bytes]:
        with aws_errors():
            try:
                archive = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
            except ClientError as error:
                if code(error) == "NoSuchKey":
                    raise SourceNotFoundError(f"source: there is no s3://{self.location(key)}") from error
                raise
        return files_of(key, verified(key, archive), name)

    def location(self, key: str) -> str:
        return f"{self._bucket}/{key}"
