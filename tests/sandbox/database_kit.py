"""The MongoDB server that tests talk to: the embedded one as a process, or the one that MONGO_URL names."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.uri_parser import parse_uri

from sandbox import pki
from sandbox.database import launch

REPOSITORY = Path(__file__).resolve().parents[2]
USER, PASSWORD = "keeper", "p@ss/word: ünï"
DEADLINE_SECONDS = 30.0

Client = MongoClient[dict[str, Any]]


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {DEADLINE_SECONDS:.0f} s"
        time.sleep(0.02)


@dataclass
class Server:
    """`user` may do everything. `process`, `log` and `ready_file` are the embedded server's own."""

    address: str
    user: str
    password: str
    ca: Path | None
    replica_set: str | None
    process: subprocess.Popen[bytes] | None = None
    log: Path | None = None
    ready_file: Path | None = None

    def client(self, user: str | None = None, password: str | None = None, **options: Any) -> Client:
        host, _, port = self.address.rpartition(":")
        tls = {"tls": True, "tlsCAFile": str(self.ca)} if self.ca else {}
        named = {"replicaSet": self.replica_set} if self.replica_set else {"directConnection": True}
        return MongoClient(
            host,
            int(port),
            username=self.user if user is None else user,
            password=self.password if password is None else password,
            **{"w": "majority", "serverSelectionTimeoutMS": 5000, **named, **tls, **options},
        )

    def logged(self) -> str:
        return self.log.read_text() if self.log else ""


def given() -> Server | None:
    """The server of MONGO_URL. It needs a user who may do everything: tests make users and databases there."""
    url = os.environ.get("MONGO_URL")
    if not url:
        return None
    parsed = parse_uri(url)
    host, port = parsed["nodelist"][0]
    options = parsed["options"]
    ca = options.get("tlsCAFile")
    return Server(
        f"{host}:{port}",
        parsed["username"] or "",
        parsed["password"] or "",
        Path(ca) if ca else None,
        options.get("replicaSet"),
    )


def start(folder: Path, *extra: str, tls: bool = True) -> Server:
    """An embedded server; `extra` are more of its options."""
    password_file, ready_file, log = folder / "password", folder / "ready", folder / "log"
    password_file.write_text(PASSWORD + "\n")
    issued = pki.Authority(folder / "pki").issue("database", ["127.0.0.1"]) if tls else None
    command = launch.database_command(
        host="127.0.0.1",
        port=0,
        username=USER,
        password_file=password_file,
        certificate=issued.certificate if issued else None,
        key=issued.key if issued else None,
        ready_file=ready_file,
    )
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, *extra], stdout=output, stderr=output, cwd=REPOSITORY, start_new_session=True
        )
    try:
        wait_for("the database", lambda: ready_file.exists() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
    except BaseException:
        process.kill()
        process.wait()
        raise
    ca = folder / "pki" / "ca.pem" if tls else None
    address = ready_file.read_text().strip()
    return Server(address, USER, PASSWORD, ca, "rs0", process, log, ready_file)


def stop(server: Server) -> None:
    if server.process is not None:
        server.process.kill()
        server.process.wait()
