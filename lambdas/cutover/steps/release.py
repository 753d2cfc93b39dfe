"""Start the release script on every instance of the idle colour, and see it through to healthy targets."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from cutover.domain.colours import Colour
from cutover.domain.environment import Environment
from cutover.domain.errors import NotReachableError, ReleaseFailedError, UnhealthyTargetsError
from cutover.domain.gates import Persona, Subject
from cutover.domain.health import Health, health_of
from cutover.domain.records import Deployment, colour_key
from cutover.domain.times import text
from cutover.ports import Change, Clock, Instances, Invocation, Journal, LoadBalancer, Registry, RunCommand
from cutover.steps.records import read_live, update_record

SUBJECT = Subject("C3c", Persona.RELIABILITY)
UNFINISHED = frozenset({"Pending", "InProgress", "Delayed"})
# Health checks of 30 s need 150 s for five successes; twice that is a sick release, not a slow one.
HEALTHY_WITHIN_SECONDS = 300
LAST_LINES = 12


def start_release(
    deployment: Deployment,
    environment: Environment,
    colour: Colour,
    image: str,
    *,
    journal: Journal,
    registry: Registry,
    instances: Instances,
    commands: RunCommand,
    clock: Clock,
) -> dict[str, Any]:
    """{status: waiting, command}. The record says what stands on the colour before anything is sent, so that
    a rollback always knows what to stop. A second attempt finds the first command.

    The command is None while an instance has not reported to Systems Manager yet: looking again then sends
    it.
    """
    record = journal.read(deployment.key) or {}
    if record.get("command_id"):
        return {"status": "waiting", "command": record["command_id"]}
    live = read_live(journal)
    if live is not None and live.colour is colour:
        raise ReleaseFailedError(f"{colour} is live with version {live.version}; the plan no longer holds")
    image_uri = f"{registry.uri}@{image}"
    standing: dict[str, Any] = {
        "image": image,
        "image_uri": image_uri,
        "colour": colour.value,
        "targets": environment.targets.as_json(),
    }
    # What a new instance of this colour comes up with: see steps/boot.py.
    line = {
        "deployment": deployment.id,
        "version": deployment.version,
        "image": image,
        "settings": dict(deployment.settings or {}),
        "released": False,
    }
    journal.write(
        [Change("update", deployment.key, standing), Change("put", colour_key(colour), line)],
        lock=deployment.lock,
    )
    return _send(
        deployment,
        environment,
        colour,
        image_uri,
        journal=journal,
        instances=instances,
        commands=commands,
        clock=clock,
    )


def look_at_release(
    deployment: Deployment,
    environment: Environment,
    colour: Colour,
    *,
    journal: Journal,
    instances: Instances,
    commands: RunCommand,
    balancer: LoadBalancer,
    clock: Clock,
) -> dict[str, Any]:
    """{status: waiting | healthy, found, gates when healthy}.

    Raises ReleaseFailedError with the script's last lines, or UnhealthyTargetsError when the script ended
    well but the balancer does not find the targets healthy in time.
    """
    record = journal.read(deployment.key) or {}
    command = record.get("command_id")
    if not command:
        uri = str(record["image_uri"])
        return _send(
            deployment,
            environment,
            colour,
            uri,
            journal=journal,
            instances=instances,
            commands=commands,
            clock=clock,
        )
    expected = int(record.get("command_instances") or 1)
    invocations = commands.invocations(command)
    failed = [i for i in invocations if i.status != "Success" and i.status not in UNFINISHED]
    if failed:
        raise ReleaseFailedError("; ".join(told(invocation) for invocation in failed))
    done = sum(invocation.status == "Success" for invocation in invocations)
    if done < expected:
        return {"status": "waiting", "found": f"the script ended on {done} of {expected} instances"}
    health = health_of(balancer.health(environment.targets.of(colour)))
    wanted = expected * environment.containers_per_instance
    if health.healthy < wanted:
        _not_for_ever(deployment, record, health, wanted, journal=journal, clock=clock)
        return {"status": "waiting", "found": f"{health}, {wanted} wanted"}
    arrived = Change("update", colour_key(colour), {"released": True}, expect={"deployment": deployment.id})
    journal.write([arrived], lock=deployment.lock)
    return {"status": "healthy", "found": str(health), "gates": _gates(invocations, health, wanted)}


def _send(
    deployment: Deployment,
    environment: Environment,
    colour: Colour,
    image_uri: str,
    *,
    journal: Journal,
    instances: Instances,
    commands: RunCommand,
    clock: Clock,
) -> dict[str, Any]:
    group = instances.group(environment.group(colour))
    if group is None or not group.instances:
        raise ReleaseFailedError(
            f"the Auto Scaling group {environment.group(colour)} has no instance in service"
        )
    parameters = release_parameters("release", deployment, image_uri, colour)
    try:
        command = commands.send(
            environment.release_document, group.instances, parameters, f"cutover {deployment.id} release"
        )
    except NotReachableError as error:
        return {"status": "waiting", "command": None, "found": str(error)}
    sent = {
        "command_id": command,
        "command_instances": len(group.instances),
        "command_sent": text(clock.now()),
    }
    update_record(journal, deployment, sent)
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
    health: Health,
    wanted: int,
    *,
    journal: Journal,
    clock: Clock,
) -> None:
    since = record.get("released_at")
    if since is None:
        update_record(journal, deployment, {"released_at": text(clock.now())})
        return
    waited = (clock.now() - datetime.fromisoformat(str(since))).total_seconds()
    if waited > HEALTHY_WITHIN_SECONDS:
        raise UnhealthyTargetsError(
            f"{waited:.0f} s after the script had ended, the balancer finds {health}; {wanted} are wanted"
        )


def _gates(invocations: Sequence[Invocation], health: Health, wanted: int) -> list[dict[str, Any]]:
    count = len(invocations)
    return [
        SUBJECT.judge(
            "The release runs on every instance",
            True,
            found=f"{count} of {count} instances",
            wanted="every instance in service",
            samples=count,
        ).as_json(),
        SUBJECT.judge(
            "Every target is healthy",
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
