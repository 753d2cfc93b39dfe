"""A secret whose value takes turns: versions by their token, and the stages that point at them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from cutover.adapters.aws import aws_errors, code
from cutover.domain.errors import MisconfiguredError

PASSWORD_LENGTH = 32


class ManagedSecret:
    """https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html#term_version"""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self.name = name

    def read(self, stage: str, token: str | None = None) -> Mapping[str, str] | None:
        wanted = {"VersionId": token} if token else {}
        with aws_errors():
            try:
                found = self._client.get_secret_value(SecretId=self.name, VersionStage=stage, **wanted)
            except ClientError as error:
                # A version that is there without the stage is an invalid request.
                if code(error) in ("ResourceNotFoundException", "InvalidRequestException"):
                    return None
                raise
        if stage not in found["VersionStages"] or "SecretString" not in found:
            return None
        try:
            table = json.loads(found["SecretString"])
        except ValueError as error:
            raise MisconfiguredError(f"the secret {self.name} is no JSON object") from error
        return {str(key): str(text) for key, text in table.items()}

    def since(self) -> datetime:
        with aws_errors():
            found = self._client.describe_secret(SecretId=self.name)
        turned: datetime = found.get("LastRotatedDate") or found["CreatedDate"]
        return turned

    def random_password(self) -> str:
        with aws_errors():
            made = self._client.get_random_password(PasswordLength=PASSWORD_LENGTH, ExcludePunctuation=True)
        return str(made["RandomPassword"])

    def write(self, token: str, stage: str, value: Mapping[str, str]) -> None:
        with aws_errors():
            self._client.put_secret_value(
                SecretId=self.name,
                ClientRequestToken=token,
                SecretString=json.dumps(dict(value)),
                VersionStages=[stage],
            )

    def promote(self, token: str) -> None:
        """Does nothing for the version that is the current one already."""
        with aws_errors():
            stages = self._client.describe_secret(SecretId=self.name)["VersionIdsToStages"]
            before = next((each for each, labels in stages.items() if "AWSCURRENT" in labels), None)
            if before == token:
                return
            self._client.update_secret_version_stage(
                SecretId=self.name,
                VersionStage="AWSCURRENT",
                MoveToVersionId=token,
                **({"RemoveFromVersionId": before} if before else {}),
            )
