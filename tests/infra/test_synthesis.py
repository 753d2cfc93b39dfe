"""The app as the CDK CLI starts it, its assets, and what linters say of the templates."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cfnlint.api import ManualArgs, lint

from stacks.constructs.code import (
    REQUIREMENTS,
    ROOT,
    content_hash,
    copy_package,
    install_command,
    package_files,
)
from stacks.naming import ALARM_KINDS, COLOURS

#: W3010: the zones are the configuration's, so that no account is looked up at synthesis.
ACCEPTED = ["W3010"]


def test_the_templates_are_clean_to_cfn_lint(each):
    config = ManualArgs(regions=[each.configuration.region], ignore_checks=ACCEPTED)
    for template in (each.control, *each.templates.values()):
        (path,) = template.paths
        found = lint(path.read_text(), config=config)
        assert [f"{path.name}: {problem.rule.id} {problem.message}" for problem in found] == []


def test_all_that_the_waived_rule_finds_in_the_state_machine_is_a_timeout_in_jsonata(staging):
    """AWS takes JSONata there, cfn-lint's schema does not:
    https://docs.aws.amazon.com/step-functions/latest/dg/state-task.html
    """
    template = json.loads(staging.path.read_text())
    waived = [
        r["Metadata"].pop("cfn-lint")
        for r in template["Resources"].values()
        if "cfn-lint" in r.get("Metadata", {})
    ]
    assert waived == [{"config": {"ignore_checks": ["E3601"]}}]
    found = lint(
        json.dumps(template),
        config=ManualArgs(regions=[staging.configuration.region], ignore_checks=ACCEPTED),
    )
    where = "is not of type 'number' at 'States/Wait for approval/TimeoutSeconds'"
    assert [(problem.rule.id, where in problem.message) for problem in found] == [("E3601", True)]


def test_the_app_needs_no_account_no_git_and_no_network(tmp_path):
    done = run_app(tmp_path, environment="sandbox")
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "cdk.out" / "manifest.json").read_text())
    stacks = {name: a for name, a in manifest["artifacts"].items() if a["type"] == "aws:cloudformation:stack"}
    assert list(stacks) == ["cutover-sandbox-control"]
    assert stacks["cutover-sandbox-control"]["environment"] == "aws://123456789012/ap-northeast-2"


def test_an_unknown_environment_is_one_line_and_builds_nothing(tmp_path):
    done = run_app(tmp_path, environment="sandbx")
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if "cutover:" in line]
    assert "unknown environment 'sandbx': did you mean sandbox?" in line
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "cdk.out" / "manifest.json").exists()


def test_the_cli_starts_the_app_with_whatever_python_is_active():
    assert json.loads((ROOT / "cdk.json").read_text())["app"] == "python3 app.py"


def run_app(directory: Path, *, environment: str) -> subprocess.CompletedProcess[str]:
    """app.py with an empty environment and a proxy that nobody listens on; libraries are not bundled."""
    context = {"environment": environment, "aws:cdk:bundling-stacks": []}
    node = Path(shutil.which("node") or pytest.fail("node is not on PATH")).parent
    return subprocess.run(
        [sys.executable, str(ROOT / "app.py")],
        env={
            "PATH": f"{node}:/usr/bin:/bin",
            "HOME": str(directory),
            "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
            "CDK_OUTDIR": str(directory / "cdk.out"),
            "CDK_CONTEXT_JSON": json.dumps(context),
            "http_proxy": "http://127.0.0.1:9",
            "https_proxy": "http://127.0.0.1:9",
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_the_code_is_our_package_and_the_migrations_are_not_in_it(tmp_path):
    copy_package(package_files(), tmp_path)
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert "cutover/__init__.py" in found
    assert all(name.startswith("cutover/") for name in found)
    assert not any("__pycache__" in name or name.endswith("indexes.json") for name in found)


def test_the_code_hash_follows_content_and_name(tmp_path, monkeypatch):
    monkeypatch.setattr("stacks.constructs.code.ROOT", tmp_path)
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("a")
    two.write_text("a")
    hashes = {
        content_hash([one]),
        content_hash([two]),
        content_hash([one, two]),
        content_hash([one], salt="x"),
    }
    one.write_text("b")
    hashes.add(content_hash([one]))
    assert len(hashes) == 5


def test_libraries_are_wheels_for_lambdas_platform_and_need_nothing_on_the_path(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "")
    command = install_command(REQUIREMENTS, tmp_path)
    assert Path(command[0]).is_relative_to(sys.prefix)
    assert command[command.index("--only-binary") + 1] == ":all:"
    assert command[command.index("--python-version") + 1] == "3.12"
    assert "manylinux2014" in " ".join(command)


def test_names_that_two_halves_share_cannot_drift(each):
    """The control plane names what the environment makes; both names come from one place."""
    outputs = each.environment.outputs
    assert outputs["ReleaseDocument"]["Value"] == each.names.release_document
    assert outputs["Dashboard"]["Value"] == each.names.prefix
    assert outputs["BlueGroup"]["Value"] == each.names.group("blue")
    assert outputs["GreenGroup"]["Value"] == each.names.group("green")
    assert len({each.names.alarm(colour, kind) for colour in COLOURS for kind in ALARM_KINDS}) == 10
