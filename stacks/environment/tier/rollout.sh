# Brings the monitoring tier to its host, and Filebeat to the instances. Run Command puts the parameters and what
# is the same for every rollout above these lines (see document.py). It may be repeated: compose recreates only
# what has changed. What can't be had is named, and the rest runs without it; then the command counts as failed.
set -euo pipefail
umask 022

say() { printf 'monitoring: %s\n' "$*"; }
fail() { printf 'monitoring: %s\n' "$*" >&2; exit 1; }

# A new instance may be asked while its user data still installs Docker.
installed() {
  command -v cloud-init > /dev/null || return 0
  cloud-init status --wait > /dev/null ||
    say "cloud-init did not end well: /var/log/cloud-init-output.log on the instance says why"
}

# write_files JSON: {path: text}, with the host's address and where it finds AWS filled in.
write_files() {
  FILES="$1" python3 - << 'PYTHON'
import json
import os
from pathlib import Path

for name, text in json.loads(os.environ["FILES"]).items():
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = text.replace("@INSTANCE_ADDRESS@", os.environ["ADDRESS"])
    text = text.replace("@AWS_ENDPOINT_URL@", os.environ.get("AWS_ENDPOINT_URL", ""))
    draft = path.with_name(f"{path.name}.new")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)
PYTHON
}

# Grafana's first password comes from the secret store, and stands in no file of ours but this.
grafana_environment() {
  local password
  password="$(aws secretsmanager get-secret-value --region "$REGION" --secret-id "$GRAFANA_SECRET" \
    --query SecretString --output text)" || fail "the secret $GRAFANA_SECRET cannot be read"
  (umask 077 && printf "GF_SECURITY_ADMIN_PASSWORD='%s'\n" "$password" > grafana.env.new)
  mv grafana.env.new grafana.env
}

# Old logs are deleted by Elasticsearch itself, which takes a while to come up.
keep_logs() {
  curl --fail --silent --show-error --output /dev/null --retry 60 --retry-delay 2 --retry-connrefused \
    --request PUT --header 'Content-Type: application/json' --data @elasticsearch/retention.json \
    http://127.0.0.1:9200/_index_template/cutover-logs || fail "Elasticsearch does not take its index template"
}

# start NAME=IMAGE...: starts the services whose images can be had.
start() {
  local pair name image why present=() missing=()
  for pair in "$@"; do
    name="${pair%%=*}" image="${pair#*=}"
    if docker image inspect "$image" > /dev/null 2>&1 || why="$(docker pull --quiet "$image" 2>&1)"; then
      present+=("$name")
    else
      missing+=("$name")
      say "$image: ${why##*$'\n'}"
    fi
  done
  if [ "${#present[@]}" -gt 0 ] &&
    ! docker compose up -d --wait --wait-timeout 120 --remove-orphans "${present[@]}"; then
    docker compose ps --all || true
    docker compose logs --tail 5 >&2 || true
    fail "not running: ${present[*]} ${missing[*]}"
  fi
  say "running: ${present[*]}"
  for name in "${present[@]}"; do
    if [ "$name" = elasticsearch ]; then keep_logs; fi
  done
  if [ "${#missing[@]}" -gt 0 ]; then fail "not running: ${missing[*]}"; fi
}

installed
root="${CUTOVER_HOME:-/opt/cutover}"
mkdir -p "$root/monitoring"
cd "$root/monitoring"
if [ "$AWS_SSM_INSTANCE_ID" = "$HOST" ]; then
  say "$DEPLOYMENT: the monitoring tier, on $ADDRESS"
  export INSTANCE_ADDRESS="$ADDRESS"
  write_files "$HOST_FILES"
  grafana_environment
  # shellcheck disable=SC2086
  start $HOST_IMAGES
else
  say "$DEPLOYMENT: logs go to $ADDRESS"
  export LOGSTASH="$ADDRESS" COLOUR="" SERVICE=""
  if [ -f "$root/release.env" ]; then
    COLOUR="$(sed -n 's/^COLOUR=//p' "$root/release.env")"
    SERVICE="$(sed -n 's/^ENV_FILE=.*\/\(.*\)\.env$/\1/p' "$root/release.env")"
  fi
  write_files "$INSTANCE_FILES"
  # shellcheck disable=SC2086
  start $INSTANCE_IMAGES
fi
