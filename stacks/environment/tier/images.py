"""The images of the monitoring tier, each pinned to a version.

By tag: a digest is only known to who can ask the registry, which no synthesis does. Put `@sha256:…` behind a
tag here to hold it to one digest.
"""

ELASTIC = "8.15.3"
#: By the service's name in the compose files.
HOST_IMAGES = {
    "prometheus": "prom/prometheus:v2.53.2",
    "alertmanager": "prom/alertmanager:v0.27.0",
    "grafana": "grafana/grafana:11.2.2",
    "elasticsearch": f"docker.elastic.co/elasticsearch/elasticsearch:{ELASTIC}",
    "logstash": f"docker.elastic.co/logstash/logstash:{ELASTIC}",
    "kibana": f"docker.elastic.co/kibana/kibana:{ELASTIC}",
}
INSTANCE_IMAGES = {"filebeat": f"docker.elastic.co/beats/filebeat:{ELASTIC}"}
