"""Plots: a line, its gaps, its limit, as PNG."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest
from PIL import Image, ImageColor

from cutover.adapters.plots import GAP, HEIGHT, LIMIT, LINE, WIDTH, Drawings
from tests.unit.report_scene import MIDNIGHT

HOURS = [(MIDNIGHT + timedelta(hours=hour)).isoformat() for hour in range(24)]


def shows(png: bytes, name: str, *, left: float = 0, right: float = 1) -> bool:
    """Whether there is a pixel of about that colour between two shares of the width: lines are smoothed."""
    image = Image.open(io.BytesIO(png)).convert("RGB")
    assert image.size == (WIDTH, HEIGHT)
    part = image.crop((int(left * WIDTH), 0, int(right * WIDTH), HEIGHT))
    wanted = ImageColor.getrgb(name)
    found: Any = part.getcolors(WIDTH * HEIGHT)
    return any(max(abs(one - other) for one, other in zip(c, wanted, strict=True)) < 60 for _, c in found)


def draw(values: list[float | None], limit: float | None = None) -> bytes | None:
    points: list[list[Any]] = [[at, value] for at, value in zip(HOURS, values, strict=True)]
    return Drawings().draw(points, "ms", "Asia/Seoul", limit)


def test_a_line_is_drawn_with_its_limit() -> None:
    png = draw([100.0] * 24, limit=120)
    assert png is not None
    assert png.startswith(b"\x89PNG")
    assert shows(png, LINE)
    assert shows(png, LIMIT)


def test_a_gap_is_left_open() -> None:
    png = draw([100.0] * 8 + [None] * 8 + [100.0] * 8)
    assert png is not None
    assert shows(png, GAP, left=0.5, right=0.6)
    assert not shows(png, LINE, left=0.5, right=0.6)
    assert shows(png, LINE, left=0.8)


def test_without_any_value_there_is_no_picture() -> None:
    assert draw([None] * 24) is None


@pytest.mark.parametrize("values", [[0.0] * 24, [5e-7] * 24, [3.2e9] * 24, [None] * 23 + [7.0]])
def test_any_values_can_be_drawn(values: list[float | None]) -> None:
    assert draw(values, limit=500) is not None


def test_a_limit_that_is_far_off_does_not_flatten_the_line() -> None:
    png = draw([2.0, 3.0] * 12, limit=500)
    assert png is not None
    assert not shows(png, LIMIT)
