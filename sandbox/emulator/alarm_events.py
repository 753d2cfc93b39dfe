"""What CloudWatch tells others about an alarm's change of state: the event, and the alarm's actions.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-actions-Lambda.html
"""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ministack.core.responses import new_uuid
from ministack.services import eventbridge, sns

from sandbox.alarms.queries import boolean, dimensions_of
from sandbox.alarms.reasons import timestamp
from sandbox.emulator.context import Context, seam

log = logging.getLogger("sandbox.alarms")

_ACTIONS = {
    "ALARM": "AlarmActions",
    "OK": "OKActions",
    "INSUFFICIENT_DATA": "InsufficientDataActions",
}
# The service principal that a function's policy has to let invoke it.
_PRINCIPAL = "lambda.alarms.cloudwatch.amazonaws.com"


@dataclass(frozen=True, slots=True)
class StateChange:
    """An alarm as it is now, and the state it had before (as `state_of` gave it)."""

    alarm: Mapping[str, Any]
    previous: Mapping[str, Any]


def state_of(alarm: Mapping[str, Any]) -> dict[str, Any]:
    """The `state` of an alarm as events show it."""
    moment = datetime.fromtimestamp(float(alarm.get("StateUpdatedTimestamp") or 0), UTC)
    found = {
        "value": alarm["StateValue"],
        "reason": alarm.get("StateReason", ""),
        "timestamp": timestamp(moment),
    }
    if alarm.get("StateReasonData"):
        found["reasonData"] = alarm["StateReasonData"]
    return found


def configuration(alarm: Mapping[str, Any]) -> dict[str, Any]:
    """The `configuration` of an alarm as events show it."""
    found: dict[str, Any] = {}
    if alarm.get("AlarmDescription"):
        found["description"] = alarm["AlarmDescription"]
    if "AlarmRule" in alarm:
        return {**found, "alarmRule": alarm["AlarmRule"]}
    if alarm.get("Metrics"):
        return {**found, "metrics": [_query(each) for each in alarm["Metrics"]]}
    stat = {
        "Metric": {key: alarm.get(key) for key in ("Namespace", "MetricName", "Dimensions")},
        "Period": alarm.get("Period"),
        "Stat": alarm.get("ExtendedStatistic") or alarm.get("Statistic"),
        "Unit": alarm.get("Unit"),
    }
    # An alarm on one metric has no query id of its own: AWS makes one up and keeps to it.
    name = str(uuid.uuid5(uuid.NAMESPACE_URL, str(alarm.get("AlarmArn"))))
    return {**found, "metrics": [_query({"Id": name, "MetricStat": stat, "ReturnData": True})]}


def _query(member: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"id": member["Id"]}
    for name in ("Expression", "Label", "Period"):
        if member.get(name):
            found[name.lower()] = member[name]
    if stat := member.get("MetricStat"):
        metric = stat["Metric"]
        found["metricStat"] = {
            "metric": {
                "namespace": metric.get("Namespace"),
                "name": metric.get("MetricName"),
                "dimensions": dimensions_of(metric.get("Dimensions")),
            },
            "period": int(stat["Period"]),
            "stat": stat["Stat"],
        }
        if stat.get("Unit"):
            found["metricStat"]["unit"] = stat["Unit"]
    found["returnData"] = boolean(member.get("ReturnData", True))
    return found


def detail(change: StateChange) -> dict[str, Any]:
    """The detail of the event 'CloudWatch Alarm State Change'."""
    return {
        "alarmName": change.alarm["AlarmName"],
        "state": state_of(change.alarm),
        "previousState": dict(change.previous),
        "configuration": configuration(change.alarm),
    }


def emit(change: StateChange) -> None:
    """Put the event on the account's default bus. The caller's thread has to have ministack's scope."""
    entry = {
        "Source": "aws.cloudwatch",
        "DetailType": "CloudWatch Alarm State Change",
        "Resources": [change.alarm["AlarmArn"]],
        "Detail": json.dumps(detail(change)),
    }
    seam(eventbridge, "_put_events")({"Entries": [entry]}, allow_aws_source=True)


def act(context: Context, change: StateChange) -> None:
    """Carry out the actions of the new state: SNS topics and Lambda functions.

    They run on a thread of their own, as a function's invocation goes through the gateway. An action that
    fails, or of another kind, is logged and does not hold up the others.
    """
    if not change.alarm.get("ActionsEnabled", True):
        return
    actions = list(change.alarm.get(_ACTIONS[change.alarm["StateValue"]]) or [])
    if actions:
        threading.Thread(
            target=_carry_out, args=(context, change, actions), daemon=True, name="alarm-actions"
        ).start()


