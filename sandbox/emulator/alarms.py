"""CloudWatch alarms: created with everything they name, evaluated as AWS documents it, and heard of.

ministack drops an alarm's Metrics, ignores dimensions, DatapointsToAlarm and TreatMissingData on evaluation,
stays in ALARM after the data has ended, and sends no events. Here our engine decides on every alarm, on a
thread that wakes when a period closes.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarm-evaluation.html
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from ministack.services import cloudwatch
from ministack.services.cloudformation import provisioners

from sandbox.alarms.definition import AlarmDefinition, AlarmError, from_request
from sandbox.alarms.evaluation import State, next_due
from sandbox.alarms.queries import QueryError, boolean, dimensions_of
from sandbox.emulator.alarm_events import StateChange, act, emit, state_of
from sandbox.emulator.aws_query import Epoch, Response, error, request, response
from sandbox.emulator.context import Context, replace, seam
from sandbox.emulator.metrics import Recorder, recorder

log = logging.getLogger("sandbox.alarms")

# Members of PutMetricAlarm that are kept as they were sent.
_KEPT = (
    "MetricName",
    "Namespace",
    "Statistic",
    "ExtendedStatistic",
    "Dimensions",
    "Unit",
    "ComparisonOperator",
    "EvaluateLowSampleCountPercentile",
    "Metrics",
)
_ACTION_LISTS = ("OKActions", "AlarmActions", "InsufficientDataActions")
_STATE = (
    "StateValue",
    "StateReason",
    "StateReasonData",
    "StateUpdatedTimestamp",
    "StateTransitionedTimestamp",
)
_TIMESTAMPS = ("StateUpdatedTimestamp", "StateTransitionedTimestamp", "AlarmConfigurationUpdatedTimestamp")
# A fifth of a CloudWatch minute, but no more than 2 real seconds, lets the last data of a period arrive:
# balancer and instances publish a minute when it ends, and what comes too late waits for the next evaluation.
_SETTLING_SHARE, _MOST_SETTLING_SECONDS = 0.2, 2.0
_LONGEST = {"AlarmName": 255, "AlarmDescription": 1024}
_MOST_ACTIONS = 5


def record(
    context: Context, name: str, asked: Mapping[str, Any], existing: Mapping[str, Any] | None
) -> dict[str, Any]:
    """An alarm as ministack stores it, from PutMetricAlarm's members or a template's properties.

    An existing alarm is overwritten but keeps its state. Raises AlarmError.
    """
    from_request(asked)
    _check_lengths(name, asked)
    now = round(time.time(), 3)
    alarm: dict[str, Any] = {
        "AlarmName": name,
        "AlarmArn": context.arn("cloudwatch", f"alarm:{name}"),
        "AlarmDescription": asked.get("AlarmDescription") or "",
        "ActionsEnabled": boolean(asked.get("ActionsEnabled", True)),
        "AlarmConfigurationUpdatedTimestamp": now,
        **{member: list(asked.get(member) or []) for member in _ACTION_LISTS},
        **{member: asked[member] for member in _KEPT if asked.get(member)},
        "EvaluationPeriods": int(asked["EvaluationPeriods"]),
        "Threshold": float(asked["Threshold"]),
        "TreatMissingData": asked.get("TreatMissingData") or "missing",
        "StateValue": "INSUFFICIENT_DATA",
        "StateReason": "Unchecked: Initial alarm creation",
        "StateUpdatedTimestamp": now,
        "StateTransitionedTimestamp": now,
    }
    if alarm.get("Metrics"):
        alarm["Metrics"] = [_typed(each) for each in alarm["Metrics"]]
    else:
        alarm["Dimensions"] = alarm.get("Dimensions") or []
    for member in ("Period", "DatapointsToAlarm"):
        if asked.get(member) is not None:
            alarm[member] = int(asked[member])
    if existing:
        alarm |= {member: existing[member] for member in _STATE if member in existing}
    return alarm


def _check_lengths(name: str, asked: Mapping[str, Any]) -> None:
    """Raises AlarmError. AWS refuses what is longer only when the stack is deployed there."""
    for member, longest in _LONGEST.items():
        value = name if member == "AlarmName" else str(asked.get(member) or "")
        if len(value) > longest:
            raise AlarmError(
                f"{member} has {len(value)} characters; it may have {longest}: {value[:60]!r}..."
            )
    for member in _ACTION_LISTS:
        if len(asked.get(member) or []) > _MOST_ACTIONS:
            raise AlarmError(f"{member} has {len(asked[member])} actions; it may have {_MOST_ACTIONS}")


def _typed(query: Mapping[str, Any]) -> dict[str, Any]:
    """One of an alarm's Metrics with the types of the API, where a template may hold text."""
    found = {**query, "ReturnData": boolean(query.get("ReturnData", True))}
    if found.get("Period") is not None:
        found["Period"] = int(found["Period"])
    if stat := found.get("MetricStat"):
        found["MetricStat"] = {**stat, "Period": int(stat["Period"])}
    return found


