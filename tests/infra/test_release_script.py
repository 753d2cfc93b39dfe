"""release.sh, run for real with stand-ins for `aws` and `docker` that write down how they were called."""

import json
import stat
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from stacks.constructs.command import script
from stacks.environment.release import PARAMETERS, SCRIPT

DIGEST = "sha256:" + "ab" * 32
IMAGE = f"123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/cutover-test-backend@{DIGEST}"
SECRETS = {
    "cutover-test/database-application": json.dumps({"username": "app_user", "password": "p@ss/word"}),
    "cutover-test/redis": "redis-token",
    "cutover-test/jwt": "j" * 64,
}
BAKED = {
    "SERVICE": "backend",
    "ENVIRONMENT": "test",
    "REGION": "ap-northeast-2",
    "DATABASE_ENDPOINT": "db.example.com",
    "DATABASE_PORT": "27017",
    "DATABASE_NAME": "online_evaluation_test",
    "DATABASE_OPTIONS": "tls=true&replicaSet=rs0",
    "DATABASE_SECRET": "cutover-test/database-application",
    "REDIS_ENDPOINT": "redis.example.com",
    "REDIS_PORT": "6379",
    "REDIS_SECRET": "cutover-test/redis",
    "JWT_SECRET_NAME": "cutover-test/jwt",
    "FILES_BUCKET": "cutover-test-files",
    "BLUE_TARGET_GROUP": "arn:blue",
    "GREEN_TARGET_GROUP": "arn:green",
    "FIRST_PORT": "8000",
    "CONTAINERS": "3",
    "WAIT_SECONDS": "60",
    "DEFAULT_SETTINGS": json.dumps({"LOG_LEVEL": "INFO", "CACHE_TTL": "300"}),
    "COMPOSE": "services:\n  backend-1:\n    image: ${IMAGE}",
}
STAND_IN = (
    f"#!{sys.executable} -IS\n"
    + """import json, os, sys
from pathlib import Path
here = Path(os.environ["STAND_IN"])
stdin = sys.stdin.read() if "--password-stdin" in sys.argv else ""
given = {name: os.environ.get(name) for name in ("IMAGE", "ENV_FILE", "INSTANCE_ADDRESS")}
with open(here / "calls.jsonl", "a") as file:
    file.write(json.dumps({"argv": [Path(sys.argv[0]).name, *sys.argv[1:]], "stdin": stdin, "given": given}) + "\\n")
answers = json.loads((here / "answers.json").read_text())
call = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
for words, (code, text) in answers.items():
    if all(word in call for word in words.split("|")):
        print(text)
        sys.exit(code)
"""
)


class Metadata(BaseHTTPRequestHandler):
    """Version 2 of the metadata service: no token, no answer."""

    def do_PUT(self):
        self.answer(200, "token")

    def do_GET(self):
        if self.headers.get("X-aws-ec2-metadata-token") != "token":
            self.answer(401, "")
        else:
            values = {"local-ipv4": "10.1.10.7", "instance-id": "i-0123456789abcdef0"}
            self.answer(200, values[self.path.rpartition("/")[2]])

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def metadata():
    server = HTTPServer(("127.0.0.1", 0), Metadata)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


