"""Reading Dockerfiles: https://docs.docker.com/reference/dockerfile/ ."""

import pytest

from sandbox.compute import dockerfile
from sandbox.compute.errors import DockerError, UnsupportedError


def test_continued_lines_and_comments_are_one_instruction() -> None:
    text = "FROM python:3.11-slim\nRUN mkdir /a \\\n  # why\n  && mkdir /b\n"
    (_, run) = dockerfile.parse(text)
    assert (run.keyword, run.arguments, run.line) == ("RUN", "mkdir /a && mkdir /b", 2)


def test_flags_are_told_apart_from_arguments() -> None:
    (_, copy) = dockerfile.parse("FROM x\nCOPY --from=builder --chown=app:app /install /usr/local\n")
    assert copy.flags == {"from": "builder", "chown": "app:app"}
    assert copy.arguments == "/install /usr/local"


def test_exec_form_is_read_as_words_and_shell_form_is_not() -> None:
    (_, first, second) = dockerfile.parse('FROM x\nCMD ["python", "a b.py"]\nCMD python a.py\n')
    assert first.form == ["python", "a b.py"]
    assert second.form is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM x\nADD a b\n", "line 2: ADD is not supported"),
        ("FROM x\nFETCH a\n", "line 2: unknown instruction: FETCH"),
        ("FROM x\nRUN <<EOF\n", "line 2: here-documents are not supported"),
        ("FROM x\nCOPY\n", "line 2: COPY requires at least one argument"),
        ("# escape=`\nFROM x\n", "line 1: the escape directive"),
        ("", "cannot be empty"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name_and_line(text: str, message: str) -> None:
    with pytest.raises(DockerError, match=message):
        dockerfile.parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$A/${A}", "1/1"),
        ("${B:-x}", "x"),
        ("${E:-x}|${E-x}", "x|"),
        ("${A:+y}|${B:+y}", "y|"),
        (r"\$A", "$A"),
        ("$B", ""),
    ],
)
def test_variables_expand_as_dockerfiles_do(text: str, expected: str) -> None:
    assert dockerfile.expand(text, {"A": "1", "E": ""}) == expected


def test_an_arg_before_the_first_from_is_known_to_from_lines_only() -> None:
    text = "ARG BASE=python:3.11-slim\nFROM ${BASE} AS one\nFROM one AS Two\nRUN mkdir /a\n"
    (one, two) = dockerfile.stages(dockerfile.parse(text), {})
    assert (one.base, one.name) == ("python:3.11-slim", "one")
    assert (two.base, two.name, len(two.instructions)) == ("one", "two", 1)


def test_a_build_argument_chooses_the_base() -> None:
    text = "ARG BASE=a\nFROM ${BASE}\n"
    (stage,) = dockerfile.stages(dockerfile.parse(text), {"BASE": "b"})
    assert stage.base == "b"


@pytest.mark.parametrize(("text", "value"), [("30s", 30), ("1m30s", 90), ("500ms", 0.5), ("1h", 3600)])
def test_durations_are_read_in_seconds(text: str, value: float) -> None:
    assert dockerfile.seconds(text) == value


@pytest.mark.parametrize("text", ["30", "", "s", "1d", "1m 30s"])
def test_a_duration_without_a_unit_is_refused(text: str) -> None:
    with pytest.raises(DockerError, match="invalid duration"):
        dockerfile.seconds(text)


def test_env_reads_both_of_its_forms() -> None:
    (_, old, new) = dockerfile.parse('FROM x\nENV A b c\nENV A=1 B="2 3"\n')
    assert dockerfile.key_values(old) == [("A", "b c")]
    assert dockerfile.key_values(new) == [("A", "1"), ("B", "2 3")]


def test_unsupported_is_told_apart_from_wrong() -> None:
    with pytest.raises(UnsupportedError):
        dockerfile.parse("FROM x\nVOLUME /data\n")
