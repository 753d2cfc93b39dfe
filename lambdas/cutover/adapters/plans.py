"""Plans kept in the artifacts bucket, and the templates that they are about."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlparse

from botocore.exceptions import ClientError

from cutover.adapters.aws import aws_errors, code
from cutover.domain.templates import EnvironmentTemplate

MISSING = ("404", "NoSuchKey", "NotFound")


class BucketPlans:
    """plans/SHA256.json in a bucket."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def location(self, digest: str) -> str:
        return f"s3://{self._bucket}/{_key(digest)}"

    def console(self, digest: str) -> str:
        region = self._client.meta.region_name
        return (
            f"https://{region}.console.aws.amazon.com/s3/object/{self._bucket}"
            f"?region={region}&prefix={quote(_key(digest))}"
        )

    def read(self, digest: str) -> Mapping[str, Any] | None:
        with aws_errors():
            try:
                body = self._client.get_object(Bucket=self._bucket, Key=_key(digest))["Body"].read()
            except ClientError as error:
                if code(error) in MISSING:
                    return None
                raise
        document = json.loads(body)
        return document if isinstance(document, dict) else None

    def keep(self, digest: str, document: Mapping[str, Any]) -> None:
        with aws_errors():
            self._client.put_object(
                Bucket=self._bucket,
                Key=_key(digest),
                Body=json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).encode(),
                ContentType="application/json",
            )


def _key(digest: str) -> str:
    return f"plans/{digest}.json"


class StackTemplates:
    """The templates that change sets are made of, and those that the stacks have."""

    def __init__(self, storage: Any, stacks: Any, templates: Sequence[EnvironmentTemplate]) -> None:
        self._storage, self._stacks, self._templates = storage, stacks, templates

    def wanted(self) -> dict[str, tuple[Mapping[str, Any], str]]:
        return {template.name: self._asset(template.url) for template in self._templates}

    def live(self) -> dict[str, Mapping[str, Any] | None]:
        return {template.name: self._of(template.stack) for template in self._templates}

    def _asset(self, url: str) -> tuple[Mapping[str, Any], str]:
        """`url` is https://s3.REGION.amazonaws.com/BUCKET/KEY, as the CDK writes an asset's address."""
        bucket, _, key = urlparse(url).path.lstrip("/").partition("/")
        with aws_errors():
            body = self._storage.get_object(Bucket=bucket, Key=key)["Body"].read()
        return json.loads(body), hashlib.sha256(body).hexdigest()

    def _of(self, stack: str) -> Mapping[str, Any] | None:
        with aws_errors():
            try:
                answer = self._stacks.get_template(StackName=stack, TemplateStage="Processed")
            except ClientError as error:
                # So it is said of a stack that does not exist, and of one that is only in review.
                if code(error) == "ValidationError":
                    return None
                raise
        body = answer["TemplateBody"]
        found = json.loads(body) if isinstance(body, str) else body
        return found if isinstance(found, Mapping) and found.get("Resources") else None
