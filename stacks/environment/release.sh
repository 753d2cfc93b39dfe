# The release on one instance: `release` brings an image up, `stop` stops what runs, `start` starts it again.
# Run Command puts the parameters and the environment's addresses above these lines (see release.py). Every action
# may be repeated: it ends in the same state. Nothing here prints a secret or puts one on a command line.
set -euo pipefail
umask 077

say() { printf 'release: %s\n' "$*"; }
fail() { printf 'release: %s\n' "$*" >&2; exit 1; }

home="${CUTOVER_HOME:-/opt/cutover}"
mkdir -p "$home"
cd "$home"

# metadata PATH: a value of the instance's metadata service, by version 2 of its protocol.
metadata() {
  python3 - "${AWS_EC2_METADATA_SERVICE_ENDPOINT:-http://169.254.169.254}" "$1" << 'PYTHON'
import sys
from urllib.request import Request, urlopen

base, path = sys.argv[1].rstrip("/"), sys.argv[2]
lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
with urlopen(Request(f"{base}/latest/api/token", method="PUT", headers=lifetime), timeout=5) as answer:
    token = answer.read().decode()
with urlopen(Request(f"{base}/latest/meta-data/{path}", headers={"X-aws-ec2-metadata-token": token}), timeout=5) as answer:
    print(answer.read().decode())
PYTHON
}

# A new instance may be asked for a release while its user data still installs Docker.
installed() {
  command -v cloud-init > /dev/null || return 0
  cloud-init status --wait > /dev/null ||
    say "cloud-init did not end well: /var/log/cloud-init-output.log on the instance says why"
}

# Writes the containers' environment: settings, addresses and, under the instance's own role, the secrets.
render_environment() {
  python3 - "$home/$SERVICE.env" << 'PYTHON'
import json
import os
import re
import subprocess
import sys
from urllib.parse import quote

given = os.environ


def secret(name):
    command = ["aws", "secretsmanager", "get-secret-value", "--region", given["REGION"], "--secret-id", name]
    done = subprocess.run([*command, "--query", "SecretString", "--output", "text"], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"release: the secret {name} cannot be read")
    return done.stdout.rstrip("\n")


def line(name, value):
    if "\n" in value or "'" in value:
        sys.exit(f"release: the value of {name} holds a quote or a line break")
    plain = re.fullmatch(r"[A-Za-z0-9_./:@?&=%,+*-]*", value)
    return f"{name}={value}\n" if plain else f"{name}='{value}'\n"


def stores():
    user = json.loads(secret(given["DATABASE_SECRET"]))
    account = f"{quote(user['username'], safe='')}:{quote(user['password'], safe='')}"
    database = f"{given['DATABASE_ENDPOINT']}:{given['DATABASE_PORT']}/{given['DATABASE_NAME']}"
    redis = f"{given['REDIS_ENDPOINT']}:{given['REDIS_PORT']}"
    return {
        "MONGO_URL": f"mongodb://{account}@{database}?{given['DATABASE_OPTIONS']}",
        "REDIS_URL": f"rediss://:{quote(secret(given['REDIS_SECRET']), safe='')}@{redis}/0",
        "JWT_SECRET": secret(given["JWT_SECRET_NAME"]),
        "DATABASE_NAME": given["DATABASE_NAME"],
        "FILES_BUCKET": given["FILES_BUCKET"],
    }


values = {"RELEASE_VERSION": given["VERSION"], "AWS_REGION": given["REGION"]}
if given["SERVICE"] == "backend":
    values |= stores()
# Where this machine finds AWS and whom it trusts holds for its containers too.
for name in ("AWS_ENDPOINT_URL", "AWS_EC2_METADATA_SERVICE_ENDPOINT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"):
    if given.get(name):
        values[name] = given[name]
settings = {"NODE_ENV": given["ENVIRONMENT"], **json.loads(given["DEFAULT_SETTINGS"]), **json.loads(given["SETTINGS"])}
for name, value in settings.items():
    if name in values:
        sys.exit(f"release: the settings may not set {name}: the release does")
    if not re.fullmatch(r"[A-Z][A-Z0-9_]*", name) or not isinstance(value, str):
        sys.exit(f"release: the setting {name} must be NAME: \"text\"")
text = "".join(line(name, value) for name, value in sorted({**settings, **values}.items()))
draft = f"{sys.argv[1]}.new"
with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
    file.write(text)
os.replace(draft, sys.argv[1])
PYTHON
}

