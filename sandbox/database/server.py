"""The asyncio server: connections in, commands through `commands.run`, replies out, TLS if asked for."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import ssl
from pathlib import Path
from typing import Final

from sandbox.database import commands, wire
from sandbox.database.errors import CommandError
from sandbox.database.instance import MAX_CONNECTIONS, Connection, Instance

log = logging.getLogger(__name__)

# MongoDB's ttlMonitorSleepSecs.
TTL_MONITOR_SECONDS: Final = 60.0
_HELLO = {"hello", "isMaster", "ismaster"}


class _Protocol(asyncio.Protocol):
    """One client connection. Commands run one at a time, so each is atomic."""

    def __init__(self, instance: Instance, numbers: itertools.count[int]) -> None:
        self._instance = instance
        self._numbers = numbers
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._connection: Connection | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(f"not a stream transport: {transport!r}")
        self._transport = transport
        if len(self._instance.connections) >= MAX_CONNECTIONS:
            log.warning("connection refused: %d are open already", MAX_CONNECTIONS)
            transport.abort()
            return
        peer = transport.get_extra_info("peername")
        text = f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else str(peer)
        self._connection = Connection(next(self._numbers), text)
        self._instance.connections[self._connection.id] = self._connection
        self._instance.connections_created += 1

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self._connection is not None:
            self._instance.connections.pop(self._connection.id, None)

    def data_received(self, data: bytes) -> None:
        if self._connection is None or self._transport is None:
            return
        self._buffer += data
        try:
            while (length := wire.message_length(self._buffer)) is not None and len(self._buffer) >= length:
                message = bytes(self._buffer[:length])
                del self._buffer[:length]
                self._answer(self._connection, self._transport, wire.parse(message))
        except wire.ProtocolError as problem:
            log.warning("connection %d is closed: %s", self._connection.id, problem)
            self._buffer.clear()
            self._transport.close()

    def _answer(self, connection: Connection, transport: asyncio.Transport, request: wire.Request) -> None:
        name = next(iter(request.body), "")
        if request.legacy and name not in _HELLO:
            reply = CommandError(
                352,
                f"Unsupported OP_QUERY command: {name}. The client driver may require an upgrade.",
            ).document()
        else:
            reply = commands.run(self._instance, connection, request.body)
        if request.wants_reply:
            transport.write(wire.reply(request, reply))


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server's TLS context; raises OSError or ssl.SSLError if the files are no certificate and key."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return context


async def _expire_documents(instance: Instance, every_seconds: float) -> None:
    while True:
        await asyncio.sleep(every_seconds)
        try:
            instance.expire_documents()
        except CommandError:
            log.exception("the TTL monitor's pass failed")


async def start(instance: Instance, host: str, port: int, tls: ssl.SSLContext | None) -> asyncio.Server:
    """Listen; raises OSError if the address can't be bound. With port 0 the instance learns its port here."""
    numbers = itertools.count(1)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: _Protocol(instance, numbers), host, port, ssl=tls, backlog=512, reuse_address=True
    )
    bound = server.sockets[0].getsockname()
    instance.address = f"{bound[0]}:{bound[1]}"
    return server


async def serve(server: asyncio.Server, instance: Instance, stop: asyncio.Event, ttl_seconds: float) -> None:
    """Answer until `stop` is set, then close the listener and every connection."""
    monitor = asyncio.create_task(_expire_documents(instance, ttl_seconds))
    try:
        await stop.wait()
    finally:
        monitor.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await monitor
        server.close()
