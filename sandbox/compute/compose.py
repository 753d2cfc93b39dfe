"""Reading a compose file: the part of https://docs.docker.com/reference/compose-file/ that services here use.

An unknown key is an error that names it: nothing of a compose file is ignored.
"""

import hashlib
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sandbox.compute.container import HealthCheck
from sandbox.compute.dockerfile import seconds
from sandbox.compute.errors import DockerError, UnsupportedError

TOP_KEYS = frozenset({"name", "version", "services", "volumes"})
SERVICE_KEYS = frozenset(
    [
        "image",
        "environment",
        "env_file",
        "healthcheck",
        "restart",
        "network_mode",
        "command",
        "ports",
        "mem_limit",
        "deploy",
        "stop_grace_period",
        "stop_signal",
        "volumes",
        "user",
        "container_name",
        "labels",
        "logging",
        "pull_policy",
    ]
)
HEALTH_KEYS = frozenset(
    ["test", "interval", "timeout", "retries", "start_period", "start_interval", "disable"]
)
RESTARTS = re.compile(r"^(no|always|unless-stopped|on-failure(:\d+)?)$")
_VARIABLE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)(?:(:?[-?+])([^}]*))?\})")
_VOLUME = re.compile(r"^((?:\.{0,2}/)?[\w.-][^:]*):(/[^:]+)(?::ro)?$")
_SIZE = re.compile(r"^(\d+)([bkmg])?b?$", re.IGNORECASE)


@dataclass(frozen=True)
class Service:
    """One service, interpolated and checked; None means the image's own value."""

    name: str
    image: str
    environment: dict[str, str]
    command: list[str] | None = None
    health: HealthCheck | None = None
    restart: str = "no"
    memory_bytes: int | None = None
    stop_grace_seconds: float = 10.0
    stop_signal: str | None = None
    # A target's volume, by its name, or the host's path that is bound to it.
    volumes: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    container_name: str | None = None

    @property
    def hash(self) -> str:
        """Changes when the container has to be recreated."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Project:
    name: str
    services: dict[str, Service]


def read_env_file(path: Path) -> dict[str, str]:
    """NAME=VALUE lines. Single quotes keep, double quotes know \\n; ` #` starts a comment."""
    try:
        text = path.read_text()
    except FileNotFoundError as error:
        raise DockerError(f"env file {path} not found") from error
    found: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip().removeprefix("export ")
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][\w.-]*", name.strip()):
            raise DockerError(f"failed to read {path}: line {number}: unexpected {line.split('=')[0]!r}")
        value = value.strip()
        if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1] if value[0] == "'" else value[1:-1].replace("\\n", "\n").replace('\\"', '"')
        else:
            value = re.split(r"\s+#", value, maxsplit=1)[0]
        found[name.strip()] = value
    return found


def interpolate(value: Any, variables: Mapping[str, str]) -> Any:
    """${VAR}, ${VAR:-default}, ${VAR:?message} and $$ in every string of the document."""
    if isinstance(value, dict):
        return {key: interpolate(each, variables) for key, each in value.items()}
    if isinstance(value, list):
        return [interpolate(each, variables) for each in value]
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        if match.group(1):
            return "$"
        name, operator, other = match.group(2) or match.group(3), match.group(4) or "", match.group(5) or ""
        known = variables.get(name)
        present = bool(known) if operator.startswith(":") else known is not None
        if operator.endswith("-"):
            return str(known) if present else other
        if operator.endswith("+"):
            return other if present else ""
        if operator.endswith("?") and not present:
            raise DockerError(f"required variable {name} is missing a value: {other}")
        return known or ""

    return _VARIABLE.sub(replace, value)


def load(file: Path, project: str | None, variables: Mapping[str, str]) -> Project:
    """Read, interpolate and check a compose file. Raises `DockerError` naming the service and the key."""
    try:
        document = yaml.safe_load(file.read_text())
    except FileNotFoundError as error:
        raise DockerError(f"open {file}: no such file or directory", 14) from error
    except yaml.YAMLError as error:
        raise DockerError(f"yaml: {' '.join(str(error).split())}", 15) from error
    if not isinstance(document, dict):
        raise DockerError(f"{file.name}: top-level object must be a mapping", 15)
    _known(document, TOP_KEYS, str(file.name))
    document = interpolate(document, variables)
    services = document.get("services")
    if not isinstance(services, dict) or not services:
        raise DockerError(f"{file.name}: no service selected: services is empty", 15)
    volumes = document.get("volumes") or {}
    for name, options in volumes.items():
        if options:
            raise UnsupportedError(f"volumes.{name}: options of a volume are not supported: {options}")
    name = project or document.get("name") or re.sub(r"[^a-z0-9_-]", "", file.resolve().parent.name.lower())
    folder = file.resolve().parent
    return Project(
        str(name),
        {str(key): _service(str(key), each, folder, set(volumes)) for key, each in services.items()},
    )


def _known(mapping: Mapping[str, Any], keys: frozenset[str], where: str) -> None:
    for key in mapping:
        if key not in keys:
            raise UnsupportedError(f"validating {where}: additional properties '{key}' not allowed", 15)


def _service(name: str, raw: Any, folder: Path, volumes: set[str]) -> Service:
    where = f"services.{name}"
    if not isinstance(raw, dict):
        raise DockerError(f"{where} must be a mapping", 15)
    _known(raw, SERVICE_KEYS, where)
    if not raw.get("image"):
        raise DockerError(f'service "{name}" has neither an image nor a build context specified', 15)
    if raw.get("network_mode") != "host":
        raise UnsupportedError(
            f"{where}.network_mode: only host is supported here, not {raw.get('network_mode', 'bridge')!r}"
        )
    if raw.get("ports"):
        raise UnsupportedError(
            f"{where}.ports: conflicts with network_mode: host; the service binds its port itself"
        )
    environment: dict[str, str] = {}
    for entry in _list(raw.get("env_file")):
        options = entry if isinstance(entry, dict) else {"path": entry, "required": True}
        path = folder / str(options["path"])
        if path.exists() or options.get("required", True):
            environment |= read_env_file(path)
    environment |= _environment(raw.get("environment"), where)
    restart = {False: "no"}.get(raw.get("restart", "no"), str(raw.get("restart", "no")))
    if not RESTARTS.match(restart):
        raise DockerError(f"{where}.restart: invalid restart policy: unknown policy '{restart}'", 15)
    command = raw.get("command")
    return Service(
        name=name,
        image=str(raw["image"]),
        environment=environment,
        command=shlex.split(command)
        if isinstance(command, str)
        else [str(w) for w in command]
        if command
        else None,
        health=_health(raw.get("healthcheck"), where),
        restart=restart,
        memory_bytes=_memory(raw, where),
        stop_grace_seconds=_seconds(raw.get("stop_grace_period", "10s"), f"{where}.stop_grace_period"),
        stop_signal=raw.get("stop_signal"),
        volumes=_volumes(raw.get("volumes"), volumes, folder, where),
        labels=_environment(raw.get("labels"), f"{where}.labels"),
        container_name=raw.get("container_name"),
    )


def _list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _environment(raw: Any, where: str) -> dict[str, str]:
    if isinstance(raw, list):
        pairs = [str(each).partition("=") for each in raw]
        missing = [name for name, equals, _ in pairs if not equals]
        if missing:
            raise UnsupportedError(
                f"{where}.environment: {missing[0]} has no value (passing on is not supported)"
            )
        return {name: value for name, _, value in pairs}
    if raw is not None and not isinstance(raw, dict):
        raise DockerError(f"{where}.environment must be a mapping or a list", 15)
    return {str(name): _scalar(value) for name, value in (raw or {}).items()}


def _scalar(value: Any) -> str:
    """A YAML scalar as compose passes it on."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _seconds(value: Any, where: str) -> float:
    try:
        return seconds(str(value))
    except DockerError as error:
        raise DockerError(f"{where}: {error}", 15) from error


