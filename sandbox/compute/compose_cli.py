"""`docker compose` over the instance's engine: up, stop, start, down, ps, pull, logs."""

import dataclasses
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.compute import compose as files
from sandbox.compute.cli_arguments import VERSION, Arguments
from sandbox.compute.container import HealthCheck, Spec
from sandbox.compute.errors import DockerError, UnsupportedError

if TYPE_CHECKING:
    from sandbox.compute.docker_cli import Docker

FILE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
POLL_SECONDS = 0.1
WAIT_SECONDS = 600.0  # of `up --wait` without --wait-timeout: docker waits for ever, a deployment must not
HEALTH_TIMES = {
    "Interval": "interval",
    "Timeout": "timeout",
    "StartPeriod": "start_period",
    "StartInterval": "start_interval",
}
SHOWN = "Name Project Service Image ImageDigest State Health HealthOutput ExitCode Restarts OOMKilled Pid"
FLAGS = {
    "-f": "file",
    "--file": "file",
    "-p": "project",
    "--project-name": "project",
    "--env-file": "env-file",
}
VERBS: dict[str, tuple[dict[str, str], set[str]]] = {
    "up": (
        {"--wait-timeout": "wait-timeout", "--timeout": "timeout", "-t": "timeout", "--pull": "pull"},
        {"-d", "--detach", "--wait", "--remove-orphans", "--quiet-pull", "--force-recreate", "--no-build"},
    ),
    "stop": ({"-t": "timeout", "--timeout": "timeout"}, set()),
    "start": ({}, set()),
    "down": ({"-t": "timeout", "--timeout": "timeout"}, {"-v", "--volumes", "--remove-orphans"}),
    "ps": ({"--format": "format"}, {"-a", "--all", "-q", "--quiet"}),
    "pull": ({}, {"-q", "--quiet"}),
    "logs": ({"--tail": "tail", "-n": "tail"}, {"--no-color", "--no-log-prefix"}),
    "version": ({}, {"--short"}),
}


def compose(docker: "Docker", words: list[str]) -> None:
    """One `docker compose` command. Raises `DockerError` for what is wrong or not supported."""
    head = next((n for n, word in enumerate(words) if word in VERBS), len(words))
    outer = Arguments(words[:head], "compose", FLAGS, set())
    if head == len(words) or outer.rest:
        raise DockerError(f'unknown docker command: "compose {" ".join(outer.rest or words)}"', 16)
    verb = words[head]
    values, switches = VERBS[verb]
    flags = Arguments(words[head + 1 :], f"compose {verb}", values, switches)
    if verb == "version":
        print(f"Docker Compose version v2 (stand-in, Docker {VERSION})")
        return
    given = outer.values.get("file", [])
    if len(given) > 1:
        raise UnsupportedError("compose: several -f files are not supported")
    project = read(outer.one("project"), given[0] if given else None, outer.values.get("env-file", []))
    unknown = [name for name in flags.rest if name not in project.services]
    if unknown:
        raise DockerError(f"no such service: {unknown[0]}")
    match verb:
        case "up":
            up(docker, project, flags)
        case "ps":
            ps(docker, project, flags)
        case "pull":
            for service in selected(project, flags.rest):
                docker.fetch(service.image, quiet=True)
        case "logs":
            logs(docker, project, flags)
        case _:
            change(docker, verb, project, flags)


def change(docker: "Docker", verb: str, project: files.Project, flags: Arguments) -> None:
    """stop, start, down."""
    request: dict[str, Any] = {"op": verb, "project": project.name, "services": flags.rest}
    if flags.one("timeout"):
        request["timeout"] = float(str(flags.one("timeout")))
    request["volumes"] = flags.on("-v") or flags.on("--volumes")
    done = {"stop": "Stopped", "start": "Started", "down": "Removed"}[verb]
    for name in docker.ask(request, None)["names"]:
        print(f" Container {name}  {done}")


def logs(docker: "Docker", project: files.Project, flags: Arguments) -> None:
    tail = flags.one("tail", "all")
    request = {"op": "logs", "project": project.name, "services": flags.rest}
    found = docker.ask({**request, "tail": None if tail == "all" else int(str(tail))})["logs"]
    for name, lines in found.items():
        for line in lines:
            print(line if flags.on("--no-log-prefix") else f"{name} | {line}")


def read(project: str | None, file: str | None, env_files: list[str]) -> files.Project:
    """The compose file, with the environment's variables before the env file's (`.env`)."""
    path = Path(file) if file else next((Path(n) for n in FILE_NAMES if Path(n).exists()), None)
    if path is None:
        raise DockerError("no configuration file provided: not found", 14)
    variables: dict[str, str] = {}
    for each in env_files or ([str(path.parent / ".env")] if (path.parent / ".env").exists() else []):
        variables |= files.read_env_file(Path(each))
    return files.load(path, project or os.environ.get("COMPOSE_PROJECT_NAME"), {**variables, **os.environ})


def selected(project: files.Project, names: list[str]) -> list[files.Service]:
    return [each for name, each in project.services.items() if not names or name in names]


