"""The alarms that will guard the new release, and the dashboard that shows it, are there (requirement C4).

An alarm guards only if it is not in ALARM already: EventBridge hears of changes of state, so that one which
stands when the release takes the traffic would say nothing when the release fails.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from cutover.domain.alarms import alarm_names, is_fast, read_note
from cutover.domain.colours import Colour
from cutover.domain.environment import Environment
from cutover.domain.errors import InvalidInputError
from cutover.domain.gates import Gate, Persona, Subject
from cutover.domain.records import Deployment
from cutover.domain.services import BACKEND, Service
from cutover.ports import Alarm, Alarms

STANDING, NO_DATA = "ALARM", "INSUFFICIENT_DATA"
ALARMS, DASHBOARD = Subject("D1", Persona.RELIABILITY), Subject("C4b", Persona.RELIABILITY)


def check_monitoring(
    deployment: Deployment,
    environment: Environment,
    colour: Colour,
    dashboard: str,
    services: Collection[Service] = BACKEND,
    *,
    alarms: Alarms,
) -> dict[str, Any]:
    """{gates, quiet}; `quiet` when none of the alarms is in ALARM, so that the wait for them can end."""
    names = alarm_names(deployment.environment, colour, services)
    found = {alarm.name: alarm for alarm in alarms.find(names)}
    gates = [_alarm(name, found.get(name), environment, colour) for name in names]
    gates.append(_dashboard(dashboard, alarms.dashboard(dashboard)))
    quiet = not any(alarm.state == STANDING for alarm in found.values())
    return {"gates": [gate.as_json() for gate in gates], "quiet": quiet}


def _alarm(name: str, alarm: Alarm | None, environment: Environment, colour: Colour) -> Gate:
    title, wanted = f"Alarm {name}", f"guards {colour}, knows where to roll back to, and is not in ALARM yet"
    if alarm is None:
        return ALARMS.judge(title, False, found="there is none", wanted=wanted)
    try:
        note = read_note(alarm.description)
    except InvalidInputError as error:
        return ALARMS.judge(title, False, found=str(error), wanted=wanted)
    right = note.colour is colour and note.services == environment.services
    if is_fast(name) and right and alarm.state == NO_DATA:
        # No data is not OK; the five of D1 guard without it, so that it is told and does not close the gate.
        return ALARMS.inconclusive(title, found="it has no data", wanted=wanted, must=False)
    found = f"guards {note.colour}, {alarm.state}" + ("" if right else ", with another environment's targets")
    return ALARMS.judge(title, right and alarm.state != STANDING, found=found, wanted=wanted)


def _dashboard(name: str, body: str | None) -> Gate:
    wanted = "at least one widget"
    if body is None:
        return DASHBOARD.judge(f"Dashboard {name}", False, found="there is none", wanted=wanted)
    try:
        widgets = len(json.loads(body).get("widgets", []))
    except (ValueError, AttributeError):
        widgets = 0
    return DASHBOARD.judge(f"Dashboard {name}", widgets > 0, found=f"{widgets} widgets", wanted=wanted)
