"""Where a test begins: a deployment that holds the lock, an environment, a release that is live."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from config.load import Judge, Load
from config.thresholds import Thresholds
from cutover.domain.colours import Colour
from cutover.domain.environment import Environment, snake_case
from cutover.domain.health import Target
from cutover.domain.records import LIVE, LOCK, Deployment, Live, deployment_key, history_key
from tests.contract.fakes import OUTPUTS, TARGETS, FakeJournal

STARTED = "2026-03-04T12:00:00.000Z"
DEPLOYMENT = Deployment(id="d2", version="v2", environment="sandbox", fence=7, started=STARTED)
ENVIRONMENT = Environment.read({snake_case(name): value for name, value in OUTPUTS.items()})
DIGEST = f"sha256:{'2' * 64}"
WATCH = {"hours": 24, "healthy_share": 0.5, "bake_seconds": 30, "proof_answers": 3}
# The requirements' own, but for what a load in memory can't show.
THRESHOLDS = {**Thresholds().model_dump(), "requests_per_second": 280.0, "concurrent_users": 50}
LOAD = Load(
    requests_per_second=300,
    users=50,
    seconds=5,
    ramp_steps=1,
    ramp_seconds=1,
    judge=Judge(seconds=3, block_seconds=0.25, fewest_blocks=10, fewest_answers=250),
).for_lambdas()
V1 = Live(
    deployment="d1",
    version="v1",
    image=f"sha256:{'1' * 64}",
    colour=Colour.BLUE,
    previous_deployment=None,
    previous_colour=None,
    previous_version=None,
    previous_image=None,
    swapped_at="2026-03-04T10:00:00.000Z",
    watch_until="2026-03-05T10:00:00.000Z",
    healthy_share=0.5,
    targets=TARGETS,
)
V2 = replace(
    V1,
    deployment="d2",
    version="v2",
    image=DIGEST,
    colour=Colour.GREEN,
    previous_deployment="d1",
    previous_colour=Colour.BLUE,
    previous_version="v1",
    previous_image=V1.image,
    swapped_at="2026-03-04T11:50:00.000Z",
    watch_until="2026-03-05T11:50:00.000Z",
)


def arn(deployment: str) -> str:
    return f"arn:aws:states:ap-northeast-2:123456789012:execution:cutover-sandbox-deploy:{deployment}"


def locked(journal: FakeJournal, deployment: Deployment = DEPLOYMENT, **record: Any) -> FakeJournal:
    """The deployment holds the lock and its record is open."""
    journal.items[LOCK] = {
        "holder": deployment.id,
        "fence": deployment.fence,
        "since": STARTED,
        "execution_arn": arn(deployment.id),
    }
    started(journal, deployment, **record)
    return journal


def started(journal: FakeJournal, deployment: Deployment = DEPLOYMENT, **record: Any) -> None:
    journal.items[deployment_key(deployment.id)] = {
        "id": deployment.id,
        "version": deployment.version,
        "status": "RUNNING",
        "started": deployment.started,
        "execution_arn": arn(deployment.id),
        "phases": [],
        **record,
    }
    journal.items[history_key(deployment.started, deployment.id)] = {"id": deployment.id, "status": "RUNNING"}


def live(journal: FakeJournal, release: Live) -> None:
    journal.items[LIVE] = release.item()


def released(colour: Colour = Colour.GREEN) -> dict[str, Any]:
    """What the release step writes into a record."""
    return {
        "colour": colour.value,
        "image": DIGEST,
        "image_uri": f"repository@{DIGEST}",
        "targets": TARGETS.as_json(),
        "command_id": "command-1",
        "command_instances": 2,
    }


def alarm_event(
    colour: Colour = Colour.GREEN,
    environment: str = "sandbox",
    kind: str = "errors",
    service: str = "backend",
    at: str = "2026-03-04T11:59:59.500+0000",
) -> dict[str, Any]:
    """As CloudWatch sends it to EventBridge."""
    note = {
        "meaning": "too many errors",
        "environment": environment,
        "service": service,
        "colour": colour.value,
        "listener": TARGETS.listener_arn,
        "test_listener": TARGETS.test_listener_arn,
        "blue": TARGETS.blue,
        "green": TARGETS.green,
        # As the template writes it: see cutover.domain.alarms.
        "frontend": {
            "rule": "frontend-rule",
            "test_rule": "frontend-test-rule",
            "blue": "frontend-blue-group",
            "green": "frontend-green-group",
        },
    }
    name = f"cutover-{environment}-{service}-{colour}-{kind}"
    return {
        "source": "aws.cloudwatch",
        "detail-type": "CloudWatch Alarm State Change",
        "time": "2026-03-04T11:59:59Z",
        "detail": {
            "alarmName": name,
            "state": {"value": "ALARM", "reason": "5 of 5", "timestamp": at},
            "configuration": {"description": json.dumps(note)},
        },
    }


def targets(colour: Colour, *, healthy: int, sick: int = 0) -> list[Target]:
    states = ["healthy"] * healthy + ["unhealthy"] * sick
    return [Target(f"i-{colour}{n // 3}", 8000 + n % 3, state) for n, state in enumerate(states)]
