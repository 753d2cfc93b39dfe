"""Start the release scripts on every instance of the idle colour, and see them through to healthy targets.

Each service has its own document, instances and image; they arrive together or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cutover.domain.colours import Colour
from cutover.domain.environment import Environment
from cutover.domain.errors import NotReachableError, ReleaseFailedError, UnhealthyTargetsError
from cutover.domain.gates import Persona, Subject
from cutover.domain.health import Health, health_of
from cutover.domain.records import Deployment, colour_key
from cutover.domain.services import Service
from cutover.domain.times import text
from cutover.ports import Change, Clock, Instances, Invocation, Journal, LoadBalancer, Registry, RunCommand
from cutover.steps.records import read_live, update_record

SUBJECT = Subject("C3c", Persona.RELIABILITY)
UNFINISHED = frozenset({"Pending", "InProgress", "Delayed"})
# Health checks of 30 s need 150 s for five successes; twice that is a sick release, not a slow one.
HEALTHY_WITHIN_SECONDS = 300
LAST_LINES = 12


@dataclass(frozen=True)
class Part:
    """One service's part of the release. Its fields in the record begin with `prefix`."""

    service: Service
    image_uri: str

    @property
    def prefix(self) -> str:
        return "" if self.service is Service.BACKEND else f"{self.service}_"

    @property
    def of(self) -> str:
        """In a sentence: nothing for the backend, which every release has."""
        return "" if self.service is Service.BACKEND else f" of the {self.service}"


@dataclass(frozen=True)
class World:
    """What a release needs."""

    journal: Journal
    registries: Mapping[Service, Registry]
    instances: Instances
    commands: RunCommand
    balancer: LoadBalancer
    clock: Clock


def start_release(
    deployment: Deployment,
    environment: Environment,
    colour: Colour,
    images: Mapping[Service, str],
    *,
    world: World,
) -> dict[str, Any]:
    """{status: waiting, command}. `images` are the digests by the service. The record says what stands on the
    colour before anything is sent, so that a rollback always knows what to stop. A second attempt finds the
    first commands.

    The command is None while an instance has not reported to Systems Manager yet: looking again then sends
    it.
    """
    record = world.journal.read(deployment.key) or {}
    parts = [Part(service, f"{world.registries[service].uri}@{image}") for service, image in images.items()]
    if not _sent(record, parts):
        live = read_live(world.journal)
        if live is not None and live.colour is colour:
            raise ReleaseFailedError(
                f"{colour} is live with version {live.version}; the plan no longer holds"
            )
        world.journal.write(
            [
                Change("update", deployment.key, _standing(environment, colour, images, parts)),
                # What a new instance of this colour comes up with: see steps/boot.py.
                *(
                    Change("put", colour_key(colour, service), _line(deployment, image))
                    for service, image in images.items()
                ),
            ],
            lock=deployment.lock,
        )
    commands = [_send(deployment, environment, colour, part, record, world=world) for part in parts]
    return {"status": "waiting", "command": commands[0]["command"]}


def _sent(record: Mapping[str, Any], parts: Sequence[Part]) -> bool:
    return all(record.get(f"{part.prefix}command_id") for part in parts)


def _standing(
    environment: Environment, colour: Colour, images: Mapping[Service, str], parts: Sequence[Part]
) -> dict[str, Any]:
    uris = {part.service: part.image_uri for part in parts}
    frontend = Service.FRONTEND
    return {
        "image": images[Service.BACKEND],
        "image_uri": uris[Service.BACKEND],
        "colour": colour.value,
        "targets": environment.targets.as_json(),
        frontend.value: {
            "image": images.get(frontend),
            "image_uri": uris.get(frontend),
            "targets": environment.frontend_targets.as_json(),
        },
    }


def _line(deployment: Deployment, image: str) -> dict[str, Any]:
    return {
        "deployment": deployment.id,
        "version": deployment.version,
        "image": image,
        "settings": dict(deployment.settings or {}),
        "released": False,
    }


def look_at_release(
    deployment: Deployment, environment: Environment, colour: Colour, *, world: World
) -> dict[str, Any]:
    """{status: waiting | healthy, found, gates when healthy}: of all services together. While it waits,
    {command}: the backend's, None while it could not be sent.

    Raises ReleaseFailedError with the script's last lines, or UnhealthyTargetsError when the script ended
    well but the balancer does not find the targets healthy in time.
    """
    record = world.journal.read(deployment.key) or {}
    looks = [_look(deployment, environment, colour, part, record, world=world) for part in _parts_of(record)]
    waiting = [look["found"] for look in looks if look["status"] != "healthy"]
    if waiting:
        command = looks[0].get("command", record.get("command_id"))
        return {"status": "waiting", "found": "; ".join(waiting), "command": command}
    arrived = [
        Change(
            "update",
            colour_key(colour, part.service),
            {"released": True},
            expect={"deployment": deployment.id},
        )
        for part in _parts_of(record)
    ]
    world.journal.write(arrived, lock=deployment.lock)
    return {
        "status": "healthy",
        "found": "; ".join(look["found"] for look in looks),
        "gates": [gate for look in looks for gate in look["gates"]],
    }


