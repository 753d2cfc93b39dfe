"""The rollback's way to the listener, with the real handler and the real clients, whose requests are counted."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from cutover.domain.colours import Colour
from cutover.domain.environment import Targets
from cutover.domain.records import LIVE, Live, LiveFrontend
from cutover.handlers import rollback
from tests.contract.fakes import NOON
from tests.contract.scenes import DIGEST, V1, V2, alarm_event

# As they are on AWS, for the client is asked for listeners and for rules by what their ARNs say.
ACCOUNT = "arn:aws:elasticloadbalancing:ap-northeast-2:123456789012"
LISTENER, TEST = f"{ACCOUNT}:listener/app/b/1/2", f"{ACCOUNT}:listener/app/b/1/3"
TARGETS = Targets(LISTENER, TEST, f"{ACCOUNT}:targetgroup/blue/1", f"{ACCOUNT}:targetgroup/green/1")
PAGES = Targets(
    f"{ACCOUNT}:listener-rule/app/b/1/2/4",
    f"{ACCOUNT}:listener-rule/app/b/1/3/5",
    f"{ACCOUNT}:targetgroup/ui-blue/1",
    f"{ACCOUNT}:targetgroup/ui-green/1",
)
NOTE = {
    "meaning": "too many errors",
    "environment": "sandbox",
    "service": "backend",
    "colour": "green",
    "listener": LISTENER,
    "test_listener": TEST,
    "blue": TARGETS.blue,
    "green": TARGETS.green,
    "frontend": {
        "rule": "4",
        "test_rule": "5",
        "blue": "targetgroup/ui-blue/1",
        "green": "targetgroup/ui-green/1",
    },
}
READS, MOVES = 6, ("ModifyListener", "ModifyRule")
VARIABLES = {
    "CUTOVER_ENVIRONMENT": "sandbox",
    "JOURNAL_TABLE": "journal",
    "EVENT_BUS": "events",
    "RELEASE_DOCUMENT": "release-document",
    "STATE_MACHINE_ARN": "machine",
    "PROBE_FUNCTION": "probe",
    "CONTRACTION_GROUP": "contractions",
    "REPOSITORY": "backend",
    "REPOSITORY_URI": "registry/backend",
    "FRONTEND_REPOSITORY": "frontend",
    "FRONTEND_REPOSITORY_URI": "registry/frontend",
    "FRONTEND_RELEASE_DOCUMENT": "frontend-release-document",
    "AWS_DEFAULT_REGION": "ap-northeast-2",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
}


class Wire:
    """Answers as AWS does. The reads before the traffic moves are only answered once all of them are there,
    and so are the two changes: any that waited for another's answer would wait for ever (and fails after a
    while)."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._together = threading.Barrier(READS, timeout=20)
        self._moves = threading.Barrier(len(MOVES), timeout=20)

    def answer(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        action = request.headers.get("X-Amz-Target", b"")
        body = request.body.decode() if isinstance(request.body, bytes) else str(request.body)
        query = re.search(r"Action=(\w+)", body)
        name = action.decode().rsplit(".", 1)[-1] if action else query[1] if query else request.method
        first = len(self.asked) < READS
        self.asked.append(name)
        if first:
            self._together.wait()
        if name in MOVES:
            self._moves.wait()
        return _response(request.url, self._document(name, body))

    def _document(self, name: str, body: str) -> str:
        match name:
            case "DescribeListeners":
                actions = f"<DefaultActions>{_forward(TARGETS)}</DefaultActions>"
                return _xml(name, f"<Listeners><member>{actions}</member></Listeners>")
            case "DescribeRules":
                return _xml(name, f"<Rules><member><Actions>{_forward(PAGES)}</Actions></member></Rules>")
            case "DescribeTargetHealth":
                state = "<TargetHealth><State>healthy</State></TargetHealth>"
                target = f"<member><Target><Id>i-1</Id><Port>8000</Port></Target>{state}</member>"
                return _xml(name, f"<TargetHealthDescriptions>{target}</TargetHealthDescriptions>")
            case "ModifyListener":
                return _xml(name, "<Listeners/>")
            case "ModifyRule":
                return _xml(name, "<Rules/>")
            case "GetItem":
                key = json.loads(body)["Key"]
                return json.dumps({"Item": _item()} if key["pk"]["S"] == LIVE.pk else {})
            case "GetMetricData":
                return json.dumps({"MetricDataResults": []})
            case "PutEvents":
                return json.dumps({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]})
            case "SendCommand":
                return json.dumps({"Command": {"CommandId": "c"}})
        return "{}"


def _forward(targets: Targets) -> str:
    groups = "".join(
        f"<member><TargetGroupArn>{arn}</TargetGroupArn><Weight>{weight}</Weight></member>"
        for arn, weight in ((targets.blue, 0), (targets.green, 100))
    )
    forward = f"<ForwardConfig><TargetGroups>{groups}</TargetGroups></ForwardConfig>"
    return f"<member><Type>forward</Type>{forward}</member>"


def _item() -> dict[str, Any]:
    from boto3.dynamodb.types import TypeSerializer

    serializer = TypeSerializer()
    pages = LiveFrontend(DIGEST, V1.image, Colour.GREEN, PAGES)
    plain = {**Live.item(replace(V2, targets=TARGETS, frontend=pages)), "healthy_share": 1}
    return {name: serializer.serialize(value) for name, value in plain.items()}


def _xml(name: str, result: str) -> str:
    return f"<{name}Response><{name}Result>{result}</{name}Result></{name}Response>"


class _Raw:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self._content


def _response(url: str, document: str) -> AWSResponse:
    headers: Mapping[str, str] = {"content-type": "text/plain"}
    return AWSResponse(url, 200, headers, _Raw(document.encode()))


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    wire = Wire()
    boto3.setup_default_session()
    boto3.DEFAULT_SESSION.events.register("before-send", wire.answer)  # type: ignore[attr-defined]
    rollback.wiring.cache_clear()
    yield wire
    rollback.wiring.cache_clear()


def test_at_most_two_calls_of_aws_follow_one_another_before_the_traffic_moves(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reads side by side are one call's wait; the changes of the listener and of the frontend's rule, side by
    side too, are the second."""
    monkeypatch.setattr(rollback.SystemClock, "now", lambda _: NOON)
    event = alarm_event()
    event["detail"]["configuration"]["description"] = json.dumps(NOTE)
    answer = rollback.handler(event, None)

    assert (answer["action"], answer["services"]) == ("rolled_back", ["backend", "frontend"]), answer
    before = wire.asked[: min(wire.asked.index(move) for move in MOVES)]
    assert sorted(before) == [
        "DescribeListeners",
        "DescribeRules",
        "DescribeTargetHealth",
        "DescribeTargetHealth",
        "GetItem",
        "GetItem",
    ]
