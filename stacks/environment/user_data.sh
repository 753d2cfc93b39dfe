#!/bin/bash
# What an instance does at its first start: Docker 24+ with compose, the AWS CLI, the SSM and CloudWatch agents.
# No release and no secret is in here; those come by Run Command.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

apt-get update -q
# The node exporter tells Prometheus of CPU, memory and disk (C4a); it listens on 9100.
apt-get install -qy docker.io docker-compose-v2 python3 curl ca-certificates prometheus-node-exporter
# A container may serve port 80 without being root.
echo 'net.ipv4.ip_unprivileged_port_start=80' > /etc/sysctl.d/60-ports.conf
sysctl --quiet --load=/etc/sysctl.d/60-ports.conf
snap install aws-cli --classic
# Ubuntu's images carry the SSM agent as a snap.
snap list amazon-ssm-agent > /dev/null 2>&1 || snap install amazon-ssm-agent --classic
snap start --enable amazon-ssm-agent
systemctl enable --now docker
docker_version="$(docker version --format '{{.Server.Version}}')"
if [ "${docker_version%%.*}" -lt 24 ]; then
  echo "Docker is $docker_version; 24 or newer is needed" >&2
  exit 1
fi
docker compose version

curl --fail --silent --show-error --retry 5 --output /tmp/amazon-cloudwatch-agent.deb \
  https://amazoncloudwatch-agent-@REGION@.s3.@REGION@.amazonaws.com/ubuntu/amd64/latest/amazon-cloudwatch-agent.deb
dpkg --install /tmp/amazon-cloudwatch-agent.deb
# The memory alarm asks for mem_used_percent by the group's name alone, so that is how it is aggregated.
cat > /opt/aws/amazon-cloudwatch-agent/etc/amazon-cloudwatch-agent.json << 'JSON'
{
  "agent": {"metrics_collection_interval": 60},
  "metrics": {
    "namespace": "CWAgent",
    "append_dimensions": {"AutoScalingGroupName": "${aws:AutoScalingGroupName}"},
    "aggregation_dimensions": [["AutoScalingGroupName"]],
    "metrics_collected": {
      "mem": {"measurement": ["mem_used_percent"]},
      "disk": {"measurement": ["used_percent"], "resources": ["/"]}
    }
  }
}
JSON
/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl -a fetch-config -m ec2 -s \
  -c file:/opt/aws/amazon-cloudwatch-agent/etc/amazon-cloudwatch-agent.json
