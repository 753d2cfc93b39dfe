"""Whatever was done, a data directory gives back what was there: random commands, then another instance."""

import random
from pathlib import Path
from typing import Any

import pytest

from sandbox.database import commands
from sandbox.database.commands.users import add_user
from sandbox.database.instance import Connection, Instance

Document = dict[str, Any]


def opened(directory: Path) -> Instance:
    instance = Instance("127.0.0.1:27017")
    instance.keep_in(directory)
    return instance


def contents(instance: Instance) -> Document:
    return {
        "users": {name: user.document() for name, user in instance.users.items()},
        "collections": {
            collection.namespace: (
                collection.description(),
                dict(collection.records),
                collection.size_bytes,
                {name: list(index.entries) for name, index in collection.indexes.items()},
            )
            for collections in instance.databases.values()
            for collection in collections.values()
        },
    }


def random_command(rng: random.Random) -> Document:
    name = rng.choice(["a", "b"])
    some = {"n": rng.randint(0, 5)}
    return rng.choice(
        [
            {
                "insert": name,
                "documents": [{"n": rng.randint(0, 5), "tags": [1, None]}, {"_id": rng.randint(0, 9)}],
            },
            {
                "update": name,
                "updates": [{"q": some, "u": {"$inc": {"n": 1}, "$push": {"tags": 2}}, "multi": True}],
            },
            {"update": name, "updates": [{"q": some, "u": {"n": 7}, "upsert": True}]},
            {"delete": name, "deletes": [{"q": some, "limit": rng.randint(0, 1)}]},
            {"findAndModify": name, "query": some, "remove": True},
            {"createIndexes": name, "indexes": [{"key": {"tags": 1, "n": -1}, "name": "tags"}]},
            {"createIndexes": name, "indexes": [{"key": {"at": 1}, "name": "at", "expireAfterSeconds": 9}]},
            {"dropIndexes": name, "index": "tags"},
            {"collMod": name, "index": {"name": "at", "expireAfterSeconds": rng.randint(1, 99)}},
            {
                "collMod": name,
                "validator": {"n": {"$lt": 7}},
                "validationLevel": rng.choice(["off", "strict"]),
            },
            {"create": name, "validator": {"n": {"$exists": True}}},
            {"drop": name},
            {"createUser": f"user-{name}", "pwd": "one", "roles": ["readWrite"]},
            {"updateUser": f"user-{name}", "pwd": "two", "roles": ["read"]},
            {"dropUser": f"user-{name}"},
        ]
    )


@pytest.mark.parametrize("seed", range(4))
def test_another_instance_finds_in_the_directory_what_was_there(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    instance = opened(tmp_path)
    root = add_user(instance, "root", "admin", "s3cret", [{"role": "root", "db": "admin"}]).identifier
    succeeded = 0
    for _ in range(3):
        connection = Connection(1, "127.0.0.1:1", users={"admin": root})
        for _ in range(25):
            reply = commands.run(instance, connection, {**random_command(rng), "$db": "shop"})
            succeeded += reply["ok"] == 1.0
        before = contents(instance)
        instance = opened(tmp_path)
        assert contents(instance) == before
    assert succeeded > 15
