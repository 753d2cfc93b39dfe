# The errors of the backend's log on one instance, grouped: one JSON object on standard output, with `kept_since`, the
# moment from which the log is there. Run Command puts the parameters and what is baked in above these lines (see
# error_log.py). It reads only: no line leaves the instance but an example of each pattern.
set -euo pipefail
umask 077

fail() { printf 'error log: %s\n' "$*" >&2; exit 1; }

home="${CUTOVER_HOME:-/opt/cutover}"
[ -f "$home/release.env" ] || fail "nothing was ever released here"
cd "$home"
set -a
# shellcheck source=/dev/null
. "$home/release.env"
set +a

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
printf '%s\n' "$LOG_PATTERNS" > "$folder/log_patterns.py"
PYTHONPATH="$folder" PYTHONDONTWRITEBYTECODE=1 python3 - << 'PYTHON'
import json
import os
import subprocess
import sys
from datetime import datetime, timezone

from log_patterns import grouped


def moment(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


spans = [tuple(moment(end) for end in span.split("/")) for span in os.environ["SPANS"].split(",")]
services = [f"backend-{number}" for number in range(1, int(os.environ["CONTAINERS"]) + 1)]
command = ["docker", "compose", "logs", "--no-color", "--no-log-prefix", *services]
with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", errors="replace") as logs:
    found = grouped(logs.stdout, spans)
if logs.returncode:
    sys.exit(f"error log: docker compose logs ended with {logs.returncode}")
# The release brought new containers, and with them new logs.
since = datetime.fromtimestamp(os.stat("release.env").st_mtime, timezone.utc)
# Characters and not bytes are what Run Command counts, and it keeps 24,000.
sys.stdout.reconfigure(encoding="utf-8")
print(json.dumps({**found, "kept_since": since.isoformat(timespec="milliseconds")}, ensure_ascii=False))
PYTHON
