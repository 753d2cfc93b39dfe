"""What is asked of CloudWatch for a report, by name.

Requests, errors and slow answers are counted by the containers and published every ten seconds, zeros too
(examples/backend/backend/colour_metrics.py): a period without them is one that nobody looked at. Response
times are the balancer's, which says nothing of a period without a request:
https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html .
The database's and the cache's are DocumentDB's and ElastiCache's own:
https://docs.aws.amazon.com/documentdb/latest/developerguide/cloud_watch.html and
https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/CacheMetrics.Redis.html .
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cutover.domain.colours import Colour
from cutover.domain.environment import Targets

REQUESTS, ERRORS, CPU, MEMORY = "requests", "errors", "cpu", "memory"
P50, P95, P99 = "p50", "p95", "p99"
#: Answers with 5xx of the balancer's own, for both colours together; published only when there are any.
BALANCER_ERRORS = "balancer_errors"
DATABASE_CPU, DATABASE_CONNECTIONS, DATABASE_HIT = "database_cpu", "database_connections", "database_hit"
CACHE_HITS, CACHE_MISSES = "cache_hits", "cache_misses"
CACHE_NODES = ("001", "002")
#: Those that count, and so add up; of any other the greater value counts where two meet.
COUNTS = frozenset({REQUESTS, ERRORS, BALANCER_ERRORS, CACHE_HITS, CACHE_MISSES})


@dataclass(frozen=True)
class Figure:
    """A metric with its statistic. `factor` turns its unit into ours: milliseconds, and shares of 1."""

    namespace: str
    metric: str
    statistic: str
    dimensions: Mapping[str, str]
    factor: float = 1


def colour_figures(environment: str, colour: Colour, targets: Targets) -> dict[str, Figure]:
    """Those of a colour of the backend. `targets` are the backend's."""
    own = {"Environment": environment, "Service": "backend", "Colour": colour.value}
    balancer = {"LoadBalancer": balancer_of(targets), "TargetGroup": _last(targets.of(colour))}
    group = {"AutoScalingGroupName": group_of(environment, colour)}

    def answered(statistic: str) -> Figure:
        return Figure("AWS/ApplicationELB", "TargetResponseTime", statistic, balancer, 1000)

    return {
        REQUESTS: Figure("Cutover", "Requests", "Sum", own),
        ERRORS: Figure("Cutover", "Errors", "Sum", own),
        P50: answered("p50"),
        P95: answered("p95"),
        P99: answered("p99"),
        CPU: Figure("AWS/EC2", "CPUUtilization", "Average", group, 0.01),
        MEMORY: Figure("CWAgent", "mem_used_percent", "Average", group, 0.01),
    }


def group_of(environment: str, colour: Colour) -> str:
    """The Auto Scaling group of a colour of the backend."""
    return f"cutover-{environment}-backend-{colour}"


def environment_figures(environment: str, targets: Targets) -> dict[str, Figure]:
    """Those that are of no colour. A cache node's name ends in its number: CACHE_HITS-001."""
    cluster = {"DBClusterIdentifier": f"cutover-{environment}"}
    figures = {
        BALANCER_ERRORS: Figure(
            "AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", "Sum", {"LoadBalancer": balancer_of(targets)}
        ),
        DATABASE_CPU: Figure("AWS/DocDB", "CPUUtilization", "Average", cluster, 0.01),
        DATABASE_CONNECTIONS: Figure("AWS/DocDB", "DatabaseConnections", "Maximum", cluster),
        DATABASE_HIT: Figure("AWS/DocDB", "BufferCacheHitRatio", "Average", cluster, 0.01),
    }
    for node in CACHE_NODES:
        where = {"CacheClusterId": f"cutover-{environment}-{node}"}
        figures[f"{CACHE_HITS}-{node}"] = Figure("AWS/ElastiCache", "CacheHits", "Sum", where)
        figures[f"{CACHE_MISSES}-{node}"] = Figure("AWS/ElastiCache", "CacheMisses", "Sum", where)
    return figures


def balancer_of(targets: Targets) -> str:
    """As CloudWatch calls it: app/NAME/ID, from a listener's ARN (…:listener/app/NAME/ID/LISTENER)."""
    return "/".join(targets.listener_arn.partition(":listener/")[2].split("/")[:3])


def _last(arn: str) -> str:
    return arn.rpartition(":")[2]


def period_of(since: datetime, until: datetime) -> timedelta:
    """The shortest that CloudWatch still keeps for so long ago, and that makes a report's number of points:
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#metrics-retention
    """
    span = until - since
    if span <= timedelta(hours=6):
        return timedelta(minutes=1)
    return timedelta(minutes=5) if span <= timedelta(days=15) else timedelta(hours=1)
