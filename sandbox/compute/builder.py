"""`docker build`: a Dockerfile and a directory become a manifest, a config and gzipped layers.

Every instruction has a cache key made of its parent's key, its own text and a digest of its inputs, so that
releases that differ in code only share the dependency layer. The root of a stage is put on disk only when an
instruction has to run on it.
"""

import dataclasses
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sandbox.compute import dockerfile, node
from sandbox.compute.context import Context, fingerprint, select
from sandbox.compute.dockerfile import Instruction, Stage
from sandbox.compute.errors import DockerError, UnsupportedError
from sandbox.compute.layers import Entry, Layer, changes, snapshot, write_layer
from sandbox.compute.run_step import Machine, RunStep, python_version
from sandbox.compute.store import (
    CONFIG_TYPE,
    LAYER_TYPE,
    MANIFEST_TYPE,
    BlobStore,
    canonical,
    digest_of,
    write_atomically,
)

# The official image under the names it is pulled by; a pinned digest is not checked (no Hub is asked).
BASE_IMAGE = re.compile(
    r"^(docker\.io/library/|public\.ecr\.aws/docker/library/|library/)?python:3\.11(\.\d+)?-slim(-\w+)?(@sha256:[0-9a-f]{64})?$"
)
BASE_PATH = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
SHELL_KEYWORDS = frozenset({"RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK"})
HEALTH_FLAGS = {
    "interval": "Interval",
    "timeout": "Timeout",
    "start-period": "StartPeriod",
    "start-interval": "StartInterval",
}
EPOCH = "1970-01-01T00:00:00Z"  # images are reproducible: they don't say when they were built


@dataclasses.dataclass
class Build:
    """A stage as far as it is built."""

    key: str
    workdir: str = "/"
    layers: list[Layer] = dataclasses.field(default_factory=list)
    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    variables: dict[str, str] = dataclasses.field(default_factory=dict)
    root: Path | None = None


