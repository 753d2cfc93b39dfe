"""A client of the registry HTTP API v2 (https://distribution.github.io/distribution/spec/api/).

ECR's host name does not resolve on this machine, so requests for ACCOUNT.dkr.ecr.REGION.amazonaws.com go to
the host of AWS_ENDPOINT_URL, with the Host header as docker would send it. That is this stand-in's only
knowledge of where it runs.
"""

import hashlib
import http.client
import json
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO
from urllib.parse import quote, urlsplit

from sandbox.compute.errors import DockerError
from sandbox.compute.store import MANIFEST_TYPE, BlobStore, Reference, digest_of

ECR_HOST = re.compile(r"^\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com$")
CHUNK = 1 << 20  # bytes


class RegistryError(DockerError):
    """The registry refused or can't be reached."""


class RegistryClient:
    """One registry, with the credentials that `docker login` left for it."""

    def __init__(self, registry: str, authorization: str | None, environment: Mapping[str, str]) -> None:
        self._registry, self._authorization = registry, authorization
        address, secure = registry, True
        if ECR_HOST.match(registry):
            endpoint = environment.get("AWS_ENDPOINT_URL_ECR") or environment.get("AWS_ENDPOINT_URL", "")
            parts = urlsplit(endpoint)
            if not parts.netloc:
                raise RegistryError(
                    f"dial tcp: lookup {registry}: no such host (AWS_ENDPOINT_URL is not set)"
                )
            address, secure = parts.netloc, parts.scheme == "https"
        elif registry.partition(":")[0] in ("localhost", "127.0.0.1"):
            secure = False
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._connection = kind(address, timeout=60)

    def ping(self) -> None:
        """Check the credentials, as `docker login` does."""
        status, _, body = self._call("GET", "/v2/")
        if status != 200:
            raise RegistryError(
                f"Error response from daemon: login to {self._registry} failed: {_reason(status, body)}"
            )

    def pull_manifest(self, reference: Reference, store: BlobStore) -> str:
        """Fetch manifest, config and missing layers into the store; every digest is verified."""
        wanted = reference.digest or reference.tag or "latest"
        status, headers, body = self._call(
            "GET", f"/v2/{reference.repository}/manifests/{wanted}", headers={"Accept": MANIFEST_TYPE}
        )
        if status != 200:
            raise RegistryError(f"Error response from daemon: {reference}: {_reason(status, body)}")
        digest = digest_of(body)
        claimed = reference.digest or headers.get("docker-content-digest") or digest
        if digest != claimed:
            raise RegistryError(f"manifest verification failed for digest {claimed}: the content is {digest}")
        document = json.loads(body)
        if document.get("mediaType") != MANIFEST_TYPE:
            raise RegistryError(f"unsupported manifest type {document.get('mediaType')!r} of {reference}")
        for blob in [document["config"], *document["layers"]]:
            if not store.has(blob["digest"]):
                self._pull_blob(reference.repository, blob["digest"], store)
        store.put(body)
        return digest

    def _pull_blob(self, repository: str, digest: str, store: BlobStore) -> None:
        store.scratch.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=store.scratch, prefix="pull-")
        with os.fdopen(handle, "w+b") as file:
            status, _, body = self._call("GET", f"/v2/{repository}/blobs/{digest}", sink=file)
            if status != 200:
                os.unlink(name)
                raise RegistryError(f"error pulling image layer {digest}: {_reason(status, body)}")
            file.seek(0)
            actual = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
        if actual != digest:
            os.unlink(name)
            raise RegistryError(
                f"filesystem layer verification failed for digest {digest}: the content is {actual}"
            )
        store.adopt(Path(name), digest)

    def push(self, reference: Reference, digest: str, store: BlobStore) -> list[str]:
        """Upload what the registry lacks, then the manifest under the tag. Returns the new blobs' digests."""
        manifest = store.manifest(digest)
        sent = []
        for blob in [*manifest["layers"], manifest["config"]]:
            if self._push_blob(reference.repository, blob["digest"], store):
                sent.append(blob["digest"])
        status, _, body = self._call(
            "PUT",
            f"/v2/{reference.repository}/manifests/{reference.tag}",
            headers={"Content-Type": MANIFEST_TYPE},
            body=store.read(digest),
        )
        if status not in (200, 201):
            raise RegistryError(_reason(status, body))
        return sent

    def _push_blob(self, repository: str, digest: str, store: BlobStore) -> bool:
        status, _, body = self._call("HEAD", f"/v2/{repository}/blobs/{digest}")
        if status == 200:
            return False
        if status not in (404,):
            raise RegistryError(_reason(status, body, repository))
        status, headers, body = self._call("POST", f"/v2/{repository}/blobs/uploads/", body=b"")
        if status != 202:
            raise RegistryError(_reason(status, body, repository))
        location = urlsplit(headers["location"])
        query = f"{location.query}&" if location.query else ""
        with store.path(digest).open("rb") as content:
            status, _, body = self._call(
                "PUT",
                f"{location.path}?{query}digest={quote(digest)}",
                headers={
                    "Content-Type": "application/octet-stream",
                    "Content-Length": str(os.fstat(content.fileno()).st_size),
                },
                body=content,
            )
        if status != 201:
            raise RegistryError(_reason(status, body, repository))
        return True

    def _call(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | IO[bytes] | None = None,
        sink: IO[bytes] | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        sent = {"Host": self._registry, "User-Agent": "docker/stand-in", **(headers or {})}
        if self._authorization:
            sent["Authorization"] = f"Basic {self._authorization}"
        try:
            self._connection.request(method, path, body=body, headers=sent)
            response = self._connection.getresponse()
            received = {name.lower(): value for name, value in response.getheaders()}
            if sink is not None and response.status == 200:
                while chunk := response.read(CHUNK):
                    sink.write(chunk)
                return response.status, received, b""
            return response.status, received, response.read()
        except OSError as error:
            raise RegistryError(
                f"Error response from daemon: Get https://{self._registry}/v2/: {error}"
            ) from error


def _reason(status: int, body: bytes, repository: str = "") -> str:
    """The registry's own words, or docker's for a status without any."""
    try:
        error = json.loads(body)["errors"][0]
        return f"{error['code'].lower().replace('_', ' ')}: {error['message']}"
    except (ValueError, KeyError, IndexError, TypeError):
        words = {401: "no basic auth credentials", 403: "denied: access forbidden", 404: "not found"}
        return f"{words.get(status, f'unexpected status {status}')}{f' ({repository})' if repository else ''}"