class Alarms:
    """The evaluation of all metric alarms of the sandbox's account and region."""

    def __init__(self, context: Context, kept: Recorder) -> None:
        self.context = context
        self.kept = kept
        self._lock = threading.RLock()
        self._depth = 0
        self._changes: list[StateChange] = []
        self._woken = threading.Event()
        self._settling = min(_SETTLING_SHARE * kept.clock.minute_seconds, _MOST_SETTLING_SECONDS)
        self._definitions: dict[str, tuple[Any, AlarmDefinition | None]] = {}

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """One change at a time, by evaluation or by request.

        Others hear of the changes after the lock is free again: what they do on hearing it may come back here
        through the gateway, whose one thread must never wait for us then.
        """
        with self._lock:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                outermost = self._depth == 0
                changes = self._changes if outermost else []
                if outermost:
                    self._changes = []
        for change in changes:
            try:
                emit(change)
            except Exception:
                log.exception("alarm %s: its event was not sent", change.alarm["AlarmName"])
            act(self.context, change)

    def changed(self, alarm: Mapping[str, Any], previous: Mapping[str, Any]) -> None:
        """Within `changing`: the state of `alarm` is another than `previous`."""
        self._changes.append(StateChange(dict(alarm), previous))

    def wake(self) -> None:
        """An alarm has been put: the next time to evaluate may have come closer."""
        self._woken.set()

    def run(self) -> None:
        """Evaluate at the end of every period there is an alarm for; never returns."""
        self.context.scope()
        done = math.floor(self.kept.clock.to_cloudwatch(time.time() - self._settling))
        while True:
            due = self._next_due(done)
            waiting = self.kept.clock.to_real(due) + self._settling - time.time()
            if waiting > 0 and self._woken.wait(waiting):
                self._woken.clear()
                continue
            try:
                self.evaluate(done, due)
            except Exception:
                log.exception("alarms were not evaluated")  # the next evaluation may be well again
            done = due

    def _next_due(self, done: int) -> int:
        """The next moment after `done` (CloudWatch seconds) at which some alarm is evaluated."""
        step = min((each.cadence for _, each in self._all()), default=60)
        now = math.floor(self.kept.clock.to_cloudwatch(time.time() - self._settling))
        return next_due(done, now, step)

    def _all(self) -> list[tuple[dict[str, Any], AlarmDefinition]]:
        """The alarms that can be evaluated, each with its definition."""
        found = []
        known: dict[str, tuple[Any, AlarmDefinition | None]] = {}
        for alarm in list(seam(cloudwatch, "_alarms").values()):
            name = alarm["AlarmName"]
            stored, definition = self._definitions.get(name, (None, None))
            if stored is not alarm:
                definition = self._definition(alarm)
            known[name] = (alarm, definition)
            if definition is not None:
                found.append((alarm, definition))
        self._definitions = known
        return found

    @staticmethod
    def _definition(alarm: dict[str, Any]) -> AlarmDefinition | None:
        try:
            return from_request(alarm)
        except Exception:  # one that ministack itself made, and not as PutMetricAlarm would
            log.exception("alarm %s can't be evaluated", alarm["AlarmName"])
            return None

    def evaluate(self, done: int, due: int) -> None:
        """Evaluate every alarm that came due after `done` and up to `due` (CloudWatch seconds)."""
        for alarm, definition in self._all():
            end = due - due % definition.cadence
            if end <= done:
                continue
            try:
                with self.changing():
                    self._evaluate(alarm, definition, end)
            except QueryError as fault:
                log.warning("alarm %s was not evaluated: %s", alarm["AlarmName"], fault)
            except Exception:
                log.exception("alarm %s was not evaluated", alarm["AlarmName"])

    def _evaluate(self, alarm: dict[str, Any], definition: AlarmDefinition, end: int) -> None:
        if seam(cloudwatch, "_alarms").get(alarm["AlarmName"]) is not alarm:
            return  # deleted or overwritten meanwhile
        now = datetime.now(UTC)
        current = State(alarm["StateValue"])
        decision = definition.evaluate(self.kept.store, end, current, now, self.kept.clock.datetime)
        if decision.retained or decision.state is current:
            return
        previous = state_of(alarm)
        moment = round(now.timestamp(), 3)
        alarm["StateValue"] = decision.state.value
        alarm["StateReason"] = decision.reason
        alarm["StateReasonData"] = json.dumps(decision.reason_data, separators=(",", ":"))
        alarm["StateUpdatedTimestamp"] = alarm["StateTransitionedTimestamp"] = moment
        name = alarm["AlarmName"]
        log.info("alarm %s: %s -> %s: %s", name, current.value, decision.state.value, decision.reason)
        seam(cloudwatch, "_record_history")(
            name, current.value, decision.state.value, decision.reason, reason_data=decision.reason_data
        )
        self.changed(alarm, previous)
        seam(cloudwatch, "_evaluate_parent_alarms")(alarm)


