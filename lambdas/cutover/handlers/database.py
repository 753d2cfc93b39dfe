"""The database function, inside the VPC: migrations, and the query check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from cutover.adapters.aws import client
from cutover.adapters.control import SecretsStore
from cutover.adapters.mongo import MongoDatabase, connect
from cutover.adapters.trust import database_trust
from cutover.domain.errors import MisconfiguredError
from cutover.handlers.dispatch import dispatch
from cutover.handlers.migrations import seed, wanted_indexes
from cutover.handlers.variables import Variables as Common
from cutover.handlers.variables import read_variables
from cutover.steps.check_queries import check_queries
from cutover.steps.migrate import migrate


@dataclass(frozen=True, kw_only=True)
class Variables(Common):
    admin_secret: str
    application_secret: str
    smoke_secret: str
    database_endpoint: str
    database_port: int
    database_name: str


@dataclass(frozen=True)
class Wiring:
    variables: Variables
    secrets: SecretsStore
    database: MongoDatabase


@cache
def wiring() -> Wiring:
    variables = read_variables(Variables)
    secrets = SecretsStore(client("secretsmanager"))
    admin = secret(secrets, variables.admin_secret, "username", "password")
    connection = connect(
        variables.database_endpoint,
        variables.database_port,
        admin["username"],
        admin["password"],
        database_trust(),
    )
    return Wiring(variables, secrets, MongoDatabase(connection, variables.database_name))


def secret(secrets: SecretsStore, name: str, *wanted: str) -> Mapping[str, str]:
    """Raises MisconfiguredError naming the secret and the field that it lacks, never a value."""
    table = secrets.read(name)
    for field in wanted:
        if not table.get(field):
            raise MisconfiguredError(f"the secret {name} has no {field!r}")
    return table


def make(_event: Mapping[str, Any]) -> dict[str, Any]:
    wired = wiring()
    return migrate(
        wanted_indexes(),
        seed(),
        secret(wired.secrets, wired.variables.application_secret, "username", "password"),
        secret(wired.secrets, wired.variables.smoke_secret, "email", "password"),
        database=wired.database,
    )


def check(event: Mapping[str, Any]) -> dict[str, Any]:
    return check_queries(wanted_indexes(), event["configuration"]["thresholds"], queries=wiring().database)


ACTIONS = {"migrate": make, "check": check}


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    return dispatch(event, ACTIONS)
