"""Cutover's migration engine beside migrate-mongo (npm) and pymongo-migrate (PyPI), on one server in one run.

`make bench-migrations`. Timed: 20 migrations, 100 indexes, and both again with nothing left to do; without
the start of Node and Python, through each tool's own API, in turns. Then 8 migrators at once, again and again
on a fresh database: was each migration applied exactly once, and in order?

QUICK=1 ends within a minute. MONGO_URL takes a server of yours; databases bench_* are made and dropped there.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database

from bench.results_file import is_quick, keep, table
from bench.server import REPOSITORY, running

HERE = Path(__file__).parent / "migrators"
INSTALLED = REPOSITORY / ".bench"
TIMED_ROUNDS, RACES = (1, 2) if is_quick() else (10, 50)
MIGRATIONS, INDEXES, COLLECTIONS, DOCUMENTS, MIGRATORS = 20, 100, 10, 1000, 8
Client = MongoClient[dict[str, Any]]


@dataclass(frozen=True)
class Tool:
    """`up` starts one migrator, the URL behind it; `write` makes its files: (folder, migrations, indexes)."""

    name: str
    version: str
    up: tuple[str, ...]
    write: Callable[[Path, int, int], None]


def tools() -> list[Tool]:
    """Cutover first; the two others are installed beside it, by their registries' own clients."""
    node, python = _install_migrate_mongo(), _install_pymongo_migrate()
    npm = json.loads((HERE / "package.json").read_text())["dependencies"]["migrate-mongo"]
    pypi = (HERE / "requirements.txt").read_text().split("==")[1].split()[0]
    return [
        Tool("Cutover", "this version", (sys.executable, str(HERE / "cutover_up.py")), _for_cutover),
        Tool("migrate-mongo", npm, ("node", str(node)), _for_migrate_mongo),
        Tool(
            "pymongo-migrate", pypi, (str(python), str(HERE / "pymongo_migrate_up.py")), _for_pymongo_migrate
        ),
    ]


def _install_migrate_mongo() -> Path:
    folder = INSTALLED / "migrate-mongo"
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "migrate_mongo_up.js"
    shutil.copy(HERE / script.name, script)
    wanted = (HERE / "package.json").read_text()
    if not _is(folder / "installed", wanted):
        (folder / "package.json").write_text(wanted)
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True)
        (folder / "installed").write_text(wanted)
    return script


def _install_pymongo_migrate() -> Path:
    folder = INSTALLED / "pymongo-migrate"
    wanted = (HERE / "requirements.txt").read_text()
    if not _is(folder / "installed", wanted):
        uv = shutil.which("uv") or str(REPOSITORY / ".tools/uv/bin/uv")
        subprocess.run(
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True
        )
        install = [uv, "pip", "install", "--quiet", "--python", str(folder / "bin/python")]
        subprocess.run([*install, "-r", str(HERE / "requirements.txt")], check=True)
        (folder / "installed").write_text(wanted)
    return folder / "bin/python"