def install(context: Context) -> None:
    alarms = Alarms(context, recorder())
    _replace_configuration(context, alarms)
    _replace_changes(alarms)
    for name in ("_evaluate_alarm", "_evaluate_all_alarms"):
        replace(cloudwatch, name, lambda *_arguments: None)
    threading.Thread(target=alarms.run, daemon=True, name="alarm-evaluation").start()


def _replace_configuration(context: Context, alarms: Alarms) -> None:
    """PutMetricAlarm, DescribeAlarms and AWS::CloudWatch::Alarm with all of an alarm's members."""
    stored = seam(cloudwatch, "_alarms")
    refusal_for_tags = seam(cloudwatch, "_alarm_tags_refusal")
    tags_of = seam(cloudwatch, "_alarm_request_tags")
    store = seam(cloudwatch, "cloudformation_put_metric_alarm")
    resource_tags = seam(cloudwatch, "_resource_tags")

    def put(alarm: dict[str, Any]) -> None:
        with alarms.changing():
            store(alarm)
        alarms.wake()

    def put_metric_alarm(params: Any, data: Any, is_cbor: bool, is_json: bool = False) -> Response:
        asked = request("PutMetricAlarm", params, data, is_cbor, is_json)
        name = str(asked.get("AlarmName") or "")
        existing = stored.get(name)
        tags = tags_of(params, data, is_cbor, is_json)
        refused: Response | None = refusal_for_tags(tags, None, existing is None, is_cbor, is_json)
        if refused:
            return refused
        try:
            if not name:
                raise AlarmError("AlarmName is missing")
            alarm = record(context, name, asked, existing)
        except AlarmError as refusal:
            return error("ValidationError", str(refusal), is_cbor, is_json)
        put(alarm)
        if existing is None and tags:
            resource_tags[alarm["AlarmArn"]] = {tag["Key"]: tag["Value"] for tag in tags}
        return response("PutMetricAlarm", {}, is_cbor, is_json)

    def from_template(name: str, properties: dict[str, Any]) -> dict[str, Any]:
        return record(context, name, properties, stored.get(name))

    def describe_alarms(params: Any, data: Any, is_cbor: bool, is_json: bool = False) -> Response:
        """ministack selects and pages; its CBOR and JSON hold all members already, its XML few."""
        asked = request("DescribeAlarms", params, data, is_cbor, is_json)
        if is_cbor or is_json:
            selected: Response = describe(params, data, is_cbor, is_json)
            return selected
        status, _, body = describe({}, asked, False, True)
        if status != 200:
            failure = json.loads(body)
            return error(failure["__type"], failure["message"], is_cbor, is_json)
        answer = json.loads(body)
        for kind in ("MetricAlarms", "CompositeAlarms"):
            answer[kind] = [_with_timestamps(each) for each in answer[kind]]
        return response("DescribeAlarms", answer, is_cbor, is_json)

    def describe_alarms_for_metric(params: Any, data: Any, is_cbor: bool, is_json: bool = False) -> Response:
        """The alarms on one metric: its dimensions are part of which metric it is."""
        asked = request("DescribeAlarmsForMetric", params, data, is_cbor, is_json)
        found = [_with_timestamps(each) for each in stored.values() if _on_metric(each, asked)]
        return response("DescribeAlarmsForMetric", {"MetricAlarms": found}, is_cbor, is_json)

    replace(cloudwatch, "_put_metric_alarm", put_metric_alarm)
    replace(cloudwatch, "_describe_alarms_for_metric", describe_alarms_for_metric)
    describe = replace(cloudwatch, "_describe_alarms", describe_alarms)
    replace(cloudwatch, "cloudformation_put_metric_alarm", put)
    replace(provisioners, "_cw_metric_alarm_record", from_template)


