"""Look at the live release while it bakes. Alarms roll back by themselves; this is for when they do not."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from cutover.domain.alarms import alarm_names
from cutover.domain.colours import Colour
from cutover.domain.environment import Services
from cutover.domain.errors import GateFailedError, UnhealthyTargetsError
from cutover.domain.health import health_of
from cutover.domain.records import Deployment
from cutover.ports import Alarms, Clock, Journal, LoadBalancer
from cutover.steps.records import read_live

# How long an alarm may stand before it is plain that its event did not do its work: one that was in ALARM
# before the swap sends none, and its metrics need a minute or two to see the new traffic.
GRACE = timedelta(seconds=180)


def watch(
    deployment: Deployment,
    services: Services,
    colour: Colour,
    *,
    journal: Journal,
    balancer: LoadBalancer,
    alarms: Alarms,
    clock: Clock,
) -> dict[str, Any]:
    """{healthy, total, alarms}. Raises GateFailedError when the release was taken back or an alarm stands
    unheard, UnhealthyTargetsError when no target of a service is healthy on the live colour.
    """
    live = read_live(journal)
    if live is None or live.deployment != deployment.id:
        by = f": version {live.version} on {live.colour} is" if live else ""
        raise GateFailedError(f"version {deployment.version} is not live any more{by}")
    found = {service: health_of(balancer.health(targets.of(colour))) for service, targets in services.items()}
    for service, health in found.items():
        if health.healthy == 0:
            raise UnhealthyTargetsError(f"the live colour {colour} of the {service} is down: {health}")
    guards = alarm_names(deployment.environment, colour, services)
    standing = [alarm for alarm in alarms.find(guards) if alarm.state == "ALARM"]
    swapped = datetime.fromisoformat(live.swapped_at)
    unheard = [a for a in standing if clock.now() - max(a.changed_at, swapped) > GRACE]
    if unheard:
        names = ", ".join(alarm.name for alarm in unheard)
        raise GateFailedError(f"in ALARM for more than {GRACE.seconds} s without a rollback: {names}")
    return {
        "healthy": sum(health.healthy for health in found.values()),
        "total": sum(health.total for health in found.values()),
        "alarms": [alarm.name for alarm in standing],
    }
