"""What stands in `.sandbox/bin`: `docker`, `aws` and `python3` for the PATH of instances and builds."""

import os
import shutil
import sys
from pathlib import Path

import yaml

from sandbox.compute.store import base_python, write_atomically

_DOCKER = """#!{python} -IS
# Generated: the `docker` of the sandbox in {root}.
import sys
sys.path[:0] = [{repository!r}]
sys.path.extend({packages!r})
from pathlib import Path
from sandbox.compute.docker_cli import main
sys.exit(main(sys.argv[1:], Path({root!r}), {uv!r}))
"""


def find_uv() -> str | None:
    """An absolute path of `uv`, looked up where this process would find it."""
    beside = Path(sys.prefix) / "bin" / "uv"
    return str(beside) if beside.exists() else shutil.which("uv")


def install(root: Path) -> Path:
    """Write the stand-ins into ROOT/bin (the same again is harmless) and return that folder."""
    folder = root / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    text = _DOCKER.format(
        python=sys.executable,
        root=str(root),
        repository=str(Path(__file__).resolve().parents[2]),
        packages=[str(Path(yaml.__file__).resolve().parents[1])],
        uv=find_uv(),
    )
    write_atomically(folder / "docker", text.encode(), 0o755)
    aws = Path(sys.prefix) / "bin" / "aws"
    write_atomically(folder / "aws", f'#!/bin/sh\nexec "{sys.executable}" "{aws}" "$@"\n'.encode(), 0o755)
    python = base_python(root / "images") / "bin" / "python3"
    for name in ("python3", "python"):
        link = folder / name
        if not link.is_symlink() or os.readlink(link) != str(python):
            link.unlink(missing_ok=True)
            link.symlink_to(python)
    return folder


def path_variable(root: Path) -> str:
    """PATH of commands on instances and in builds: the stand-ins before the machine's own programs."""
    return f"{root / 'bin'}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
