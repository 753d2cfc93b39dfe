"""Reading a buildspec, version 0.2, and turning its phases into shell scripts.

https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html
A key that this runner can't honour is an error that names it.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

PHASES = ("install", "pre_build", "build", "post_build")
ENV_KEYS = frozenset({"shell", "variables", "exported-variables"})
PHASE_KEYS = frozenset({"commands", "finally", "on-failure", "runtime-versions"})
_NAME = re.compile(r"[A-Za-z_]\w*")


class BuildSpecError(Exception):
    """The buildspec can't be used; the message names the key."""


@dataclass(frozen=True)
class Phase:
    commands: tuple[str, ...]
    last: tuple[str, ...]  # `finally`: run whatever the commands did
    goes_on: bool  # on-failure: CONTINUE


@dataclass(frozen=True)
class BuildSpec:
    shell: str
    variables: dict[str, str]
    exported: tuple[str, ...]
    phases: dict[str, Phase]


def parse(text: str) -> BuildSpec:
    """Raises BuildSpecError naming the key that is wrong or not supported."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BuildSpecError(f"the buildspec is no valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict):
        raise BuildSpecError("the buildspec is empty")
    if str(document.get("version")) != "0.2":
        raise BuildSpecError(f"version {document.get('version')!r}: only 0.2 is supported")
    _known(document, frozenset({"version", "env", "phases"}), "buildspec")
    env = document.get("env") or {}
    _known(env, ENV_KEYS, "env")
    shell = str(env.get("shell", "sh"))
    if shell not in ("sh", "bash"):
        raise BuildSpecError(f"env.shell {shell!r}: sh and bash are supported")
    phases = document.get("phases")
    if not isinstance(phases, dict) or not phases:
        raise BuildSpecError("phases is empty")
    _known(phases, frozenset(PHASES), "phases")
    variables = {str(name): str(value) for name, value in (env.get("variables") or {}).items()}
    for name in variables:
        if not _NAME.fullmatch(name):
            raise BuildSpecError(f"env.variables: {name!r} is no name of a variable")
    exported = tuple(str(name) for name in env.get("exported-variables") or [])
    return BuildSpec(
        shell, variables, exported, {name: _phase(name, phases[name]) for name in PHASES if name in phases}
    )


def _known(mapping: dict[str, Any], keys: frozenset[str], where: str) -> None:
    for key in mapping:
        if key not in keys:
            raise BuildSpecError(f"{where}: {key!r} is not supported")


def _phase(name: str, raw: Any) -> Phase:
    if not isinstance(raw, dict):
        raise BuildSpecError(f"phases.{name} must be a mapping")
    _known(raw, PHASE_KEYS, f"phases.{name}")
    for runtime, version in (raw.get("runtime-versions") or {}).items():
        if runtime != "python" or str(version) not in ("3.11", "3.x", "latest"):
            raise BuildSpecError(
                f"phases.{name}.runtime-versions: {runtime} {version}: there is Python 3.11 only"
            )
    on_failure = str(raw.get("on-failure", "ABORT"))
    if on_failure not in ("ABORT", "CONTINUE"):
        raise BuildSpecError(f"phases.{name}.on-failure: {on_failure!r} is neither ABORT nor CONTINUE")
    commands = tuple(str(each) for each in raw.get("commands") or [])
    last = tuple(str(each) for each in raw.get("finally") or [])
    if not commands and not last:
        raise BuildSpecError(f"phases.{name}.commands is empty")
    return Phase(commands, last, on_failure == "CONTINUE")


def script(commands: tuple[str, ...], folder: Path, *, succeeding: bool = True) -> str:
    """A shell script that runs `commands` one after the other, in one shell, until one fails.

    Variables and the working directory go from phase to phase through files in `folder`, since version 0.2
    runs everything in the same shell. `folder/current` names the command that runs or has failed.
    """
    state, place, current = (shlex.quote(str(folder / name)) for name in ("state", "place", "current"))
    lines = [
        f'if [ -f {state} ]; then . {state}; cd "$(cat {place})"; fi',
        f"export CODEBUILD_BUILD_SUCCEEDING={int(succeeding)}",
        f"trap 'export -p > {state}; pwd > {place}' EXIT",
    ]
    for command in commands:
        quoted = shlex.quote(command)
        lines += [
            f"printf '%s' {quoted} > {current}",
            f"printf '[Container] Running command %s\\n' {quoted}",
            command,
            "__status=$?; if [ $__status -ne 0 ]; then exit $__status; fi",
        ]
    return "\n".join(lines) + "\n"
