"""Reading compose files: https://docs.docker.com/reference/compose-file/ ."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.compute import compose
from sandbox.compute.errors import DockerError


def load(folder: Path, variables: dict[str, str] | None = None, **service: Any) -> compose.Service:
    document = {
        "services": {"web": {"image": "i", "network_mode": "host", **service}},
        "volumes": {"data": None},
    }
    (folder / "compose.yaml").write_text(yaml.safe_dump(document))
    return compose.load(folder / "compose.yaml", "p", variables or {}).services["web"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", "1"),
        ("$A", "1"),
        ("${B:-x}", "x"),
        ("${E:-x}", "x"),
        ("${E-x}", ""),
        ("$$A", "$A"),
        ("${B}", ""),
    ],
)
def test_variables_are_put_in(text: str, expected: str) -> None:
    assert compose.interpolate({"k": [text]}, {"A": "1", "E": ""}) == {"k": [expected]}


def test_a_required_variable_that_is_missing_is_an_error() -> None:
    with pytest.raises(DockerError, match="required variable IMAGE is missing a value: give one"):
        compose.interpolate("${IMAGE:?give one}", {})


def test_environment_wins_over_env_files_and_later_files_over_earlier(tmp_path: Path) -> None:
    (tmp_path / "a.env").write_text("A=1\nB=1\nC=1\n# no\n\nQ='x y'\nD=\"a\\nb\"\nF=v # note\n")
    (tmp_path / "b.env").write_text("B=2\nC=2\n")
    service = load(tmp_path, env_file=["a.env", "b.env"], environment={"C": 3, "T": True, "N": None})
    assert service.environment == {
        "A": "1", "B": "2", "C": "3", "Q": "x y", "D": "a\nb", "F": "v", "T": "true", "N": "",
    }  # fmt: skip


def test_a_missing_env_file_is_an_error_unless_it_need_not_be_there(tmp_path: Path) -> None:
    with pytest.raises(DockerError, match=r"no\.env not found"):
        load(tmp_path, env_file="no.env")
    assert load(tmp_path, env_file=[{"path": "no.env", "required": False}]).environment == {}


def test_health_checks_carry_their_times_in_seconds(tmp_path: Path) -> None:
    check = load(tmp_path, healthcheck={
        "test": ["CMD", "true"], "interval": "30s", "timeout": "10s", "retries": 3, "start_period": "40s",
        "start_interval": "1s",
    }).health  # fmt: skip
    assert check is not None
    assert (check.interval, check.timeout, check.retries) == (30, 10, 3)
    assert (check.start_period, check.start_interval) == (40, 1)


@pytest.mark.parametrize(
    ("service", "message"),
    [
        ({"privileged": True}, r"services\.web: additional properties 'privileged' not allowed"),
        ({"healthcheck": {"tests": []}}, r"services\.web\.healthcheck: additional properties 'tests'"),
        (
            {"network_mode": "bridge"},
            r"services\.web\.network_mode: only host is supported here, not 'bridge'",
        ),
        ({"ports": ["80:80"]}, r"services\.web\.ports"),
        ({"restart": "sometimes"}, "unknown policy 'sometimes'"),
        ({"mem_limit": "lots"}, "invalid memory limit 'lots'"),
        ({"volumes": ["~/a:/b"]}, "only NAME:/path and ./path:/path"),
        ({"volumes": ["data:/b:rw,z"]}, "only NAME:/path and ./path:/path"),
        ({"volumes": ["other:/b"]}, "undefined volume other"),
        ({"stop_grace_period": "soon"}, r"stop_grace_period: invalid duration 'soon'"),
        ({"image": None}, "neither an image nor a build context"),
        ({"deploy": {"replicas": 2}}, r"services\.web\.deploy: additional properties 'replicas'"),
    ],
)
def test_what_is_not_understood_is_an_error_that_names_it(
    tmp_path: Path, service: dict[str, Any], message: str
) -> None:
    with pytest.raises(DockerError, match=message):
        load(tmp_path, **service)


@pytest.mark.parametrize(
    ("service", "limit"),
    [
        ({"mem_limit": "512m"}, 512 << 20),
        ({"mem_limit": 1048576}, 1 << 20),
        ({"deploy": {"resources": {"limits": {"memory": "1G"}}}}, 1 << 30),
        ({}, None),
    ],
)
def test_memory_limits_are_read_in_bytes(tmp_path: Path, service: dict[str, Any], limit: int | None) -> None:
    assert load(tmp_path, **service).memory_bytes == limit


def test_a_change_of_the_environment_changes_the_services_hash(tmp_path: Path) -> None:
    same = [load(tmp_path, environment={"A": "1"}).hash for _ in range(2)]
    assert same[0] == same[1]
    assert load(tmp_path, environment={"A": "2"}).hash != same[0]


def test_the_project_is_named_after_its_folder_when_nothing_names_it(tmp_path: Path) -> None:
    folder = tmp_path / "My App"
    folder.mkdir()
    (folder / "compose.yaml").write_text("services: {web: {image: i, network_mode: host}}\n")
    assert compose.load(folder / "compose.yaml", None, {}).name == "myapp"
