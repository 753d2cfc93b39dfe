"""Asking an instance's agent something: one JSON line there, one JSON line back."""

import json
import socket
from pathlib import Path
from typing import Any

from sandbox.compute.errors import DockerError
from sandbox.compute.socket_path import short


class EngineUnreachableError(DockerError):
    """No agent listens on the socket."""


def ask(path: Path, request: dict[str, Any], timeout_seconds: float | None = 30.0) -> dict[str, Any]:
    """Send `request` ({"op": …}) and return the answer.

    Raises `EngineUnreachableError` when nobody listens or the agent ends meanwhile, and `DockerError` with
    the agent's own message when it refuses.
    """
    unreachable = f"Cannot connect to the Docker daemon at unix://{path}. Is the docker daemon running?"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_seconds)
        try:
            with short(path) as name:
                connection.connect(name)
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as stream:
                line = stream.readline()
        except OSError as error:
            raise EngineUnreachableError(unreachable) from error
    if not line:
        raise EngineUnreachableError(unreachable)
    answer: dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise DockerError(str(answer["error"]), int(answer.get("status", 1)))
    return answer
