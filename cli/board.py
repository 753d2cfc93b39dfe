"""The Go/No-Go board, for people: each persona's verdict, and one row for each figure of the requirements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from cli.output import out

_COLOURS = {"Pass": "green", "Fail": "red", "Inconclusive": "yellow", "Go": "bold green", "No-Go": "bold red"}


def show_board(board: Mapping[str, Any]) -> None:
    """As the deployment's record has it."""
    out.print(f"Go or no go? {_coloured(board['verdict'])} ({board['decided_at']})")
    personas = Table("persona", "verdict", "gates", box=None, padding=(0, 2))
    for name, persona in board["personas"].items():
        counted = ", ".join(f"{count} {verdict}" for verdict, count in persona["gates"].items() if count)
        personas.add_row(name, _coloured(persona["verdict"]), counted)
    out.print(personas)
    rows = Table("measure", "for", "persona", "weight", "verdict", "found", "wanted", "samples", box=None)
    for row in board["rows"]:
        rows.add_row(
            row["name"],
            row["requirement"],
            row["persona"],
            "must" if row["must"] else "should",
            _coloured(row["verdict"]),
            row["found"],
            row["wanted"],
            str(row["samples"]),
        )
    out.print(rows)
    for name, persona in board["personas"].items():
        for words in persona["closed"]:
            out.print(f"  closed, {name}: {words}", markup=False)
    out.print(f"kept: {board['location']}", markup=False)
    out.print(f"      {board['console']}", markup=False)


def _coloured(verdict: str) -> str:
    colour = _COLOURS.get(verdict)
    return f"[{colour}]{verdict}[/]" if colour else verdict
