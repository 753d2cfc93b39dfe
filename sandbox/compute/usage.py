"""What instances use, as CloudWatch is told it."""

from dataclasses import dataclass
from typing import Any

from sandbox.compute.instance_types import InstanceType

Datum = dict[str, Any]  # an entry of PutMetricData


@dataclass(frozen=True)
class Usage:
    """What an instance has used: CPU seconds and bytes read from and written to its disk since it began,
    bytes of memory and disk now."""

    cpu_seconds: float
    memory_bytes: int
    disk_bytes: int
    read_bytes: int = 0
    written_bytes: int = 0


def cpu_percent(before: Usage, after: Usage, seconds: float, kind: InstanceType) -> float:
    """CPU time used in `seconds` of what the type's vCPUs offer; 100 at most."""
    used = max(0.0, after.cpu_seconds - before.cpu_seconds)
    return min(100.0, 100.0 * used / (seconds * kind.vcpus))


def data_of(
    name: str, value: float, instance_id: str, group: str | None, unit: str = "Percent"
) -> list[Datum]:
    """One measurement under both dimensions that it is published with."""
    dimensions = [{"Name": "InstanceId", "Value": instance_id}]
    found = [{"MetricName": name, "Value": value, "Unit": unit, "Dimensions": dimensions}]
    if group:
        found.append({**found[0], "Dimensions": [{"Name": "AutoScalingGroupName", "Value": group}]})
    return found
