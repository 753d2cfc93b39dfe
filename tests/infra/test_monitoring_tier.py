"""The monitoring tier's files: held against the programs that will read them, and against each other.

promtool and amtool are Debian's (prometheus, prometheus-alertmanager); `.ci/run` installs them.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from compose_pydantic import ComposeSpecification

from config.model import load
from stacks.constructs.code import ROOT
from stacks.environment.machines import user_data
from stacks.environment.tier.alert_rules import RUNBOOK, rollback_alerts, tier_alerts
from stacks.environment.tier.document import PARAMETERS, digest_of, document, lines
from stacks.environment.tier.files import COMPOSE, host, instance
from stacks.environment.tier.images import HOST_IMAGES, INSTANCE_IMAGES
from stacks.naming import Names

HOST_ADDRESS = "10.1.10.9"


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        package = {"promtool": "prometheus", "amtool": "prometheus-alertmanager"}[name]
        pytest.skip(f"{name} is not installed here: apt-get install {package}")
    return found


def named(environment: str) -> Names:
    configuration = load(environment)
    return Names(configuration.environment, configuration.account, configuration.region)


@pytest.fixture(params=["staging", "production", "sandbox"])
def environment(request):
    return request.param


@pytest.fixture
def tier(environment, tmp_path):
    """The host's files as the rollout writes them."""
    for name, text in host(named(environment), load(environment)).files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("@INSTANCE_ADDRESS@", HOST_ADDRESS).replace("@AWS_ENDPOINT_URL@", ""))
    return tmp_path


def passes(*command: object) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_takes_the_configuration_and_its_rules(tier):
    told = passes(program("promtool"), "check", "config", tier / "prometheus" / "prometheus.yml")
    assert "10 rules found" in told


def test_amtool_takes_the_configuration_and_routes_by_severity(tier):
    amtool, file = program("amtool"), tier / "alertmanager" / "alertmanager.yml"
    assert "2 receivers" in passes(amtool, "check-config", file)
    for severity in ("critical", "warning"):
        told = passes(amtool, "config", "routes", "test", f"--config.file={file}", f"severity={severity}")
        assert told.strip() == severity
    assert passes(amtool, "config", "routes", "test", f"--config.file={file}", "x=y").strip() == "warning"


def test_no_secret_is_in_any_file(tier):
    for path in tier.rglob("*"):
        if path.is_file():
            assert not re.search(r"(?i)passw|secret_key|access_key|api_key|token", path.read_text()), path


def test_prometheus_looks_at_every_container_of_both_colours_and_at_every_machine(tier, environment):
    configuration, names = load(environment), named(environment)
    document = yaml.safe_load((tier / "prometheus" / "prometheus.yml").read_text())
    assert document["global"]["scrape_interval"] == f"{configuration.monitoring.scrape_seconds}s"
    jobs = {job["job_name"]: job for job in document["scrape_configs"]}
    backend = jobs["backend"]["ec2_sd_configs"]
    assert [each["port"] for each in backend] == list(configuration.backend.ports)
    groups = {"name": "tag:Name", "values": [names.group("blue"), names.group("green")]}
    assert all(groups in each["filters"] for each in backend)
    (node,) = jobs["node"]["ec2_sd_configs"]
    assert node["port"] == 9100
    assert {"name": "tag:cutover-environment", "values": [environment]} in node["filters"]
    (alerting,) = document["alerting"]["alertmanagers"]
    assert alerting["static_configs"] == [{"targets": [f"{HOST_ADDRESS}:9093"]}]


def test_staging_is_scraped_every_15_seconds():
    assert load("staging").monitoring.scrape_seconds == 15  # C4a


def test_every_instance_has_a_node_exporter():
    assert "prometheus-node-exporter" in user_data("eu-north-1")


def test_the_compose_files_are_of_the_compose_specification(environment):
    configuration, names = load(environment), named(environment)
    for text in (
        host(names, configuration).files[COMPOSE],
        instance(names).files[COMPOSE],
    ):
        ComposeSpecification.model_validate(yaml.safe_load(text))
    with pytest.raises(ValueError, match="restrt"):
        ComposeSpecification.model_validate({"services": {"x": {"image": "y", "restrt": "no"}}})


