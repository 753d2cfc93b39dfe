"""The instance agent, one process per running EC2 instance: `python -m sandbox.compute.instance ROOT ID`.

It is the instance's metadata service, its container engine and its SSM agent's hands. Everything that runs
on the instance is below it, so ending it is what terminating the instance is. User data is kept and shown by
the metadata service, but not executed: there is no cloud-init and no root here.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import shutil
import signal
import sys
from pathlib import Path

from sandbox.compute.engine import Engine
from sandbox.compute.errors import DockerError
from sandbox.compute.metadata import PORT, MetadataFile, MetadataService
from sandbox.compute.socket_path import engine_socket, short

REQUEST_LIMIT = 4 << 20  # bytes of one request line
ORPHAN_SECONDS = 1.0
PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
# What the machine's environment gives to everything on an instance; the rest of it stays out.
INHERITED = (
    "AWS_ENDPOINT_URL",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "AWS_CA_BUNDLE",
    "CUTOVER_SANDBOX_ROOT",
    "LANG",
)


def host_environment(address: str) -> dict[str, str]:
    """The variables that containers and commands of this instance see besides their own."""
    found = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**found, "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{address}:{PORT}"}


async def _serve_engine(engine: Engine, path: Path) -> asyncio.Server:
    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            if not line:
                return
            try:
                answer = await engine.handle(json.loads(line))
            except DockerError as error:
                answer = {"error": str(error), "status": error.status}
            except Exception as error:  # the asker gets every failure; the agent lives on
                answer = {"error": f"engine: {type(error).__name__}: {error}"}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with short(path) as name:
        server = await asyncio.start_unix_server(connection, name, limit=REQUEST_LIMIT)
    path.chmod(0o600)
    return server


async def _reap_orphans() -> None:
    """Bury children that were left to the agent; those that asyncio waits for are left to it."""
    while True:
        await asyncio.sleep(ORPHAN_SECONDS)
        for child in _children():
            if _is_orphaned_zombie(child):
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(child, os.WNOHANG)


def _children() -> list[int]:
    text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [int(child) for child in text.split()]


def _is_orphaned_zombie(pid: int) -> bool:
    # What the agent starts leads a session of its own; an adopted process does not lead one.
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[0] == "Z" and int(fields[3]) != pid
    return False


async def run(root: Path, instance_id: str) -> None:
    home = root / "instances" / instance_id
    load = MetadataFile(home / "metadata.json")
    address = load()["private_ip"]
    engine = Engine(home, root / "images", host_environment(address))
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    metadata = await MetadataService(load).serve(address)
    socket = engine_socket(root, instance_id)
    server = await _serve_engine(engine, socket)
    reaper = asyncio.create_task(_reap_orphans())
    await stopped.wait()
    metadata.close()
    server.close()
    await engine.close()
    reaper.cancel()
    socket.unlink(missing_ok=True)
    shutil.rmtree(home / "containers", ignore_errors=True)


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print("usage: python -m sandbox.compute.instance ROOT INSTANCE_ID", file=sys.stderr)
        return 2
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with contextlib.suppress(AttributeError):
        asyncio.get_event_loop_policy().set_child_watcher(asyncio.PidfdChildWatcher())
    try:
        asyncio.run(run(Path(arguments[0]).resolve(), arguments[1]))
    except OSError as error:
        print(f"instance {arguments[1]} can't start: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
