"""The rollback's way to the listener, with the real handler and the real clients, whose requests are counted."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from cutover.domain.records import LIVE, Live
from cutover.handlers import rollback
from tests.contract.fakes import NOON, TARGETS
from tests.contract.scenes import V2, alarm_event

READS = 4
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
    "AWS_DEFAULT_REGION": "ap-northeast-2",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
}


class Wire:
    """Answers as AWS does. The reads before the traffic moves are only answered once all of them are there:
    any that waited for another's answer would wait for ever (and fails after a while)."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._together = threading.Barrier(READS, timeout=20)

    def answer(self, request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        action = request.headers.get("X-Amz-Target", b"")
        body = request.body.decode() if isinstance(request.body, bytes) else str(request.body)
        query = re.search(r"Action=(\w+)", body)
        name = action.decode().rsplit(".", 1)[-1] if action else query[1] if query else request.method
        first = len(self.asked) < READS
        self.asked.append(name)
        if first:
            self._together.wait()
        return _response(request.url, self._document(name, body))

    def _document(self, name: str, body: str) -> str:
        match name:
            case "DescribeListeners":
                groups = "".join(
                    f"<member><TargetGroupArn>{arn}</TargetGroupArn><Weight>{weight}</Weight></member>"
                    for arn, weight in ((TARGETS.blue, 0), (TARGETS.green, 100))
                )
                forward = f"<ForwardConfig><TargetGroups>{groups}</TargetGroups></ForwardConfig>"
                actions = f"<DefaultActions><member><Type>forward</Type>{forward}</member></DefaultActions>"
                return _xml(name, f"<Listeners><member>{actions}</member></Listeners>")
            case "DescribeTargetHealth":
                state = "<TargetHealth><State>healthy</State></TargetHealth>"
                target = f"<member><Target><Id>i-1</Id><Port>8000</Port></Target>{state}</member>"
                return _xml(name, f"<TargetHealthDescriptions>{target}</TargetHealthDescriptions>")
            case "ModifyListener":
                return _xml(name, "<Listeners/>")
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


def _item() -> dict[str, Any]:
    from boto3.dynamodb.types import TypeSerializer

    serializer = TypeSerializer()
    plain = {**Live.item(V2), "healthy_share": 1}
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
    """Reads side by side are one call's wait; the change of the listener is the second."""
    monkeypatch.setattr(rollback.SystemClock, "now", lambda _: NOON)
    answer = rollback.handler(alarm_event(), None)

    assert answer["action"] == "rolled_back", answer
    before = wire.asked[: wire.asked.index("ModifyListener")]
    assert sorted(before) == ["DescribeListeners", "DescribeTargetHealth", "GetItem", "GetItem"]
