"""Bring the monitoring tier to its host, and Filebeat to the instances (requirements B8, C4).

A command is sent only when what it would bring, or where to, is not what was brought last; the journal has
what was brought. A rollout that did not go well is tried again by the next deployment: at once where the gate
is a must, else after a while, for a deployment should not wait each time for what can't be had.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from cutover.domain.colours import Colour
from cutover.domain.environment import Environment
from cutover.domain.errors import NotReachableError
from cutover.domain.gates import Gate, Persona, Subject
from cutover.domain.records import MONITORING, Deployment
from cutover.domain.times import text
from cutover.ports import Addresses, Change, Clock, Instances, Invocation, Journal, RunCommand
from cutover.steps.release import UNFINISHED, told

SUBJECT = Subject("B8", Persona.RELIABILITY)
TITLE, WANTED = "The monitoring tier runs", "every service of it, and Filebeat on every instance"
AGAIN_AFTER = timedelta(minutes=15)
#: The document's own limit is 20 minutes (stacks/environment/tier/document.py).
LOST_AFTER = timedelta(minutes=25)
PROMETHEUS = "prometheus"


def roll_out_monitoring(
    deployment: Deployment,
    environment: Environment,
    colour: Colour,
    must: bool,
    *,
    journal: Journal,
    instances: Instances,
    addresses: Addresses,
    commands: RunCommand,
    clock: Clock,
) -> dict[str, Any]:
    """{status: waiting | settled, gates, address, absent, containers}.

    `address` is the host's, or empty where no Prometheus is to be asked, and `absent` says why; `containers`
    are the colour's. A rollout that fails raises nothing: that is a gate's verdict.
    """

    def settled(gate: Gate, address: str, absent: str = "") -> dict[str, Any]:
        group = instances.group(environment.group(colour))
        containers = environment.containers_per_instance * len(group.instances if group else ())
        return {
            "status": "settled",
            "gates": [gate.as_json()],
            "address": address,
            "absent": absent,
            "containers": containers,
        }

    hosts = _members(environment.monitoring_group, instances)
    address = addresses.private(hosts[0]) if hosts else None
    if not hosts or address is None:
        why = f"the Auto Scaling group {environment.monitoring_group} has no instance in service"
        return settled(SUBJECT.inconclusive(TITLE, found=why, wanted=WANTED, must=must), "", why)
    others = sorted(
        member
        for purpose, group in environment.groups.items()
        if purpose != "monitoring"
        for member in _members(group, instances)
    )
    brought = {"digest": environment.monitoring_digest, "host": hosts[0], "instances": others}
    record = journal.read(MONITORING) or {}
    now = clock.now()
    if any(record.get(key) != value for key, value in brought.items()) or _again(
        record, deployment, must, now
    ):
        return _send(deployment, environment, brought, address, journal=journal, commands=commands, now=now)
    if record["status"] == "sent":
        record = _look(record, deployment, journal=journal, commands=commands, now=now)
        if record["status"] == "sent":
            return {"status": "waiting", "found": record["found"]}
    passed = record["status"] == "done"
    gate = SUBJECT.judge(TITLE, passed, found=str(record["found"]), wanted=WANTED, must=must)
    if PROMETHEUS in record["missing"]:
        return settled(gate, "", f"no Prometheus runs: {record['found']}")
    return settled(gate, address)


def _members(group: str, instances: Instances) -> Sequence[str]:
    found = instances.group(group)
    return found.instances if found else ()


def _again(record: Mapping[str, Any], deployment: Deployment, must: bool, now: datetime) -> bool:
    """Whether a rollout that failed is worth another try."""
    if record["status"] != "failed" or record["deployment"] == deployment.id:
        return False
    return must or now - datetime.fromisoformat(record["sent_at"]) > AGAIN_AFTER


def _send(
    deployment: Deployment,
    environment: Environment,
    brought: Mapping[str, Any],
    address: str,
    *,
    journal: Journal,
    commands: RunCommand,
    now: datetime,
) -> dict[str, Any]:
    parameters = {"Deployment": deployment.id, "Host": str(brought["host"]), "Address": address}
    everybody = [str(brought["host"]), *brought["instances"]]
    try:
        command = commands.send(
            environment.monitoring_document,
            everybody,
            parameters,
            f"cutover {deployment.id} monitoring",
        )
    except NotReachableError as error:
        return {"status": "waiting", "found": str(error)}
    sent = {
        **brought,
        "deployment": deployment.id,
        "command": command,
        "sent_at": text(now),
        "status": "sent",
        "found": f"sent to {len(everybody)} instances",
        "missing": [],
    }
    journal.write([Change("put", MONITORING, sent)], lock=deployment.lock)
    return {"status": "waiting", "found": sent["found"]}


def _look(
    record: Mapping[str, Any],
    deployment: Deployment,
    *,
    journal: Journal,
    commands: RunCommand,
    now: datetime,
) -> Mapping[str, Any]:
    """The record as it is now: still sent, done, or failed with what is missing."""
    invocations = commands.invocations(str(record["command"]))
    ended = [each for each in invocations if each.status not in UNFINISHED]
    wanted = 1 + len(record["instances"])
    if len(ended) < wanted:
        if now - datetime.fromisoformat(record["sent_at"]) < LOST_AFTER:
            return {**record, "found": f"ended on {len(ended)} of {wanted} instances"}
        after = {"status": "failed", "found": f"ended on {len(ended)} of {wanted} instances in {LOST_AFTER}"}
    else:
        after = _outcome(str(record["host"]), ended)
    kept = {**record, **after}
    journal.write([Change("put", MONITORING, kept)], lock=deployment.lock)
    return kept


def _outcome(host: str, ended: Sequence[Invocation]) -> dict[str, Any]:
    failed = [each for each in ended if each.status != "Success"]
    if not failed:
        return {"status": "done", "found": f"on the host and {len(ended) - 1} instances", "missing": []}
    missing: dict[str, int] = {}
    unclear: list[str] = []
    for each in failed:
        services = not_running(each.output)
        for service in services:
            missing[service] = missing.get(service, 0) + 1
        if not services:
            unclear.append(told(each))
    named = [name if count == 1 else f"{name} ({count} instances)" for name, count in missing.items()]
    words = [f"not running: {', '.join(named)}"] if named else []
    on_host = [service for each in failed if each.instance == host for service in not_running(each.output)]
    return {"status": "failed", "found": "; ".join([*words, *unclear]), "missing": on_host}


def not_running(output: str) -> list[str]:
    """The services that rollout.sh names in its last words."""
    found = re.search(r"^monitoring: not running: (.+)$", output, re.MULTILINE)
    return found[1].split() if found else []
