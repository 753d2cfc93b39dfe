"""Secrets made by CloudFormation: Ref is the ARN, and the generator's exclusions are kept.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-secretsmanager-secret.html
(Ref returns the ARN, random suffix included) and
https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetRandomPassword.html (the generator).
ministack answers Ref with the name, looks for drift by it, and generates excluded punctuation.
"""

from __future__ import annotations

import json
from typing import Any

from ministack.services import secretsmanager
from ministack.services.cloudformation import drift, provisioners

from sandbox.emulator.context import Context, Properties, Provisioned, replace, seam

_TYPE = "AWS::SecretsManager::Secret"
# Properties of GenerateSecretString that GetRandomPassword takes under the same names.
_GENERATOR = (
    "PasswordLength",
    "ExcludeCharacters",
    "ExcludeNumbers",
    "ExcludePunctuation",
    "ExcludeUppercase",
    "ExcludeLowercase",
    "IncludeSpace",
    "RequireEachIncludedType",
)


def install(context: Context) -> None:
    """Put the ARN in the place of the name, and the service's own generator in the place of ministack's."""
    replace(provisioners, "_sm_secret_string", lambda properties: _secret_string(context, properties))
    context.add_resource(_TYPE, _create, _update, _delete)
    readers = seam(drift, "_DRIFT_READERS")
    read, compared = readers[_TYPE]
    readers[_TYPE] = (lambda physical_id, properties: read(_name(physical_id), properties), compared)


def _secret_string(context: Context, properties: Properties) -> str:
    given = properties.get("SecretString")
    wanted = properties.get("GenerateSecretString")
    if given or wanted is None:
        return str(given or "")
    arguments = {name: _typed(wanted[name]) for name in _GENERATOR if name in wanted}
    generated = str(context.client("secretsmanager").get_random_password(**arguments)["RandomPassword"])
    if "SecretStringTemplate" not in wanted:
        return generated
    document = json.loads(wanted["SecretStringTemplate"])
    document[wanted["GenerateStringKey"]] = generated
    return json.dumps(document)


def _typed(value: Any) -> Any:
    """Templates may carry numbers and booleans as texts."""
    if value in ("true", "false"):
        return value == "true"
    return int(value) if isinstance(value, str) and value.isdigit() else value


def _create(logical_id: str, properties: Properties, stack: str) -> Provisioned:
    _, attributes = seam(provisioners, "_sm_secret_create")(logical_id, properties, stack)
    return attributes["Arn"], attributes


def _update(physical_id: str, old: Properties, new: Properties, stack: str) -> Provisioned:
    _, attributes = seam(provisioners, "_sm_secret_update")(_name(physical_id), old, new, stack)
    return attributes["Arn"], attributes


def _delete(physical_id: str, properties: Properties) -> None:
    seam(provisioners, "_sm_secret_delete")(_name(physical_id), properties)


def _name(arn: str) -> str:
    """The name of the secret with this ARN."""
    for name, secret in seam(secretsmanager, "_secrets").items():
        if secret["ARN"] == arn:
            return str(name)
    return arn
