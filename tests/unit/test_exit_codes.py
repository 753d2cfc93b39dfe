"""Exit codes: one place says what they mean, and the document, the help and every command keep to it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli import main
from cli.errors import ExitCode, UserError
from cli.exit_codes import FILE, errors, written
from cutover.domain import errors as known

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = [*sorted((ROOT / "cli").rglob("*.py")), ROOT / "sandbox" / "commands.py"]


def test_the_document_is_what_the_code_says() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert written(text) == text, "run: python -m cli.exit_codes"


def test_the_help_tells_every_code() -> None:
    told = CliRunner().invoke(main.cutover, ["--help"]).output
    for code in ExitCode:
        assert re.search(rf"^ +{code.value} +{re.escape(code.meaning)}$", told, re.MULTILINE), code


def test_every_error_that_has_a_code_is_one_that_there_is() -> None:
    for every in errors().values():
        for error in every:
            assert issubclass(getattr(known, error), known.CutoverError)


def exits(tree: ast.AST) -> Iterator[ast.Call]:
    """sys.exit(…), SystemExit(…), context.exit(…)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("exit", "SystemExit", "_exit"):
                yield node


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_command_ends_with_a_bare_number(path: Path) -> None:
    for call in exits(ast.parse(path.read_text(encoding="utf-8"))):
        assert not any(isinstance(part, ast.Constant) for part in ast.walk(call)), ast.unparse(call)


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (UserError("wrong"), ExitCode.BAD_INPUT),
        (UserError("locked", ExitCode.REFUSED), ExitCode.REFUSED),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
    ],
)
def test_what_is_raised_ends_with_its_code(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: ExitCode
) -> None:
    def command(**_options: object) -> None:
        raise raised

    monkeypatch.setattr(main, "cutover", command)
    monkeypatch.setattr(main, "_add_installed_commands", lambda: None)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == code


@pytest.mark.parametrize("arguments", [["deply"], ["status"], ["report", "hourly", "staging"]])
def test_what_is_asked_wrongly_ends_with_two(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.setattr("sys.argv", ["cutover", *arguments])
    monkeypatch.setattr(main, "_add_installed_commands", lambda: None)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert ended.value.code == ExitCode.BAD_INPUT == 2