def _parts_of(record: Mapping[str, Any]) -> list[Part]:
    frontend = (record.get(Service.FRONTEND) or {}).get("image_uri")
    pages = [Part(Service.FRONTEND, str(frontend))] if frontend else []
    return [Part(Service.BACKEND, str(record["image_uri"])), *pages]


def _look(
    deployment: Deployment,
    environment: Environment,
    colour: Colour,
    part: Part,
    record: Mapping[str, Any],
    *,
    world: World,
) -> dict[str, Any]:
    command, place = record.get(f"{part.prefix}command_id"), environment.place(part.service)
    if not command:
        sent = _send(deployment, environment, colour, part, record, world=world)
        return {"found": f"the command{part.of} is on its way", **sent}
    expected = int(record.get(f"{part.prefix}command_instances") or 1)
    invocations = world.commands.invocations(str(command))
    failed = [i for i in invocations if i.status != "Success" and i.status not in UNFINISHED]
    if failed:
        whose = "" if part.service is Service.BACKEND else f"the {part.service}: "
        raise ReleaseFailedError(whose + "; ".join(told(each) for each in failed))
    done = sum(invocation.status == "Success" for invocation in invocations)
    if done < expected:
        found = f"the script{part.of} ended on {done} of {expected} instances"
        return {"status": "waiting", "found": found}
    health = health_of(world.balancer.health(place.targets.of(colour)))
    wanted = expected * place.containers_per_instance
    if health.healthy < wanted:
        _not_for_ever(deployment, record, part, health, wanted, world=world)
        return {"status": "waiting", "found": f"{health}{part.of}, {wanted} wanted"}
    return {
        "status": "healthy",
        "found": f"{health}{part.of}",
        "gates": _gates(invocations, health, wanted, part),
    }


def _send(
    deployment: Deployment,
    environment: Environment,
    colour: Colour,
    part: Part,
    record: Mapping[str, Any],
    *,
    world: World,
) -> dict[str, Any]:
    """The command of a service, sent once."""
    if command := record.get(f"{part.prefix}command_id"):
        return {"status": "waiting", "command": command}
    place = environment.place(part.service)
    name = place.group(colour)
    group = world.instances.group(name)
    if group is None or not group.instances:
        raise ReleaseFailedError(f"the Auto Scaling group {name} has no instance in service")
    parameters = release_parameters("release", deployment, part.image_uri, colour)
    try:
        command = world.commands.send(
            place.document, group.instances, parameters, f"cutover {deployment.id} release"
        )
    except NotReachableError as error:
        return {"status": "waiting", "command": None, "found": str(error)}
    sent = {
        f"{part.prefix}command_id": command,
        f"{part.prefix}command_instances": len(group.instances),
        f"{part.prefix}command_sent": text(world.clock.now()),
    }
    update_record(world.journal, deployment, sent)
    return {"status": "waiting", "command": command}


def release_parameters(
    action: str, deployment: Deployment, image_uri: str, colour: Colour
) -> Mapping[str, str]:
    """The release document's parameters."""
    return {
        "Action": action,
        "Deployment": deployment.id,
        "Version": deployment.version,
        "Image": image_uri,
        "Settings": json.dumps(dict(deployment.settings or {}), sort_keys=True),
        "Colour": colour.value,
    }


def _not_for_ever(
    deployment: Deployment,
    record: Mapping[str, Any],
    part: Part,
    health: Health,
    wanted: int,
    *,
    world: World,
) -> None:
    since = record.get(f"{part.prefix}released_at")
    if since is None:
        now = text(world.clock.now())
        update_record(world.journal, deployment, {f"{part.prefix}released_at": now})
        return
    waited = (world.clock.now() - datetime.fromisoformat(str(since))).total_seconds()
    if waited > HEALTHY_WITHIN_SECONDS:
        raise UnhealthyTargetsError(
            f"{waited:.0f} s after the script{part.of} had ended, the balancer finds {health}; "
            f"{wanted} are wanted"
        )


def _gates(
    invocations: Sequence[Invocation], health: Health, wanted: int, part: Part
) -> list[dict[str, Any]]:
    count = len(invocations)
    return [
        SUBJECT.judge(
            f"The release{part.of} runs on every instance",
            True,
            found=f"{count} of {count} instances",
            wanted="every instance in service",
            samples=count,
        ).as_json(),
        SUBJECT.judge(
            f"Every target{part.of} is healthy",
            health.healthy >= wanted,
            found=str(health),
            wanted=f"{wanted} healthy",
            samples=health.total,
        ).as_json(),
    ]


def told(invocation: Invocation) -> str:
    """An invocation that failed, with its script's last lines."""
    lines = [line for line in invocation.output.splitlines() if line.strip()][-LAST_LINES:]
    return f"{invocation.instance} {invocation.status}: {' | '.join(lines) or 'the script said nothing'}"
