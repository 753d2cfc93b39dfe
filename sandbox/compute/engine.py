"""The operations of an instance's container engine, as `docker` and the emulator ask for them."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sandbox.compute import process_tree
from sandbox.compute.container import Container, Spec, die_with_agent
from sandbox.compute.errors import DockerError

Request = dict[str, Any]
LOG_TAIL = 1 << 20  # bytes of a container's log that `logs` answers at most
TERM_SECONDS = 2.0  # between SIGTERM and SIGKILL for a command that is cancelled or too slow


class Engine:
    """The containers of one instance, and the commands that Run Command has it execute."""

    def __init__(self, home: Path, images: Path, host_environment: dict[str, str]) -> None:
        self._home, self._images, self._environment = home, images, host_environment
        self._containers: dict[str, Container] = {}
        self._commands: dict[str, asyncio.Event] = {}
        self._lock = asyncio.Lock()
        self._operations: dict[str, Callable[[Request], Awaitable[Request]]] = {
            "info": self._info,
            "up": self._up,
            "stop": self._stop,
            "start": self._start,
            "down": self._down,
            "ps": self._ps,
            "logs": self._logs,
            "execute": self._execute,
            "cancel": self._cancel,
            "usage": self._usage,
        }

    async def handle(self, request: Request) -> Request:
        operation = self._operations.get(str(request.get("op")))
        if operation is None:
            raise DockerError(f"the engine has no operation {request.get('op')!r}")
        return await operation(request)

    async def close(self) -> None:
        for cancelled in self._commands.values():
            cancelled.set()
        await asyncio.gather(*(each.stop() for each in self._containers.values()))

    async def _info(self, _request: Request) -> Request:
        return {"containers": len(self._containers), "home": str(self._home)}

    def _of(self, request: Request) -> list[Container]:
        services = set(request.get("services") or [])
        found = [
            each
            for each in self._containers.values()
            if request.get("project") in (None, each.spec.project)
            and (not services or each.spec.service in services)
        ]
        missing = services - {each.spec.service for each in found}
        if missing and request["op"] in ("stop", "start", "logs"):
            raise DockerError(f"no such service: {', '.join(sorted(missing))}")
        return found

    async def _up(self, request: Request) -> Request:
        """Create, recreate (when image or configuration changed) or start; services no longer named stay."""
        actions: dict[str, str] = {}
        async with self._lock:
            for document in request["containers"]:
                spec = Spec.from_json(document)
                known = self._containers.get(spec.name)
                if known is not None and known.spec.hash == spec.hash:
                    actions[spec.name] = "Running" if known.state in ("running", "restarting") else "Started"
                    known.start()
                    continue
                if known is not None:
                    await known.stop()
                container = Container(spec, self._home, self._images, self._environment)
                await asyncio.to_thread(container.create)
                self._containers[spec.name] = container
                container.start()
                actions[spec.name] = "Started" if known is None else "Recreated"
        return {"actions": actions}

    async def _stop(self, request: Request) -> Request:
        async with self._lock:
            found = self._of(request)
            await asyncio.gather(*(each.stop(request.get("timeout")) for each in found))
        return {"names": [each.spec.name for each in found]}

    async def _start(self, request: Request) -> Request:
        async with self._lock:
            found = self._of(request)
            if not found:
                raise DockerError(f'service has no container to start (project "{request.get("project")}")')
            for each in found:
                each.start()
        return {"names": [each.spec.name for each in found]}

    async def _down(self, request: Request) -> Request:
        answer = await self._stop(request)
        for name in answer["names"]:
            container = self._containers.pop(name)
            await asyncio.to_thread(shutil.rmtree, container.folder, ignore_errors=True)
        if request.get("volumes"):
            await asyncio.to_thread(shutil.rmtree, self._home / "volumes", ignore_errors=True)
        return answer

    async def _ps(self, request: Request) -> Request:
        return {"containers": [each.describe() for each in self._of(request)]}

    async def _logs(self, request: Request) -> Request:
        logs = {}
        for each in self._of(request):
            text = ""
            if each.log.exists():
                with each.log.open("rb") as file:
                    file.seek(max(0, each.log.stat().st_size - LOG_TAIL))
                    text = file.read().decode(errors="replace")
            lines = text.splitlines()
            logs[each.spec.name] = lines[-request["tail"] :] if request.get("tail") else lines
        return {"logs": logs}

    async def _execute(self, request: Request) -> Request:
        """Run a command to its end, its time limit (seconds) or its cancellation, with all its tree."""
        name, folder = request["id"], Path(request["folder"])
        folder.mkdir(parents=True, exist_ok=True)
        cancelled = self._commands[name] = asyncio.Event()
        outcome = "Success"
        try:
            with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
                process = await asyncio.create_subprocess_exec(
                    *request["argv"],
                    env={**self._environment, **request["environment"]},
                    cwd=request["cwd"],
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                    preexec_fn=die_with_agent,
                )
            ended, stop = asyncio.ensure_future(process.wait()), asyncio.ensure_future(cancelled.wait())
            await asyncio.wait({ended, stop}, timeout=request["timeout"], return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            if not ended.done():
                outcome = "Cancelled" if cancelled.is_set() else "TimedOut"
                await _end_group(process.pid, ended)
            code = await ended
            code = 128 - code if code < 0 else code
            if outcome == "Success" and code:
                outcome = "Failed"
        except OSError as error:
            (folder / "stderr").write_text(str(error))
            outcome, code = "Failed", 127
        finally:
            self._commands.pop(name, None)
        texts = {}
        for stream, limit in (("stdout", request["stdout_limit"]), ("stderr", request["stderr_limit"])):
            with (folder / stream).open("rb") as file:  # 4 bytes are the most that a character takes
                texts[stream] = file.read(limit * 4).decode(errors="replace")[:limit]
        return {"outcome": outcome, "code": code, **texts}

    async def _cancel(self, request: Request) -> Request:
        event = self._commands.get(request["id"])
        if event is not None:
            event.set()
        return {"cancelled": event is not None}

    async def _usage(self, _request: Request) -> Request:
        read, written = process_tree.disk_bytes(os.getpid())
        return {
            "read_bytes": read,
            "written_bytes": written,
            "cpu_seconds": process_tree.cpu_seconds(os.getpid()),
            "memory_bytes": process_tree.memory_bytes(os.getpid()),
            "disk_bytes": await asyncio.to_thread(process_tree.folder_bytes, self._home),
        }


async def _end_group(pid: int, ended: "asyncio.Future[int]") -> None:
    family = process_tree.descendants(pid)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)
    await asyncio.wait({ended}, timeout=TERM_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    for one in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
