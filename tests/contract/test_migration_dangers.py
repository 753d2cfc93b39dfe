"""Dangerous migrations: each is stopped before anything was changed, with a message that says what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cutover.adapters.migration_files import load_release
from cutover.domain.errors import MigrationRefusedError, MisconfiguredError
from tests.contract.migration_kit import Site, script, write

INDEXES: dict[str, Any] = {
    "users": [{"name": "email", "keys": [["email", 1]]}, {"name": "team", "keys": [["team", 1]]}],
}
QUERIES = [
    {"name": "user by e-mail", "collection": "users", "filter": {"email": {"from_sample": "email"}}},
    {"name": "a team's users", "collection": "users", "filter": {"team": {"from_sample": "team"}}},
]
FIRST: dict[str, Any] = {
    "indexes.json": INDEXES,
    "queries.json": QUERIES,
    "0001_active.py": script("expand", 'progress.update("users", {}, {"$set": {"active": True}})'),
}
SECOND = "0002_next.py"


def grown(extra: dict[str, Any]) -> dict[str, Any]:
    return {**FIRST, **extra}


def without(index: str) -> dict[str, Any]:
    rest = [each for each in INDEXES["users"] if each["name"] != index]
    return {"indexes.json": {"users": [*rest, {"name": index, "drop": True}]}}


@dataclass(frozen=True)
class Danger:
    """`files`: the next release. `says`: what the message must have, the way out among it."""

    name: str
    files: dict[str, Any]
    says: tuple[str, ...]
    kind: str = "expand"
    watched: bool = True
    error: type[Exception] = MigrationRefusedError
    prepare: Callable[[Site], object] = field(default=lambda _: None)


def change(kind: str, *lines: str) -> dict[str, Any]:
    return grown({SECOND: script(kind, *lines)})


def use_of_team(site: Site) -> None:
    for _ in range(3):
        list(site.database["users"].find({"team": 1}))


DANGERS = [
    Danger(
        "rename of a field in use",
        change("expand", 'progress.update("users", {}, {"$rename": {"email": "mail"}})'),
        ("0002_next.py:7", "$rename takes email away", "“user by e-mail”", "copy it to the new field"),
    ),
    Danger(
        "unique over duplicates",
        grown(
            {
                "indexes.json": {
                    "users": [*INDEXES["users"], {"name": "u", "keys": [["name", 1]], "unique": True}]
                }
            }
        ),
        ("users.u: 2 values are there more than once", '"twin" in 2 documents', "make them unique first"),
    ),
    Danger(
        "drop of an index that a query of the release needs",
        grown(without("team")),
        ("users.team", "“a team's users”", "no index left", "Keep the index"),
    ),
    Danger(
        "drop of an index that somebody uses",
        grown({**without("team"), "queries.json": QUERIES[:1]}),
        ("users.team", "was used 3 times", "name that query in queries.json"),
        kind="contract",
        prepare=use_of_team,
    ),
    Danger(
        "type change",
        change("expand", 'progress.update("users", {}, {"$set": {"team": "none"}})'),
        ("0002_next.py:7", "users.team", "holds int and would become string", "write it to a new field"),
    ),
    Danger(
        "edited history",
        grown(
            {"0001_active.py": script("expand", 'progress.update("users", {}, {"$set": {"active": False}})')}
        ),
        ("0001_active was edited after it was applied", "put it back as it was", "the next number"),
    ),
    Danger(
        "out-of-order number",
        grown(
            {
                "0001_active.py": None,
                "0001_earlier.py": script("expand", 'progress.update("users", {}, {"$set": {"a": 1}})'),
                "0002_active.py": FIRST["0001_active.py"],
            }
        ),
        ("0001_active was applied", "put the file back"),
    ),
    Danger(
        "contract before watch",
        change("contract", 'progress.update("users", {}, {"$unset": {"old": ""}})'),
        ("0002_next is a contract migration", "has not ended", "wait for that"),
        kind="contract",
        watched=False,
    ),
    Danger(
        "dropping a collection while the old version runs",
        change("expand", 'database.drop_collection("users")'),
        ("dropping users", 'kind = "contract"'),
    ),
    Danger(
        "taking away a field that the release itself uses",
        change("contract", 'progress.update("users", {}, {"$unset": {"email": ""}})'),
        (
            "$unset takes email away",
            "“user by e-mail” of this release",
            "release a version that does not first",
        ),
        kind="contract",
    ),
    Danger(
        "a validator that documents violate",
        grown({"validators.json": {"users": {"schema": {"required": ["phone"]}}}}),
        ("5 documents would violate", "_id 1", "Back-fill them"),
        kind="contract",
    ),
    Danger(
        "an update that can't be repeated",
        change("expand", 'progress.update("users", {}, {"$inc": {"logins": 1}})'),
        ("$inc gives another result when it is applied again", "once=True"),
    ),
    Danger(
        "one statement over a whole collection",
        change("expand", 'database["users"].update_many({}, {"$set": {"a": 1}})'),
        ("update_many is one statement over the whole collection", "progress.update"),
    ),
    Danger(
        "an index made behind the plan's back",
        change("expand", 'database["users"].create_index("x")'),
        ("create_index in a migration hides from the plan", "indexes.json"),
    ),
    Danger(
        "an index that is not as it was declared, over documents",
        grown({"indexes.json": {"users": [{"name": "email", "keys": [["email", -1]]}, INDEXES["users"][1]]}}),
        ("users.email", "queries would scan 5 documents", '"rebuild": true'),
    ),
    Danger(
        "an index that DocumentDB does not have",
        grown({"indexes.json": {"users": [{"name": "h", "keys": [["email", "hashed"]]}]}}),
        ("DocumentDB 5.0", "'hashed' is not supported", "https://docs.aws.amazon.com/documentdb/"),
        error=MisconfiguredError,
    ),
    Danger(
        "two migrations with one number",
        grown({"0001_twin.py": script("expand", "pass")}),
        ("0001_active.py and 0001_twin.py have the same number", "0002"),
        error=MisconfiguredError,
    ),
    Danger(
        "a number left out",
        grown({"0003_far.py": script("expand", "pass")}),
        ("0003_far.py has number 0003", "there is no 0002"),
        error=MisconfiguredError,
    ),
]


@pytest.mark.parametrize("danger", DANGERS, ids=lambda danger: danger.name)
def test_a_dangerous_migration_is_stopped_and_nothing_is_changed(
    migrated: Site, tmp_path: Path, danger: Danger
) -> None:
    names = ["twin", "twin", "pair", "pair", "other"]
    migrated.database["users"].insert_many(
        {"_id": n, "email": f"{n}@example.com", "team": n, "name": name}
        for n, name in enumerate(names, start=1)
    )
    migrated.run(load_release(write(tmp_path / "first", FIRST)))
    danger.prepare(migrated)
    before = migrated.everything()

    files = {name: content for name, content in danger.files.items() if content is not None}
    with pytest.raises(danger.error) as refused:
        migrated.run(
            load_release(write(tmp_path / "next", files)),
            danger.kind,
            deployment="d-2",
            watched=danger.watched,
        )

    for words in danger.says:
        assert words in str(refused.value)
    assert migrated.everything() == before


def test_a_new_migration_below_one_that_was_applied_is_refused(migrated: Site, tmp_path: Path) -> None:
    """Two branches that both took a number: the one merged later must not slip in below."""
    first = {**FIRST, SECOND: script("expand", 'progress.update("users", {}, {"$set": {"b": 1}})')}
    migrated.run(load_release(write(tmp_path / "first", first)))
    other = {name: content for name, content in first.items() if name != "0001_active.py"}
    other["0001_mine.py"] = script("expand", 'progress.update("users", {}, {"$set": {"c": 1}})')
    with pytest.raises(MigrationRefusedError) as refused:
        migrated.run(load_release(write(tmp_path / "next", other)), deployment="d-2")
    assert "0001_mine is new, but 0002_next with a higher number was applied already" in str(refused.value)
    assert "0003" in str(refused.value)


def test_every_reason_is_told_at_once(migrated: Site, tmp_path: Path) -> None:
    migrated.database["users"].insert_one({"_id": 1, "email": "a"})
    files = change(
        "expand", 'progress.update("users", {}, {"$unset": {"x": ""}})', 'database["users"].delete_many({})'
    )
    with pytest.raises(MigrationRefusedError, match=r"3 reasons: .*:7: .*:8: .*:8: "):
        migrated.run(load_release(write(tmp_path / "next", files)))
