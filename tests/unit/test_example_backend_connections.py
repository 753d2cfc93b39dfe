"""A worker of the example backend that ends answers what was sent to it just then."""

import asyncio
from typing import Any

from uvicorn import Config
from uvicorn.server import ServerState

from backend.connections import UNREAD_SECONDS, PatientProtocol

REQUEST = b"GET / HTTP/1.1\r\nHost: backend\r\n\r\n"


class Wire(asyncio.Transport):
    """What was written to the client, and whether the connection is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self.closed = b"", False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


async def app(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def accepted() -> tuple[PatientProtocol, Wire]:
    config = Config(app=app, log_config=None, lifespan="off")
    config.load()
    protocol, wire = PatientProtocol(config, ServerState(), {}), Wire()
    protocol.connection_made(wire)
    return protocol, wire


def test_a_request_that_arrives_while_the_worker_ends_is_answered() -> None:
    async def scene() -> Wire:
        protocol, wire = accepted()
        protocol.shutdown()
        assert not wire.closed
        protocol.data_received(REQUEST)
        await asyncio.sleep(UNREAD_SECONDS + 0.1)
        return wire

    wire = asyncio.run(scene())
    assert wire.written.startswith(b"HTTP/1.1 200 OK")
    assert wire.written.endswith(b"ok")
    assert wire.closed


def test_a_connection_on_which_nothing_more_comes_is_closed() -> None:
    async def scene() -> Wire:
        protocol, wire = accepted()
        protocol.shutdown()
        await asyncio.sleep(UNREAD_SECONDS + 0.1)
        return wire

    wire = asyncio.run(scene())
    assert (wire.written, wire.closed) == (b"", True)
