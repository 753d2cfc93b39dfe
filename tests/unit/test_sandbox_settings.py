"""The sandbox's settings: kept whole, and refused with the file, the field and the way out."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from sandbox.settings import SandboxSettings, SettingsError, default_root


def test_a_sandbox_without_a_file_has_the_defaults(tmp_path: Path) -> None:
    settings = SandboxSettings.load(tmp_path)
    assert settings == SandboxSettings(root=tmp_path.resolve())
    assert settings.endpoint_url == "http://127.0.0.1:4566"


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    saved = SandboxSettings(
        root=tmp_path, gateway_port=5000, minute_seconds=1.5, network="127.9", mongo_url="mongodb://u:p@h/"
    )
    saved.save()
    assert SandboxSettings.load(tmp_path) == saved


def test_the_file_is_for_its_owner_alone_because_a_url_may_hold_a_password(tmp_path: Path) -> None:
    SandboxSettings(root=tmp_path).save()
    assert stat.S_IMODE((tmp_path / "settings.json").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gateway_port", 0),
        ("gateway_port", "4566"),
        ("gateway_port", 65536),
        ("minute_seconds", 0),
        ("minute_seconds", 61),
        ("network", "10.0"),
        ("network", "127.0"),
        ("network", "127.256"),
        ("region", "Seoul"),
        ("account", "123"),
    ],
)
def test_a_setting_that_no_sandbox_can_have_is_named(tmp_path: Path, field: str, value: Any) -> None:
    (tmp_path / "settings.json").write_text(json.dumps({field: value}))
    with pytest.raises(SettingsError) as refused:
        SandboxSettings.load(tmp_path)
    message = str(refused.value)
    assert field in message
    assert repr(value) in message
    assert "settings.json" in message
    assert "cutover sandbox reset" in message


@pytest.mark.parametrize(
    ("field", "url"),
    [("mongo_url", "mongodb+srv://u:hidden@h/"), ("mongo_url", "hidden"), ("redis_url", "http://:hidden@h")],
)
def test_a_database_url_of_another_kind_is_refused_without_telling_its_password(
    tmp_path: Path, field: str, url: str
) -> None:
    with pytest.raises(SettingsError, match=field) as refused:
        SandboxSettings(root=tmp_path, **{field: url})
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("content", ["", "{", "[1]", '"text"', '{"colour": 1}', '{"root": "/"}'])
def test_a_file_that_is_no_settings_file_is_named_with_the_way_out(tmp_path: Path, content: str) -> None:
    (tmp_path / "settings.json").write_text(content)
    with pytest.raises(SettingsError, match=r"settings\.json.*cutover sandbox reset"):
        SandboxSettings.load(tmp_path)


def test_the_folder_is_the_one_the_variable_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUTOVER_SANDBOX_DIR", str(tmp_path / "mine"))
    assert default_root() == (tmp_path / "mine").resolve()
    monkeypatch.delenv("CUTOVER_SANDBOX_DIR")
    monkeypatch.chdir(tmp_path)
    assert default_root() == tmp_path.resolve() / ".sandbox"
