"""Plans kept in the artifacts bucket, and the templates that they are about."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlparse

from botocore.exceptions import ClientError

from cutover.adapters.aws import aws_errors, code

MISSING = ("404", "NoSuchKey", "NotFound")


class BucketPlans:
    """plans/SHA256.json in a bucket."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def location(self, digest: str) -> str:
        return f"s3://{self._bucket}/{_key(digest)}"

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


class StackTemplate:
    """The template that a change set is made of, and the one that the stack has."""

    def __init__(self, storage: Any, stacks: Any, url: str, stack_name: str) -> None:
        self._storage, self._stacks, self._stack_name = storage, stacks, stack_name
        # https://s3.REGION.amazonaws.com/BUCKET/KEY, as the CDK writes an asset's address.
        self._bucket, _, self._key = urlparse(url).path.lstrip("/").partition("/")

    def wanted(self) -> tuple[Mapping[str, Any], str]:
        with aws_errors():
            body = self._storage.get_object(Bucket=self._bucket, Key=self._key)["Body"].read()
        return json.loads(body), hashlib.sha256(body).hexdigest()

    def live(self) -> Mapping[str, Any] | None:
        with aws_errors():
            try:
                body = self._stacks.get_template(StackName=self._stack_name, TemplateStage="Processed")[
                    "TemplateBody"
                ]
            except ClientError as error:
                # So it is said of a stack that does not exist, and of one that is only in review.
                if code(error) == "ValidationError":
                    return None
                raise
        found = json.loads(body) if isinstance(body, str) else body
        return found if isinstance(found, Mapping) and found.get("Resources") else None
