"""Back-filling migrations over 1,000,000 documents, killed again and again: their memory, time, and result.

`make bench-backfill`. Two migrations: one computes a field from another, one counts up and so must reach each
document exactly once. The migrator is killed (SIGKILL) when a quarter, a half and three quarters of each are
done, and started again as the state machine would. Its peak of memory must stay below 200 MB.

QUICK=1 takes 20,000 documents. MONGO_URL takes a server of yours; the database bench_backfill is made there.
"""

from __future__ import annotations

import select
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database

from bench.results_file import is_quick, keep, table
from bench.server import REPOSITORY, running

DOCUMENTS = 20_000 if is_quick() else 1_000_000
KILLS = (0.25, 0.5, 0.75)
LIMIT_BYTES = 200 * 1024 * 1024
_INSERTED_AT_ONCE = 10_000

MIGRATIONS = {
    "0001_lower_the_addresses": """
def up(database, progress):
    progress.transform("people", {}, ["email"], lower)


def lower(document):
    return {"$set": {"address": document["email"].lower()}}
""",
    "0002_count_up": """
def up(database, progress):
    progress.update("people", {}, {"$inc": {"counted": 1}}, once=True)
""",
}


def fill(database: Database[dict[str, Any]]) -> None:
    """Documents of some 200 bytes."""
    for start in range(0, DOCUMENTS, _INSERTED_AT_ONCE):
        database["people"].insert_many(
            [
                {
                    "_id": n,
                    "email": f"Person.{n}@Example.com",
                    "name": "x" * 60,
                    "about": "y" * 60,
                    "n": n % 97,
                }
                for n in range(start, min(start + _INSERTED_AT_ONCE, DOCUMENTS))
            ],
            ordered=False,
        )


class Migrator:
    """One process; `peak_bytes` is its high-water mark as the kernel has it."""

    def __init__(self, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(REPOSITORY / "bench/migrators/cutover_up.py"), url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )
        if self.read() != "ready":
            raise SystemExit("the migrator did not start; its own message is above")

    def read(self) -> str:
        return self.process.stdout.readline().strip() if self.process.stdout is not None else ""

    def begin(self, database: str, folder: Path) -> None:
        if self.process.stdin is not None:
            self.process.stdin.write(f"{database} {folder} the-deployment\n")
            self.process.stdin.flush()

    def has_answered(self) -> bool:
        """Also when it has ended."""
        output = self.process.stdout
        return output is None or bool(select.select([output], [], [], 0)[0])

    def peak_bytes(self) -> int:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise SystemExit("this kernel does not tell a process's peak of memory")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def documents_done(database: Database[dict[str, Any]], name: str) -> int:
    """How far the ledger says that the migration is; all documents when it is applied."""
    state = database["cutover_schema"].find_one({"_id": "state"}) or {}
    entry = state.get("migrations", {}).get(name, {})
    if entry.get("state") == "applied":
        return DOCUMENTS
    return int(entry.get("resume", {}).get("documents", 0))


def migrate(url: str, database: Database[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """Migrate to the end, with the kills; what it cost."""
    points = [(name, int(share * DOCUMENTS)) for name in MIGRATIONS for share in KILLS]
    began, peaks, resumed = time.perf_counter(), [], []
    migrator = Migrator(url)
    started_bytes = migrator.peak_bytes()
    try:
        for name, point in points:
            migrator.begin(database.name, folder)
            while documents_done(database, name) < point:
                if migrator.has_answered():
                    raise SystemExit(f"the migrator came to an end too early: {migrator.read()}")
                time.sleep(0.02)
            peaks.append(migrator.peak_bytes())
            migrator.kill()
            resumed.append({"migration": name, "killed_at": documents_done(database, name)})
            migrator = Migrator(url)
        migrator.begin(database.name, folder)
        said = migrator.read()
        if '"error": null' not in said:
            raise SystemExit(f"the migration failed: {said}")
        peaks.append(migrator.peak_bytes())
    finally:
        migrator.kill()
    return {
        "seconds": time.perf_counter() - began,
        "kills": resumed,
        "peak_bytes": max(peaks),
        "peak_bytes_before_any_work": started_bytes,
    }


def wrong(database: Database[dict[str, Any]]) -> dict[str, int]:
    """Documents that are not as they should be."""
    people = database["people"]
    return {
        "lost": people.count_documents({"$or": [{"address": {"$exists": False}}, {"counted": None}]}),
        "twice": people.count_documents({"counted": {"$gt": 1}}),
        "other_fields": sum(
            set(each) != {"_id", "email", "name", "about", "n", "address", "counted"}
            or each["address"] != each["email"].lower()
            for each in people.find()
        ),
    }


def main() -> int:
    with running() as (url, _), MongoClient[dict[str, Any]](url) as client, TemporaryDirectory() as temporary:
        client.drop_database("bench_backfill")
        database = client["bench_backfill"]
        folder = Path(temporary)
        for name, body in MIGRATIONS.items():
            (folder / f"{name}.py").write_text(f'"""{name}."""\n\nkind = "expand"\n\n{body}')
        fill(database)
        found = migrate(url, database, folder)
        found |= {"documents": DOCUMENTS, "wrong": wrong(database), "limit_bytes": LIMIT_BYTES}
        client.drop_database(database.name)
    right = not any(found["wrong"].values()) and found["peak_bytes"] <= LIMIT_BYTES
    row = {
        "documents": f"{DOCUMENTS:,}",
        "migrations": str(len(MIGRATIONS)),
        "kills": str(len(found["kills"])),
        "peak memory of the migrator": f"{found['peak_bytes'] / 2**20:.0f} MB",
        "of it before any work": f"{found['peak_bytes_before_any_work'] / 2**20:.0f} MB",
        "time": f"{found['seconds']:.0f} s",
        "lost": str(found["wrong"]["lost"]),
        "applied twice": str(found["wrong"]["twice"]),
    }
    print(table([row]))
    keep("backfill.quick" if is_quick() else "backfill", found)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
