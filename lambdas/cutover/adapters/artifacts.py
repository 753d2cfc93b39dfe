"""What a deployment is made from: images in ECR, sources in S3."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from cutover.adapters.aws import aws_errors, code


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

    def location(self, key: str) -> str:
        return f"{self._bucket}/{key}"
