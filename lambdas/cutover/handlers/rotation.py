"""The rotation function, inside the VPC: Secrets Manager calls it, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cutover.adapters.aws import client
from cutover.adapters.control import SecretsStore
from cutover.adapters.journal import DynamoJournal
from cutover.adapters.mongo import MongoAccounts
from cutover.adapters.rotating_secret import ManagedSecret
from cutover.adapters.trust import database_trust
from cutover.domain.errors import InvalidInputError
from cutover.handlers.dispatch import dispatch
from cutover.handlers.variables import Variables as Common
from cutover.handlers.variables import read_variables
from cutover.steps import rotate


@dataclass(frozen=True, kw_only=True)
class Variables(Common):
    journal_table: str
    admin_secret: str
    application_secret: str
    database_endpoint: str
    database_port: int
    database_name: str


@dataclass(frozen=True)
class Wiring:
    secret: ManagedSecret
    accounts: MongoAccounts
    journal: DynamoJournal


@cache
def wiring() -> Wiring:
    variables = read_variables(Variables)
    manager = client("secretsmanager")
    admin = SecretsStore(manager).read(variables.admin_secret)
    return Wiring(
        ManagedSecret(manager, variables.application_secret),
        MongoAccounts(
            variables.database_endpoint,
            variables.database_port,
            variables.database_name,
            (admin["username"], admin["password"]),
            database_trust(),
        ),
        DynamoJournal(client("dynamodb"), variables.journal_table),
    )


def create(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    rotate.create(_token(event), secret=wired.secret, journal=wired.journal)
    return {}


def set_password(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    rotate.set_password(_token(event), secret=wired.secret, accounts=wired.accounts)
    return {}


def try_out(event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    rotate.try_out(_token(event), secret=wired.secret, accounts=wired.accounts)
    return {}


def finish(event: Mapping[str, Any]) -> dict[str, Any]:
    rotate.finish(_token(event), secret=wiring().secret)
    return {}


def _token(event: Mapping[str, Any]) -> str:
    if not event.get("ClientRequestToken"):
        raise InvalidInputError("ClientRequestToken: the event lacks it; Secrets Manager's own have one")
    return str(event["ClientRequestToken"])


# By Secrets Manager's own names.
ACTIONS: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "createSecret": create,
    "setSecret": set_password,
    "testSecret": try_out,
    "finishSecret": finish,
}


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    return dispatch({**event, "action": event.get("Step")}, ACTIONS)
