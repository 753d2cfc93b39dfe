"""A migrator that is killed anywhere, and many at once: everything is applied once, in order, and nothing twice.

MIGRATION_ROUNDS=50 and MIGRATION_KILLS=all run the full counts; by default a share of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from cutover.adapters import backfill
from cutover.adapters.migration_files import Release
from cutover.domain.errors import LockLostError
from tests.contract.migration_kit import Killed, Killer, Site, released, script

REPOSITORY = Path(__file__).resolve().parents[2]
ROUNDS = int(os.environ.get("MIGRATION_ROUNDS", "2"))
ALL = os.environ.get("MIGRATION_KILLS") == "all"
MIGRATORS = 8
DOCUMENTS = 14

INDEXES = {
    "people": [
        {"name": "email_unique", "keys": [["email", 1]], "unique": True},
        {"name": "team_newest", "keys": [["team", 1], ["joined", -1]]},
    ],
    "empty": [{"name": "a", "keys": [["a", 1]], "sparse": True}],
}
VALIDATORS = {"fresh": {"schema": {"bsonType": "object", "required": ["name"]}}}
FILES: dict[str, Any] = {
    "indexes.json": INDEXES,
    "validators.json": VALIDATORS,
    "0001_grade.py": script(
        "expand", 'progress.update("people", {"grade": {"$exists": False}}, {"$set": {"grade": "none"}})'
    ),
    "0002_count.py": script("expand", 'progress.update("people", {}, {"$inc": {"count": 1}}, once=True)'),
    "0003_initials.py": script(
        "expand",
        'progress.transform("people", {}, ["email"], lambda it: {"$set": {"initial": it["email"][:1]}})',
    ),
}


def seed(site: Site) -> None:
    site.database["people"].insert_many(
        {"_id": n if n % 2 else f"p{n}", "email": f"{n}@example.com", "team": n % 3} for n in range(DOCUMENTS)
    )


def check(site: Site) -> None:
    """What must be so when everything was applied once."""
    people = list(site.database["people"].find())
    assert len(people) == DOCUMENTS
    for person in people:
        assert set(person) == {"_id", "email", "team", "grade", "count", "initial"}
        assert (person["grade"], person["count"], person["initial"]) == ("none", 1, person["email"][:1])
    assert set(site.database["people"].index_information()) == {"_id_", "email_unique", "team_newest"}
    assert set(site.database["empty"].index_information()) == {"_id_", "a"}
    assert site.database["fresh"].options()["validator"] == {"$jsonSchema": VALIDATORS["fresh"]["schema"]}
    state = site.state()
    assert {name: each["state"] for name, each in state["migrations"].items()} == dict.fromkeys(
        ["0001_grade", "0002_count", "0003_initials"], "applied"
    )
    assert state["holder"] is None


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    monkeypatch.setattr(backfill, "BATCH", 4)
    return released(tmp_path / "release", FILES)


def statements(site: Site, release: Release) -> list[str]:
    """What a run that nobody disturbs says to the server."""
    watcher = Killer(at=10**9)
    with site.connect(event_listeners=[watcher]) as client:
        assert site.run(release, store=site.store(client))["status"] == "done"
    return watcher.statements


def killed(site: Site, release: Release, at: int, moment: str) -> bool:
    """A run that dies at its nth statement, in a client of its own. Did it get as far?"""
    killer = Killer(at, moment)
    client = site.connect(event_listeners=[killer])
    try:
        site.run(release, store=site.store(client))
    except Killed:
        return True
    finally:
        killer.at, killer.dead = 10**9, False
        client.close()
    return False


@pytest.mark.timeout(900)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_every_statement_the_next_migrator_converges(
    migrated: Site, release: Release, moment: str
) -> None:
    seed(migrated)
    count = len(statements(migrated, release))
    check(migrated)
    assert count > 40
    for at in range(1 if moment == "before" else 4, count + 1, 1 if ALL else 7):
        migrated.client.drop_database(migrated.name)
        seed(migrated)
        assert killed(migrated, release, at, moment), at
        assert migrated.run(release)["status"] == "done"
        check(migrated)


def test_killed_again_and_again_it_still_gets_to_its_end(migrated: Site, release: Release) -> None:
    """Each attempt lives for some statements only; progress is kept."""
    seed(migrated)
    attempts = 0
    while killed(migrated, release, 30, "before" if attempts % 2 else "after"):
        attempts += 1
        assert attempts < 60
    assert attempts > 2
    check(migrated)


def test_an_undo_that_is_killed_anywhere_is_finished_by_the_next(migrated: Site, tmp_path: Path) -> None:
    files = {
        "indexes.json": INDEXES,
        "0001_grade.py": script(
            "expand",
            'progress.update("people", {"grade": {"$exists": False}}, {"$set": {"grade": "none"}})',
            down='progress.update("people", {}, {"$unset": {"grade": ""}})',
        ),
    }
    release = released(tmp_path / "release", files)
    seed(migrated)
    migrated.database.create_collection("empty")
    before = migrated.everything()
    for at in range(1, 40, 1 if ALL else 8):
        migrated.run(release)
        killer = Killer(at)
        client = migrated.connect(event_listeners=[killer])
        try:
            migrated.undo(release, store=migrated.store(client))
        except Killed:
            migrated.undo(release)
        finally:
            killer.at, killer.dead = 10**9, False
            client.close()
        after = migrated.everything()
        after.pop("cutover_schema")
        assert after == before, at
        migrated.database["cutover_schema"].delete_one({})


KILL_PROGRAM = """
import json, sys
from pathlib import Path
from pymongo import MongoClient
from cutover.adapters import backfill
from cutover.adapters.clock import SystemClock
from cutover.adapters.migration_files import load_release
from cutover.adapters.schema_store import SchemaStore
from cutover.steps.migrations import run
from tests.contract.migration_kit import Killer

