"""Writes the tables of docs/exit-codes.md: `python -m cli.exit_codes`. A test compares the file with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from cli.commands import approve, checklist, deploy, drill, rollback
from cli.errors import ExitCode

FILE = Path(__file__).resolve().parents[1] / "docs" / "exit-codes.md"
BEGIN, END = "<!-- drawn from the code: begin -->", "<!-- drawn from the code: end -->"


def errors() -> dict[str, dict[str, ExitCode]]:
    """By command: the errors of the control plane that end in another code than 1."""
    refused = dict.fromkeys(sorted(deploy.REFUSALS), ExitCode.REFUSED)
    bad = dict.fromkeys(sorted(deploy.BAD_INPUT), ExitCode.BAD_INPUT)
    return {
        "plan, deploy": {**refused, **bad},
        "rollback": {
            **dict.fromkeys(sorted(rollback.REFUSALS), ExitCode.REFUSED),
            "InvalidInputError": ExitCode.BAD_INPUT,
        },
        "drill": dict.fromkeys(sorted(drill.REFUSALS), ExitCode.REFUSED),
        "approve, reject": approve.REFUSALS,
        "checklist": checklist.REFUSALS,
    }


def in_help() -> str:
    """For `cutover --help`."""
    return "\n".join(["\b", "Exit codes:", *(f"  {code.value:<4} {code.meaning}" for code in ExitCode)])


def drawn() -> str:
    return "\n".join([BEGIN, "", *_lines(), "", END])


def written(text: str) -> str:
    """The file's text with its drawn part made new."""
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return before + drawn() + after


def _lines() -> Iterator[str]:
    yield from ("| code | meaning |", "|---|---|")
    yield from (f"| {code.value} | {code.meaning} |" for code in ExitCode)
    yield from ("", "| command | error | code |", "|---|---|---|")
    for commands, every in errors().items():
        yield from (f"| {commands} | `{error}` | {code.value} |" for error, code in every.items())


def main() -> None:
    """Write."""
    FILE.write_text(written(FILE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
