"""How a sandbox's database is started: a real `mongod` when there is one on PATH, else the embedded server.

Both take the same arguments, stay in the foreground, write the ready file when they can be used and stop on
SIGTERM. (A server of your own, by MONGO_URL, never gets here.)
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path


def real_server() -> str | None:
    """The path of `mongod`, None if this machine has none."""
    return shutil.which("mongod")


def database_command(
    *,
    host: str,
    port: int,
    username: str,
    password_file: Path,
    data_directory: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    ready_file: Path | None = None,
    mongod: str | None = None,
) -> list[str]:
    """The argument list of a database with one root user, for `subprocess.Popen`.

    `mongod` is the path that `real_server()` found, and needs a data directory; None starts the embedded
    server, which without one keeps nothing beyond its end. With a certificate and its key (PEM files) clients
    need TLS. Raises ValueError for a certificate without a key or the other way round.
    """
    if (certificate is None) != (key is None):
        raise ValueError(f"certificate ({certificate}) and key ({key}) go together")
    module = "sandbox.database" if mongod is None else "sandbox.database.mongod"
    command = [sys.executable, "-m", module, "--host", host, "--port", str(port), "--username", username]
    command += ["--password-file", str(password_file)]
    if certificate is not None and key is not None:
        command += ["--certificate", str(certificate), "--key", str(key)]
    if ready_file is not None:
        command += ["--ready-file", str(ready_file)]
    if data_directory is not None:
        command += ["--data-directory", str(data_directory)]
    if mongod is not None:
        command += ["--mongod", mongod]
    return command