class Instance:
    """A machine to run the script on."""

    def __init__(self, root: Path, metadata: str) -> None:
        self.root, self.metadata = root, metadata
        self.home = root / "home"
        self.baked = BAKED
        self.answers: dict[str, tuple[int, str]] = {
            **{f"get-secret-value|{name} ": (0, value) for name, value in SECRETS.items()},
            "ecr|get-login-password": (0, "login-token"),
            "docker|image|inspect": (0, json.dumps([{"RepoDigests": [IMAGE]}])),
        }
        for name in ("aws", "docker"):
            path = root / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(STAND_IN)
            path.chmod(0o755)

    def run(self, action: str, **parameters: str) -> subprocess.CompletedProcess[str]:
        (self.root / "calls.jsonl").write_text("")
        (self.root / "answers.json").write_text(json.dumps(self.answers))
        given = {
            "Action": action,
            "Deployment": "d-1",
            "Version": "",
            "Image": "",
            "Settings": "{}",
            "Colour": "",
        }
        text = "\n".join(script(PARAMETERS, self.baked, SCRIPT))
        for name, value in {**given, **parameters}.items():
            text = text.replace(f"{{{{ {name} }}}}", value)
        file = self.root / "script.sh"
        file.write_text(text)
        file.chmod(0o700)
        environment = {
            "PATH": f"{self.root / 'bin'}:{Path(sys.executable).parent}:/usr/bin:/bin",
            "STAND_IN": str(self.root),
            "CUTOVER_HOME": str(self.home),
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.metadata,
        }
        return subprocess.run(
            [str(file)], env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    def release(self, **parameters: str) -> subprocess.CompletedProcess[str]:
        return self.run("release", **{"Version": "v2", "Image": IMAGE, "Colour": "green", **parameters})

    @property
    def calls(self) -> list[dict]:
        return [json.loads(line) for line in (self.root / "calls.jsonl").read_text().splitlines()]

    def called(self, *words: str) -> list[dict]:
        return [call for call in self.calls if all(word in call["argv"] for word in words)]

    @property
    def environment(self) -> dict[str, str]:
        text = (self.home / "backend.env").read_text()
        return dict(line.split("=", 1) for line in text.splitlines())


@pytest.fixture
def instance(tmp_path, metadata):
    return Instance(tmp_path, metadata)


def test_a_release_ends_with_the_containers_up_and_registered(instance):
    done = instance.release()
    assert done.returncode == 0, done.stderr
    order = [" ".join(call["argv"][:3]) for call in instance.calls]
    steps = ["docker login --username", "docker pull --quiet", "docker image inspect", "docker compose up"]
    assert [step for step in order if step in steps] == steps
    assert order[-1] == "aws elbv2 register-targets"
    (up,) = instance.called("compose", "up")
    assert {"-d", "--wait", "--wait-timeout", "60"} <= set(up["argv"])
    assert up["given"] == {
        "IMAGE": IMAGE,
        "ENV_FILE": str(instance.home / "backend.env"),
        "INSTANCE_ADDRESS": "10.1.10.7",
    }
    assert (instance.home / "compose.yaml").read_text() == BAKED["COMPOSE"] + "\n"


def test_every_port_is_registered_with_the_colours_target_group(instance):
    """Nobody else does, and a target can be registered again.
    https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_RegisterTargets.html
    """
    instance.release()
    (call,) = instance.called("register-targets")
    assert call["argv"][call["argv"].index("--target-group-arn") + 1] == "arn:green"
    targets = [word for word in call["argv"] if word.startswith("Id=")]
    assert targets == [f"Id=i-0123456789abcdef0,Port={port}" for port in (8000, 8001, 8002)]


def test_the_environment_file_holds_settings_addresses_and_secrets(instance):
    instance.release(Settings='{"FAULT": "errors", "LOG_LEVEL": "DEBUG"}')
    assert instance.environment == {
        "MONGO_URL": "mongodb://app_user:p%40ss%2Fword@db.example.com:27017/online_evaluation_test"
        "?tls=true&replicaSet=rs0",
        "REDIS_URL": "rediss://:redis-token@redis.example.com:6379/0",
        "JWT_SECRET": "j" * 64,
        "DATABASE_NAME": "online_evaluation_test",
        "FILES_BUCKET": "cutover-test-files",
        "RELEASE_VERSION": "v2",
        "AWS_REGION": "ap-northeast-2",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": instance.metadata,
        "NODE_ENV": "test",
        "CACHE_TTL": "300",
        "FAULT": "errors",
        "LOG_LEVEL": "DEBUG",
    }


def test_only_the_owner_reads_what_the_release_writes(instance):
    instance.release()
    for path in instance.home.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_no_secret_is_printed_or_stands_on_a_command_line(instance):
    done = instance.release()
    for secret in ("p@ss/word", "p%40ss", "redis-token", "j" * 64, "login-token"):
        assert secret not in done.stdout + done.stderr
        assert not any(secret in " ".join(call["argv"]) for call in instance.calls)
    (login,) = instance.called("login")
    assert login["stdin"].strip() == "login-token"


def test_a_release_can_be_repeated(instance):
    instance.release()
    first = instance.environment, [call["argv"] for call in instance.calls]
    assert instance.release().returncode == 0
    assert (instance.environment, [call["argv"] for call in instance.calls]) == first


def test_another_digest_than_the_wanted_one_is_refused_before_anything_starts(instance):
    instance.answers["docker|image|inspect"] = (
        0,
        json.dumps([{"RepoDigests": ["other@sha256:" + "0" * 64]}]),
    )
    done = instance.release()
    assert done.returncode != 0
    assert f"asked for {IMAGE}" in done.stderr
    assert not instance.called("compose", "up")


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_that_cannot_be_read_is_named_and_nothing_starts(instance, secret):
    instance.answers[f"get-secret-value|{secret} "] = (254, "")
    done = instance.release()
    assert done.returncode != 0
    assert secret in done.stderr
    assert not instance.called("docker")


def test_containers_that_do_not_become_healthy_fail_the_release(instance):
    instance.answers["docker|compose|up"] = (1, "container backend-1 is unhealthy")
    done = instance.release()
    assert done.returncode == 1
    assert "did not become healthy within 60 s" in done.stderr
    assert instance.called("compose", "ps")
    assert not instance.called("register-targets")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ('{"MONGO_URL": "mongodb://elsewhere"}', "may not set MONGO_URL"),
        ('{"cache": "1"}', "the setting cache must be NAME"),
        ('{"CACHE_TTL": 5}', "the setting CACHE_TTL must be NAME"),
    ],
)
def test_settings_that_are_not_a_releases_own_are_refused(instance, settings, words):
    done = instance.release(Settings=settings)
    assert done.returncode != 0
    assert words in done.stderr
    assert not (instance.home / "backend.env").exists()
    assert not instance.called("docker")


