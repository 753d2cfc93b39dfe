"""What goes wrong around a migration: a server that is not there, a wrong password, a certificate that nobody
trusts, a full disk. The message is clear, holds no secret, and the database is as it was."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cutover.adapters.clock import SystemClock
from cutover.adapters.mongo import connect
from cutover.adapters.schema_store import SchemaStore
from cutover.domain.errors import (
    AccessDeniedError,
    CutoverError,
    MisconfiguredError,
    NotReachableError,
    ServiceRefusedError,
)
from cutover.steps import migrations
from sandbox import pki
from tests.contract.migration_kit import released, script
from tests.sandbox.database_kit import USER, Server, start, stop

SECRET = "never/to be:seen"
FILES: dict[str, Any] = {
    "indexes.json": {"users": [{"name": "email", "keys": [["email", 1]]}]},
    "0001_a.py": script("expand", 'progress.update("users", {}, {"$set": {"a": "x" * 200}})'),
}


def failure(store: SchemaStore, folder: Path) -> CutoverError:
    with pytest.raises(CutoverError) as raised:
        migrations.run(
            released(folder, FILES),
            store,
            kind="expand",
            deployment="d-1",
            remaining=lambda: 600.0,
            clock=SystemClock(),
        )
    return raised.value


def store(server: Server, password: str | None = None, ca: Path | None = None) -> SchemaStore:
    host, port = server.address.split(":")
    secret = password or server.password
    return SchemaStore(connect(host, int(port), server.user, secret, str(ca or server.ca)), "faults")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cutover.adapters.mongo.WAIT_MILLISECONDS", 500)


def test_a_server_that_is_not_there_is_worth_another_try(tmp_path: Path) -> None:
    error = failure(SchemaStore(connect("127.0.0.1", 1, USER, SECRET), "faults"), tmp_path)
    assert type(error) is NotReachableError
    assert "127.0.0.1:1" in str(error)
    assert SECRET not in str(error)
    assert len(str(error)) < 200


def test_a_wrong_password_is_refused_and_never_shown(database_server: Server, tmp_path: Path) -> None:
    error = failure(store(database_server, SECRET), tmp_path)
    assert type(error) is AccessDeniedError
    assert "Authentication failed" in str(error)
    assert SECRET not in str(error) + repr(error.__cause__)


def test_a_certificate_of_another_authority_is_not_worth_another_try(
    database_server: Server, tmp_path: Path
) -> None:
    pki.Authority(tmp_path / "other").issue("other", ["127.0.0.1"])
    error = failure(store(database_server, ca=tmp_path / "other" / "ca.pem"), tmp_path / "release")
    assert type(error) is MisconfiguredError
    assert "certificate is not trusted" in str(error)
    assert "trust store" in str(error)


@pytest.fixture
def filling(tmp_path: Path) -> Iterator[Server]:
    server = start(tmp_path, "--data-directory", str(tmp_path / "data"))
    try:
        yield server
    finally:
        stop(server)


def room(server: Server, folder: Path, extra: int) -> None:
    """How many bytes more the server's journal may take; -1 for as many as it wants."""
    size = (folder / "data" / "journal.bson").stat().st_size
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (-1 if extra < 0 else size + extra, -1))


@pytest.mark.parametrize("extra", [0, 4_000])
def test_a_full_disk_is_told_as_one_and_no_document_is_half_written(
    filling: Server, tmp_path: Path, extra: int
) -> None:
    """https://www.mongodb.com/docs/manual/reference/error-codes/ (14031). With no room at all nothing is
    changed; with some, an update of many documents stops between two of them, as on MongoDB."""
    with filling.client() as client:
        users = client["faults"]["users"]
        users.insert_many({"_id": n, "email": str(n)} for n in range(200))
        before = list(users.find())
        room(filling, tmp_path, extra)
        error = failure(store(filling), tmp_path / "release")
        assert type(error) is ServiceRefusedError
        assert "the database's disk is full" in str(error)
        assert "FreeLocalStorage" in str(error)
        for old, new in zip(before, users.find(), strict=True):
            assert new in ([old, {**old, "a": "x" * 200}] if extra else [old])

        room(filling, tmp_path, -1)
        told = migrations.run(
            released(tmp_path / "release", FILES),
            store(filling),
            kind="expand",
            deployment="d-1",
            remaining=lambda: 600.0,
            clock=SystemClock(),
        )
        assert told["applied"] == ["0001_a"]
        assert users.count_documents({"a": "x" * 200}) == 200
