"""Migrations that travel with the release: a slow back-fill that people can follow, and one that breaks the
version that is live. It comes last: what it leaves in the database's ledger, no other source brings along."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pymongo
import pytest

from cli.execution import Request, start
from cli.source import upload

pytestmark = pytest.mark.timeout(900)  # a release, and another that is stopped

BACKEND = Path(__file__).resolve().parents[2] / "examples" / "backend"
DOCUMENTS = 2500  # at 10 ms each longer than one call of the function works
BACKFILL = '''
"""Give every evaluation a grade."""

import time

kind = "expand"


def grade(document):
    if "grade" in document:
        return None
    time.sleep(0.01)
    return {"$set": {"grade": "none"}}


def up(database, progress):
    progress.transform("evaluations", {}, ["grade"], grade)


def down(database, progress):
    progress.update("evaluations", {}, {"$unset": {"grade": ""}})
'''
BREAKING = '''
"""Keep the algorithm beside the hash, which no version before knows how to read."""

kind = "expand"


def wrap(document):
    found = document["password_hash"]
    return None if isinstance(found, dict) else {"$set": {"password_hash": {"scrypt": found}}}


def unwrap(document):
    found = document["password_hash"]
    return {"$set": {"password_hash": found["scrypt"]}} if isinstance(found, dict) else None


def up(database, progress):
    progress.transform("users", {}, ["password_hash"], wrap)


def down(database, progress):
    progress.transform("users", {}, ["password_hash"], unwrap)
'''


@pytest.fixture(scope="module")
def database(product, limits_off):
    """The database of an environment with a live release, as its administrator."""
    product.given_live()
    secret = product.root("secretsmanager").get_secret_value(SecretId="cutover-sandbox/database-admin")
    admin = json.loads(secret["SecretString"])
    (cluster,) = product.root("docdb").describe_db_clusters(DBClusterIdentifier="cutover-sandbox")[
        "DBClusters"
    ]
    client = pymongo.MongoClient(
        cluster["Endpoint"],
        cluster["Port"],
        username=admin["username"],
        password=admin["password"],
        tls=True,
        tlsCAFile=str(product.settings.pki / "ca.pem"),
        replicaSet="rs0",
        retryWrites=False,
    )
    yield client[product.environment.configuration.database.name]
    client.close()


def source_with(product, folder, **migrations):
    shutil.copytree(BACKEND, folder)
    for name, text in migrations.items():
        (folder / "migrations" / f"{name}.py").write_text(text.lstrip(), encoding="utf-8")
    return folder


def phase_2(record):
    (found,) = [phase for phase in record["phases"] if phase["number"] == 2]
    return {gate["name"]: gate for gate in found["gates"]}


def planned_approved_and_executed(product, version, folder):
    """What `cutover deploy` of exactly that plan told, and that the plan holds once."""
    with product.asks_for_approval(), ThreadPoolExecutor(1) as beside:
        plan = product.cutover("plan", "sandbox", "--version", version, "--source", str(folder), "--json")
        assert plan.returncode == 0, plan.stderr
        execute = ("deploy", "sandbox", "--plan", json.loads(plan.stdout)["sha256"])
        deploying = beside.submit(product.cutover, *execute)
        name = product.asked()
        done = product.cutover("approve", "sandbox", name, "--reason", "the plan is sound")
        assert done.returncode == 0, done.stderr
        deployed = deploying.result()
        again = product.cutover(*execute)
    approval = product.record(product.execution_arn_of(name))["approval"]
    assert (approval["status"], approval["by"].endswith("user/operator")) == ("APPROVED", True)
    assert again.returncode == 3, again.stdout + again.stderr
    assert "live release" in again.stderr
    return deployed


def test_a_slow_back_fill_is_followed_and_one_that_breaks_what_is_live_is_undone(product, database, tmp_path):
    database.evaluations.insert_many(
        [
            {"_id": f"slow-{n:05}", "user_id": "u", "model_id": "m", "status": "failed"}
            for n in range(DOCUMENTS)
        ]
    )

    folder = source_with(product, tmp_path / "slow", **{"0001_grade_of_evaluations": BACKFILL})
    done = planned_approved_and_executed(product, "v41", folder)
    assert done.returncode == 0, done.stderr or done.stdout
    assert "0001_grade_of_evaluations" in done.stdout
    assert " %" in done.stdout
    # The smoke tests of both versions write evaluations of their own.
    ungraded = {"_id": {"$regex": "^slow-"}, "grade": {"$exists": False}}
    assert database.evaluations.count_documents(ungraded) == 0
    assert product.live()["version"] == "v41"
    schedules = product.root("scheduler").list_schedules(GroupName="cutover-sandbox-contractions")[
        "Schedules"
    ]
    assert {each["Name"] for each in schedules} >= {product.live()["deployment"]}

    before = list(database.users.find())
    folder = source_with(
        product,
        tmp_path / "breaking",
        **{"0001_grade_of_evaluations": BACKFILL, "0002_algorithm_of_passwords": BREAKING},
    )
    source = upload(product.environment, folder)
    execution_arn = start(product.environment, Request("sandbox", "v42", "deploy", source=source))
    ended = product.end_of(execution_arn)
    assert (ended.status, ended.error) == ("FAILED", "GateFailedError")
    assert "v41 on the new schema: Login" in ended.cause
    found = phase_2(product.record(execution_arn))
    assert "0002_algorithm_of_passwords" in found["The expansion is undone"]["found"]
    assert found["The expansion is undone"]["verdict"] == "Pass"
    assert list(database.users.find()) == before
    assert database.evaluations.count_documents(ungraded) == 0, "v41's own migration was undone"
    assert product.live()["version"] == "v41"
