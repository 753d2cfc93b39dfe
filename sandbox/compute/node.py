"""Node for images of `node:18-alpine`: the machine's own `node` and `npm` stand for the base image's.

As with Python, an image says only what it needs; which program that is on this machine is found when it runs.
The machine's Node may be a later one than the image's name says.
"""

import contextlib
import functools
import os
import pwd
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from sandbox.compute.errors import DockerError, UnsupportedError

# The official image under the names it is pulled by; a pinned digest is not checked (no Hub is asked).
BASE_IMAGE = re.compile(
    r"^(docker\.io/library/|public\.ecr\.aws/docker/library/|library/)?"
    r"node:18(\.\d+)*-(alpine|slim)[\w.]*(@sha256:[0-9a-f]{64})?$"
)
#: The official image sets it, and by it a container knows that its image has Node.
MARKER = "NODE_VERSION"
PROGRAMS = ("node", "npm", "npx")


@functools.cache
def version() -> str:
    """The machine's Node, as `20.20.2`. Raises DockerError when there is none."""
    node = shutil.which("node")
    if node is None:
        raise DockerError("this machine has no node, which stands for the base image node:18-alpine here")
    done = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    return done.stdout.strip().lstrip("v")


def programs(images: Path) -> Path:
    """A folder with links to Node's programs, for a container's PATH."""
    folder = images / "base" / "node" / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    for name in PROGRAMS:
        found = shutil.which(name)
        if found and not (folder / name).exists():
            with contextlib.suppress(FileExistsError):
                (folder / name).symlink_to(found)
    return folder


def npm(rest: list[str], folder: Path, machine: dict[str, str], log: Callable[[str], None]) -> None:
    """`npm ci` or `npm run NAME` in a folder of the image's root; `machine` is what a build may see of it."""
    if rest[:1] != ["ci"] and rest[:1] != ["run"]:
        raise UnsupportedError("of npm, only `npm ci` and `npm run NAME` are supported")
    found = shutil.which("npm")
    if found is None:
        raise DockerError("this machine has no npm, which `RUN npm` needs")
    home = pwd.getpwuid(os.getuid()).pw_dir  # npm's own configuration and cache live there
    # From the cache where it can be: that is what makes a second build of the same lock file quick.
    quiet = {"npm_config_prefer_offline": "true", "npm_config_audit": "false", "npm_config_fund": "false"}
    environment = {**quiet, **machine, "HOME": home, "PATH": os.environ.get("PATH", "/usr/bin:/bin")}
    done = subprocess.run(
        [found, *rest], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    for line in (done.stdout + done.stderr).splitlines():
        log(line)
    if done.returncode:
        tail = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise DockerError(
            f"npm {shlex.join(rest)} did not complete successfully: "
            f"exit code {done.returncode}: {' '.join(tail)}"
        )
