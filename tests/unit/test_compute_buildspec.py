"""Buildspecs, version 0.2: https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html ."""

import subprocess
from pathlib import Path

import pytest

from sandbox.emulator.buildspec import BuildSpecError, parse, script


def test_phases_and_variables_are_read() -> None:
    spec = parse(
        "version: 0.2\nenv:\n  variables: {A: 1}\n  exported-variables: [B]\n"
        "phases:\n  build:\n    commands: [one, two]\n    finally: [three]\n"
    )
    assert (spec.variables, spec.exported, spec.shell) == ({"A": "1"}, ("B",), "sh")
    assert (spec.phases["build"].commands, spec.phases["build"].last) == (("one", "two"), ("three",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("version: 0.1\nphases: {build: {commands: [a]}}\n", "only 0.2"),
        ("version: 0.2\n", "phases is empty"),
        ("version: 0.2\nphases: {test: {commands: [a]}}\n", "phases: 'test' is not supported"),
        ("version: 0.2\nphases: {build: {commands: []}}\n", r"phases\.build\.commands is empty"),
        (
            "version: 0.2\nartifacts: {files: [a]}\nphases: {build: {commands: [a]}}\n",
            "'artifacts' is not supported",
        ),
        ("version: 0.2\nenv: {secrets-manager: {}}\nphases: {build: {commands: [a]}}\n", "secrets-manager"),
        ("version: 0.2\nphases: {install: {runtime-versions: {nodejs: 18}, commands: [a]}}\n", "nodejs 18"),
        ("{", "no valid YAML"),
    ],
)
def test_what_cannot_be_honoured_is_named(text: str, message: str) -> None:
    with pytest.raises(BuildSpecError, match=message):
        parse(text)


def run(commands: tuple[str, ...], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", "-c", script(commands, folder)], capture_output=True, text=True, cwd=folder, check=False
    )


def test_variables_and_the_folder_go_from_phase_to_phase(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    run(('export A="it\'s"', "cd sub"), tmp_path)
    second = run(('echo "$A in $(basename $PWD)"',), tmp_path)
    assert "it's in sub\n" in second.stdout


def test_the_first_failing_command_ends_the_phase_and_is_named(tmp_path: Path) -> None:
    done = run(("echo one", "(exit 3)", "echo three"), tmp_path)
    assert done.returncode == 3
    assert (tmp_path / "current").read_text() == "(exit 3)"
    assert "three" not in done.stdout
