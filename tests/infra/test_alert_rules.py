"""The alert rules, firing and not firing, judged by promtool over series that are written down here."""

import json
import subprocess
from pathlib import Path

import pytest

from config.model import load
from stacks.environment.tier.alert_rules import alert_rules
from tests.infra.test_monitoring_tier import passes, program

MINUTES = 20
INSTANCE = 'instance="10.1.10.5:8000"'


def requests(status: int, each_minute: float, path: str = "/api/models", colour: str = "green") -> dict:
    name = f'http_requests_total{{job="backend",colour="{colour}",path="{path}",status="{status}"}}'
    return {"series": name, "values": f"0+{each_minute / 4:g}x{4 * MINUTES}"}


def answers(seconds_of_most: str, *, path: str = "/api/models") -> list[dict]:
    """Buckets of 100 requests a scrape that all took up to `seconds_of_most`."""
    bounds = ("0.5", "1", "2", "5", "+Inf")
    return [
        {
            "series": f'http_request_duration_seconds_bucket{{job="backend",colour="green",path="{path}",le="{le}"}}',
            "values": f"0+{100 if float(le) >= float(seconds_of_most) else 0}x{4 * MINUTES}",
        }
        for le in bounds
    ]


def gauge(name: str, values: str) -> dict:
    return {"series": name, "values": values}


MACHINE = 'service="backend",colour="green",instance_id="i-1"'


def idle(share: float) -> list[dict]:
    """A CPU that is idle for that share of the time."""
    return [
        gauge(f'node_cpu_seconds_total{{{MACHINE},cpu="0",mode="idle"}}', f"0+{15 * share:g}x{4 * MINUTES}")
    ]


def steady(name: str, value: float) -> dict:
    return gauge(name, f"{value:g}x{4 * MINUTES}")


def memory(available: float) -> list[dict]:
    return [
        steady(f"node_memory_MemAvailable_bytes{{{MACHINE}}}", available),
        steady(f"node_memory_MemTotal_bytes{{{MACHINE}}}", 100),
    ]