def test_a_release_of_the_frontend_reads_no_secret_and_writes_its_own_file(instance):
    stores = ("DATABASE_", "REDIS_", "JWT_", "FILES_")
    instance.baked = {
        **{name: value for name, value in BAKED.items() if not name.startswith(stores)},
        "SERVICE": "frontend",
        "FIRST_PORT": "80",
        "CONTAINERS": "1",
        "DEFAULT_SETTINGS": json.dumps({"API_URL": "https://api.example.com"}),
    }
    done = instance.release()
    assert done.returncode == 0, done.stderr
    assert not instance.called("get-secret-value")
    lines = (instance.home / "frontend.env").read_text().splitlines()
    assert {"API_URL=https://api.example.com", "RELEASE_VERSION=v2"} <= set(lines)
    assert not any(line.startswith(("MONGO_URL", "REDIS_URL", "JWT_SECRET")) for line in lines)
    (call,) = instance.called("register-targets")
    assert "Id=i-0123456789abcdef0,Port=80" in call["argv"]


def test_a_value_with_spaces_is_quoted(instance):
    instance.release(Settings='{"GREETING": "hello # world $HOME"}')
    assert instance.environment["GREETING"] == "'hello # world $HOME'"


def test_a_stop_stops_the_containers_and_keeps_them(instance):
    instance.release()
    done = instance.run("stop")
    assert done.returncode == 0, done.stderr
    stop = ["docker", "compose", "stop"]
    assert [call["argv"] for call in instance.calls] == [[*stop, "metrics"], stop]


def test_metrics_that_do_not_stop_stop_nothing_else(instance):
    instance.release()
    instance.answers["docker|compose|stop|metrics"] = (1, "no such service: metrics")
    done = instance.run("stop")
    assert done.returncode == 0, done.stderr
    assert instance.calls[-1]["argv"] == ["docker", "compose", "stop"]


def test_a_stop_where_nothing_was_released_has_nothing_to_do(instance):
    done = instance.run("stop")
    assert done.returncode == 0, done.stderr
    assert instance.calls == []


def test_a_start_brings_back_what_was_released_without_pulling(instance):
    instance.release()
    instance.run("stop")
    done = instance.run("start", Colour="green")
    assert done.returncode == 0, done.stderr
    assert instance.called("compose", "up")[0]["given"]["IMAGE"] == IMAGE
    assert not instance.called("pull")


def test_a_start_where_nothing_was_released_fails(instance):
    done = instance.run("start", Colour="green")
    assert done.returncode == 1
    assert "nothing was ever released here" in done.stderr
