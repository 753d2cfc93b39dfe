"""What the doctor looks at on this machine: the CDK CLI, and what runs it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from cli.doctor.findings import Finding, judge_node, missing, sound, unknown

#: A program that prints its version takes no longer.
SECONDS = 20


def examine() -> Iterator[Finding]:
    yield judge_node(_version("node"))
    local = Path("node_modules/.bin/cdk")
    version = _version(str(local)) if local.exists() else _version("cdk")
    if version is None:
        yield missing("CDK CLI", "it is neither in node_modules nor on PATH", "make install")
    else:
        yield sound("CDK CLI", version) if version[:1].isdigit() else unknown("CDK CLI", version)


def _version(program: str) -> str | None:
    """What PROGRAM --version prints; None when there is no such program."""
    found = shutil.which(program)
    if found is None:
        return None
    try:
        done = subprocess.run(
            [found, "--version"], capture_output=True, text=True, check=False, timeout=SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"it does not run: {error}"
    return (done.stdout or done.stderr).strip() or f"it printed nothing and exited with {done.returncode}"
