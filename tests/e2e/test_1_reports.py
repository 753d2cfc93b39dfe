"""Reports of what the scenarios before have done: by the command, and by the installed function under its own role.

They come last of the main job's: a report that is ready is told to people, and they had to be told nothing else.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

TITLES = ("One-hour checkpoint · sandbox", "1시간 점검 보고서 · sandbox")
KEPT = ("report.json", "report.en.html", "report.ko.html")


@pytest.fixture(scope="module")
def taken_back(product):
    """Given what is live, when each version was rolled back before, as the journal has it."""
    product.given_live()
    lines = [each for each in product.told("history") if each["mode"] != "drill"]
    records = [product.record(product.execution_arn_of(each["id"])) for each in lines]
    return {
        each["version"]: datetime.fromisoformat(each["rollback"]["clock"]["modified_at"])
        for each in records
        if (each.get("rollback") or {}).get("clock")
    }


def this_minute():
    return datetime.now(UTC).replace(second=0, microsecond=0)


def versions(taken_back, document):
    """Those of the report's time, which ends with a whole period."""
    since, until = (datetime.fromisoformat(document[name]) for name in ("since", "until"))
    return {version for version, at in taken_back.items() if since <= at < until}


@pytest.fixture(scope="module")
def published(product, taken_back):
    """When the function is asked as one of its schedules asks it: its answer, and what it has kept by then.

    A report ends with a whole minute, and what is live has had the traffic for one.
    """
    swapped = datetime.fromisoformat(product.live()["swapped_at"])
    product.wait("a whole minute", lambda: this_minute() > swapped, seconds=90)
    asked = json.dumps({"action": "make", "kind": "checkpoint", "until": this_minute().isoformat()})
    answers = [
        json.loads(
            product.root("lambda")
            .invoke(FunctionName="cutover-sandbox-report", Payload=asked.encode())["Payload"]
            .read()
        )
        for _ in range(2)
    ]
    assert answers[0].get("status") == "published", answers[0]
    bucket, _, folder = answers[0]["location"].removeprefix("s3://").partition("/")
    storage = product.root("s3")
    listed = storage.list_objects_v2(Bucket=bucket, Prefix=folder)["Contents"]
    names = {each["Key"].removeprefix(folder) for each in listed}
    assert set(KEPT) <= names
    kept = {name: storage.get_object(Bucket=bucket, Key=folder + name)["Body"].read() for name in names}
    return answers, kept


def test_a_report_that_is_asked_for_twice_is_made_once(published):
    (first, second), _ = published
    assert second == {**first, "status": "nothing"}


def test_the_report_tells_the_rollbacks_that_the_history_tells_and_no_drill(product, published, taken_back):
    document = json.loads(published[1]["report.json"])
    assert document["kind"] == "checkpoint"
    assert {each["version"] for each in document["rollbacks"]} == versions(taken_back, document)
    assert document["release"]["version"] == product.live()["version"]


def test_the_report_counts_the_errors_that_the_alarm_took_back(published, taken_back):
    document = json.loads(published[1]["report.json"])
    if "v3" not in versions(taken_back, document):
        pytest.skip("it looks back on test_1_main_job: run both files together")
    assert document["totals"]["errors"] > 0
    assert document["totals"]["availability"] < 1


def test_the_instances_told_the_function_of_their_errors(published):
    log = json.loads(published[1]["report.json"])["error_log"]
    assert log["problems"] == []
    assert log["answered"] == log["asked"] > 0


def test_the_page_of_the_report_is_there_in_both_languages(published):
    _, kept = published
    assert kept["report.ko.html"].startswith(b'<!doctype html><html lang="ko">')
    assert kept["report.en.html"].startswith(b'<!doctype html><html lang="en">')


def test_the_report_is_mailed_once_as_a_whole_with_its_pictures(product, published):
    _, kept = published
    product.wait("the report's mail", lambda: product.sinks.reports(*TITLES) != [])
    (mail,) = product.sinks.reports(*TITLES)
    assert all(each["version"] in mail.text for each in json.loads(kept["report.json"])["rollbacks"])
    # Of few minutes there may be none.
    assert ("cid:" in mail.html) == any(name.endswith(".png") for name in kept)


def test_the_operator_is_told_of_the_instances_errors_too(product, published):
    done = product.cutover("report", "checkpoint", "sandbox", "--json")
    assert done.returncode == 0, done.stderr
    log = json.loads(done.stdout)["error_log"]
    assert log["problems"] == []
    assert log["answered"] == log["asked"] > 0


def test_the_command_tells_the_same_rollbacks_of_the_same_time(product, published, taken_back):
    trend = product.told("trend", "--period", "2 hours")
    assert {each["version"] for each in trend["rollbacks"]} == versions(taken_back, trend)


def test_the_report_of_the_first_hour_stands_in_the_calendar(product, published):
    schedules = product.root("scheduler").list_schedules(GroupName="cutover-sandbox-reports")["Schedules"]
    assert any(each["Name"].endswith("-checkpoint") for each in schedules)
