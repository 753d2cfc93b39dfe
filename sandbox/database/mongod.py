"""`python -m sandbox.database.mongod`: a real mongod with a replica set of one, a root user and TLS.

The first start on an empty data directory sets the replica set and the user up without access control, on
loopback and before anything knows the address; from then on mongod runs with access control.
https://www.mongodb.com/docs/manual/tutorial/deploy-replica-set-with-keyfile-access-control/
"""

from __future__ import annotations

import argparse
import base64
import os
import secrets
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from sandbox.database.__main__ import (
    UsageError,
    parser,
    read_password,
    tls_options,
    write_ready_file,
)
from sandbox.database.instance import REPLICA_SET

_START_SECONDS = 60.0
_SET_UP = "set-up-done"
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def setup_arguments(mongod: str, host: str, port: int, data: Path) -> list[str]:
    """The first run: no access control yet."""
    return [
        mongod, "--dbpath", str(data), "--bind_ip", host, "--port", str(port), "--replSet", REPLICA_SET,
        "--nounixsocket",
    ]  # fmt: skip


def run_arguments(mongod: str, host: str, port: int, data: Path, pem: Path | None) -> list[str]:
    """Every run after it: access control, and TLS with `pem` (certificate and key in one file)."""
    arguments = setup_arguments(mongod, host, port, data)
    arguments += ["--auth", "--keyFile", str(data / "member.key")]
    if pem is not None:
        arguments += ["--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(pem)]
    return arguments


def _private_file(path: Path, content: str) -> Path:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content)
    return path


def _client(host: str, port: int, **options: Any) -> MongoClient[dict[str, Any]]:
    return MongoClient(host, port, directConnection=True, serverSelectionTimeoutMS=1000, **options)


def _wait(process: subprocess.Popen[bytes], client: MongoClient[dict[str, Any]], *, writable: bool) -> None:
    """Until the server answers (and is primary); raises UsageError when it ends or takes too long."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise UsageError(f"mongod ended with {process.returncode}; its own messages are above")
        try:
            if not writable or client.admin.command("hello")["isWritablePrimary"]:
                client.admin.command("ping")
                return
        except PyMongoError:
            pass
        time.sleep(0.1)
    raise UsageError(f"mongod did not answer within {_START_SECONDS:.0f} s")


@contextmanager
def _running(arguments: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A mongod that ends with the block. While it is being started a signal has to wait: raised in there, the
    exit would leave a process behind that nobody knows."""
    asked: list[int] = []
    for number in _SIGNALS:
        signal.signal(number, lambda signum, _: asked.append(signum))
    process = subprocess.Popen(arguments)
    try:
        for number in _SIGNALS:
            signal.signal(number, _exit)
        if asked:
            raise SystemExit(0)
        yield process
    finally:
        process.terminate()
        process.wait()


def _set_up(options: argparse.Namespace, password: str, data: Path) -> None:
    arguments = setup_arguments(options.mongod, options.host, options.port, data)
    with _running(arguments) as process, _client(options.host, options.port) as client:
        _wait(process, client, writable=False)
        member = {"_id": 0, "host": f"{options.host}:{options.port}"}
        try:
            client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [member]})
        except OperationFailure as problem:
            if problem.code != 23:  # AlreadyInitialized: an earlier set-up was interrupted
                raise
        _wait(process, client, writable=True)
        try:
            client.admin.command("createUser", options.username, pwd=password, roles=["root"])
        except OperationFailure as problem:
            if problem.code != 51003:  # the user is there already
                raise
    (data / _SET_UP).touch()


def _exit(_: int, __: FrameType | None) -> None:
    raise SystemExit(0)


def _run(options: argparse.Namespace) -> NoReturn:
    # Raised wherever this process is, so that the mongod of that moment is always ended with it.
    for number in _SIGNALS:
        signal.signal(number, _exit)
    password = read_password(options.password_file)
    tls_options(options.certificate, options.key)  # says what is wrong with them before mongod does
    data: Path = options.data_directory
    data.mkdir(parents=True, exist_ok=True)
    if not (data / "member.key").exists():
        _private_file(data / "member.key", base64.b64encode(secrets.token_bytes(48)).decode())
    pem = None
    if options.certificate is not None:
        pem = _private_file(data / "server.pem", options.certificate.read_text() + options.key.read_text())
    if options.ready_file is not None:
        options.ready_file.unlink(missing_ok=True)
    if not (data / _SET_UP).exists():
        _set_up(options, password, data)
    try:
        with _running(run_arguments(options.mongod, options.host, options.port, data, pem)) as process:
            # The readiness check is on this machine's own loopback; it needs no trust store.
            tls = {"tls": True, "tlsAllowInvalidCertificates": True} if pem is not None else {}
            with _client(
                options.host, options.port, username=options.username, password=password, **tls
            ) as client:
                _wait(process, client, writable=True)
            if options.ready_file is not None:
                write_ready_file(options.ready_file, f"{options.host}:{options.port}")
            raise UsageError(f"mongod ended with {process.wait()}; its own messages are above")
    finally:
        if options.ready_file is not None:
            options.ready_file.unlink(missing_ok=True)


def main(arguments: list[str] | None = None) -> int:
    own = parser()
    own.prog = "python -m sandbox.database.mongod"
    own.add_argument("--mongod", required=True, help="path of the mongod to run")
    options = own.parse_args(arguments)
    if options.data_directory is None:
        own.error("mongod needs a --data-directory")
    try:
        _run(options)
    except (UsageError, PyMongoError, OSError, ssl.SSLError) as problem:
        print(f"mongod: {problem}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
