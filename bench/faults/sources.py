"""Sources with a fault in them: folders that a release is built from."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from bench.sandbox import ROOT

#: Fills an empty folder.
Source = Callable[[Path], None]
BACKEND = ROOT / "examples" / "backend"
HALF_WAY = '''"""Give every evaluation a grade by its score."""

kind = "expand"


def grade(document):
    return {"$set": {"grade": "good" if document["score"] > 0.9 else "fair"}}  # one has no score


def up(database, progress):
    progress.transform("evaluations", {}, ["grade"], grade)


def down(database, progress):
    progress.update("evaluations", {}, {"$unset": {"grade": ""}})
'''
INCOMPATIBLE = '''"""Keep more than a word of an evaluation's status, which no version before can read."""

kind = "expand"


def wrap(document):
    found = document["status"]
    return None if isinstance(found, dict) else {"$set": {"status": {"name": found}}}


def unwrap(document):
    found = document["status"]
    return {"$set": {"status": found["name"]}} if isinstance(found, dict) else None


def up(database, progress):
    progress.transform("evaluations", {}, ["status"], wrap)


def down(database, progress):
    progress.transform("evaluations", {}, ["status"], unwrap)
'''


def migration(text: str) -> Source:
    """The example backend with one migration more."""

    def fill(folder: Path) -> None:
        shutil.copytree(BACKEND, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "migrations" / "0001_seeded.py").write_text(text, encoding="utf-8")

    return fill


def image(*installed: str, declared: str | None) -> Source:
    """An image with these packages, and a requirements.txt with that line; None leaves it out."""

    def fill(folder: Path) -> None:
        # A layer of its own, without which the registry scans nothing.
        lines = ["FROM python:3.11-slim AS production", "COPY Dockerfile ."]
        if installed:
            lines.append(f"RUN pip install --no-cache-dir --no-deps {' '.join(installed)}")
        lines.append('CMD ["python", "-V"]')
        (folder / "Dockerfile").write_text("\n".join(lines) + "\n", encoding="utf-8")
        if declared is not None:
            (folder / "requirements.txt").write_text(f"{declared}\n", encoding="utf-8")

    return fill
