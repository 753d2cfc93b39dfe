"""Plots: a line, its gaps, its limit, as PNG."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import png
import pytest

from cutover.adapters.glyphs import GLYPHS
from cutover.adapters.plots import GAP, HEIGHT, LIMIT, LINE, PALETTE, WIDTH, Canvas, Drawings
from cutover.domain.gates import Unit, shown
from tests.unit.report_scene import MIDNIGHT

HOURS = [(MIDNIGHT + timedelta(hours=hour)).isoformat() for hour in range(24)]


def shows(picture: bytes, colour: int, *, left: float = 0, right: float = 1) -> bool:
    """Whether there is a dot of that colour between two shares of the width."""
    width, height, rows, about = png.Reader(bytes=picture).read()
    assert (width, height, about["palette"]) == (WIDTH, HEIGHT, PALETTE)
    return any(colour in row[int(left * WIDTH) : int(right * WIDTH)] for row in rows)


def draw(values: list[float | None], limit: float | None = None) -> bytes | None:
    points: list[list[Any]] = [[at, value] for at, value in zip(HOURS, values, strict=True)]
    return Drawings().draw(points, "ms", "Asia/Seoul", limit)


def test_a_line_is_drawn_with_its_limit() -> None:
    picture = draw([100.0] * 24, limit=120)
    assert picture is not None
    assert picture.startswith(b"\x89PNG")
    assert shows(picture, LINE)
    assert shows(picture, LIMIT)


def test_a_gap_is_left_open() -> None:
    picture = draw([100.0] * 8 + [None] * 8 + [100.0] * 8)
    assert picture is not None
    assert shows(picture, GAP, left=0.5, right=0.6)
    assert not shows(picture, LINE, left=0.5, right=0.6)
    assert shows(picture, LINE, left=0.8)


def test_without_any_value_there_is_no_picture() -> None:
    assert draw([None] * 24) is None


@pytest.mark.parametrize("values", [[0.0] * 24, [5e-7] * 24, [3.2e9] * 24, [None] * 23 + [7.0]])
def test_any_values_can_be_drawn(values: list[float | None]) -> None:
    assert draw(values, limit=500) is not None


def test_a_limit_that_is_far_off_does_not_flatten_the_line() -> None:
    picture = draw([2.0, 3.0] * 12, limit=500)
    assert picture is not None
    assert not shows(picture, LIMIT)


@pytest.mark.parametrize("unit", list(Unit))
def test_every_label_can_be_written(unit: Unit) -> None:
    for value in (0, 2.5e-7, 0.0125, 3, 62.5, 500, 1250, 75_000, 1.25e9):
        assert set(shown(value, unit).replace(" a second", "/s")) <= set(GLYPHS)


def test_what_lies_outside_is_not_drawn() -> None:
    canvas = Canvas()
    canvas.stroke(-50, -50, WIDTH + 50, HEIGHT + 50, LINE)
    canvas.text(WIDTH - 4, HEIGHT - 4, "88", LINE)
    assert shows(canvas.png(), LINE, left=0.5, right=0.6)


def test_a_picture_is_small_enough_for_a_mail() -> None:
    picture = draw([100.0, 900.0] * 12)
    assert picture is not None
    assert len(picture) < 20_000