told = json.loads(sys.argv[1])
backfill.BATCH = 4
killer = Killer(told["at"], told["moment"], really=True)
client = MongoClient(**told["client"], event_listeners=[killer])
store = SchemaStore(client, told["database"])
answer = run(load_release(Path(told["release"])), store, kind="expand", deployment=told["deployment"],
             remaining=lambda: 600.0, clock=SystemClock())
print(answer["status"])
"""


def process(migrated: Site, folder: Path, deployment: str, at: int = 10**9) -> subprocess.Popen[str]:
    """A migrator in a process of its own, which dies by SIGKILL at its nth statement."""
    migrated.client.admin.command("ping")  # only now does the client know where the server is
    options = migrated.client.options
    address = next(iter(migrated.client.nodes))
    credentials = options.pool_options._credentials
    told = {
        "at": at,
        "moment": "after",
        "database": migrated.name,
        "release": str(folder),
        "deployment": deployment,
        "client": {
            "host": address[0],
            "port": address[1],
            "username": credentials.username if credentials else None,
            "password": credentials.password if credentials else None,
            "replicaSet": options.replica_set_name,
            **(
                {"tls": True, "tlsAllowInvalidCertificates": True}
                if options.pool_options._ssl_context
                else {}
            ),
        },
    }
    return subprocess.Popen(
        [sys.executable, "-c", KILL_PROGRAM, json.dumps(told)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'lambdas'}"},
    )


def test_a_process_that_was_really_killed_is_carried_on_by_the_next(
    migrated: Site, release: Release, tmp_path: Path
) -> None:
    seed(migrated)
    for at in (12, 25, 30):
        dead = process(migrated, tmp_path / "release", "d-1", at)
        assert dead.wait(60) == -9, dead.stdout and dead.stdout.read()
    assert migrated.run(release)["status"] == "done"
    check(migrated)


def test_another_deployment_waits_until_the_lease_of_a_dead_one_has_ended(
    migrated: Site, release: Release
) -> None:
    seed(migrated)
    assert killed(migrated, release, 20, "after")
    left = iter([600.0] * 3)
    waiting = migrated.run(release, deployment="d-2", remaining=lambda: next(left, 0.0))
    assert waiting["status"] == "running"
    assert "d-1" in waiting["progress"]["current"]

    assert (
        migrated.run(release, deployment="d-2", store=migrated.store(lease_seconds=0.5))["status"] == "done"
    )
    check(migrated)


def test_a_migrator_that_wakes_up_late_can_write_nothing_to_the_ledger(
    migrated: Site, release: Release
) -> None:
    first = migrated.store().claim("d-1")
    second = migrated.store().claim("d-1")
    assert not isinstance(first, str)
    assert not isinstance(second, str)
    with pytest.raises(LockLostError):
        first.wait(release.migrations, "d-1")
    assert migrated.state().get("migrations") is None
    second.wait(release.migrations, "d-1")
    first.close()  # frees nothing that is another's
    assert migrated.state()["holder"] == "d-1"
    second.close()


def counting(tmp_path: Path, number: int) -> str:
    """A migration that leaves a line in a file each time it is run."""
    log = tmp_path / "applied"
    return script(
        "expand",
        "import os",
        f"place = os.open({str(log)!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)",
        f'os.write(place, b"{number}\\n")',
        "os.close(place)",
    )


@pytest.mark.timeout(900)
def test_of_many_migrators_at_once_each_migration_is_applied_by_one_and_in_order(
    migrated: Site, tmp_path: Path
) -> None:
    numbers = range(1, 7)
    files = {f"{n:04}_step.py": counting(tmp_path, n) for n in numbers} | {"indexes.json": INDEXES}
    release = released(tmp_path / "release", files)
    for _ in range(ROUNDS):
        (tmp_path / "applied").write_text("")
        migrated.client.drop_database(migrated.name)
        answers: list[dict[str, Any]] = []

        def migrate(who: str, answers: list[dict[str, Any]] = answers) -> None:
            answers.append(migrated.run(release, deployment=who))

        threads = [threading.Thread(target=migrate, args=(f"d-{n}",)) for n in range(MIGRATORS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        assert [answer["status"] for answer in answers] == ["done"] * MIGRATORS
        assert (tmp_path / "applied").read_text().split() == [str(n) for n in numbers]
        assert sum(len(answer["applied"]) for answer in answers) == len(numbers)


def test_of_many_processes_at_once_each_migration_is_applied_by_one_and_in_order(
    migrated: Site, tmp_path: Path
) -> None:
    numbers = range(1, 4)
    released(tmp_path / "release", {f"{n:04}_step.py": counting(tmp_path, n) for n in numbers})
    started = [process(migrated, tmp_path / "release", f"d-{n}") for n in range(4)]
    answers = [each.communicate(timeout=120)[0].strip() for each in started]
    assert answers == ["done"] * len(started)
    assert (tmp_path / "applied").read_text().split() == [str(n) for n in numbers]