def _on_metric(alarm: Mapping[str, Any], asked: Mapping[str, Any]) -> bool:
    """Whether `alarm` watches the metric in `asked`, in the way that is asked for too."""
    same = all(alarm.get(member) == asked.get(member) for member in ("Namespace", "MetricName"))
    chosen = ("Statistic", "ExtendedStatistic", "Period", "Unit")
    same = same and all(alarm.get(member) == asked[member] for member in chosen if asked.get(member))
    return same and dimensions_of(alarm.get("Dimensions")) == dimensions_of(asked.get("Dimensions"))


def _with_timestamps(alarm: dict[str, Any]) -> dict[str, Any]:
    return {key: Epoch(each) if key in _TIMESTAMPS else each for key, each in alarm.items()}


def _replace_changes(alarms: Alarms) -> None:
    """SetAlarmState and composite alarms announce their changes of state too."""
    metric_alarms = seam(cloudwatch, "_alarms")
    composite_alarms = seam(cloudwatch, "_composite_alarms")

    def set_alarm_state(params: Any, data: Any, is_cbor: bool, is_json: bool = False) -> Response:
        asked = request("SetAlarmState", params, data, is_cbor, is_json)
        name, wanted = asked.get("AlarmName"), asked.get("StateValue")
        if wanted not in tuple(State):
            message = f"StateValue {wanted!r} is not valid; it has to be one of {', '.join(State)}"
            return error("ValidationError", message, is_cbor, is_json)
        with alarms.changing():
            alarm = metric_alarms.get(name) or composite_alarms.get(name)
            previous = state_of(alarm) if alarm else None
            if alarm and not asked.get("StateReasonData"):
                alarm.pop("StateReasonData", None)
            answer: Response = set_state(params, data, is_cbor, is_json)
            if alarm and previous and previous["value"] != alarm["StateValue"]:
                moment = round(time.time(), 3)
                alarm["StateUpdatedTimestamp"] = alarm["StateTransitionedTimestamp"] = moment
                alarms.changed(alarm, previous)
        return answer

    def transition_composite(alarm: dict[str, Any], *arguments: Any, **named: Any) -> None:
        with alarms.changing():
            previous = state_of(alarm)
            transition(alarm, *arguments, **named)
            if previous["value"] != alarm["StateValue"]:
                alarms.changed(alarm, previous)

    set_state = replace(cloudwatch, "_set_alarm_state", set_alarm_state)
    transition = replace(cloudwatch, "_transition_composite", transition_composite)
    # `changing` carries out the actions, with the state before and all that AWS says of the alarm.
    replace(cloudwatch, "_dispatch_alarm_actions", lambda *_arguments: None)
