"""Prometheus's configuration (requirement C4a): both colours' containers and every machine, found by EC2.

Auto Scaling replaces instances, so that addresses can't be written down. To list them the host's role needs
ec2:DescribeInstances and nothing else.
https://prometheus.io/docs/prometheus/latest/configuration/configuration/#ec2_sd_config
"""

from typing import Any

from config.model import Configuration
from stacks.environment.tier import ADDRESS, ENDPOINT
from stacks.naming import COLOURS, Names

#: How many scrapes go by between two looks at the instances: 60 s of 15 s, as by default.
REFRESH_SCRAPES = 4
NODE_EXPORTER_PORT = 9100
ALERTMANAGER_PORT = 9093
Rule = dict[str, Any]


def prometheus(names: Names, configuration: Configuration) -> dict[str, Any]:
    """prometheus.yml."""
    seconds = f"{configuration.monitoring.scrape_seconds}s"
    groups = [names.group(colour) for colour in COLOURS]

    def found(port: int, *filters: tuple[str, list[str]]) -> dict[str, Any]:
        wanted = (*filters, ("instance-state-name", ["running"]))
        return {
            "region": names.region,
            "endpoint": ENDPOINT,
            "port": port,
            "refresh_interval": f"{REFRESH_SCRAPES * configuration.monitoring.scrape_seconds}s",
            "filters": [{"name": name, "values": values} for name, values in wanted],
        }

    def itself(name: str, port: int) -> dict[str, Any]:
        return {"job_name": name, "static_configs": [{"targets": [f"{ADDRESS}:{port}"]}]}

    return {
        "global": {
            "scrape_interval": seconds,
            "scrape_timeout": seconds if configuration.monitoring.scrape_seconds < 10 else "10s",
            "evaluation_interval": seconds,
            "external_labels": {"environment": names.environment},
        },
        "rule_files": ["alert_rules.yml"],
        "alerting": {
            "alertmanagers": [{"static_configs": [{"targets": [f"{ADDRESS}:{ALERTMANAGER_PORT}"]}]}]
        },
        "scrape_configs": [
            {
                "job_name": "backend",
                "metrics_path": "/metrics",
                "ec2_sd_configs": [found(port, ("tag:Name", groups)) for port in configuration.backend.ports],
                "relabel_configs": _labels(names),
            },
            {
                "job_name": "node",
                "ec2_sd_configs": [
                    found(NODE_EXPORTER_PORT, ("tag:cutover-environment", [names.environment]))
                ],
                "relabel_configs": _labels(names),
            },
            itself("prometheus", 9090),
            itself("alertmanager", ALERTMANAGER_PORT),
        ],
    }


def _labels(names: Names) -> list[Rule]:
    """Colour, service and instance id of a target, from its instance's tags."""
    return [
        {"source_labels": ["__meta_ec2_tag_cutover_colour"], "target_label": "colour"},
        {
            "source_labels": ["__meta_ec2_tag_Name"],
            "regex": f"{names.prefix}-([a-z]+)(?:-(?:{'|'.join(COLOURS)}))?",
            "target_label": "service",
        },
        {"source_labels": ["__meta_ec2_instance_id"], "target_label": "instance_id"},
    ]
