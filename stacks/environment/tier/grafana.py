"""Grafana's provisioning (requirement C4b): Prometheus for a datasource, and the dashboard's file."""

import json
from pathlib import Path
from typing import Any

from stacks.environment.tier import ADDRESS
from stacks.naming import Names

DASHBOARD = Path(__file__).with_name("dashboard.json")


def datasources() -> dict[str, Any]:
    """provisioning/datasources/prometheus.yaml.

    https://grafana.com/docs/grafana/latest/administration/provisioning/#data-sources
    """
    return {
        "apiVersion": 1,
        "datasources": [
            {
                "name": "Prometheus",
                "uid": "prometheus",
                "type": "prometheus",
                "access": "proxy",
                "url": f"http://{ADDRESS}:9090",
                "isDefault": True,
                "editable": False,
            }
        ],
    }


def providers() -> dict[str, Any]:
    """provisioning/dashboards/cutover.yaml."""
    return {
        "apiVersion": 1,
        "providers": [
            {
                "name": "cutover",
                "type": "file",
                "disableDeletion": True,
                "allowUiUpdates": False,
                "options": {"path": "/var/lib/grafana/dashboards"},
            }
        ],
    }


def dashboard(names: Names) -> dict[str, Any]:
    """The dashboard, titled with its environment."""
    body: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return {**body, "title": f"{body['title']} of {names.environment}"}
