"""The alert rules (requirement C4a), with the thresholds of D1.

They tell people; what rolls a release back are CloudWatch's alarms, which need no host of ours to live.
Probes (/health, /metrics) are no users' requests: they are left out, for they would thin a failure out.
"""

from dataclasses import dataclass
from typing import Any, Literal

from config.model import Configuration

Severity = Literal["critical", "warning"]
#: Where each alert's section is: docs/monitoring.md has one headed by the alert's name.
RUNBOOK = "docs/monitoring.md"
USERS = 'job="backend",path!~"/health|/metrics"'
#: A colour that has not answered a user for so long does not take the traffic.
IN_USE = f"sum by (colour) (rate(http_requests_total{{{USERS}}}[10m])) > 0"


@dataclass(frozen=True)
class Alert:
    """`expr` holds for `seconds` before the alert fires."""

    name: str
    expr: str
    seconds: int
    severity: Severity
    summary: str

    def as_rule(self) -> dict[str, Any]:
        return {
            "alert": self.name,
            "expr": self.expr,
            "for": f"{self.seconds}s",
            "labels": {"severity": self.severity},
            "annotations": {"summary": self.summary, "runbook": f"{RUNBOOK}#{self.name.lower()}"},
        }


def alert_rules(configuration: Configuration) -> dict[str, Any]:
    """alert_rules.yml."""
    groups = {"rollback": rollback_alerts(configuration), "tier": tier_alerts(configuration)}
    return {
        "groups": [
            {"name": name, "rules": [alert.as_rule() for alert in alerts]} for name, alerts in groups.items()
        ]
    }


def rollback_alerts(configuration: Configuration) -> list[Alert]:
    """The five conditions of D1."""
    limits, scrape = configuration.alarms, configuration.monitoring.scrape_seconds
    errors, requests = (
        f"sum by (colour) (rate(http_requests_total{{{USERS}{only}}}[1m]))" for only in (',status=~"5.."', "")
    )
    return [
        Alert(
            "ApiErrorRate",
            f"100 * {errors} / {requests} > {limits.error_rate_percent:g}",
            60 * limits.error_minutes,
            "critical",
            '{{ $value | printf "%.1f" }} % of {{ $labels.colour }}\'s answers are 5xx',
        ),
        Alert(
            "ApiLatencyP95",
            "histogram_quantile(0.95, sum by (colour, le) "
            f"(rate(http_request_duration_seconds_bucket{{{USERS}}}[1m]))) > {limits.p95_seconds:g}",
            60 * limits.p95_minutes,
            "critical",
            "{{ $labels.colour }}'s p95 latency is {{ $value | humanizeDuration }}",
        ),
        Alert(
            "CpuUsage",
            '100 * (1 - avg by (service, colour) (rate(node_cpu_seconds_total{mode="idle"}[1m]))) '
            f"> {limits.cpu_percent:g}",
            60 * limits.cpu_minutes,
            "critical",
            '{{ $labels.service }} {{ $labels.colour }} uses {{ $value | printf "%.0f" }} % of its CPU',
        ),
        Alert(
            "MemoryUsage",
            "100 * (1 - avg by (service, colour) "
            "(node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)) "
            f"> {limits.memory_percent:g}",
            60 * limits.memory_minutes,
            "critical",
            '{{ $labels.service }} {{ $labels.colour }} uses {{ $value | printf "%.0f" }} % of its memory',
        ),
        Alert(
            "HealthCheckFailing",
            # The idle colour may well be down: only one that answers users is missed.
            f'up{{job="backend"}} == 0 and on (colour) {IN_USE}',
            # So many scrapes in a row have failed by then.
            limits.health_failures * scrape,
            "critical",
            "{{ $labels.instance }} of {{ $labels.colour }} does not answer",
        ),
    ]


def tier_alerts(configuration: Configuration) -> list[Alert]:
    """What else somebody should look at before it becomes one of the five."""
    thresholds = configuration.thresholds
    return [
        Alert(
            "NodeExporterDown",
            'up{job="node"} == 0',
            300,
            "warning",
            "{{ $labels.instance_id }} ({{ $labels.service }}) tells nothing of its resources",
        ),
        Alert(
            "DiskFilling",
            '100 * (1 - node_filesystem_avail_bytes{mountpoint="/"} '
            '/ node_filesystem_size_bytes{mountpoint="/"}) > 85',
            600,
            "warning",
            '{{ $labels.instance_id }}\'s disk is {{ $value | printf "%.0f" }} % full',
        ),
        Alert(
            "DatabasePoolUse",
            f"sum by (colour) (db_pool_in_use) / sum by (colour) (db_pool_size) > {thresholds.pool_use:g}",
            300,
            "warning",
            "{{ $labels.colour }} uses {{ $value | humanizePercentage }} of its database connections",
        ),
        Alert(
            "CacheHitRate",
            "sum by (colour) (rate(cache_hits_total[10m])) / (sum by (colour) (rate(cache_hits_total[10m])) "
            "+ sum by (colour) (rate(cache_misses_total[10m]))) < 0.9",
            900,
            "warning",
            "{{ $labels.colour }} answers only {{ $value | humanizePercentage }} of its lists from the cache",
        ),
        Alert(
            "NoBackendSeen",
            # Without a series no other rule can hold: silence is not health.
            'absent(up{job="backend"})',
            120,
            "critical",
            "Prometheus sees no backend at all",
        ),
    ]
