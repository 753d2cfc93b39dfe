"""What the rollout writes on the monitoring host and on the instances: files by path, and their digest."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from config.model import Configuration
from stacks.environment.tier import written
from stacks.environment.tier.alert_rules import alert_rules
from stacks.environment.tier.alertmanager import alertmanager
from stacks.environment.tier.filebeat import filebeat, retention
from stacks.environment.tier.grafana import dashboard, datasources, providers
from stacks.environment.tier.images import HOST_IMAGES, INSTANCE_IMAGES
from stacks.environment.tier.prometheus import prometheus
from stacks.naming import Names

HERE = Path(__file__).parent
COMPOSE = "compose.yaml"


@dataclass(frozen=True)
class Part:
    """One compose project: its images by service, and its files (compose.yaml among them) by path."""

    images: Mapping[str, str]
    files: Mapping[str, str]


def host(names: Names, configuration: Configuration) -> Part:
    """The monitoring tier itself."""
    days = configuration.monitoring.retention_days
    logstash = (HERE / "logstash.conf").read_text(encoding="utf-8")
    files = {
        "prometheus/prometheus.yml": written(prometheus(names, configuration)),
        "prometheus/alert_rules.yml": written(alert_rules(configuration)),
        "alertmanager/alertmanager.yml": written(alertmanager(names)),
        "grafana/provisioning/datasources/prometheus.yaml": written(datasources()),
        "grafana/provisioning/dashboards/cutover.yaml": written(providers()),
        "grafana/dashboards/backend.json": written(dashboard(names)),
        "logstash/logstash.conf": logstash.replace("@ENVIRONMENT@", names.environment),
        "elasticsearch/retention.json": written(retention(names, days)),
    }
    return _part("host", HOST_IMAGES, files, {"RETENTION_DAYS": str(days)})


def instance(names: Names) -> Part:
    """What runs beside a release."""
    return _part("instance", INSTANCE_IMAGES, {"filebeat/filebeat.yml": written(filebeat(names))}, {})


def digest(*texts: str) -> str:
    """Changes with what would be rolled out."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def _part(name: str, images: Mapping[str, str], files: Mapping[str, str], values: Mapping[str, str]) -> Part:
    """The compose file has each service's own files by their digest in a label, so that compose recreates
    the containers whose files have changed, and no others."""
    service, lines = "", []
    for line in (HERE / f"{name}.compose.yaml").read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("#"):
            continue
        if match := re.fullmatch(r"  ([a-z]+):", line):
            service = match[1]
        own = {path: text for path, text in files.items() if path.startswith(f"{service}/")}
        filled = {
            "IMAGE": images.get(service, ""),
            "FILES": digest(json.dumps(own, sort_keys=True)),
            **values,
        }
        lines.append(re.sub(r"@([A-Z_]+)@", lambda found: filled[found[1]], line))  # noqa: B023
    return Part(images, {**files, COMPOSE: "\n".join(lines) + "\n"})
