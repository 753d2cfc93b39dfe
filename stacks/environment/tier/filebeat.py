"""Filebeat's configuration: every container's log, with what the instance is, to Logstash.

https://www.elastic.co/guide/en/beats/filebeat/8.15/filebeat-input-filestream.html
"""

from typing import Any

from stacks.environment.security import BEATS_PORT
from stacks.naming import Names


def filebeat(names: Names) -> dict[str, Any]:
    """filebeat.yml; what is in ${} Filebeat takes from its environment."""
    return {
        "filebeat.inputs": [
            {
                "type": "filestream",
                "id": "containers",
                "paths": ["/var/lib/docker/containers/*/*-json.log"],
                "parsers": [{"container": {"stream": "all", "format": "docker"}}],
                "fields_under_root": True,
                "fields": {
                    "environment": names.environment,
                    "service_name": "${SERVICE:}",
                    "colour": "${COLOUR:}",
                },
            }
        ],
        "output.logstash": {"hosts": [f"${{LOGSTASH}}:{BEATS_PORT}"]},
        "logging.level": "warning",
    }


def retention(names: Names, days: int) -> dict[str, Any]:
    """The index template of the logs' data stream: what is older than `days` is deleted.

    https://www.elastic.co/guide/en/elasticsearch/reference/8.15/data-stream-lifecycle.html
    """
    return {
        "index_patterns": [f"logs-cutover-{names.environment}*"],
        "data_stream": {},
        # Before Elasticsearch's own template for logs-*-*, which has 100.
        "priority": 200,
        "template": {"lifecycle": {"data_retention": f"{days}d"}},
    }
