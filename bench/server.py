"""The MongoDB server of a benchmark: the one of MONGO_URL, else an embedded one that ends with it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from sandbox.database.launch import database_command

REPOSITORY = Path(__file__).resolve().parents[1]
_START_SECONDS = 60.0


@contextlib.contextmanager
def running() -> Iterator[tuple[str, int | None]]:
    """(its URL, its process id if it is ours)."""
    given = os.environ.get("MONGO_URL")
    if given:
        yield given, None
        return
    with TemporaryDirectory() as folder:
        ready, password = Path(folder, "ready"), Path(folder, "password")
        password.write_text("benchmark")
        command = database_command(
            host="127.0.0.1", port=0, username="bench", password_file=password, ready_file=ready
        )
        with Path(folder, "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=REPOSITORY, stderr=log)
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not ready.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the database did not start: {Path(folder, 'log').read_text()}")
                time.sleep(0.05)
            address = ready.read_text().strip()
            yield f"mongodb://bench:benchmark@{address}/?authSource=admin&replicaSet=rs0", process.pid
        finally:
            process.terminate()
            process.wait()
