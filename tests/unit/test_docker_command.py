"""The `docker` command line: references, flags, templates, and its refusals."""

from pathlib import Path

import pytest

from sandbox.compute.cli_arguments import Arguments, render
from sandbox.compute.docker_cli import main
from sandbox.compute.errors import DockerError
from sandbox.compute.store import Reference, References

DIGEST = "sha256:" + "a" * 64
REGISTRY = "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com"


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest"),
    [
        ("app", "", "app", "latest", None),
        ("team/app:v1", "", "team/app", "v1", None),
        (f"{REGISTRY}/team/app:v1", REGISTRY, "team/app", "v1", None),
        (f"{REGISTRY}/app@{DIGEST}", REGISTRY, "app", None, DIGEST),
        ("localhost:5000/app", "localhost:5000", "app", "latest", None),
    ],
)
def test_references_are_read_as_docker_does(
    text: str, registry: str, repository: str, tag: str | None, digest: str | None
) -> None:
    assert Reference.parse(text) == Reference(registry, repository, tag, digest)


@pytest.mark.parametrize("text", ["App", "", "a b", "app@md5:1"])
def test_a_malformed_reference_is_refused(text: str) -> None:
    with pytest.raises(DockerError, match="invalid reference format"):
        Reference.parse(text)


def test_flags_take_values_with_and_without_an_equals_sign() -> None:
    found = Arguments(["-t", "a", "--tag=b", "-q", "."], "build", {"-t": "tag", "--tag": "tag"}, {"-q"})
    assert (found.values["tag"], found.on("-q"), found.rest) == (["a", "b"], True, ["."])


def test_an_unknown_flag_ends_with_dockers_status() -> None:
    with pytest.raises(DockerError, match="unknown flag: --squash") as caught:
        Arguments(["--squash"], "build", {}, set())
    assert caught.value.status == 125


def test_templates_give_fields_json_and_list_items() -> None:
    document = {"A": {"B": "x"}, "L": ["one"]}
    assert render("{{.A.B}} {{json .A}} {{ index .L 0 }}", document) == 'x {"B": "x"} one'


@pytest.mark.parametrize("template", ["{{.Nope}}", "{{range .L}}{{end}}", "{{index .L 3}}"])
def test_a_template_that_is_not_understood_is_an_error(template: str) -> None:
    with pytest.raises(DockerError, match="template parsing error"):
        render(template, {"L": []})


def test_an_image_that_was_never_pulled_here_is_not_found(tmp_path: Path) -> None:
    mine, other = References(tmp_path / "a.json"), References(tmp_path / "b.json")
    mine.set(Reference.parse("app:v1"), DIGEST)
    assert mine.find("app:v1") == DIGEST
    assert other.find("app:v1") is None


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["run", "app"], 125, "'run' is not supported"),
        (["compose", "exec"], 16, "unknown docker command"),
        (["image", "inspect", "nothing:1"], 1, "No such image: nothing:1"),
        (["push", "app:v1"], 1, "does not exist locally with the tag: app"),
        (["build"], 1, "requires exactly 1 argument"),
        (["pull", "redis"], 1, "Docker Hub is not reachable here"),
    ],
)
def test_what_cannot_be_done_is_an_error_with_a_status(
    words: list[str], status: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    assert main(words, tmp_path, "uv") == status
    assert message in capsys.readouterr().err


def test_without_an_engine_there_is_dockers_own_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert main(["images"], tmp_path, "uv") == 1
    assert "Cannot connect to the Docker daemon at unix://" in capsys.readouterr().err
