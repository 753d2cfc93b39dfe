"""A new instance of a colour gets the release that stands on that colour, with nobody doing anything.

Auto Scaling's event about a launch starts the machine `boot.asl.json`, which asks here. A release that failed
or was rolled back does not come up again; a release under way sees to its instances itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cutover.domain.colours import Colour
from cutover.domain.errors import InvalidInputError, ReleaseFailedError
from cutover.domain.records import Deployment, Item, Live, Status, colour_key, deployment_key
from cutover.domain.services import Service
from cutover.ports import Journal, Registry, RunCommand
from cutover.steps.records import read_live
from cutover.steps.release import UNFINISHED, release_parameters, told

KEPT = frozenset({Status.RUNNING.value, Status.SUCCEEDED.value})


@dataclass(frozen=True)
class Answer:
    """Whether the colour's release is to be brought to a new instance, and why."""

    wanted: bool
    reason: str


def decide(
    colour: Colour,
    line: Item | None,
    live: Live | None,
    record: Item | None,
    service: Service = Service.BACKEND,
) -> Answer:
    """`line` is what the journal says to stand on the colour, `record` the record of its deployment."""
    if line is None:
        return Answer(False, f"nothing was ever released on {colour}")
    name = f"version {line['version']}"
    if live is not None and _serves(live, colour, service, line):
        return Answer(True, f"{name} is live on {colour}")
    if not line.get("released"):
        return Answer(False, f"{name} has not arrived on {colour}; its deployment sees to the instances")
    status = (record or {}).get("status")
    if status in KEPT:
        return Answer(True, f"{name} stands by on {colour}")
    return Answer(False, f"the deployment of {name} is {status}; it does not come up again on {colour}")


def _serves(live: Live, colour: Colour, service: Service, line: Item) -> bool:
    if service is Service.FRONTEND:
        # It may have stayed behind when its deployment was rolled back.
        return live.frontend is not None and (live.frontend.colour, live.frontend.image) == (
            colour,
            line["image"],
        )
    return live.colour is colour and live.deployment == line["deployment"]


def boot(
    environment: str,
    group: str,
    instance: str,
    documents: Mapping[Service, str],
    *,
    journal: Journal,
    registries: Mapping[Service, Registry],
    commands: RunCommand,
) -> dict[str, Any]:
    """{status: nothing | waiting, reason, command}. Raises NotReachableError while the instance has not
    reported to Systems Manager; asking again, even after an answer, does no harm."""
    service, colour = _place(environment, group)
    line = journal.read(colour_key(colour, service))
    record = journal.read(deployment_key(str(line["deployment"]))) if line else None
    answer = decide(colour, line, read_live(journal), record, service)
    if line is None or not answer.wanted:
        return {"status": "nothing", "reason": answer.reason, "command": None}
    deployment = Deployment(
        id=str(line["deployment"]),
        version=str(line["version"]),
        environment=environment,
        fence=0,
        started="",
        settings=line.get("settings") or {},
    )
    image_uri = f"{registries[service].uri}@{line['image']}"
    parameters = release_parameters("release", deployment, image_uri, colour)
    command = commands.send(documents[service], [instance], parameters, f"cutover {deployment.id} boot")
    return {"status": "waiting", "reason": answer.reason, "command": command}


def look_at_boot(command: str, *, commands: RunCommand) -> dict[str, Any]:
    """{status: waiting | done}. Raises ReleaseFailedError with the script's last lines."""
    invocations = commands.invocations(command)
    failed = [each for each in invocations if each.status != "Success" and each.status not in UNFINISHED]
    if failed:
        raise ReleaseFailedError("; ".join(told(each) for each in failed))
    done = bool(invocations) and all(each.status == "Success" for each in invocations)
    return {"status": "done" if done else "waiting"}


def read_launch(event: Mapping[str, Any]) -> tuple[str, str]:
    """The group and the instance of Auto Scaling's event.

    https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-event-reference.html
    """
    detail = event.get("detail") or {}
    group, instance = detail.get("AutoScalingGroupName"), detail.get("EC2InstanceId")
    if not group or not instance:
        raise InvalidInputError("launch: the event names no AutoScalingGroupName or no EC2InstanceId")
    return str(group), str(instance)


def _place(environment: str, group: str) -> tuple[Service, Colour]:
    for service in Service:
        for colour in Colour:
            if group == f"cutover-{environment}-{service}-{colour}":
                return service, colour
    raise InvalidInputError(f"launch: the group {group!r} is no service's of {environment}")