class Builder:
    """One `docker build`."""

    def __init__(self, store: BlobStore, machine: Machine, log: Callable[[str], None]) -> None:
        self._store, self._machine, self._log = store, machine, log
        self._work: Path | None = None
        self._done: dict[str, Build] = {}

    def build(self, file: Path, context: Path, target: str | None, arguments: Mapping[str, str]) -> str:
        """Build `target` (the last stage when None) and return the digest of its manifest.

        Raises `DockerError` for what is wrong and `UnsupportedError` for what is only possible with root.
        """
        if not file.is_file():
            raise DockerError(f"failed to read dockerfile: open {file.name}: no such file or directory")
        found = dockerfile.stages(dockerfile.parse(file.read_text()), arguments)
        wanted = found[-1]
        if target is not None:
            named = [stage for stage in found if stage.name == target.lower()]
            if not named:
                raise DockerError(f'target stage "{target}" could not be found')
            wanted = named[0]
        needed = _needed(found, wanted)
        self._store.scratch.mkdir(parents=True, exist_ok=True)
        self._work = Path(tempfile.mkdtemp(dir=self._store.scratch, prefix="build-"))
        try:
            files = Context(context)
            for stage in needed:
                self._done[stage.name] = self._done[str(stage.index)] = self._stage(stage, files, arguments)
            return self._finish(self._done[wanted.name])
        finally:
            shutil.rmtree(self._work, ignore_errors=True)

    def _stage(self, stage: Stage, files: Context, arguments: Mapping[str, str]) -> Build:
        parent = self._done.get(stage.base.lower())
        if parent is not None:
            build = dataclasses.replace(
                parent,
                layers=list(parent.layers),
                config=json.loads(json.dumps(parent.config)),
                history=list(parent.history),
                variables=dict(_environment(parent.config)),
                root=None,
            )
        else:
            build = _base(stage.base)
        total = len(stage.instructions) + 1
        self._log(f"[{stage.name} 1/{total}] FROM {stage.base}")
        for number, instruction in enumerate(stage.instructions, 2):
            self._log(f"[{stage.name} {number}/{total}] {instruction}")
            self._apply(build, instruction, files, arguments)
        return build

    def _apply(self, build: Build, step: Instruction, files: Context, arguments: Mapping[str, str]) -> None:
        text = step.arguments
        if step.keyword not in SHELL_KEYWORDS:  # in those a shell, or nobody, expands variables
            text = dockerfile.expand(text, build.variables)
        step = dataclasses.replace(step, arguments=text)
        match step.keyword:
            case "RUN":
                self._run(build, step)
            case "COPY":
                self._copy(build, step, files)
            case "ARG":
                name, _, default = text.partition("=")
                build.variables[name] = arguments.get(name, default.strip("\"'"))
            case "WORKDIR":
                build.workdir = str(Path(build.workdir) / text)
                build.config["WorkingDir"] = build.workdir
                name = build.workdir.strip("/")
                folders = [Entry(str(p), 0o755, directory=True) for p in (Path(name), *Path(name).parents)][
                    :-1
                ]
                self._layer(build, step, fingerprint(folders), lambda: folders)
            case _:
                configure(build.config, step, build.variables)
                build.history.append({"created": EPOCH, "created_by": str(step), "empty_layer": True})

    def _run(self, build: Build, step: Instruction) -> None:
        def make() -> list[Entry]:
            root = self._root(build)
            before = snapshot(root)
            RunStep(self._machine, root, build.workdir, self._log).run(step, build.variables)
            return changes(root, before)

        spelled = dockerfile.expand(step.arguments, build.variables) + build.workdir
        self._layer(build, step, digest_of(spelled.encode()), make, applied=True)

    def _copy(self, build: Build, step: Instruction, files: Context) -> None:
        for flag in step.flags:
            if flag not in ("from", "chown", "link"):
                raise UnsupportedError(f"dockerfile line {step.line}: COPY --{flag} is not supported: {step}")
        words = step.form or step.arguments.split()
        if len(words) < 2:
            raise DockerError(
                f"dockerfile parse error on line {step.line}: COPY requires at least two arguments"
            )
        slash = "/" if words[-1].endswith("/") or words[-1] in (".", "./") else ""
        destination = str(Path(build.workdir) / words[-1]).rstrip("/") + slash
        origin = step.flags.get("from")
        if origin is None:
            entries = select(files.directory, files.names, words[:-1], destination)
            self._layer(build, step, fingerprint(entries) + destination, lambda: entries)
            return
        source = self._done.get(origin.lower())
        if source is None:
            raise UnsupportedError(f"dockerfile line {step.line}: COPY --from={origin}: no such build stage")

        def make() -> list[Entry]:
            root = self._root(source)
            names = sorted(snapshot(root))
            return select(root, names, [word.lstrip("/") or "." for word in words[:-1]], destination)

        self._layer(build, step, source.key + destination, make)

    def _layer(
        self,
        build: Build,
        step: Instruction,
        inputs: str,
        make: Callable[[], list[Entry]],
        *,
        applied: bool = False,
    ) -> None:
        """Add the layer of an instruction, from the cache when its key is known there."""
        build.key = digest_of(canonical([build.key, str(step), inputs]))
        record = self._store.root / "cache" / f"{build.key.partition(':')[2]}.json"
        cached = json.loads(record.read_text()) if record.exists() else None
        layer = Layer(**cached) if cached and self._store.has(cached["digest"]) else None
        if layer is not None:
            self._log("CACHED")
        else:
            layer, file = write_layer(make(), self._store.scratch)
            self._store.adopt(file, layer.digest)
            write_atomically(record, canonical(dataclasses.asdict(layer)))
        if build.root is not None and not (applied and cached is None):
            self._store.lay(layer.digest, build.root)
        build.layers.append(layer)
        build.history.append({"created": EPOCH, "created_by": str(step)})

    def _root(self, build: Build) -> Path:
        if build.root is None:
            build.root = Path(tempfile.mkdtemp(dir=self._work, prefix="root-"))
            for layer in build.layers:
                self._store.lay(layer.digest, build.root)
        return build.root

    def _finish(self, build: Build) -> str:
        config = {
            "architecture": "amd64",
            "os": "linux",
            "created": EPOCH,
            "config": build.config,
            "history": build.history,
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in build.layers]},
        }
        body = canonical(config)
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": {"mediaType": CONFIG_TYPE, "size": len(body), "digest": self._store.put(body)},
            "layers": [
                {"mediaType": LAYER_TYPE, "size": lay.size, "digest": lay.digest} for lay in build.layers
            ],
        }
        return self._store.put(canonical(manifest))