def _health(raw: Any, where: str) -> HealthCheck | None:
    if raw is None:
        return None
    _known(raw, HEALTH_KEYS, f"{where}.healthcheck")
    if raw.get("disable"):
        return HealthCheck(["NONE"])
    test = raw.get("test")
    words = ["CMD-SHELL", test] if isinstance(test, str) else [str(word) for word in test or []]
    if not words or words[0] not in ("CMD", "CMD-SHELL", "NONE"):
        raise DockerError(f"{where}.healthcheck.test: the first word must be CMD, CMD-SHELL or NONE", 15)
    times = {
        key: _seconds(raw[key], f"{where}.healthcheck.{key}")
        for key in ("interval", "timeout", "start_period", "start_interval")
        if key in raw
    }
    return HealthCheck(words, retries=int(raw.get("retries", 3)), **times)


def _memory(raw: Mapping[str, Any], where: str) -> int | None:
    value = raw.get("mem_limit")
    deploy = raw.get("deploy") or {}
    _known(deploy, frozenset({"resources"}), f"{where}.deploy")
    resources = deploy.get("resources") or {}
    _known(resources, frozenset({"limits"}), f"{where}.deploy.resources")
    limits = resources.get("limits") or {}
    _known(limits, frozenset({"memory"}), f"{where}.deploy.resources.limits")
    value = limits.get("memory", value)
    if value is None:
        return None
    match = _SIZE.match(str(value))
    if not match:
        raise DockerError(f"{where}: invalid memory limit {value!r}: write it like 512m", 15)
    return int(match.group(1)) << {"b": 0, "k": 10, "m": 20, "g": 30}[(match.group(2) or "b").lower()]


def _volumes(raw: Any, declared: set[str], folder: Path, where: str) -> dict[str, str]:
    """What is written to a path that is bound read-only is written all the same: that needs root to hold."""
    found: dict[str, str] = {}
    for entry in _list(raw):
        match = None if isinstance(entry, dict) else _VOLUME.match(str(entry))
        if not match:
            raise UnsupportedError(
                f"{where}.volumes: only NAME:/path and ./path:/path, also with :ro, are supported: {entry}"
            )
        source, target = match[1], match[2]
        if source.startswith((".", "/")):
            source = str((folder / source).resolve())
        elif source not in declared:
            raise DockerError(f"service refers to undefined volume {source}: invalid compose project", 15)
        found[target] = source
    return found
