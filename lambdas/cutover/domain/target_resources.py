"""CPU, memory and disk of the instances that stood under a load (requirements C7b, E2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cutover.domain.gates import Gate
from cutover.domain.measures import Limits

PERIOD = timedelta(seconds=60)
# What a gp3 volume gives without more being paid for, in bytes a second:
# https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html
VOLUME_BYTES = 125 * 1024 * 1024
CPU, MEMORY, READ, WRITTEN = "cpu", "memory", "read", "written"


@dataclass(frozen=True)
class Metric:
    """How CloudWatch calls it. A group's average is that over its instances."""

    namespace: str
    name: str
    statistic: str


RESOURCES: Mapping[str, Metric] = {
    CPU: Metric("AWS/EC2", "CPUUtilization", "Average"),
    MEMORY: Metric("CWAgent", "mem_used_percent", "Average"),
    READ: Metric("AWS/EC2", "EBSReadBytes", "Sum"),
    WRITTEN: Metric("AWS/EC2", "EBSWriteBytes", "Sum"),
}


@dataclass(frozen=True)
class Datapoint:
    """A period's value; `at` is when the period begins."""

    at: datetime
    value: float


Found = Mapping[str, Sequence[Datapoint]]


def is_complete(found: Found, until: datetime) -> bool:
    """Whether every figure is there up to the period in which the load ended."""
    return all(any(point.at > until - PERIOD for point in found.get(name, ())) for name in RESOURCES)


def judge_resources(found: Found, instances: int, limits: Limits) -> list[Gate]:
    """The worst minute of each against its threshold; without a datapoint Inconclusive."""
    disk = [
        Datapoint(at, value / PERIOD.total_seconds() / max(1, instances) / VOLUME_BYTES)
        for at, value in _sums(found.get(READ, ()), found.get(WRITTEN, ()))
    ]
    return [
        _judge("cpu", _shares(found.get(CPU, ())), limits),
        _judge("memory", _shares(found.get(MEMORY, ())), limits),
        _judge("disk", disk, limits, f"of the {VOLUME_BYTES // 1024**2} MiB/s that a volume gives; "),
    ]


def _shares(points: Sequence[Datapoint]) -> list[Datapoint]:
    return [Datapoint(point.at, point.value / 100) for point in points]


def _sums(*series: Sequence[Datapoint]) -> list[tuple[datetime, float]]:
    """Of the moments that every series has: half a figure is none."""
    tables = [{point.at: point.value for point in points} for points in series]
    common = set.intersection(*(set(table) for table in tables))
    return [(at, sum(table[at] for table in tables)) for at in sorted(common)]


def _judge(measure: str, points: Sequence[Datapoint], limits: Limits, of: str = "") -> Gate:
    if not points:
        return limits.inconclusive(measure, "CloudWatch has no datapoint of the load's time")
    worst = max(points, key=lambda point: point.value)
    return limits.judge(
        measure,
        worst.value,
        samples=len(points),
        found=f"{of}the worst of {len(points)} minutes, at {worst.at:%H:%M:%S} UTC",
        evidence={"minutes": [round(point.value, 4) for point in points]},
    )
