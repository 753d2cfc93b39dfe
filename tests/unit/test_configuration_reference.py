"""docs/configuration.md has every key, with what the types say of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import BaseModel

from config.model import Configuration
from config.reference import FILE, _model_of, drawn, written


def keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = _model_of(field.annotation)
        if inner is not None:
            yield from keys(inner)
        else:
            yield name


def test_the_document_is_what_the_types_say() -> None:
    text = FILE.read_text(encoding="utf-8")
    assert written(text) == text, "run: python -m config.reference"


def test_every_key_has_a_row() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", drawn(), re.MULTILINE)
    assert set(keys(Configuration)) <= set(rows)


def test_bounds_choices_and_defaults_are_told() -> None:
    text = drawn()
    for row in (
        "| `poll_seconds` | whole number, ≥ 1, ≤ 300 | `5` | How often the state machine looks again at a "
        "change set, a stack, a release, a watch. |",
        '| `strategy` | `all_at_once` or `canary` or `linear` | `"all_at_once"` |  |',
        "| `cidr` | IPv4 network | — |  |",
        "| `public_subnets` | list (2) of: IPv4 network | — |  |",
        "| `p95` | `must` or `should` | none |  |",
        "| `error_rate` | number, > 0, ≤ 1 | `0.001` |  |",
    ):
        assert f"\n{row}\n" in text, row
    assert '`"/api/auth/login" = "5/minute"`' in text


def test_no_row_says_that_it_does_not_know() -> None:
    assert "| anything" not in drawn()
