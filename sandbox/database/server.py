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
from sandbox.database.errors import CommandError, Document
from sandbox.database.instance import MAX_CONNECTIONS, Connection, Instance
from sandbox.database.steps import Steps

log = logging.getLogger(__name__)

# MongoDB's ttlMonitorSleepSecs.
TTL_MONITOR_SECONDS: Final = 60.0
_HELLO = {"hello", "isMaster", "ismaster"}


class _Protocol(asyncio.Protocol):
    """One client connection. Commands run one at a time, so each is atomic; between the steps of a long one
    other connections' commands run, while this connection's next one waits for it."""

    def __init__(self, instance: Instance, numbers: itertools.count[int]) -> None:
        self._instance = instance
        self._numbers = numbers
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._connection: Connection | None = None
        self._unfinished: asyncio.Task[None] | None = None

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
        self._buffer += data
        self._answer_all()

    def _answer_all(self) -> None:
        """Answer every whole request that has come in, until one of them takes longer."""
        if self._connection is None or self._transport is None:
            return
        try:
            while self._unfinished is None:
                length = wire.message_length(self._buffer)
                if length is None or len(self._buffer) < length:
                    return
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
            refusal = CommandError(
                352,
                f"Unsupported OP_QUERY command: {name}. The client driver may require an upgrade.",
            )
            _send(transport, request, refusal.document())
            return
        steps = commands.steps(self._instance, connection, request.body)
        try:
            pause = next(steps)
        except StopIteration as end:
            _send(transport, request, end.value)
            return
        self._unfinished = asyncio.create_task(self._go_on(transport, request, steps, pause))

    async def _go_on(
        self, transport: asyncio.Transport, request: wire.Request, steps: Steps[Document], pause: float
    ) -> None:
        """Do the rest of the steps, also when the client has gone meanwhile."""
        try:
            while True:
                await asyncio.sleep(pause)
                pause = next(steps)
        except StopIteration as end:
            if not transport.is_closing():
                _send(transport, request, end.value)
        finally:
            steps.close()
            self._unfinished = None
        self._answer_all()


def _send(transport: asyncio.Transport, request: wire.Request, reply: Document) -> None:
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
