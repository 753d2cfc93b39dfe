"""The wanted indexes and seed data of the service, as they were packed with the functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cutover.domain.errors import MisconfiguredError
from cutover.domain.indexes import Index, read_indexes

DIRECTORY = Path(__file__).resolve().parent.parent / "migrations"


def wanted_indexes(directory: Path = DIRECTORY) -> tuple[Index, ...]:
    import json  # noqa: PLC0415  only two functions read files

    return read_indexes(json.loads(_text(directory / "indexes.json")))


def seed(directory: Path = DIRECTORY) -> dict[str, list[dict[str, Any]]]:
    """Dates are written as {"$date": "…"}, MongoDB's extended JSON."""
    from bson import json_util  # noqa: PLC0415  of pymongo, which only the database function needs

    documents: dict[str, list[dict[str, Any]]] = json_util.loads(_text(directory / "seed.json"))
    return documents


def declared_migrations(directory: Path = DIRECTORY) -> dict[str, Any]:
    """What a plan tells of the migrations: `digest` of all that declares them, and `steps` for people."""
    steps = [
        {
            "phase": "index",
            "name": f"{index.collection}.{index.name}",
            "what": f"{index}, made where it is missing",
        }
        for index in wanted_indexes(directory)
    ]
    return {"digest": migrations_digest(directory), "steps": steps}


def migrations_digest(directory: Path = DIRECTORY) -> str:
    """SHA-256 over the names and the contents of every file that declares a migration."""
    import hashlib  # noqa: PLC0415  only the plan asks

    digest = hashlib.sha256()
    for path in sorted(directory.glob("*.json")):
        digest.update(f"\0{path.name}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise MisconfiguredError(
            f"migrations/{path.name} was not packed with the function: {error.strerror}"
        ) from error
