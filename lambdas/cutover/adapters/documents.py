"""Documents in the artifacts bucket: those for people, and evidence that is written once."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from botocore.exceptions import ClientError

from cutover.adapters.aws import aws_errors, code

MISSING = frozenset({"404", "NoSuchKey", "NotFound"})
# 412 when the object is there; 409 when another write of the same key is under way.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})


class BucketDocuments:
    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def location(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"

    def console(self, key: str) -> str:
        region = self._client.meta.region_name
        return (
            f"https://{region}.console.aws.amazon.com/s3/object/{self._bucket}"
            f"?region={region}&prefix={quote(key)}"
        )

    def keep(self, key: str, body: bytes, media_type: str = "application/json") -> None:
        with aws_errors():
            self._client.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType=media_type)

    def add(self, key: str, body: bytes) -> bool:
        with aws_errors():
            try:
                self._client.put_object(
                    Bucket=self._bucket, Key=key, Body=body, ContentType="application/json", IfNoneMatch="*"
                )
            except ClientError as error:
                if code(error) in TAKEN:
                    return False
                raise
        return True

    def read(self, key: str) -> bytes | None:
        with aws_errors():
            try:
                return bytes(self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read())
            except ClientError as error:
                if code(error) in MISSING:
                    return None
                raise