# The digest is the release's identity: what was pulled must carry the one that was asked for.
check_digest() {
  docker image inspect "$IMAGE" | python3 -c '
import json, sys
wanted = sys.argv[1]
found = [digest for image in json.load(sys.stdin) for digest in image.get("RepoDigests") or []]
if wanted not in found:
    sys.exit(f"release: asked for {wanted}, got {found}")
' "$IMAGE"
}

# What compose.yaml refers to, kept for a later stop or start.
remember() {
  printf 'IMAGE=%s\nENV_FILE=%s\nINSTANCE_ADDRESS=%s\nENVIRONMENT=%s\nCOLOUR=%s\n' \
    "$IMAGE" "$home/$SERVICE.env" "$address" "$ENVIRONMENT" "$COLOUR" > "$home/release.env.new"
  mv "$home/release.env.new" "$home/release.env"
}

compose() {
  set -a
  # shellcheck source=/dev/null
  . "$home/release.env"
  set +a
  docker compose "$@"
}

up() {
  if ! compose up -d --wait --wait-timeout "$WAIT_SECONDS" --remove-orphans; then
    compose ps --all || true
    # The last words of each container, which are nowhere else.
    compose logs --tail 5 >&2 || true
    fail "the containers of $VERSION did not become healthy within $WAIT_SECONDS s"
  fi
}

register() {
  local group instance port targets=()
  case "$COLOUR" in
    blue) group="$BLUE_TARGET_GROUP" ;;
    green) group="$GREEN_TARGET_GROUP" ;;
    *) fail "colour is '$COLOUR': use blue or green" ;;
  esac
  instance="${AWS_SSM_INSTANCE_ID:-$(metadata instance-id)}"
  # Nobody else does: until here the instance is no target. One that is registered stays as it is.
  for ((port = FIRST_PORT; port < FIRST_PORT + CONTAINERS; port++)); do
    targets+=("Id=$instance,Port=$port")
  done
  aws elbv2 register-targets --region "$REGION" --target-group-arn "$group" --targets "${targets[@]}"
}

case "$ACTION" in
  release)
    [ -n "$IMAGE" ] || fail "no image is given"
    installed
    address="$(metadata local-ipv4)"
    say "$DEPLOYMENT: environment of $VERSION"
    render_environment
    printf '%s\n' "$COMPOSE" > "$home/compose.yaml"
    remember
    say "$DEPLOYMENT: pulling $IMAGE"
    aws ecr get-login-password --region "$REGION" | docker login --username AWS --password-stdin "${IMAGE%%/*}"
    docker pull --quiet "$IMAGE"
    check_digest
    say "$DEPLOYMENT: starting $CONTAINERS containers"
    up
    say "$DEPLOYMENT: registering them with $COLOUR"
    register
    say "$DEPLOYMENT: $VERSION is up on $address"
    ;;
  start)
    [ -f "$home/release.env" ] || fail "nothing was ever released here"
    say "$DEPLOYMENT: starting what was released"
    up
    register
    ;;
  stop)
    if [ -f "$home/release.env" ]; then
      say "$DEPLOYMENT: stopping"
      # While the others still answer it tells what they have answered since it told last.
      [ "$SERVICE" != backend ] || compose stop metrics || say "the last metrics were not told"
      compose stop
    fi
    say "$DEPLOYMENT: nothing runs"
    ;;
  *) fail "action is '$ACTION': use release, stop or start" ;;
esac
