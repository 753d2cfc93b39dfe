"""`cutover init`: a configuration of an environment of one's own, or one clear message and no file."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.commands.init import init
from cli.errors import UserError
from cli.main import cutover
from cli.template import adapted
from config.model import load

ANSWERS = {
    "--account": "222233334444",
    "--domain": "api.example.com",
    "--frontend-domain": "example.com",
    "--hosted-zone": "Z0123456789",
    "--region": "ap-northeast-2",
    "--cidr": "10.9.0.0/16",
    "--like": "production",
}


def run(directory: Path, name: str = "canary", **other: str) -> Result:
    answers = {**ANSWERS, **{f"--{key.replace('_', '-')}": value for key, value in other.items()}}
    arguments = [part for pair in answers.items() for part in pair]
    return CliRunner().invoke(init, [name, *arguments, "--config-dir", str(directory)], catch_exceptions=True)


def test_the_file_holds_the_answers_and_the_models_sizes(tmp_path: Path) -> None:
    assert run(tmp_path).exit_code == 0
    made, model = load("canary", tmp_path), load("production")

    assert (made.account, made.backend.domain, made.frontend.domain) == (
        "222233334444",
        "api.example.com",
        "example.com",
    )
    assert made.network.public_subnets == ("10.9.1.0/24", "10.9.2.0/24")
    assert made.backend.hosted_zone_id == "Z0123456789"
    assert made.release.settings["CORS_ORIGINS"] == "https://example.com"
    assert made.backend.instance_type == model.backend.instance_type
    assert (tmp_path / "canary.toml").read_text().startswith("# Canary, sized like production.")


def test_questions_are_asked_for_what_is_not_given(tmp_path: Path) -> None:
    typed = "222233334444\n\napi.example.com\nexample.com\n\n\n\n"
    done = CliRunner().invoke(init, ["canary", "--config-dir", str(tmp_path)], input=typed)
    assert done.exit_code == 0
    assert load("canary", tmp_path).backend.hosted_zone_id is None
    assert load("canary", tmp_path).network.cidr == "10.3.0.0/16"


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"account": "12"}, "account is '12'"),
        ({"cidr": "10.9.0.0/24"}, "--cidr '10.9.0.0/24'"),
        ({"cidr": "ten"}, "--cidr 'ten'"),
        ({"domain": "no domain"}, "backend.domain"),
        ({"frontend_domain": "api.example.com"}, "frontend.domain"),
    ],
)
def test_a_bad_answer_is_named_and_nothing_is_written(
    tmp_path: Path, other: dict[str, str], told: str
) -> None:
    done = run(tmp_path, **other)
    assert isinstance(done.exception, UserError)
    assert told in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_an_environment_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "canary.toml").write_text("mine")
    done = run(tmp_path)
    assert isinstance(done.exception, UserError)
    assert "is there already" in str(done.exception)
    assert (tmp_path / "canary.toml").read_text() == "mine"


def test_a_key_that_the_model_lacks_is_no_silent_loss() -> None:
    with pytest.raises(KeyError):
        adapted("[a]\nb = 1\n", {("a", "c"): 2}, {}, heading="#")
    with pytest.raises(KeyError):
        adapted("[a]\nb = 1\n", {}, {("z", "c"): 2}, heading="#")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_that_calls_the_command(shell: str) -> None:
    done = CliRunner().invoke(cutover, ["completion", shell])
    assert done.exit_code == 0
    assert f"_CUTOVER_COMPLETE={shell}_complete" in done.output


def test_environments_are_completed_by_their_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_CUTOVER_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "cutover status s")
    monkeypatch.setenv("COMP_CWORD", "2")
    done = CliRunner().invoke(cutover, [], prog_name="cutover")
    assert "plain,staging" in done.output
    assert "plain,production" not in done.output
