"""What EC2 and the CloudWatch agent publish about instances, measured on their processes every minute.

AWS/EC2 CPUUtilization, EBSReadBytes and EBSWriteBytes (in the period; a compressed minute counts what a whole
one would have had): https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/viewing_metrics_with_cloudwatch.html
CWAgent mem_used_percent and disk_used_percent, aggregated to {InstanceId} and {AutoScalingGroupName}:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/metrics-collected-by-CloudWatch-agent.html
An instance that does not answer publishes nothing: no data is not zero.
"""

from __future__ import annotations

import logging
import threading
import time

from sandbox.compute.instance_types import TYPES
from sandbox.compute.usage import Datum, Usage, cpu_percent, data_of
from sandbox.emulator.context import Context
from sandbox.emulator.instances import Instances

log = logging.getLogger("sandbox.instance_metrics")


class InstanceMetrics:
    """Publishes once a (compressed) minute."""

    def __init__(self, context: Context, instances: Instances) -> None:
        self._context, self._instances = context, instances
        self._last: dict[str, tuple[float, Usage]] = {}

    def start(self) -> None:
        threading.Thread(target=self._loop, name="instance-metrics", daemon=True).start()

    def _loop(self) -> None:
        self._context.scope()
        minute = self._context.settings.minute_seconds
        while True:
            time.sleep(minute - time.time() % minute)
            try:
                self.publish()
            except Exception:
                log.warning("instance metrics were not published this minute", exc_info=True)

    def publish(self) -> None:
        cpu: list[Datum] = []
        agent: list[Datum] = []
        running = self._instances.running()
        self._last = {key: value for key, value in self._last.items() if key in running}
        for instance_id, record in running.items():
            kind = TYPES.get(record["InstanceType"])
            usage = self._instances.agents.usage(instance_id)
            if usage is None or kind is None:
                continue
            now, group = time.monotonic(), self._instances.tags(instance_id).get("aws:autoscaling:groupName")
            if instance_id in self._last:
                since, before = self._last[instance_id]
                cpu += data_of(
                    "CPUUtilization", cpu_percent(before, usage, now - since, kind), instance_id, group
                )
                whole = 60 / (now - since)
                read = max(0, usage.read_bytes - before.read_bytes) * whole
                written = max(0, usage.written_bytes - before.written_bytes) * whole
                cpu += data_of("EBSReadBytes", read, instance_id, group, "Bytes")
                cpu += data_of("EBSWriteBytes", written, instance_id, group, "Bytes")
            self._last[instance_id] = (now, usage)
            memory = min(100.0, 100.0 * usage.memory_bytes / kind.memory_bytes)
            agent += data_of("mem_used_percent", memory, instance_id, group)
            volume = self._instances.volume_bytes(record)
            if volume:
                agent += data_of("disk_used_percent", 100.0 * usage.disk_bytes / volume, instance_id, group)
        client = self._context.client("cloudwatch")
        for namespace, data in (("AWS/EC2", cpu), ("CWAgent", agent)):
            for start in range(0, len(data), 1000):  # the most that one PutMetricData takes
                client.put_metric_data(Namespace=namespace, MetricData=data[start : start + 1000])
