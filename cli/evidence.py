"""Reading a deployment's evidence: the objects, and the journal's digests of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from cli import journal
from cli.errors import UserError
from cli.session import Environment
from cutover.domain.evidence import FOLDER, Chain


@dataclass(frozen=True)
class Bundle:
    """`objects` by their keys, whatever there is in the deployment's folder."""

    chain: Chain
    objects: dict[str, bytes]

    def documents(self) -> list[dict[str, Any]]:
        """The entries that can be read, in their order."""
        found = []
        for key in sorted(self.objects):
            try:
                entry = json.loads(self.objects[key])
            except ValueError:
                continue
            if isinstance(entry, dict):
                found.append(entry)
        return found

    def content(self, name: str) -> Any:
        """The last entry whose name begins so; None when there is none."""
        named = [e for e in self.documents() if str(e.get("name", "")).startswith(name)]
        return named[-1].get("content") if named else None


def known(environment: Environment, deployment: str) -> dict[str, Any]:
    """The deployment's record.

    Raises:
        UserError: the journal does not know the deployment.
    """
    record = journal.deployment(environment, deployment)
    if record is None:
        raise UserError(
            f"deployment {deployment} is not known in {environment.name}; "
            f"`cutover history {environment.name}` lists the latest"
        )
    return record


def read_bundle(environment: Environment, deployment: str) -> Bundle:
    """Everything that is in the deployment's folder, and what the journal says should be."""
    chain = Chain.read(deployment, journal.evidence(environment, deployment))
    storage, bucket = environment.storage, environment.artifacts_bucket
    objects: dict[str, bytes] = {}
    pages = storage.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{FOLDER}/{deployment}/")
    for page in pages:
        for each in page.get("Contents", []):
            objects[each["Key"]] = storage.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()
    return Bundle(chain, objects)


def plan_of(environment: Environment, record: dict[str, Any]) -> dict[str, Any] | None:
    """The deployment's plan, where it is kept; None when it came to none or it is gone."""
    digest = (record.get("plan") or record.get("planned") or {}).get("sha256")
    if not digest:
        return None
    try:
        answer = environment.storage.get_object(
            Bucket=environment.artifacts_bucket, Key=f"plans/{digest}.json"
        )
    except ClientError as error:
        if error.response["Error"]["Code"] in {"404", "NoSuchKey"}:
            return None
        raise
    document: dict[str, Any] = json.loads(answer["Body"].read())
    return document