def test_every_service_runs_a_pinned_version(environment):
    for part, images in (
        (host(named(environment), load(environment)), HOST_IMAGES),
        (instance(named(environment)), INSTANCE_IMAGES),
    ):
        services = yaml.safe_load(part.files[COMPOSE])["services"]
        assert {name: service["image"] for name, service in services.items()} == images
        for image in images.values():
            assert re.fullmatch(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+(@sha256:[0-9a-f]{64})?", image), image


def test_what_only_the_host_may_reach_listens_on_loopback_alone():
    services = yaml.safe_load(host(named("staging"), load("staging")).files[COMPOSE])["services"]
    assert services["elasticsearch"]["environment"]["network.host"] == "127.0.0.1"
    assert services["kibana"]["environment"]["SERVER_HOST"] == "127.0.0.1"
    assert services["logstash"]["environment"]["API_HTTP_HOST"] == "127.0.0.1"


def test_a_file_recreates_the_service_that_reads_it_and_no_other():
    names, configuration = named("staging"), load("staging")
    alarms = configuration.alarms.model_copy(update={"p95_minutes": 4})
    other = configuration.model_copy(update={"alarms": alarms})

    def labels(of):
        services = yaml.safe_load(host(names, of).files[COMPOSE])["services"]
        return {name: service.get("labels") for name, service in services.items()}

    before, after = labels(configuration), labels(other)
    assert [name for name in before if before[name] != after[name]] == ["prometheus"]
    assert digest_of(lines(names, configuration)) != digest_of(lines(names, other))
    assert digest_of(lines(names, configuration)) == digest_of(lines(names, load("staging")))


def test_the_dashboard_shows_what_c4b_asks_for(tier):
    """Essentials of https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/"""
    dashboard = json.loads((tier / "grafana" / "dashboards" / "backend.json").read_text())
    assert all(dashboard[key] for key in ("uid", "title"))
    assert dashboard["schemaVersion"] >= 36
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    titles = [panel["title"] for panel in panels]
    assert titles[:3] == ["API response time, p95", "Request rate", "5xx error rate"]
    provided = yaml.safe_load((tier / "grafana/provisioning/datasources/prometheus.yaml").read_text())
    (source,) = provided["datasources"]
    assert source["url"] == f"http://{HOST_ADDRESS}:9090"
    for panel in panels:
        assert panel["type"] == "timeseries"
        assert panel["datasource"] == {"type": source["type"], "uid": source["uid"]}
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        assert all(target["expr"] and target["refId"] for target in panel["targets"])
    # Grafana's template, which is escaped on its way, has arrived as it was.
    assert panels[0]["targets"][0]["legendFormat"] == "{{colour}}"


def test_prometheus_takes_the_dashboards_queries(tier):
    dashboard = json.loads((tier / "grafana" / "dashboards" / "backend.json").read_text())
    rules = [
        {"record": f"panel:{panel['id']}", "expr": target["expr"]}
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]
    file = tier / "dashboard_rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    passes(program("promtool"), "check", "rules", file)


def test_every_alert_has_its_section_in_the_runbook():
    headings = re.findall(r"^### (\w+)$", (ROOT / RUNBOOK).read_text(encoding="utf-8"), re.MULTILINE)
    alerts = [*rollback_alerts(load("staging")), *tier_alerts(load("staging"))]
    assert {alert.as_rule()["annotations"]["runbook"] for alert in alerts} <= {
        f"{RUNBOOK}#{heading.lower()}" for heading in headings
    }


def test_the_document_can_be_made_and_its_parameters_cannot_leave_their_quotes(environment):
    rollout = lines(named(environment), load(environment))
    # https://docs.aws.amazon.com/general/latest/gr/ssm.html (64 KB)
    assert len(json.dumps(document(rollout))) < 64_000
    text = "\n".join(rollout)
    assert re.findall(r"\{\{ (\w+) \}\}", text) == list(PARAMETERS)
    assert text.count("{{") == len(PARAMETERS)
    for name, bad in (("Host", "i-1'; reboot"), ("Address", "10.1.1.1; id"), ("Deployment", "a b")):
        assert not re.search(PARAMETERS[name]["allowedPattern"], bad)


def test_the_rollout_gets_every_variable_that_it_reads():
    text = "\n".join(lines(named("staging"), load("staging")))
    given = set(re.findall(r"^export (\w+)=", text, re.MULTILINE))
    body = (Path(__file__).parents[2] / "stacks/environment/tier/rollout.sh").read_text()
    read = set(re.findall(r"\$\{?([A-Z][A-Z0-9_]+)(?![A-Z0-9_]|:-)", body))
    # The first is the SSM agent's.
    # https://docs.aws.amazon.com/systems-manager/latest/userguide/documents-command-ssm-plugin-reference.html
    assert read - {"AWS_SSM_INSTANCE_ID"} <= given
