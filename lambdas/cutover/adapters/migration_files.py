"""The migrations of a release, as files: indexes.json, validators.json, queries.json and 0001_name.py.

    \"\"\"Give every evaluation a grade.\"\"\"

    kind = "expand"

    def up(database, progress):
        progress.update("evaluations", {"grade": {"$exists": False}}, {"$set": {"grade": None}})

    def down(database, progress):  # optional
        ...

`database` is pymongo's; `progress` is adapters/backfill.py. Nothing in a file is run before all of them were
read and found to be well formed.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from traceback import extract_tb
from typing import Any

from cutover.domain.errors import MisconfiguredError
from cutover.domain.migrations import Migration, check_numbers
from cutover.domain.queries import NamedQuery, read_queries
from cutover.domain.schema import Phase, Schema, read_schema

NAME = re.compile(r"(?P<number>\d{4})_[a-z0-9_]+\.py")
Way = Callable[[Any, Any], None]


@dataclass(frozen=True)
class Script:
    """A migration that can be run; `source` is its text."""

    migration: Migration
    source: str
    path: Path

    def load(self) -> tuple[Way, Way | None]:
        """(up, down). Raises MisconfiguredError if the file breaks while it is imported."""
        space: dict[str, Any] = {"__name__": f"migration_{self.migration.name}", "__file__": str(self.path)}
        try:
            exec(compile(self.source, self.path.name, "exec"), space)  # noqa: S102  the release's own code
        except Exception as error:
            raise MisconfiguredError(f"migrations: {where(error, self.path.name)}: {told(error)}") from error
        return space["up"], space.get("down")


@dataclass(frozen=True)
class Release:
    """`digest` is over every file that declares something."""

    schema: Schema
    scripts: tuple[Script, ...]
    queries: tuple[NamedQuery, ...]
    queries_text: str
    digest: str

    @property
    def migrations(self) -> tuple[Migration, ...]:
        return tuple(script.migration for script in self.scripts)


def load_release(directory: Path) -> Release:
    """Raises MisconfiguredError naming the file, and the line where there is one."""
    scripts = tuple(_script(path) for path in sorted(directory.glob("*.py")) if path.name[0] not in "._")
    check_numbers([(script.migration.number, script.path.name) for script in scripts])
    queries = _json(directory / "queries.json", [])
    return Release(
        read_schema(_json(directory / "indexes.json", {}), _json(directory / "validators.json", {})),
        tuple(sorted(scripts, key=lambda script: script.migration.number)),
        read_queries(queries),
        json.dumps(queries, sort_keys=True),
        _digest(directory),
    )


def _script(path: Path) -> Script:
    named = NAME.fullmatch(path.name)
    if named is None:
        raise MisconfiguredError(
            f"migrations: {path.name}: a migration is called NUMBER_WHAT_IT_DOES.py, with four digits and "
            "then small letters, digits and _, as 0001_give_a_grade.py; rename it"
        )
    source = _text(path)
    tree = _parse(path.name, source)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    kind = _kind(path.name, tree)
    for name in ("up", "down"):
        _check_way(path.name, name, functions.get(name))
    migration = Migration(
        int(named["number"]),
        path.stem,
        kind,
        hashlib.sha256(source.encode()).hexdigest(),
        (ast.get_docstring(tree) or "").partition("\n")[0],
        "down" in functions,
    )
    return Script(migration, source, path)


def _parse(name: str, source: str) -> ast.Module:
    try:
        return ast.parse(source, name)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise MisconfiguredError(
            f"migrations: {name}:{line}: not Python: {getattr(error, 'msg', error)}"
        ) from error


def _kind(name: str, tree: ast.Module) -> Phase:
    known = '"expand" (before the release) or "contract" (after its watch)'
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id == "kind" for target in targets):
            value = (
                node.value.value
                if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
                else None
            )
            if value not in tuple(Phase):
                found = repr(value) if value is not None else "not a constant"
                raise MisconfiguredError(
                    f"migrations: {name}:{node.lineno}: kind is {found}; it must be {known}"
                )
            return Phase(str(value))
    raise MisconfiguredError(f"migrations: {name}:1: there is no kind; add kind = {known}")


def _check_way(file: str, name: str, function: ast.FunctionDef | None) -> None:
    if function is None:
        if name == "up":
            raise MisconfiguredError(f"migrations: {file}:1: there is no up(database, progress); write it")
        return
    taken = [argument.arg for argument in function.args.args]
    if taken != ["database", "progress"]:
        raise MisconfiguredError(
            f"migrations: {file}:{function.lineno}: {name}({', '.join(taken)}) must take (database, progress)"
        )


def _digest(directory: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted([*directory.glob("*.json"), *directory.glob("*.py")]):
        digest.update(f"\0{path.name}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _json(path: Path, default: object) -> Any:
    if not path.exists():
        return default
    try:
        return json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise MisconfiguredError(f"migrations: {path.name}:{error.lineno}: not JSON: {error.msg}") from error


def _text(path: Path) -> str:
    try:
        # The same text with other line ends is the same migration.
        return path.read_text(encoding="utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise MisconfiguredError(f"migrations: {path.name}: not UTF-8 at byte {error.start}") from error
    except OSError as error:
        raise MisconfiguredError(f"migrations: {path.name} can't be read: {error.strerror}") from error


def where(error: BaseException, file: str) -> str:
    """FILE:LINE of the last line of the migration that the error passed."""
    for each in filter(None, (error, error.__cause__)):
        lines = [frame.lineno for frame in extract_tb(each.__traceback__) if frame.filename == file]
        if lines:
            return f"{file}:{lines[-1]}"
    return f"{file}:1"


def told(error: BaseException) -> str:
    """The error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