def specification(docker: "Docker", project: files.Project, service: files.Service) -> Spec:
    """A service and its image as one container; compose's words win over the image's."""
    digest = docker.references.find(service.image) or docker.fetch(service.image, quiet=True)
    image = docker.store.config(digest)["config"]
    workdir = image.get("WorkingDir") or "/"
    for target in service.volumes:
        if not f"{target}/".startswith(workdir.rstrip("/") + "/"):
            raise UnsupportedError(
                f"services.{service.name}.volumes: {target} is outside the working directory {workdir}: "
                "there is no chroot here, so the program would not find it"
            )
    command = service.command if service.command is not None else image.get("Cmd") or []
    argv = [*(image.get("Entrypoint") or []), *command]
    if not argv:
        raise DockerError(f"no command specified for {service.image}")
    return Spec(
        name=service.container_name or f"{project.name}-{service.name}-1",
        project=project.name,
        service=service.name,
        image=service.image,
        image_digest=digest,
        rootfs=str(docker.store.rootfs(digest)),
        argv=argv,
        image_environment=dict(item.split("=", 1) for item in image.get("Env", [])),
        environment=service.environment,
        workdir=workdir,
        restart=service.restart,
        health=service.health or image_health(image.get("Healthcheck")),
        memory_bytes=service.memory_bytes,
        stop_signal=service.stop_signal or image.get("StopSignal") or "SIGTERM",
        stop_grace_seconds=service.stop_grace_seconds,
        volumes=service.volumes,
        hash=f"{service.hash}-{digest}",
    )


def image_health(raw: dict[str, Any] | None) -> HealthCheck | None:
    """The image's HEALTHCHECK: times there are in nanoseconds."""
    if not raw:
        return None
    times = {ours: raw[theirs] / 1e9 for theirs, ours in HEALTH_TIMES.items() if raw.get(theirs)}
    return HealthCheck(list(raw["Test"]), retries=int(raw.get("Retries") or 3), **times)


def up(docker: "Docker", project: files.Project, flags: Arguments) -> None:
    """Create, recreate or start the services, and wait for them when asked to."""
    names = flags.rest
    if not (flags.on("-d") or flags.on("--detach") or flags.on("--wait")):
        raise UnsupportedError("compose up: only detached (-d or --wait) is supported")
    docker.ask({"op": "info"})  # before any image is pulled: is there an engine at all?
    if flags.one("pull") == "always":
        for service in selected(project, names):
            docker.fetch(service.image, quiet=True)
    specs = [specification(docker, project, service) for service in selected(project, names)]
    documents = [dataclasses.asdict(spec) for spec in specs]
    if flags.on("--force-recreate"):
        documents = [{**document, "hash": f"{document['hash']}-{time.time_ns()}"} for document in documents]
    if flags.on("--remove-orphans"):
        present = {
            each["Service"] for each in docker.ask({"op": "ps", "project": project.name})["containers"]
        }
        gone = sorted(present - set(project.services))
        if gone:
            docker.ask({"op": "down", "project": project.name, "services": gone}, None)
    answer = docker.ask({"op": "up", "project": project.name, "containers": documents}, None)
    for name, action in answer["actions"].items():
        print(f" Container {name}  {action}")
    if flags.on("--wait"):
        wait(
            docker,
            project.name,
            [spec.service for spec in specs],
            float(flags.one("wait-timeout") or WAIT_SECONDS),
        )


def wait(docker: "Docker", project: str, services: list[str], timeout_seconds: float) -> None:
    """Until every service is healthy, or runs when it has no check. Raises `DockerError` if one fails."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        found = docker.ask({"op": "ps", "project": project, "services": services})["containers"]
        waiting = []
        for each in found:
            if each["State"] in ("exited", "restarting"):
                raise DockerError(f"container {each['Name']} exited ({each['ExitCode']})")
            if each["Health"] == "unhealthy":
                raise DockerError(f"container {each['Name']} is unhealthy")
            if each["State"] != "running" or each["Health"] == "starting":
                waiting.append(each["Name"])
        if not waiting:
            for each in found:
                print(f" Container {each['Name']}  {'Healthy' if each['Health'] else 'Running'}")
            return
        if time.monotonic() > deadline:
            raise DockerError(f"application not healthy after {timeout_seconds:g}s: {', '.join(waiting)}")
        time.sleep(POLL_SECONDS)


def ps(docker: "Docker", project: files.Project, flags: Arguments) -> None:
    form = flags.one("format")
    if form not in (None, "table", "json"):
        raise UnsupportedError(f"compose ps --format {form}: table and json are supported")
    found = docker.ask({"op": "ps", "project": project.name, "services": flags.rest})["containers"]
    everything = flags.on("-a") or flags.on("--all")
    for each in (one for one in found if everything or one["State"] in ("running", "restarting")):
        if form == "json":
            print(json.dumps({key: each[key] for key in SHOWN.split()}))
        elif flags.on("-q") or flags.on("--quiet"):
            print(each["Name"])
        else:
            health = f" ({each['Health']})" if each["Health"] else ""
            print(f"{each['Name']:<30} {each['Image']:<60} {each['Service']:<16} {each['State']}{health}")
