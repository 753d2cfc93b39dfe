"""`python -m sandbox.database`: start one server, say when it listens, stop it on SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import errno
import logging
import os
import signal
import ssl
import sys
from pathlib import Path

from bson.errors import InvalidBSON

from sandbox.database import server
from sandbox.database.commands.users import add_user
from sandbox.database.errors import CommandError
from sandbox.database.instance import Instance


class UsageError(Exception):
    """What the caller gave doesn't work; the message says what and what to do."""


def parser() -> argparse.ArgumentParser:
    arguments = argparse.ArgumentParser(
        prog="python -m sandbox.database", description="The sandbox's embedded MongoDB server."
    )
    arguments.add_argument("--host", default="127.0.0.1", help="address to listen on")
    arguments.add_argument("--port", type=int, default=27017, help="port to listen on; 0 for any free one")
    arguments.add_argument("--username", required=True, help="the root user, in the database admin")
    arguments.add_argument(
        "--password-file", type=Path, required=True, help="file with that user's password in its first line"
    )
    arguments.add_argument("--certificate", type=Path, help="PEM certificate chain: listen with TLS")
    arguments.add_argument("--key", type=Path, help="PEM private key of the certificate")
    arguments.add_argument(
        "--data-directory", type=Path, help="keep the data there; without it everything is gone at the end"
    )
    arguments.add_argument("--ready-file", type=Path, help="written with HOST:PORT as soon as it listens")
    arguments.add_argument(
        "--ttl-monitor-seconds",
        type=float,
        default=server.TTL_MONITOR_SECONDS,
        help="how often expired documents are deleted (default: 60, as MongoDB)",
    )
    return arguments


def read_password(path: Path) -> str:
    try:
        password = path.read_text().splitlines()[0] if path.stat().st_size else ""
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"--password-file {path} can't be read: {problem}") from None
    if not password:
        raise UsageError(f"--password-file {path} is empty; put the password in its first line")
    return password


def tls_options(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UsageError("--certificate and --key go together; give both, or none for a server without TLS")
    for option, path in (("--certificate", certificate), ("--key", key)):
        if not path.is_file():
            raise UsageError(f"{option} {path} is not a file")
    try:
        return server.tls_context(certificate, key)
    except (OSError, ssl.SSLError) as problem:
        raise UsageError(f"--certificate {certificate} and --key {key} can't be used: {problem}") from None


def write_ready_file(path: Path, address: str) -> None:
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(address + "\n")
    partial.replace(path)


async def _run(options: argparse.Namespace) -> None:
    password = read_password(options.password_file)
    tls = tls_options(options.certificate, options.key)
    instance = Instance(f"{options.host}:{options.port}")
    if options.data_directory is not None:
        _open(instance, options.data_directory)
        instance.users.pop(f"admin.{options.username}", None)  # the password may be another one by now
    add_user(instance, options.username, "admin", password, [{"role": "root", "db": "admin"}])
    if options.ready_file is not None:
        options.ready_file.unlink(missing_ok=True)  # of an earlier run, which may have been killed
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        listener = await server.start(instance, options.host, options.port, tls)
    except OSError as problem:
        raise UsageError(_bind_message(options.host, options.port, problem)) from None
    if options.ready_file is not None:
        write_ready_file(options.ready_file, instance.address)
    logging.getLogger(__name__).info("listening on %s%s", instance.address, " with TLS" if tls else "")
    try:
        await server.serve(listener, instance, stop, options.ttl_monitor_seconds)
    finally:
        if options.ready_file is not None:
            options.ready_file.unlink(missing_ok=True)


def _open(instance: Instance, directory: Path) -> None:
    try:
        instance.keep_in(directory)
    except OSError as problem:
        raise UsageError(f"--data-directory {directory} can't be used: {problem}") from None
    except (CommandError, InvalidBSON) as problem:
        raise UsageError(f"--data-directory {directory} can't be opened: {problem}") from None


def _bind_message(host: str, port: int, problem: OSError) -> str:
    if problem.errno == errno.EADDRINUSE:
        return f"{host}:{port} is taken by another process; stop it or choose another --port"
    return f"can't listen on {host}:{port}: {problem.strerror or problem}"


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        asyncio.run(_run(options))
    except UsageError as problem:
        print(f"embedded database: {problem}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