UP = f'up{{job="backend",colour="green",{INSTANCE}}}'
SEEN = steady(UP, 1)
# alert, minutes, what was measured, whether it fires then
CASES = {
    "more than 5 % errors for 5 minutes": ("ApiErrorRate", 8, [requests(500, 60), requests(200, 940)], True),
    "less than 5 % errors": ("ApiErrorRate", 19, [requests(500, 40), requests(200, 960)], False),
    "many errors for less than 5 minutes": (
        "ApiErrorRate",
        4,
        [requests(500, 900), requests(200, 100)],
        False,
    ),
    "errors of probes alone": (
        "ApiErrorRate",
        19,
        [requests(500, 900, "/health"), requests(200, 100)],
        False,
    ),
    "probes do not thin errors out": (
        "ApiErrorRate",
        8,
        [requests(500, 60), requests(200, 600), requests(200, 9000, "/health")],
        True,
    ),
    "no requests at all": ("ApiErrorRate", 19, [], False),
    "p95 above 2 s for 3 minutes": ("ApiLatencyP95", 6, answers("5"), True),
    "p95 below 2 s": ("ApiLatencyP95", 19, answers("2"), False),
    "p95 above 2 s for less than 3 minutes": ("ApiLatencyP95", 2, answers("5"), False),
    "slow probes": ("ApiLatencyP95", 19, answers("5", path="/metrics"), False),
    "CPU above 90 % for 5 minutes": ("CpuUsage", 8, idle(0.05), True),
    "CPU at 85 %": ("CpuUsage", 19, idle(0.15), False),
    "CPU above 90 % for less than 5 minutes": ("CpuUsage", 4, idle(0.05), False),
    "memory above 95 % for 3 minutes": ("MemoryUsage", 5, memory(3), True),
    "memory at 90 %": ("MemoryUsage", 19, memory(10), False),
    "memory above 95 % for less than 3 minutes": ("MemoryUsage", 2, memory(3), False),
    "a container of the colour in use is down": (
        "HealthCheckFailing",
        12,
        [requests(200, 100), gauge(UP, f"1x40 0x{4 * MINUTES - 40}")],
        True,
    ),
    "it was down for two scrapes": (
        "HealthCheckFailing",
        12,
        [requests(200, 100), gauge(UP, f"1x45 0x1 1x{4 * MINUTES - 47}")],
        False,
    ),
    "a container of the idle colour is down": (
        "HealthCheckFailing",
        19,
        [requests(200, 100, colour="blue"), steady(UP, 0)],
        False,
    ),
    "a machine's exporter is down": ("NodeExporterDown", 7, [steady(f'up{{job="node",{MACHINE}}}', 0)], True),
    "a machine's exporter answers": (
        "NodeExporterDown",
        19,
        [steady(f'up{{job="node",{MACHINE}}}', 1)],
        False,
    ),
    "the disk is nearly full": (
        "DiskFilling",
        12,
        [
            steady(f'node_filesystem_avail_bytes{{mountpoint="/",{MACHINE}}}', 10),
            steady(f'node_filesystem_size_bytes{{mountpoint="/",{MACHINE}}}', 100),
        ],
        True,
    ),
    "the disk has room": (
        "DiskFilling",
        19,
        [
            steady(f'node_filesystem_avail_bytes{{mountpoint="/",{MACHINE}}}', 20),
            steady(f'node_filesystem_size_bytes{{mountpoint="/",{MACHINE}}}', 100),
        ],
        False,
    ),
    "the pool is nearly used up": (
        "DatabasePoolUse",
        7,
        [steady('db_pool_in_use{colour="green"}', 18), steady('db_pool_size{colour="green"}', 20)],
        True,
    ),
    "the pool has room": (
        "DatabasePoolUse",
        19,
        [steady('db_pool_in_use{colour="green"}', 15), steady('db_pool_size{colour="green"}', 20)],
        False,
    ),
    "few lists come from the cache": (
        "CacheHitRate",
        19,
        [
            gauge('cache_hits_total{colour="green"}', f"0+8x{4 * MINUTES}"),
            gauge('cache_misses_total{colour="green"}', f"0+2x{4 * MINUTES}"),
        ],
        True,
    ),
    "most lists come from the cache": (
        "CacheHitRate",
        19,
        [
            gauge('cache_hits_total{colour="green"}', f"0+95x{4 * MINUTES}"),
            gauge('cache_misses_total{colour="green"}', f"0+5x{4 * MINUTES}"),
        ],
        False,
    ),
    "nothing is scraped": ("NoBackendSeen", 3, [steady('up{job="prometheus"}', 1)], True),
    "a backend is scraped": ("NoBackendSeen", 19, [SEEN], False),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What promtool says of all cases in one run: the names of those that did not come out as written."""
    promtool, folder = program("promtool"), tmp_path_factory.mktemp("rules")
    (folder / "rules.yml").write_text(json.dumps(alert_rules(load("staging"))))
    wrong = []
    for name, (alert, minutes, series, fires) in CASES.items():
        file = folder / "test.yml"
        file.write_text(json.dumps(unit_test(alert, minutes, series)))
        told = firing(promtool, file)
        if told != fires:
            wrong.append(name)
    return wrong


def unit_test(alert: str, minutes: int, series: list[dict]) -> dict:
    """Asks promtool how many of the alert fire: https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/"""
    expr = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
    asked = {"expr": expr, "eval_time": f"{minutes}m", "exp_samples": [{"labels": "{}", "value": 1}]}
    return {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "15s",
        "tests": [{"interval": "15s", "input_series": series, "promql_expr_test": [asked]}],
    }


def firing(promtool: str, file: Path) -> bool:
    done = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or "got:" in done.stdout + done.stderr, done.stdout + done.stderr
    return done.returncode == 0


@pytest.mark.parametrize("case", CASES)
def test_the_alert_fires_when_it_should_and_only_then(told, case):
    assert case not in told


def test_every_alert_is_tried_both_ways():
    rules = [rule["alert"] for group in alert_rules(load("staging"))["groups"] for rule in group["rules"]]
    tried = {(alert, fires) for alert, _, _, fires in CASES.values()}
    assert tried == {(alert, fires) for alert in rules for fires in (True, False)}


def test_the_first_five_are_those_of_d1_with_its_thresholds(tmp_path):
    rules = {
        rule["alert"]: rule for group in alert_rules(load("staging"))["groups"] for rule in group["rules"]
    }
    for alert, limit, lasting in (
        ("ApiErrorRate", "> 5", "300s"),
        ("ApiLatencyP95", "> 2", "180s"),
        ("CpuUsage", "> 90", "300s"),
        ("MemoryUsage", "> 95", "180s"),
    ):
        assert (rules[alert]["expr"].endswith(limit), rules[alert]["for"]) == (True, lasting)
    assert rules["HealthCheckFailing"]["for"] == "45s"  # three scrapes of 15 s
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps(alert_rules(load("staging"))))
    passes(program("promtool"), "check", "rules", file)