def _base(name: str) -> Build:
    """An empty image of one of the two base images that there are. Raises UnsupportedError for another."""
    if BASE_IMAGE.match(name):
        build = Build(digest_of(f"python:3.11-slim {python_version()}".encode()))
        build.config = {"Env": [f"PATH={BASE_PATH}", "LANG=C.UTF-8"], "Cmd": ["python3"]}
    elif node.BASE_IMAGE.match(name):
        found = node.version()
        build = Build(digest_of(f"node:18-alpine {found}".encode()))
        build.config = {"Env": [f"PATH={BASE_PATH}", f"{node.MARKER}={found}"], "Cmd": ["node"]}
    else:
        raise UnsupportedError(
            f"pull access denied for {name}: this stand-in has two base images, "
            "python:3.11-slim and node:18-alpine"
        )
    build.variables = dict(_environment(build.config))
    return build


def _needed(found: list[Stage], wanted: Stage) -> list[Stage]:
    """The stages that `wanted` is built from, in order: as BuildKit, nothing else is built."""
    by_name = {stage.name: stage for stage in found} | {str(stage.index): stage for stage in found}
    names: set[int] = set()
    queue = [wanted]
    while queue:
        stage = queue.pop()
        if stage.index in names:
            continue
        names.add(stage.index)
        origins = [step.flags["from"] for step in stage.instructions if "from" in step.flags]
        for name in [stage.base, *origins]:
            other = by_name.get(name.lower())
            if other is not None and other.index < stage.index:
                queue.append(other)
    return [stage for stage in found if stage.index in names]


def _environment(config: Mapping[str, Any]) -> dict[str, str]:
    return dict(item.split("=", 1) for item in config.get("Env", []))


def configure(config: dict[str, Any], step: Instruction, variables: dict[str, str]) -> None:
    """Carry an instruction without a layer into the image's configuration.

    Shape: https://github.com/opencontainers/image-spec/blob/main/config.md and Docker's Healthcheck (ns).
    """
    match step.keyword:
        case "ENV":
            environment = _environment(config)
            for name, value in dockerfile.key_values(step):
                environment[name] = variables[name] = value
            config["Env"] = [f"{name}={value}" for name, value in environment.items()]
        case "LABEL":
            config.setdefault("Labels", {}).update(dockerfile.key_values(step))
        case "USER":
            config["User"] = step.arguments
        case "EXPOSE":
            for port in step.arguments.split():
                config.setdefault("ExposedPorts", {})[port if "/" in port else f"{port}/tcp"] = {}
        case "STOPSIGNAL":
            config["StopSignal"] = step.arguments
        case "CMD" | "ENTRYPOINT":
            words = step.form or ["/bin/sh", "-c", step.arguments]
            config["Cmd" if step.keyword == "CMD" else "Entrypoint"] = words
            if step.keyword == "ENTRYPOINT":
                config.pop("Cmd", None)
        case "HEALTHCHECK":
            config["Healthcheck"] = healthcheck(step)
        case _:
            raise UnsupportedError(f"dockerfile line {step.line}: {step.keyword} is not supported")


def healthcheck(step: Instruction) -> dict[str, Any]:
    if step.arguments.strip().upper() == "NONE":
        return {"Test": ["NONE"]}
    keyword, _, rest = step.arguments.partition(" ")
    if keyword.upper() != "CMD" or not rest.strip():
        raise DockerError(f"dockerfile line {step.line}: HEALTHCHECK wants CMD or NONE: {step}")
    command = Instruction("CMD", rest.strip(), step.line)
    check: dict[str, Any] = {"Test": ["CMD", *command.form] if command.form else ["CMD-SHELL", rest.strip()]}
    for flag, value in step.flags.items():
        if flag == "retries":
            check["Retries"] = int(value)
        elif flag in HEALTH_FLAGS:
            check[HEALTH_FLAGS[flag]] = int(dockerfile.seconds(value) * 1e9)
        else:
            raise UnsupportedError(f"dockerfile line {step.line}: HEALTHCHECK --{flag} is not supported")
    return check
