"""EventBridge Scheduler: schedules in their own time zone, targets called as the schedule's role.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html,
https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-targets.html
A flexible time window is taken at its beginning.
"""

from __future__ import annotations

import contextvars
import datetime
import json
import logging
import threading
import time
import zoneinfo
from dataclasses import dataclass
from typing import Any

from ministack.core import responses
from ministack.services import eventbridge, scheduler

from sandbox.emulator.context import Context, replace, seam
from sandbox.emulator.event_targets import send_to_queue
from sandbox.emulator.states_tasks import TaskError, Tasks
from sandbox.emulator.trust import distrusted

log = logging.getLogger(__name__)

# What Scheduler does when the schedule says nothing:
# https://docs.aws.amazon.com/scheduler/latest/APIReference/API_RetryPolicy.html
DEFAULT_ATTEMPTS = 185
DEFAULT_AGE_SECONDS = 86_400
LONGEST_PAUSE_SECONDS = 60.0


@dataclass(frozen=True)
class Due:
    """Whether a schedule fires now, and the moment it was due (both in seconds since the epoch)."""

    fires: bool
    at: float = 0.0


def due(schedule: dict[str, Any], last: float | None, now: float) -> Due:
    """Decide on one schedule. `last` is when it fired, or was first seen; None when it never was.

    Raises ValueError for an expression or a time zone that Scheduler does not know.
    """
    start, end = _epoch(schedule.get("StartDate")), _epoch(schedule.get("EndDate"))
    if schedule.get("State") != "ENABLED" or (start and now < start) or (end and now > end):
        return Due(False)
    expression = str(schedule.get("ScheduleExpression", ""))
    name = schedule.get("ScheduleExpressionTimezone") or "UTC"
    try:
        zone = zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise ValueError(f"ScheduleExpressionTimezone {name!r} is not a time zone") from None
    if expression.startswith("at("):
        moment = datetime.datetime.fromisoformat(expression[3:-1]).replace(tzinfo=zone).timestamp()
        return Due(last is None and now >= moment, moment)
    anchor = last if last is not None else _epoch(schedule.get("CreationDate")) or now
    interval = eventbridge._parse_rate_seconds(expression)
    if interval is not None:
        return Due(now - anchor >= interval, anchor + interval)
    fields = eventbridge._parse_cron_fields(expression)
    if fields is None:
        raise ValueError(f"ScheduleExpression {expression!r} can't be read")
    # The expression speaks of the zone's wall clock; ministack walks it in a clock that it takes for UTC.
    wall = datetime.datetime.fromtimestamp(anchor, zone).replace(tzinfo=datetime.UTC)
    following = eventbridge._cron_next_fire(fields, wall)
    if following is None:
        return Due(False)
    moment = following.replace(tzinfo=zone).timestamp()
    return Due(now >= moment, moment)


def _epoch(value: Any) -> float | None:
    found: float | None = scheduler._to_epoch(value)
    return found


def call_of(target: dict[str, Any], schedule_arn: str, moment: float) -> tuple[str, dict[str, Any]]:
    """The service integration (as a state machine would name it) and its arguments for a target.

    Raises ValueError for a kind of target that the sandbox does not have.
    """
    arn = target["Arn"]
    stamp = datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = (target.get("Input") or "{}").replace("<aws.scheduler.scheduled-time>", stamp)
    text = text.replace("<aws.scheduler.schedule-arn>", schedule_arn)
    sdk = "arn:aws:states:::aws-sdk:"
    service = arn.split(":")[2]
    if service == "scheduler":  # arn:aws:scheduler:::aws-sdk:SERVICE:ACTION
        return arn.replace("arn:aws:scheduler:::", "arn:aws:states:::"), json.loads(text)
    if service == "lambda":
        return f"{sdk}lambda:invoke", {"FunctionName": arn, "InvocationType": "Event", "Payload": text}
    if service == "states":
        return f"{sdk}sfn:startExecution", {"StateMachineArn": arn, "Input": text}
    if service == "sns":
        return f"{sdk}sns:publish", {"TopicArn": arn, "Message": text}
    if service == "codebuild":
        return f"{sdk}codebuild:startBuild", {"ProjectName": arn.rsplit("/", 1)[-1]}
    if service == "events":
        about = target.get("EventBridgeParameters") or {}
        return f"{sdk}eventbridge:putEvents", {"Entries": [{**about, "Detail": text, "EventBusName": arn}]}
    raise ValueError(f"schedules with the target {arn} are not part of the sandbox")


class Clock:
    """Looks at all schedules once a tick, and calls the targets of those that are due."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._broken: set[Any] = set()

    def tick(self) -> None:
        now = time.time()
        for key, schedule in list(scheduler._schedules._data.items()):
            try:
                found = due(schedule, scheduler._schedule_last_fired.get(key), now)
            except ValueError as error:
                if key not in self._broken:
                    log.error("schedule %s never fires: %s", schedule.get("Name"), error)
                self._broken.add(key)
                continue
            if not found.fires:
                continue
            scheduler._schedule_last_fired[key] = now
            once = str(schedule["ScheduleExpression"]).startswith("at(")
            if once and schedule.get("ActionAfterCompletion") == "DELETE":
                scheduler._schedules._data.pop(key, None)
            responses.set_request_account_id(key[0])
            responses.set_request_region(key[1])
            run = contextvars.copy_context().run
            threading.Thread(target=run, args=(self._fire, schedule, found.at), daemon=True).start()

    def _fire(self, schedule: dict[str, Any], moment: float) -> None:
        """Call the target until it takes it, as the retry policy says; then its dead-letter queue."""
        target = schedule["Target"]
        policy = target.get("RetryPolicy") or {}
        deadline = time.time() + int(policy.get("MaximumEventAgeInSeconds", DEFAULT_AGE_SECONDS))
        for attempt in range(int(policy.get("MaximumRetryAttempts", DEFAULT_ATTEMPTS)) + 1):
            if attempt:
                time.sleep(min(2.0**attempt, LONGEST_PAUSE_SECONDS))
            if time.time() > deadline:
                break
            try:
                resource, arguments = call_of(target, schedule["Arn"], moment)
                if distrusted(target["RoleArn"], "scheduler.amazonaws.com"):
                    raise TaskError(
                        "AccessDenied", f"{target['RoleArn']} does not trust scheduler.amazonaws.com"
                    )
                Tasks(self._context, target["RoleArn"], "scheduler", time.sleep).run(resource, arguments)
                return
            except ValueError as error:
                log.error("schedule %s: %s", schedule["Name"], error)
                break
            except TaskError as error:
                log.warning("schedule %s: %s: %s", schedule["Name"], error.error, error.cause)
        if queue := (target.get("DeadLetterConfig") or {}).get("Arn"):
            send_to_queue(self._context, queue, target.get("Input") or "{}")


def install(context: Context) -> None:
    seam(scheduler, "_schedule_last_fired")
    replace(scheduler, "_tick_schedules", Clock(context).tick)
