"""Alertmanager's configuration: every alert goes to one SNS topic, with its severity as an attribute.

Who hears of what (F2: Slack, e-mail, SMS, PagerDuty) is decided by the topic's subscriptions, which filter by
`severity`. The host's role may publish, so that no secret is in this file.
https://prometheus.io/docs/alerting/latest/configuration/#sns_config
"""

from typing import Any

from stacks.environment.tier import ENDPOINT
from stacks.naming import Names

RECEIVERS = ("critical", "warning")


def alertmanager(names: Names) -> dict[str, Any]:
    """alertmanager.yml. What is neither critical nor a warning goes out as a warning."""
    return {
        "route": {
            "receiver": "warning",
            "group_by": ["alertname", "colour"],
            "group_wait": "1m",
            "group_interval": "5m",
            "repeat_interval": "12h",
            "routes": [
                {
                    "receiver": "critical",
                    "matchers": ['severity="critical"'],
                    "group_wait": "10s",
                    "group_interval": "1m",
                    "repeat_interval": "1h",
                }
            ],
        },
        "inhibit_rules": [
            # Who is told of the failure need not hear of its signs.
            {
                "source_matchers": ['severity="critical"'],
                "target_matchers": ['severity="warning"'],
                "equal": ["colour"],
            }
        ],
        "receivers": [
            {
                "name": severity,
                "sns_configs": [
                    {
                        "api_url": ENDPOINT,
                        "sigv4": {"region": names.region},
                        "topic_arn": names.alerts_topic_arn,
                        "send_resolved": True,
                        # SNS takes 100 characters.
                        "subject": f"{names.environment}: {{{{ .GroupLabels.alertname }}}} "
                        "{{ .GroupLabels.colour }} {{ .Status }}",
                        "message": "{{ range .Alerts }}{{ .Status }}: {{ .Annotations.summary }} "
                        "(since {{ .StartsAt }}; {{ .Annotations.runbook }})\n{{ end }}",
                        "attributes": {"severity": severity, "environment": names.environment},
                    }
                ],
            }
            for severity in RECEIVERS
        ],
    }