def _is(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


# -- the same work, in each tool's words


def _index_keys(number: int) -> tuple[str, dict[str, int]]:
    """(collection, keys) of one of the hundred."""
    return f"things_{number % COLLECTIONS}", {f"field_{number // COLLECTIONS}": 1, "bucket": -1}


def _for_cutover(folder: Path, migrations: int, indexes: int) -> None:
    for n in range(1, migrations + 1):
        (folder / f"{n:04}_step.py").write_text(
            f'"""Step {n}."""\n\nimport os, time\n\nkind = "expand"\n\n\ndef up(database, progress):\n'
            f'    run = {{"migration": {n}, "process": os.getpid(), "at": time.time_ns()}}\n'
            '    database["executions"].update_one(run, {"$setOnInsert": {"was": "run"}}, upsert=True)\n'
            f'    progress.update("things_0", {{"bucket": {n}}}, {{"$set": {{"step_{n}": {n}}}}})\n'
        )
    declared: dict[str, list[dict[str, Any]]] = {}
    for n in range(indexes):
        collection, keys = _index_keys(n)
        declared.setdefault(collection, []).append({"name": f"index_{n}", "keys": list(keys.items())})
    (folder / "indexes.json").write_text(json.dumps(declared))


def _for_pymongo_migrate(folder: Path, migrations: int, indexes: int) -> None:
    before: list[str] = []
    for n in range(1, migrations + 1):
        (folder / f"step_{n:04}.py").write_text(
            f"import os, time\n\ndependencies = {before!r}\n\n\ndef upgrade(database):\n"
            f'    run = {{"migration": {n}, "process": os.getpid(), "at": time.time_ns()}}\n'
            '    database["executions"].update_one(run, {"$setOnInsert": {"was": "run"}}, upsert=True)\n'
            f'    database["things_0"].update_many({{"bucket": {n}}}, {{"$set": {{"step_{n}": {n}}}}})\n'
        )
        before = [f"step_{n:04}"]
    if indexes:
        lines = [
            f"    database[{collection!r}].create_index({list(keys.items())!r}, name='index_{n}')"
            for n in range(indexes)
            for collection, keys in [_index_keys(n)]
        ]
        body = "\n".join(lines)
        (folder / "indexes.py").write_text(f"dependencies = []\n\n\ndef upgrade(database):\n{body}\n")


def _for_migrate_mongo(folder: Path, migrations: int, indexes: int) -> None:
    for n in range(1, migrations + 1):
        (folder / f"{n:04}-step.mjs").write_text(
            "export const up = async (db) => {\n"
            f"  const run = {{ migration: {n}, process: process.pid, at: performance.now() }};\n"
            '  await db.collection("executions")'
            '.updateOne(run, { $setOnInsert: { was: "run" } }, { upsert: true });\n'
            f'  await db.collection("things_0")'
            f".updateMany({{ bucket: {n} }}, {{ $set: {{ step_{n}: {n} }} }});\n"
            "};\nexport const down = async () => {};\n"
        )
    if indexes:
        lines = [
            f"  await db.collection({json.dumps(collection)})"
            f".createIndex({json.dumps(keys)}, {{ name: 'index_{n}' }});"
            for n in range(indexes)
            for collection, keys in [_index_keys(n)]
        ]
        body = "\n".join(lines)
        text = f"export const up = async (db) => {{\n{body}\n}};\nexport const down = async () => {{}};\n"
        (folder / "0001-indexes.mjs").write_text(text)


# -- running them


class Migrators:
    """Processes of one tool, connected to the server and waiting to be told what to migrate."""

    def __init__(self, tool: Tool, url: str, number: int) -> None:
        self._tool = tool
        self._processes = [
            subprocess.Popen(
                [*tool.up, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
            )
            for _ in range(number)
        ]
        for process in self._processes:
            if self._line(process) != "ready":
                raise SystemExit(f"{tool.name} did not start; its own message is above")

    def up(self, database: str, folder: Path) -> list[dict[str, Any]]:
        """Let all of them go at once; {seconds, error} of each."""
        for process in self._processes:
            if process.stdin is not None:
                process.stdin.write(f"{database} {folder}\n")
                process.stdin.flush()
        return [json.loads(self._line(process)) for process in self._processes]

    def _line(self, process: subprocess.Popen[str]) -> str:
        line = process.stdout.readline().strip() if process.stdout is not None else ""
        if not line:
            raise SystemExit(f"{self._tool.name} ended with {process.wait()}; its own message is above")
        return line

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


@contextlib.contextmanager
def migrators(every: list[Tool], url: str, number: int) -> Iterator[dict[str, Migrators]]:
    """So many of each tool, by its name."""
    with contextlib.ExitStack() as stack:
        found: dict[str, Migrators] = {}
        for tool in every:
            found[tool.name] = Migrators(tool, url, number)
            stack.callback(found[tool.name].end)
        yield found


@contextlib.contextmanager
def prepared(client: Client, name: str, collections: int) -> Iterator[Database[dict[str, Any]]]:
    """A fresh database with documents to change."""
    client.drop_database(name)
    for number in range(collections):
        client[name][f"things_{number}"].insert_many(
            {
                "bucket": n % (MIGRATIONS + 1),
                "text": "x" * 60,
                **{f"field_{i}": (n * 7919 + i) % 997 for i in range(INDEXES // COLLECTIONS)},
            }
            for n in range(DOCUMENTS)
        )
    yield client[name]
    client.drop_database(name)


def timed(client: Client, migrator: Migrators, tool: Tool, migrations: int, indexes: int) -> list[float]:
    """Seconds for the work, and for the same call again with nothing left to do."""
    collections = COLLECTIONS if indexes else 1
    with TemporaryDirectory() as folder, prepared(client, "bench_timed", collections) as database:
        tool.write(Path(folder), migrations, indexes)
        said = [each for _ in range(2) for each in migrator.up(database.name, Path(folder))]
        failed = [each["error"] for each in said if each["error"]]
        ran = [each["migration"] for each in database["executions"].find()]
        made = sum(len(database[f"things_{n}"].index_information()) - 1 for n in range(collections))
    if failed or ran != list(range(1, migrations + 1)) or made != indexes:
        raise SystemExit(f"{tool.name} did not do the work: {failed or (ran, made)}")
    return [float(each["seconds"]) for each in said]


def race(client: Client, racing: Migrators, folder: Path) -> dict[str, Any]:
    """Eight migrators at once on a fresh database, and what became of it."""
    with prepared(client, "bench_race", 1) as database:
        said = racing.up(database.name, folder)
        ran = [each["migration"] for each in database["executions"].find()]
    wanted = list(range(1, MIGRATIONS + 1))
    return {
        "exactly_once_in_order": ran == wanted,
        "applied_again": len(ran) - len(set(ran)),
        "lost": len(set(wanted) - set(ran)),
        "failed_migrators": sum(each["error"] is not None for each in said),
        "errors": sorted({each["error"] for each in said if each["error"]}),
        "seconds": max(each["seconds"] for each in said),
    }


def in_turns(tools: list[Tool], rounds: int) -> Iterator[Tool]:
    """Each tool once a round, another one first each time, so that a busy minute hits them alike."""
    for number in range(rounds):
        first = number % len(tools)
        yield from tools[first:] + tools[:first]


def main() -> None:
    every = tools()
    times: dict[str, dict[str, list[float]]] = {tool.name: {} for tool in every}
    races: dict[str, list[dict[str, Any]]] = {tool.name: [] for tool in every}
    with running() as (url, _), MongoClient[dict[str, Any]](url) as client:
        server = str(client.server_info()["version"])
        with migrators(every, url, 1) as single:
            for tool in in_turns(every, TIMED_ROUNDS):
                for label, work in (("migrations", (MIGRATIONS, 0)), ("indexes", (0, INDEXES))):
                    first, again = timed(client, single[tool.name], tool, *work)
                    times[tool.name].setdefault(label, []).append(first)
                    times[tool.name].setdefault(f"{label}_again", []).append(again)
        with migrators(every, url, MIGRATORS) as racing, TemporaryDirectory() as temporary:
            folders = {tool.name: Path(temporary, tool.name) for tool in every}
            for tool in every:
                folders[tool.name].mkdir()
                tool.write(folders[tool.name], MIGRATIONS, 0)
            for tool in in_turns(every, RACES):
                races[tool.name].append(race(client, racing[tool.name], folders[tool.name]))
    print(table(_time_rows(every, times)), "", table(_race_rows(every, races)), sep="\n")
    versions = {tool.name: tool.version for tool in every}
    keep(
        "migrations.quick" if is_quick() else "migrations",
        {"server": server, "versions": versions, "seconds": times, "races": races},
    )


def _time_rows(every: list[Tool], times: dict[str, dict[str, list[float]]]) -> list[dict[str, str]]:
    """Seconds, and the median of each round's ratio to Cutover."""
    labels = {
        f"{MIGRATIONS} migrations": "migrations",
        "again, none pending": "migrations_again",
        f"{INDEXES} indexes": "indexes",
        "again, all there": "indexes_again",
    }
    own = times[every[0].name]
    rows = []
    for tool in every:
        row = {"one migrator": f"{tool.name} {tool.version}"}
        for label, key in labels.items():
            ratio = median(a / b for a, b in zip(times[tool.name][key], own[key], strict=True))
            row[label] = f"{_spread(times[tool.name][key])}, {ratio:.2f}x"
        rows.append(row)
    return rows


def _race_rows(every: list[Tool], races: dict[str, list[dict[str, Any]]]) -> list[dict[str, str]]:
    rows = []
    for tool in every:
        rounds = races[tool.name]
        rows.append(
            {
                f"{MIGRATORS} migrators at once": f"{tool.name} {tool.version}",
                "rounds right": f"{sum(each['exactly_once_in_order'] for each in rounds)} of {len(rounds)}",
                "applied again": str(sum(each["applied_again"] for each in rounds)),
                "lost": str(sum(each["lost"] for each in rounds)),
                "failed migrators": f"{sum(each['failed_migrators'] for each in rounds)}"
                f" of {len(rounds) * MIGRATORS}",
                "a round": _spread([each["seconds"] for each in rounds]),
            }
        )
    return rows


def _spread(seconds: list[float]) -> str:
    return f"{median(seconds):.3f} s ({min(seconds):.3f} to {max(seconds):.3f})"


if __name__ == "__main__":
    main()
