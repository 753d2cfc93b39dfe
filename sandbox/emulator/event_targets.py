"""EventBridge's targets: called only when they may be, and called again when they fail.

A rule reaches a Lambda function by the function's resource policy, and a state machine as the target's role:
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html,
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-identity-based.html
What can't be delivered goes to the target's dead-letter queue, and counts as a failed invocation.
"""

from __future__ import annotations

import contextvars
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

from ministack.core import iam_evaluator
from ministack.services import cloudwatch, eventbridge, lambda_svc

from sandbox.emulator.context import Context, replace, seam

log = logging.getLogger(__name__)
# The target and the rule which this thread is delivering to and for.
_delivery: contextvars.ContextVar[tuple[dict[str, Any], dict[str, Any]]] = contextvars.ContextVar("delivery")


def install(context: Context) -> None:
    invoke = seam(eventbridge, "_invoke_target")

    def invoke_target(target: dict[str, Any], event: Any, rule: dict[str, Any], view: Any = None) -> None:
        token = _delivery.set((target, rule))
        try:
            invoke(target, event, rule, view)
        finally:
            _delivery.reset(token)

    def to_function(arn: str, payload: str) -> None:
        target, rule = _delivery.get()
        function, config, name = lambda_svc._get_func_record_for_ref(arn)
        if not function or not config:
            _undelivered(context, target, rule, payload, f"function {name} does not exist")
        elif not permitted(context, arn, str(rule.get("Arn", ""))):
            _undelivered(context, target, rule, payload, f"{arn} does not permit events.amazonaws.com")
        else:
            record = lambda_svc._execution_record_for_config(function, config)
            lambda_svc.invoke_async_with_retry(record, json.loads(payload))

    def to_state_machine(arn: str, payload: str) -> None:
        target, rule = _delivery.get()

        def start() -> None:
            try:
                credentials = context.role_credentials(target["RoleArn"], "events")
                client = context.client("stepfunctions", credentials)
                client.start_execution(stateMachineArn=arn, input=payload)
            except Exception as error:
                _undelivered(context, target, rule, payload, str(error))

        _in_background(start)

    replace(eventbridge, "_invoke_target", invoke_target)
    replace(eventbridge, "_dispatch_to_lambda", to_function)
    replace(eventbridge, "_dispatch_to_stepfunctions", to_state_machine)


def permitted(context: Context, function_arn: str, rule_arn: str) -> bool:
    """Whether the function's resource policy lets EventBridge invoke it for this rule."""
    found = lambda_svc.function_policy_for_arn(function_arn)
    if found is None:
        return False
    request = iam_evaluator.EvalContext(
        principal_arn="",
        principal_type="Service",
        principal_account=context.settings.account,
        action="lambda:InvokeFunction",
        resource_arn=function_arn,
        region=context.settings.region,
        service_context={"aws:sourcearn": rule_arn, "aws:sourceaccount": context.settings.account},
    )
    judged = iam_evaluator.evaluate_resource_policy(found[0], request, service="events.amazonaws.com")
    return bool(judged.decision == "Allow")


def _undelivered(
    context: Context, target: dict[str, Any], rule: dict[str, Any], payload: str, reason: str
) -> None:
    log.warning("rule %s: target %s was not invoked: %s", rule.get("Name"), target.get("Arn"), reason)
    cloudwatch.record_metric(
        "AWS/Events", "FailedInvocations", 1, "Count", {"RuleName": str(rule.get("Name"))}
    )
    queue = (target.get("DeadLetterConfig") or {}).get("Arn")
    if queue:
        _in_background(lambda: send_to_queue(context, queue, payload))


def send_to_queue(context: Context, queue_arn: str, body: str) -> None:
    """Put a message that could not be delivered on a dead-letter queue. Call it off the event loop."""
    client = context.client("sqs")
    url = client.get_queue_url(QueueName=queue_arn.rsplit(":", 1)[-1])["QueueUrl"]
    client.send_message(QueueUrl=url, MessageBody=body)


def _in_background(work: Callable[[], None]) -> None:
    # A rule may be matched on the event loop, which has to be free to answer what `work` asks.
    threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True).start()
