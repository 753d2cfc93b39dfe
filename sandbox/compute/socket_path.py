"""Unix sockets under folders of any depth: the kernel allows 107 bytes of path, a checkout may be deeper."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

LIMIT = 107  # bytes, unix(7)


def engine_socket(root: Path, instance_id: str) -> Path:
    """Where the container engine of an instance listens."""
    return root / "run" / f"docker-{instance_id}.sock"


@contextlib.contextmanager
def short(path: Path) -> Iterator[str]:
    """A spelling of `path` that fits, valid inside the block (by a handle on its folder, if need be)."""
    if len(os.fsencode(path)) <= LIMIT:
        yield str(path)
        return
    handle = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{handle}/{path.name}"
    finally:
        os.close(handle)
