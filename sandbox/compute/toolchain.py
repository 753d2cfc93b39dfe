"""What stands in `.sandbox/bin` for the PATH of instances and builds: `docker`, `pip-audit`, `aws`,
`schemathesis` and `python3`."""

import os
import sys
from pathlib import Path

import packaging
import yaml
from uv import find_uv_bin

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
_AUDIT = """#!{python} -IS
# Generated: the `pip-audit` of the sandbox in {root}.
import sys
sys.path[:0] = [{repository!r}]
sys.path.extend({packages!r})
from sandbox.compute.audit_cli import main
sys.exit(main(sys.argv[1:]))
"""


def install(root: Path) -> Path:
    """Write the stand-ins into ROOT/bin (the same again is harmless) and return that folder."""
    folder = root / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    machine = {
        "python": sys.executable,
        "root": str(root),
        "repository": str(Path(__file__).resolve().parents[2]),
    }
    for name, template, library in (("docker", _DOCKER, yaml), ("pip-audit", _AUDIT, packaging)):
        libraries = [str(Path(str(library.__file__)).resolve().parents[1])]
        text = template.format(**machine, packages=libraries, uv=find_uv_bin())
        write_atomically(folder / name, text.encode(), 0o755)
    for name in ("aws", "schemathesis"):
        program = Path(sys.prefix) / "bin" / name
        text = f'#!/bin/sh\nexec "{sys.executable}" "{program}" "$@"\n'
        write_atomically(folder / name, text.encode(), 0o755)
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
