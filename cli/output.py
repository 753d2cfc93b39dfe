"""How results are shown: tables for people, one JSON document for programs. NO_COLOR is honoured by rich."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import click
from rich.console import Console

#: For a pipe or a file, whose reader has no width: tables stay in one line each.
WIDTH_OF_A_PIPE = 160

out = Console(
    highlight=False,
    soft_wrap=True,
    emoji=False,
    width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else WIDTH_OF_A_PIPE,
)

_F = TypeVar("_F", bound=Callable[..., Any])


def json_option(command: _F) -> _F:
    """The option that every command has."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")(
        command
    )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def print_json(document: Any) -> None:
    """The document on stdout, for a program to read."""
    click.echo(json.dumps(document, indent=2, default=_plain, ensure_ascii=False))


def seconds(duration: float) -> str:
    """`4.2 s`, `3 min 05 s`."""
    if duration < 60:
        return f"{duration:.1f} s"
    return f"{int(duration) // 60} min {int(duration) % 60:02d} s"
