"""Publishes AWS/ApplicationELB metrics once a (compressed) minute, as the load balancer does on AWS."""

from __future__ import annotations

import datetime
import logging
import threading
import time
from collections import Counter
from typing import Any

from ministack.services import alb

from sandbox.balancer import metrics, translation
from sandbox.balancer.control import Controller
from sandbox.balancer.metrics import Dimensions, Snapshot
from sandbox.emulator.context import Context
from sandbox.emulator.load_balancer_targets import Targets

_logger = logging.getLogger("load_balancers")
# PutMetricData takes up to 1000 metrics;
# https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html
_BATCH = 500


def start(context: Context, targets: Targets, controller: Controller) -> None:
    """Starts the thread that publishes until the process ends."""
    publisher = _Publisher(context, targets, controller)
    threading.Thread(target=publisher.run, name="balancer-metrics", daemon=True).start()


class _Publisher:
    def __init__(self, context: Context, targets: Targets, controller: Controller) -> None:
        self._context = context
        self._targets = targets
        self._controller = controller
        self._before = Snapshot({}, {})

    def run(self) -> None:
        """At each end of a minute, publish what happened in it, under the time at which it began."""
        minute = self._context.settings.minute_seconds
        self._context.scope()
        while True:
            now = time.time()
            began = now - now % minute
            time.sleep(began + minute - now)
            try:
                self._publish(datetime.datetime.fromtimestamp(began, datetime.UTC))
            except Exception:
                # A minute without metrics is what alarms call missing data; the next one may be well again.
                _logger.exception("the load balancer's metrics of a minute could not be published")

    def _publish(self, began: datetime.datetime) -> None:
        now = self._controller.snapshot()
        happened, self._before = metrics.since(self._before, now), now
        balancers = {
            translation.listener_name(arn): translation.full_name(record["LoadBalancerArn"])
            for arn, record in alb._listeners.items()
        }
        groups = {translation.group_name(arn): translation.full_name(arn) for arn in alb._tgs}
        data = metrics.request_metrics(happened, balancers, groups) + self._hosts()
        if not data:
            return
        client = self._context.client("cloudwatch")
        for each in data:
            each["Timestamp"] = began
        for offset in range(0, len(data), _BATCH):
            client.put_metric_data(Namespace=metrics.NAMESPACE, MetricData=data[offset : offset + _BATCH])

    def _hosts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for arn, group in list(alb._tgs.items()):
            for balancer in group.get("LoadBalancerArns", []):
                states = Counter(health.state for health in self._targets.group_health(arn).values())
                if states:
                    scope = Dimensions(translation.full_name(balancer), translation.full_name(arn))
                    found += metrics.host_metrics(
                        scope, healthy=states["healthy"], unhealthy=states["unhealthy"]
                    )
        return found
