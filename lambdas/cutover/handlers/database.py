"""The database function, inside the VPC: migrations, and the query check.

It runs the migrations of the release, which are the application's own code: reviewed with it, packed with it
into the source whose SHA-256 is checked here, with this function's rights and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from cutover.adapters.artifacts import BucketSources
from cutover.adapters.aws import client
from cutover.adapters.clock import SystemClock
from cutover.adapters.control import SecretsStore
from cutover.adapters.mongo import MongoDatabase, connect
from cutover.adapters.schema_store import SchemaStore
from cutover.adapters.trust import database_trust
from cutover.database_ports import Migrator
from cutover.domain.errors import MigrationRefusedError, MisconfiguredError
from cutover.domain.measures import Limits
from cutover.domain.queries import read_queries
from cutover.domain.release_files import FOLDER, Files, read_json
from cutover.handlers.dispatch import dispatch
from cutover.handlers.migrations import Engine, declared, seed
from cutover.handlers.variables import Variables as Common
from cutover.handlers.variables import read_variables
from cutover.steps.check_queries import check_queries
from cutover.steps.migrate import contracted, migrate, undo

# Of one call: short, so that people see how far it is, and long enough that most of it is work.
SLICE_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class Variables(Common):
    admin_secret: str
    application_secret: str
    smoke_secret: str
    artifacts_bucket: str
    database_endpoint: str
    database_port: int
    database_name: str


@dataclass(frozen=True)
class Wiring:
    variables: Variables
    secrets: SecretsStore
    sources: BucketSources
    database: MongoDatabase
    migrator: Callable[[Files], Migrator]


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
    store, clock = SchemaStore(connection, variables.database_name), SystemClock()
    return Wiring(
        variables,
        secrets,
        BucketSources(client("s3"), variables.artifacts_bucket),
        MongoDatabase(connection, variables.database_name),
        lambda files: Engine(declared(files), store, clock, SLICE_SECONDS),
    )


def secret(secrets: SecretsStore, name: str, *wanted: str) -> Mapping[str, str]:
    """Raises MisconfiguredError naming the secret and the field that it lacks, never a value."""
    table = secrets.read(name)
    for field in wanted:
        if not table.get(field):
            raise MisconfiguredError(f"the secret {name} has no {field!r}")
    return table


@lru_cache(maxsize=1)
def files_of(source: str) -> Files:
    """A source never changes: its name is its digest."""
    return wiring().sources.folder(source, FOLDER)


def make(event: Mapping[str, Any]) -> dict[str, Any]:
    wired, files = wiring(), files_of(str(event["source"]))
    return migrate(
        str(event["deployment"]["id"]),
        seed(files),
        secret(wired.secrets, wired.variables.application_secret, "username", "password"),
        secret(wired.secrets, wired.variables.smoke_secret, "email", "password"),
        migrator=wired.migrator(files),
        database=wired.database,
    )


def take_back(event: Mapping[str, Any]) -> dict[str, Any]:
    return undo(str(event["deployment"]["id"]), migrator=wiring().migrator(files_of(str(event["source"]))))


def contract(event: Mapping[str, Any]) -> dict[str, Any]:
    deployment = str(event["deployment"]["id"])
    return contracted(deployment, migrator=wiring().migrator(files_of(str(event["source"]))))


def plan(event: Mapping[str, Any]) -> dict[str, Any]:
    """Reads only. A release that is refused has a plan, too: the reasons."""
    try:
        return dict(wiring().migrator(files_of(str(event["source"]))).plan())
    except MigrationRefusedError as error:
        return {"steps": [], "refused": [str(error)], "estimate": {}}


def check(event: Mapping[str, Any]) -> dict[str, Any]:
    named = read_queries(read_json(files_of(str(event["source"])), "queries.json", []))
    configuration = event["configuration"]
    documents = int(configuration["thresholds"]["scan_documents"])
    return check_queries(named, Limits.read(configuration), documents, queries=wiring().database)


ACTIONS = {"plan": plan, "migrate": make, "undo": take_back, "contract": contract, "check": check}
# What the plan function asks for.
BY_PEOPLE = {"plan"}


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    return dispatch(event, ACTIONS)
