"""What happened, by an identity that a repeated step gives it again.

EventBridge gives each publication an id of its own. A step that dies after it has published is run again and
publishes again; what it tells then is no other happening, however much later, and with whatever timings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

#: By kind, what tells one happening of an environment from another; the first says whose it is. What is alike
#: in all of them is told once: so here stands everything in which two happenings of a kind may differ, and
#: nothing that a step that is run again tells otherwise.
DISCRIMINATING: Mapping[str, tuple[str, ...]] = {
    # Once in a deployment or a drill; each is an execution of its own.
    "DeploymentStarted": ("deployment",),
    "GoDecided": ("deployment",),
    "DeploymentSucceeded": ("deployment",),
    "DeploymentPlanned": ("deployment",),
    "EnvironmentVerified": ("deployment",),
    "DriftFound": ("deployment",),
    "DeploymentFailed": ("deployment",),
    "DrillStarted": ("deployment",),
    "DrillCompleted": ("deployment",),
    "DrillFailed": ("deployment",),
    # Several in one.
    "PhaseCompleted": ("deployment", "phase"),
    "GateFailed": ("deployment", "phase", "gates"),
    "TrafficShifted": ("deployment", "drill", "colour", "share"),
    "ApprovalRequested": ("deployment", "plan"),
    "ApprovalAnswered": ("deployment", "status", "at"),
    "SchemaContracted": ("deployment", "fence"),
    "ContractionFailed": ("deployment", "fence"),
    # An alarm's own time, or that of a person's call. A manual rollback is an execution with an id.
    "RolledBack": ("deployment", "from", "to", "asked_at"),
    "DrillStopped": ("deployment", "from", "to", "asked_at"),
    "RollbackRefused": ("trigger", "deployment", "by", "cause", "asked_at"),
    # Of no deployment: when it was written down first.
    "Frozen": ("since", "stopped"),
    "Unfrozen": ("since",),
    "ReleaseAnnounced": ("announced_at", "version", "opening"),
    "ReleaseWithdrawn": ("announced_at", "version", "opening"),
    "ReportReady": ("report", "until"),
}


def happening(kind: str, detail: Mapping[str, Any]) -> str | None:
    """The identity of what an event tells: the same for every publication of it, another for anything else.
    None where the detail lacks what tells it from others of its kind: then it may be told twice, but is told.

    Letters, digits and dashes: it goes to the application as the message's id.
    """
    fields = DISCRIMINATING.get(kind, ())
    if not fields or not detail.get(fields[0]) or not set(fields) <= detail.keys():
        return None
    # Two environments may tell the same application.
    told = [kind, detail.get("environment"), *(detail[field] for field in fields)]
    return f"{kind}-{sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:32]}"
