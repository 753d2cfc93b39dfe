"""File contents in S3, encrypted at rest with AES-256 (requirement B6).

botocore (what boto3 itself stands on) is synchronous, so calls run in threads. Its import and its client
cost more than the whole rest of the start-up, so both wait for the first file or detailed health check.
"""

import asyncio
import os
import threading
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.client import BaseClient

CHUNK_BYTES = 64 * 1024


class FileStorage:
    """Objects of one bucket. The endpoint and the credentials are botocore's own affair."""

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket
        self._made: BaseClient | None = None
        self._lock = threading.Lock()

    @property
    def _client(self) -> Any:
        with self._lock:
            if self._made is None:
                import botocore.session  # noqa: PLC0415 - see the module's docstring
                from botocore.config import Config  # noqa: PLC0415

                session = botocore.session.Session()
                self._made = session.create_client(
                    "s3",
                    # botocore itself knows AWS_DEFAULT_REGION only; the release sets AWS_REGION.
                    region_name=os.environ.get("AWS_REGION") or session.get_config_variable("region"),
                    config=Config(
                        connect_timeout=2,
                        read_timeout=10,
                        retries={"total_max_attempts": 2, "mode": "standard"},
                    ),
                )
            return self._made

    async def put(self, key: str, body: IO[bytes], content_type: str) -> None:
        def put() -> None:
            self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=body,
                ContentType=content_type,
                ServerSideEncryption="AES256",
            )

        await asyncio.to_thread(put)

    async def open(self, key: str) -> Iterator[bytes]:
        """The object's bytes in chunks; the chunks are read synchronously. Raises KeyError without one."""

        def get() -> Iterator[bytes]:
            client = self._client
            try:
                answer = client.get_object(Bucket=self._bucket, Key=key)
            except client.exceptions.NoSuchKey:
                raise KeyError(key) from None
            chunks: Iterator[bytes] = answer["Body"].iter_chunks(CHUNK_BYTES)
            return chunks

        return await asyncio.to_thread(get)

    async def ping(self) -> None:
        await asyncio.to_thread(lambda: self._client.head_bucket(Bucket=self._bucket))
