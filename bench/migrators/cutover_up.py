"""Cutover's expand phase. For each line "DATABASE FOLDER [DEPLOYMENT]" it migrates and says what came."""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from cutover.adapters.clock import SystemClock
from cutover.adapters.migration_files import load_release
from cutover.adapters.schema_store import SchemaStore
from cutover.steps.migrations import run

LAMBDA_SECONDS = 870.0
Client = MongoClient[dict[str, Any]]


def migrate(client: Client, own: str, database: str, folder: str, given: str = "") -> None:
    """As the state machine does: call it again as long as it says that it isn't done."""
    release, store = load_release(Path(folder)), SchemaStore(client, database)
    status = "running"
    while status == "running":
        status = run(
            release,
            store,
            kind="expand",
            deployment=given or own,
            remaining=_countdown(LAMBDA_SECONDS),
            clock=SystemClock(),
        )["status"]


def _countdown(seconds: float) -> Callable[[], float]:
    stop = time.monotonic() + seconds
    return lambda: stop - time.monotonic()


connected: Client = MongoClient(sys.argv[1])
connected.admin.command("ping")
print("ready", flush=True)
for number, line in enumerate(sys.stdin):
    began = time.perf_counter()
    error = None
    try:
        # Every migrator is a deployment of its own, as two that meet would be.
        migrate(connected, f"deployment-{os.getpid()}-{number}", *line.split())
    except Exception as failure:
        error = f"{type(failure).__name__}: {failure}"
    print(json.dumps({"seconds": time.perf_counter() - began, "error": error}), flush=True)
