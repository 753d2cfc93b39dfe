"""The SSM document: what a command may put into it, and what the environment has put there."""

import json
import re

import pytest
import yaml

from config.infrastructure import Backend, Frontend
from stacks.constructs.code import ROOT
from stacks.environment.release import PARAMETERS, SCRIPT, compose

EXAMPLES = {
    "Deployment": (["a1b2-deploy.7", "2026-11-22T00-00-00Z_v2"], ["a b", "x'y", "$(id)", ""]),
    "Version": (["v2", "2.0.1+build", ""], ["v2;ls", "v'2", "a\nb"]),
    "Image": (
        ["123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/cutover-sandbox-backend@sha256:" + "a" * 64, ""],
        ["backend:latest", "backend@sha256:abc", "x@sha256:" + "a" * 64 + "';ls"],
    ),
    "Settings": (['{"FAULT": "errors"}', "{}"], ["{'a': 1}", '{"a":\n1}', "FAULT=errors"]),
    "Colour": (["blue", "green", ""], ["red", "blue;ls"]),
}


def document(synthesised):
    return synthesised.environment.named("AWS::SSM::Document", "Name", synthesised.names.release_document)


def lines(synthesised):
    """The script's lines, each token as a placeholder."""
    (step,) = document(synthesised)["Content"]["mainSteps"]
    return [flat(line) for line in step["inputs"]["runCommand"]]


def flat(value):
    if isinstance(value, str):
        return value
    if "Fn::Join" in value:
        return "".join(flat(part) for part in value["Fn::Join"][1])
    return "<token>"


def exported(synthesised, name):
    text = "\n".join(lines(synthesised))
    return re.search(rf"^export {name}='(.*?)'$", text, re.MULTILINE | re.DOTALL)[1]


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_parameter_admits_only_what_cannot_leave_its_quotes(staging, name):
    rules = document(staging)["Content"]["parameters"][name]
    good, bad = EXAMPLES[name]
    for value in good:
        assert re.search(rules["allowedPattern"], value), value
    for value in bad:
        assert not re.search(rules["allowedPattern"], value), value


def test_every_parameter_has_its_rule(staging):
    found = document(staging)["Content"]["parameters"]
    assert set(found) == {"Action", "Deployment", "Version", "Image", "Settings", "Colour"}
    assert found["Action"]["allowedValues"] == ["release", "stop", "start"]
    for name, rules in found.items():
        assert "allowedPattern" in rules or "allowedValues" in rules, name
        # A stop needs no more than the action and the deployment.
        assert ("default" in rules) == (name not in ("Action", "Deployment")), name


def test_each_parameter_stands_in_the_script_once_and_in_quotes(staging):
    text = "\n".join(lines(staging))
    assert re.findall(r"\{\{ (\w+) \}\}", text) == list(PARAMETERS)
    for name in PARAMETERS:
        assert f"export {name.upper()}='{{{{ {name} }}}}'" in text


def test_the_script_begins_with_bash(each):
    assert lines(each)[0] == "#!/usr/bin/env bash"


def test_the_script_gets_every_variable_that_it_reads(each):
    """`set -u` would end the script on an instance; here it ends a test."""
    given = set(re.findall(r"^export (\w+)=", "\n".join(lines(each)), re.MULTILINE))
    body = SCRIPT.read_text()
    read = set(re.findall(r"\$\{?([A-Z][A-Z0-9_]+)(?![A-Z0-9_]|:-)", body))
    read |= set(re.findall(r'given\["(\w+)"\]', body)) | set(re.findall(r"given\['(\w+)'\]", body))
    assert read - {"AWS_SSM_INSTANCE_ID"} <= given


def test_an_update_of_the_document_is_a_version_of_it(each):
    found = document(each)
    assert found["Name"] == each.names.named("release")
    assert found["UpdateMethod"] == "NewVersion"
    # https://docs.aws.amazon.com/general/latest/gr/ssm.html (64 KB)
    assert len(json.dumps(found["Content"])) < 64_000