def _carry_out(context: Context, change: StateChange, actions: list[str]) -> None:
    context.scope()
    for action in actions:
        try:
            if action.startswith("arn:aws:sns:"):
                _publish(context, change, action)
            elif action.startswith("arn:aws:lambda:"):
                _invoke(context, change, action)
            else:
                log.warning("alarm %s: the sandbox does not carry out %s", change.alarm["AlarmName"], action)
        except Exception:
            log.exception("alarm %s: action %s failed", change.alarm["AlarmName"], action)


def _publish(context: Context, change: StateChange, topic: str) -> None:
    name, value = change.alarm["AlarmName"], change.alarm["StateValue"]
    subject = f'{value}: "{name}" in {context.settings.region}'[:100]
    seam(sns, "_fanout")(topic, new_uuid(), json.dumps(sns_message(context, change)), subject)


def sns_message(context: Context, change: StateChange) -> dict[str, Any]:
    """The message that CloudWatch publishes to SNS."""
    alarm = change.alarm
    trigger: dict[str, Any] = {
        name: alarm.get(name)
        for name in ("Period", "EvaluationPeriods", "DatapointsToAlarm", "ComparisonOperator", "Threshold")
        if alarm.get(name) is not None
    }
    trigger["TreatMissingData"] = alarm.get("TreatMissingData", "missing")
    trigger["EvaluateLowSampleCountPercentile"] = alarm.get("EvaluateLowSampleCountPercentile") or ""
    if alarm.get("Metrics"):
        trigger["Metrics"] = alarm["Metrics"]
    elif alarm.get("MetricName"):
        dimensions = dimensions_of(alarm.get("Dimensions")).items()
        extended = alarm.get("ExtendedStatistic")
        trigger |= {
            "MetricName": alarm["MetricName"],
            "Namespace": alarm.get("Namespace"),
            "StatisticType": "ExtendedStatistic" if extended else "Statistic",
            "Statistic": extended or str(alarm.get("Statistic", "")).upper(),
            "Unit": alarm.get("Unit"),
            "Dimensions": [{"name": name, "value": value} for name, value in dimensions],
        }
    return {
        "AlarmName": alarm["AlarmName"],
        "AlarmDescription": alarm.get("AlarmDescription") or None,
        "AWSAccountId": context.settings.account,
        "NewStateValue": alarm["StateValue"],
        "NewStateReason": alarm.get("StateReason", ""),
        "StateChangeTime": state_of(alarm)["timestamp"],
        "Region": context.settings.region,
        "AlarmArn": alarm["AlarmArn"],
        "OldStateValue": change.previous["value"],
        "OKActions": alarm.get("OKActions") or [],
        "AlarmActions": alarm.get("AlarmActions") or [],
        "InsufficientDataActions": alarm.get("InsufficientDataActions") or [],
        **({"AlarmRule": alarm["AlarmRule"]} if "AlarmRule" in alarm else {"Trigger": trigger}),
    }


def _invoke(context: Context, change: StateChange, function: str) -> None:
    client = context.client("lambda")
    try:
        policy = json.loads(client.get_policy(FunctionName=function)["Policy"])
    except client.exceptions.ResourceNotFoundException:
        policy = {}
    if not _may_invoke(policy, change.alarm["AlarmArn"]):
        log.warning("alarm %s: %s does not let %s invoke it", change.alarm["AlarmName"], function, _PRINCIPAL)
        return
    event = {
        "source": "aws.cloudwatch",
        "alarmArn": change.alarm["AlarmArn"],
        "accountId": context.settings.account,
        "time": state_of(change.alarm)["timestamp"],
        "region": context.settings.region,
        "alarmData": detail(change),
    }
    client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(event).encode())


def _may_invoke(policy: Mapping[str, Any], alarm_arn: str) -> bool:
    """Whether a function's resource policy lets CloudWatch alarms (or this one) invoke it."""
    for statement in policy.get("Statement", []):
        principal = statement.get("Principal")
        service = principal.get("Service") if isinstance(principal, dict) else principal
        source = [
            arn
            for operator in statement.get("Condition", {}).values()
            for key, arn in operator.items()
            if key.lower() == "aws:sourcearn"
        ]
        if (
            statement.get("Effect") == "Allow"
            and service == _PRINCIPAL
            and all(arn == alarm_arn for arn in source)
        ):
            return True
    return False
