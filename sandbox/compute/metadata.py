"""The instance metadata service, version 2 only.

https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
On AWS it answers at 169.254.169.254:80; here at port 1338 of the instance's own address, which SDKs find
through AWS_EC2_METADATA_SERVICE_ENDPOINT. Only the categories listed in `tree` exist: anything else is a 404.
"""

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

PORT = 1338
TOKEN_HEADER = "x-aws-ec2-metadata-token"  # noqa: S105 (a header's name)
TTL_HEADER = "x-aws-ec2-metadata-token-ttl-seconds"
MOST_TTL_SECONDS = 21600
HEAD_LIMIT = 16384  # bytes of a request's head

Document = Mapping[str, Any]


def tree(document: Document) -> dict[str, str]:
    """Every path the service knows, with its text, from the agent's metadata document.

    Tags are there only when the instance allows them (InstanceMetadataTags, off by default on AWS):
    https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/work-with-tags-in-IMDS.html
    """
    base = "/latest/meta-data/"
    found = {
        base + "instance-id": document["instance_id"],
        base + "ami-id": document["image_id"],
        base + "instance-type": document["instance_type"],
        base + "local-ipv4": document["private_ip"],
        base + "local-hostname": document["hostname"],
        base + "hostname": document["hostname"],
        base + "placement/region": document["region"],
        base + "placement/availability-zone": document["availability_zone"],
        "/latest/dynamic/instance-identity/document": json.dumps(
            {
                "accountId": document["account"],
                "architecture": "x86_64",
                "availabilityZone": document["availability_zone"],
                "imageId": document["image_id"],
                "instanceId": document["instance_id"],
                "instanceType": document["instance_type"],
                "privateIp": document["private_ip"],
                "region": document["region"],
                "version": "2017-09-30",
            }
        ),
    }
    if document.get("user_data"):
        found["/latest/user-data"] = document["user_data"]
    if document.get("tags_in_metadata"):
        found |= {base + f"tags/instance/{key}": value for key, value in document.get("tags", {}).items()}
    role = document.get("role")
    if role:
        found[base + "iam/info"] = json.dumps(
            {
                "Code": "Success",
                "InstanceProfileArn": role["profile_arn"],
                "LastUpdated": role["last_updated"],
            }
        )
        found[base + f"iam/security-credentials/{role['name']}"] = json.dumps(
            {
                "Code": "Success",
                "Type": "AWS-HMAC",
                "LastUpdated": role["last_updated"],
                "AccessKeyId": role["access_key"],
                "SecretAccessKey": role["secret_key"],
                "Token": role["token"],
                "Expiration": role["expiration"],
            }
        )
    return found


def listing(paths: Mapping[str, str], folder: str) -> str | None:
    """What a GET of a folder answers: the names below it, folders with a slash; None when it has none."""
    prefix = folder.rstrip("/") + "/"
    names = set()
    for path in paths:
        if path.startswith(prefix):
            head, slash, _ = path[len(prefix) :].partition("/")
            names.add(head + slash)
    return "\n".join(sorted(names)) or None


@dataclass(frozen=True)
class Answer:
    status: int
    text: str
    headers: Mapping[str, str]


class MetadataService:
    """Tokens and answers; `load` gives the current document, since credentials and tags change."""

    def __init__(self, load: Callable[[], Document], clock: Callable[[], float] = time.monotonic) -> None:
        self._load, self._clock = load, clock
        self._tokens: dict[str, float] = {}

    def answer(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        path = path.partition("?")[0]
        if path == "/latest/api/token":
            return self._token(method, headers)
        if method != "GET":
            return _plain(405)
        if self._tokens.get(headers.get(TOKEN_HEADER, ""), 0.0) <= self._clock():
            return _plain(401)
        known = tree(self._load())
        text = known.get(path.rstrip("/") if path.rstrip("/") in known else path)
        if text is None:
            text = listing(known, path)
        return _plain(404) if text is None else Answer(200, text, {})

    def _token(self, method: str, headers: Mapping[str, str]) -> Answer:
        if method != "PUT":
            return _plain(405)
        if "x-forwarded-for" in headers:  # IMDSv2 refuses to be reached through a proxy
            return _plain(403)
        wanted = headers.get(TTL_HEADER, "")
        if not wanted.isdigit() or not 1 <= int(wanted) <= MOST_TTL_SECONDS:
            return _plain(400)
        now = self._clock()
        self._tokens = {token: end for token, end in self._tokens.items() if end > now}
        token = secrets.token_urlsafe(42)
        self._tokens[token] = now + int(wanted)
        return Answer(200, token, {TTL_HEADER: wanted})

    async def serve(self, address: str) -> asyncio.Server:
        return await asyncio.start_server(self._connection, address, PORT, limit=HEAD_LIMIT)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ", 2)
                pairs = (line.partition(":") for line in head[1:] if line)
                headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
                await reader.readexactly(int(headers.get("content-length", "0") or 0))
                answer = self.answer(method, path, headers)
                body = answer.text.encode()
                lines = [
                    f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
                    "Content-Type: text/plain",
                ]
                lines += [f"Content-Length: {len(body)}"] + [f"{k}: {v}" for k, v in answer.headers.items()]
                writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError, ValueError):
            pass  # the caller hung up, or spoke no HTTP
        finally:
            writer.close()


def _plain(status: int) -> Answer:
    return Answer(status, HTTPStatus(status).phrase, {})


class MetadataFile:
    """The document that the emulator's side keeps for the agent, read again when it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._document: dict[str, Any] = {}

    def __call__(self) -> dict[str, Any]:
        status = self._path.stat()
        seen = (status.st_mtime_ns, status.st_ino)
        if seen != self._seen:
            self._document, self._seen = json.loads(self._path.read_text()), seen
        return self._document
