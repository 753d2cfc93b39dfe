"""The main job: v1 from nothing, v2 with nothing lost, a bad v3 taken back by its alarm, and back by hand."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from cli.source import upload
from sandbox.demo.measurements import rollback_figures, swap_figures

README = Path(__file__).resolve().parents[2] / "README.md"


def commands_of_the_readme(marker: str) -> str:
    """The shell block that follows `<!-- marker -->` in the README."""
    found = re.search(rf"<!-- {marker} -->\n```bash\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert found, f"the README shows no commands under {marker}"
    return found[1]


@pytest.fixture(scope="module")
def v1(product):
    """Given v1, deployed with the very commands that the README shows."""
    script = commands_of_the_readme("start-execution")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True,
        text=True,
        cwd=README.parent,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    execution_arn = json.loads(done.stdout)["executionArn"]
    ended = product.end_of(execution_arn)
    assert ended.status == "SUCCEEDED", f"{ended.error}: {ended.cause}"
    return product.record(execution_arn)


def test_v1_started_with_the_json_of_the_readme_is_live(product, v1):
    assert v1["status"] == "SUCCEEDED"
    live = product.live()
    assert live["version"] == "v1"
    assert product.weights()[live["colour"]] > 0


def test_every_phase_of_v1_is_on_record_with_its_open_gates(v1):
    assert [phase["number"] for phase in v1["phases"]] == [1, 2, 3, 4, 5, 6, 7]
    gates = [gate for phase in v1["phases"] for gate in phase["gates"]]
    assert gates
    assert {gate["verdict"] for gate in gates if gate["must"]} == {"Pass"}
    assert {gate["persona"] for gate in gates} == {"reliability", "performance", "security"}
    (scan,) = (gate for gate in gates if gate["name"] == "The web scan finds nothing critical or high")
    assert (scan["verdict"], scan["found"][:13]) == ("Pass", "schemathesis ")


def test_prometheus_sees_v1_or_the_record_says_that_there_is_none(v1):
    """The sandbox's Prometheus is this machine's (Debian's package), if there is one."""
    gates = {gate["name"]: gate for gate in v1["phases"][3]["gates"]}
    tier = gates["The monitoring tier runs"]
    # No image of Grafana or Elasticsearch can be had here, and each is told by its name.
    assert (tier["verdict"], tier["must"]) == ("Fail", False)
    assert "grafana" in tier["found"]
    assert "filebeat" in tier["found"]
    asked = [gate for gate in gates.values() if gate["requirement"] in ("C4a", "C4b") and not gate["must"]]
    assert len(asked) == 4
    if shutil.which("prometheus"):
        assert {gate["verdict"] for gate in asked} == {"Pass"}, asked
    else:
        assert {gate["verdict"] for gate in asked} == {"Inconclusive"}
        assert all("no Prometheus runs" in gate["found"] for gate in asked)


def test_status_and_watch_tell_what_is_live_for_people_and_for_programs(product, v1):
    text = product.cutover("status", "sandbox")
    assert text.returncode == 0, text.stderr
    assert "v1 is live on" in text.stdout
    document = json.loads(product.cutover("status", "sandbox", "--json").stdout)
    assert document["live"]["version"] == "v1"
    assert document["lock"] is None
    alarms = json.loads(product.cutover("watch", "sandbox", "--json").stdout)["alarms"]
    assert len(alarms) == 20


def test_v1_was_let_on_by_its_go_no_go_board(product, v1):
    board = json.loads(product.cutover("status", "sandbox", "--json").stdout)["board"]
    assert board["verdict"] == "Go"
    assert {each["verdict"] for each in board["personas"].values()} == {"Go"}
    assert {row["verdict"] for row in board["rows"] if row["must"]} == {"Pass"}
    bucket, key = board["location"].removeprefix("s3://").split("/", 1)
    kept = json.loads(product.environment.storage.get_object(Bucket=bucket, Key=key)["Body"].read())
    assert kept["personas"] == board["personas"]
    assert "Go or no go?" in product.cutover("status", "sandbox").stdout


def test_the_evidence_of_v1_is_whole_until_a_byte_of_it_is_altered(product, v1):
    deadline = time.monotonic() + 60
    while "outcome SUCCEEDED" not in product.cutover("evidence", "show", "sandbox", v1["id"]).stdout:
        assert time.monotonic() < deadline, "the outcome never came into the evidence"
    whole = product.cutover("evidence", "verify", "sandbox", v1["id"])
    assert (whole.returncode, "whole" in whole.stdout) == (0, True), whole.stderr
    storage, bucket = product.root("s3"), product.environment.artifacts_bucket
    key = f"evidence/{v1['id']}/0002.json"
    body = storage.get_object(Bucket=bucket, Key=key)["Body"].read()
    storage.put_object(Bucket=bucket, Key=key, Body=body.replace(b"Pass", b"pass", 1))
    altered = product.cutover("evidence", "verify", "sandbox", v1["id"])
    storage.put_object(Bucket=bucket, Key=key, Body=body)
    assert altered.returncode == 1
    assert f"{key} (phase 1 Provision): altered" in altered.stderr


def test_the_checklists_of_v1_are_answered_by_evidence_and_people(product, v1):
    answered = ["--answer", "G3.6", "--by", "Kim", "--note", "reviewed", "--json"]
    done = product.cutover("checklist", "sandbox", v1["id"], *answered)
    assert done.returncode == 0, done.stderr
    lines = {line["id"]: line for line in json.loads(done.stdout)["lines"]}
    machine = {id: line["answer"] for id, line in lines.items() if not id.startswith("G3.")}
    assert set(machine.values()) == {"Yes"}, lines
    assert (lines["G3.6"]["answer"], lines["G3.4"]["answer"]) == ("Yes", "For people")
    assert "Kim (arn:aws:iam::" in lines["G3.6"]["evidence"]


def test_a_plan_touches_nothing_and_says_what_would_happen(product, v1):
    before = product.weights()
    done = product.cutover("plan", "sandbox", "--version", "v2", "--json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert plan["idle_colour"] != product.live()["colour"]
    assert product.weights() == before
    assert json.loads(product.cutover("status", "sandbox", "--json").stdout)["lock"] is None


def test_v2_takes_over_under_load_and_no_request_fails(product, v1, limits_off):
    users = product.load()
    before = users.report()
    pages = ("--frontend-source", "examples/frontend")
    done = product.cutover("deploy", "sandbox", "--version", "v2", *pages, "--json")
    assert done.returncode == 0, done.stderr or done.stdout
    result = json.loads(done.stdout)
    record = product.record(result["execution_arn"])
    figures = swap_figures("v2", record, before, users.report())
    users.stop()
    assert figures["requests"] > 0
    assert figures["failed"] == 0, figures
    assert product.live()["version"] == "v2"
    assert product.live()["previous_version"] == "v1"
    assert product.frontend_weights() == product.weights()


def test_a_bad_v3_is_taken_back_by_its_alarm(product, v1, limits_off):
    """The status page is looked at from here to the end of v4."""
    live = product.live()
    product.onlooker.come()
    users = product.load()
    before = users.report()
    port = str(product.environment.configuration.backend.listener_port)
    faults = {"FAULT": "errors", "FAULT_RATE": "0.5", "FAULT_PORT": port}
    execution_arn = product.start("v3", settings=faults)
    ended = product.end_of(execution_arn)
    deadline = time.monotonic() + 30
    while (record := product.record(execution_arn))["status"] == "RUNNING" and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(2)
    figures = rollback_figures("v3", record, before, users.report())
    users.stop()
    assert ended.status == "ABORTED"
    assert record["status"] == "ROLLED_BACK"
    assert figures["trigger"].endswith("-errors")
    assert figures["alarm_to_last_bad_ms"] <= 5000
    assert figures["failed_after_rollback"] == 0
    assert product.live()["version"] == live["version"]
    assert product.weights()[live["colour"]] > 0
    assert json.loads(product.cutover("status", "sandbox", "--json").stdout)["lock"] is None


def test_history_tells_the_rollbacks_clock(product, v1):
    document = json.loads(product.cutover("history", "sandbox", "--json").stdout)
    (taken_back,) = (each for each in document if each["version"] == "v3")
    assert (taken_back["status"], taken_back["rollback"]["trigger"]) == ("ROLLED_BACK", "alarm")
    clock = taken_back["rollback"]["clock"]
    assert clock["asked_at"] < clock["modified_at"]
    # Whatever was not measured is said so, with the reason.
    assert all(clock[name] or clock["unknown"][name] for name in ("first_bad_at", "last_bad_at"))
    text = product.cutover("history", "sandbox").stdout
    assert "rule modified" in text
    metrics = product.root("cloudwatch").list_metrics(Namespace="Cutover", MetricName="RollbackMilliseconds")
    assert metrics["Metrics"]


def broken_on_live_traffic(folder: Path, port: int) -> Path:
    """A frontend that is whole on the test listener, and answers every other request with 500 on the live one."""
    source = folder / "frontend"
    shutil.copytree(README.parent / "examples" / "frontend", source)
    answer = source / "server" / "answer.js"
    sound = '  if (path === "/config.json") return json(headers, configuration);'
    text = answer.read_text(encoding="utf-8")
    assert sound in text
    fault = f"""  if (path === "/config.json" && request.headers["x-forwarded-port"] === "{port}" && Math.random() < 0.5)
    return {{ ...json(headers, configuration), status: 500 }};
"""
    answer.write_text(text.replace(sound, fault + sound), encoding="utf-8")
    return source


def test_a_bad_frontend_takes_both_services_back(product, v1, limits_off, tmp_path):
    live, before = product.live(), product.weights()
    port = product.environment.configuration.backend.listener_port
    pages = upload(product.environment, broken_on_live_traffic(tmp_path, port))
    users, visitors = product.load(), product.visit()
    execution_arn = product.start("v3-pages", frontend={"source": pages})
    ended = product.end_of(execution_arn)
    deadline = time.monotonic() + 30
    while (record := product.record(execution_arn))["status"] == "RUNNING" and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(2)
    report = users.report()
    users.stop()
    visitors.stop()
    assert (ended.status, record["status"]) == ("ABORTED", "ROLLED_BACK"), (ended.error, ended.cause)
    assert "-frontend-" in record["rollback"]["by"]
    assert record["rollback"]["services"] == ["backend", "frontend"]
    assert report["failed"] == 0, "the backend's users noticed nothing"
    assert product.live()["version"] == live["version"]
    assert product.weights() == product.frontend_weights() == before


def test_after_an_alarm_the_next_good_version_moves_both_and_no_request_fails(product, v1, limits_off):
    """Under load on both names. The frontend that is live comes along by its digest. No sink is well."""
    image = product.live()["frontend"]["image"]
    users, visitors = product.load(), product.visit()
    product.sinks.speak("en")
    with product.sinks.in_trouble():
        ended, _ = product.deploy("v4")
        assert len(product.sinks.thread("v4")) < 2, "it has ended, and who is told has heard of its start"
        product.wait("a try", lambda: bool(product.sinks.calls("/notices")[-1].status == 429))
    seen = {"users": users.report(), "visitors": visitors.report()}
    users.stop()
    visitors.stop()
    assert ended.status == "SUCCEEDED", f"{ended.error}: {ended.cause}"
    assert product.live()["version"] == "v4"
    assert product.live()["frontend"]["image"] == image
    assert product.frontend_weights() == product.weights()
    product.onlooker.leave("v4: succeeded")
    for who, report in seen.items():
        assert "v4" in report["versions"], f"{who} were never answered by v4"
        assert (report["answers"] > 0, report["failed"]) == (True, 0), who


def test_a_drill_goes_to_the_previous_release_and_back_and_loses_nothing(product, v1):
    """v2, before v4, still stands."""
    before = product.live()
    done = product.cutover("drill", "sandbox", "--reason", "the e2e test", "--json")
    assert done.returncode == 0, done.stderr or done.stdout
    drill = json.loads(done.stdout)["drill"]
    assert (drill["verdict"], drill["lost"]) == ("Pass", 0)
    assert drill["requests"] > 0
    assert {before["version"], before["previous_version"]} <= set(drill["versions"])
    after = product.live()
    assert (after["deployment"], after["swapped_at"]) == (before["deployment"], before["swapped_at"])
    assert product.weights()[before["colour"]] == 100
    status = json.loads(product.cutover("status", "sandbox", "--json").stdout)
    assert (status["lock"], status["last_drill"]["lost"]) == (None, 0)
    assert "last drill: 0.0 days ago: 0 of" in product.cutover("status", "sandbox").stdout
    assert "drill: 0 of" in product.cutover("history", "sandbox").stdout


def test_a_drill_that_is_stopped_in_its_middle_gives_the_traffic_back(product, v1):
    """By the event of its end: nobody asks for anything."""
    before, weights = product.live(), product.weights()
    started = product.environment.states.start_execution(
        stateMachineArn=product.environment.drill_machine_arn, input=json.dumps({"environment": "sandbox"})
    )["executionArn"]
    product.wait("the traffic to go there", lambda: product.weights() != weights)
    product.root("stepfunctions").stop_execution(executionArn=started)
    product.wait("the traffic to come back", lambda: product.weights() == weights)
    product.wait("the lock", lambda: product.told("status")["lock"] is None)
    assert product.live() == before
    assert product.frontend_weights() == weights


def test_rollback_by_hand_returns_to_the_previous_version_once(product, v1):
    before = product.live()
    done = product.cutover("rollback", "sandbox", "--reason", "the e2e test asks for it", "--json")
    assert done.returncode == 0, done.stderr or done.stdout
    assert product.live()["version"] == before["previous_version"]
    assert product.weights()[before["previous_colour"]] > 0
    assert product.frontend_weights() == product.weights()
    again = product.cutover("rollback", "sandbox", "--reason", "once more")
    assert again.returncode != 0
    assert "Traceback" not in again.stderr
    assert product.weights()[before["previous_colour"]] > 0


def test_a_former_release_comes_back_by_its_image_within_its_four_budgets(product, v1):
    """v4 was rolled back by hand and its containers are stopped."""
    history = json.loads(product.cutover("history", "sandbox", "--json").stdout)
    v4 = next(each["id"] for each in history if each["version"] == "v4" and each["mode"] == "deploy")
    done = product.cutover("rollback", "sandbox", "--to", v4, "--reason", "it was right after all", "--json")
    assert done.returncode == 0, done.stderr or done.stdout
    steps = json.loads(done.stdout)["steps"]
    assert [step["name"] for step in steps] == [
        "Block traffic",
        "Redeploy the previous image",
        "Health",
        "Restore traffic",
    ]
    assert product.live()["version"] == "v4"
    assert product.weights()[product.live()["colour"]] == 100
    assert product.frontend_weights() == product.weights()


def test_a_frozen_environment_refuses_deployments_until_it_is_unfrozen(product, v1):
    assert product.cutover("freeze", "sandbox", "--reason", "the e2e test").returncode == 0
    refused = product.cutover("deploy", "sandbox", "--version", "v5")
    assert (refused.returncode, "is frozen since" in refused.stderr) == (3, True), refused.stderr
    assert "frozen" in product.cutover("status", "sandbox").stdout
    assert product.cutover("unfreeze", "sandbox").returncode == 0
    assert json.loads(product.cutover("status", "sandbox", "--json").stdout)["frozen"] is None
