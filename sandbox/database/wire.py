"""The wire protocol: messages in and out of bytes; OP_MSG, and OP_QUERY for a driver's first hello.

https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import bson
from bson.errors import BSONError

from sandbox.database.errors import Document
from sandbox.database.values import CODEC

OP_REPLY: Final = 1
OP_QUERY: Final = 2004
OP_MSG: Final = 2013
HEADER_BYTES: Final = 16
# The greatest message a client may send, as hello tells it.
MAX_MESSAGE_BYTES: Final = 48_000_000

_CHECKSUM_PRESENT = 1
_MORE_TO_COME = 1 << 1
_KNOWN_REQUIRED_FLAGS = _CHECKSUM_PRESENT | _MORE_TO_COME
_REQUIRED_FLAGS = 0xFFFF  # the first 16 bits: whoever doesn't know one must refuse the message

_HEADER = struct.Struct("<4i")


class ProtocolError(Exception):
    """The bytes are not a message this server can answer: the connection is closed, as MongoDB does."""


@dataclass(frozen=True)
class Request:
    """One command. `body` has the documents of kind-1 sections under their names; `legacy`: an OP_QUERY."""

    request_id: int
    body: Document
    wants_reply: bool
    legacy: bool


def message_length(buffer: bytes | bytearray) -> int | None:
    """The length of the message at the start of the buffer, None if it isn't known yet; in bytes."""
    if len(buffer) < HEADER_BYTES:
        return None
    length: int = struct.unpack_from("<i", buffer)[0]
    if not HEADER_BYTES < length <= MAX_MESSAGE_BYTES:
        raise ProtocolError(f"a message of {length} bytes")
    return length


def parse(message: bytes) -> Request:
    """The request in one whole message; raises ProtocolError."""
    _, request_id, _, opcode = _HEADER.unpack_from(message)
    try:
        if opcode == OP_MSG:
            return _parse_message(message, request_id)
        if opcode == OP_QUERY:
            return _parse_query(message, request_id)
    except (struct.error, BSONError, ValueError, IndexError) as problem:
        raise ProtocolError(f"a malformed message: {problem}") from None
    raise ProtocolError(f"opcode {opcode}")


def _parse_message(message: bytes, request_id: int) -> Request:
    (flags,) = struct.unpack_from("<I", message, HEADER_BYTES)
    if flags & _REQUIRED_FLAGS & ~_KNOWN_REQUIRED_FLAGS:
        raise ProtocolError(f"unknown required flags {flags:#x}")
    end = len(message) - 4 if flags & _CHECKSUM_PRESENT else len(message)
    at = HEADER_BYTES + 4
    body: Document | None = None
    sequences: dict[str, list[Document]] = {}
    while at < end:
        kind = message[at]
        (size,) = struct.unpack_from("<i", message, at + 1)
        stop = at + 1 + size
        if size < 5 or stop > end:
            raise ProtocolError("a section that goes beyond its message")
        if kind == 0 and body is None:
            body = bson.decode(message[at + 1 : stop], CODEC)
        elif kind == 1:
            name_end = message.index(b"\0", at + 5, stop)
            name = message[at + 5 : name_end].decode()
            sequences[name] = bson.decode_all(message[name_end + 1 : stop], CODEC)
        else:
            raise ProtocolError(f"a section of kind {kind}")
        at = stop
    if body is None:
        raise ProtocolError("no body section")
    return Request(request_id, body | sequences, not flags & _MORE_TO_COME, legacy=False)


def _parse_query(message: bytes, request_id: int) -> Request:
    name_end = message.index(b"\0", HEADER_BYTES + 4)
    namespace = message[HEADER_BYTES + 4 : name_end].decode()
    at = name_end + 9
    (size,) = struct.unpack_from("<i", message, at)
    body = bson.decode(message[at : at + size], CODEC)
    return Request(request_id, {**body, "$db": namespace.split(".")[0]}, wants_reply=True, legacy=True)


def reply(request: Request, document: Document) -> bytes:
    """The whole reply message, in the form the request came in."""
    body = bson.encode(document, codec_options=CODEC)
    if request.legacy:
        # responseFlags 8: AwaitCapable; cursor 0, starting at 0, one document.
        return (
            _HEADER.pack(HEADER_BYTES + 20 + len(body), 0, request.request_id, OP_REPLY)
            + struct.pack("<iqii", 8, 0, 0, 1)
            + body
        )
    return (
        _HEADER.pack(HEADER_BYTES + 5 + len(body), 0, request.request_id, OP_MSG)
        + struct.pack("<Ib", 0, 0)
        + body
    )