def test_no_value_of_a_secret_is_in_the_document_only_its_name(staging):
    assert exported(staging, "DATABASE_SECRET") == "cutover-staging/database-application"
    assert exported(staging, "REDIS_SECRET") == "cutover-staging/redis"
    assert exported(staging, "JWT_SECRET_NAME") == "cutover-staging/jwt"


def test_the_configured_settings_are_the_releases_defaults(staging):
    settings = json.loads(exported(staging, "DEFAULT_SETTINGS"))
    assert settings == staging.configuration.release.settings
    # Requirement C3b, without what the release itself fills in.
    assert set(settings) == {
        "NODE_ENV",
        "UPLOAD_DIR",
        "CORS_ORIGINS",
        "API_RATE_LIMIT",
        "LOG_LEVEL",
        "MONITORING_ENABLED",
        "UVICORN_WORKERS",
        "UVICORN_MAX_REQUESTS",
        "UVICORN_MAX_REQUESTS_JITTER",
        "DATABASE_POOL_SIZE",
        "REDIS_POOL_SIZE",
        "CACHE_TTL",
    }


def test_waiting_for_healthy_containers_leaves_time_to_pull(each):
    waits = int(exported(each, "WAIT_SECONDS"))
    assert 0 < waits < each.configuration.release.timeout_seconds


def test_the_compose_file_is_the_examples_own():
    ours = yaml.safe_load(
        compose("backend", Backend(domain="api.example.com", containers_per_instance=3), 2.0)
    )
    assert ours == yaml.safe_load((ROOT / "examples" / "backend" / "compose.yaml").read_text())


@pytest.mark.parametrize(("count", "first"), [(1, 8000), (5, 9000)])
def test_there_is_a_service_for_each_container(count, first):
    backend = Backend(domain="api.example.com", containers_per_instance=count, first_port=first)
    services = yaml.safe_load(compose("backend", backend, 2.0))["services"]
    metrics = services.pop("metrics")
    ports = [f"http://${{INSTANCE_ADDRESS}}:{first + n}" for n in range(count)]
    assert metrics["environment"]["CONTAINERS"] == ",".join(ports)
    assert [s["environment"]["PORT"] for s in services.values()] == [str(first + n) for n in range(count)]
    assert [s["environment"]["INSTANCE_ID"] for s in services.values()] == list(services)


def test_the_health_check_is_that_of_c3c():
    backend = Backend(domain="a.example.com", containers_per_instance=1)
    service = yaml.safe_load(compose("backend", backend, 2.0))["services"]["backend-1"]
    check = service["healthcheck"]
    assert (check["interval"], check["timeout"], check["retries"], check["start_period"]) == (
        "30s",
        "10s",
        3,
        "40s",
    )
    assert service["restart"] == "unless-stopped"


def test_the_frontends_document_tells_its_containers_where_the_backend_is(each):
    found = each.environment.named("AWS::SSM::Document", "Name", each.names.document("frontend"))
    (step,) = found["Content"]["mainSteps"]
    text = "\n".join(flat(line) for line in step["inputs"]["runCommand"])
    backend = each.configuration.backend
    port = "" if backend.listener_port == 443 else f":{backend.listener_port}"
    assert f'{{"API_URL": "https://{backend.domain}{port}"}}' in text
    assert f"export FIRST_PORT='{each.configuration.frontend.first_port}'" in text
    assert "export SERVICE='frontend'" in text
    assert not re.search(r"^export \w*SECRET", text, re.MULTILINE)


def test_the_frontends_compose_file_has_its_port_and_its_health_check():
    frontend = Frontend(domain="pages.example.com", first_port=80)
    (service,) = yaml.safe_load(compose("frontend", frontend, 2.0))["services"].values()
    assert service["environment"]["PORT"] == "80"
    assert service["healthcheck"]["test"] == ["CMD", "node", "server/healthcheck.js"]
    assert service["restart"] == "unless-stopped"
