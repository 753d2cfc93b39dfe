"""Plots as PNG, which mail clients show, too: one line over time, with its gaps left open.

They are drawn with the standard library and written by pypng, in the Lambda function and in the command
alike, so that a report looks the same in both. Libraries that draw come as compiled wheels of tens of
megabytes, each for one Python only; this is a line and some numbers. The words are in the report's text.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import png

from cutover.adapters import glyphs
from cutover.domain.gates import Unit, shown

#: Twice what it is shown as (640 × 200), for screens that have the dots.
WIDTH, HEIGHT = 1280, 400
LEFT, RIGHT, TOP, BOTTOM = 160, 24, 24, 52
LINE_WIDTH, RULE, DOT = 4, 2, 3
#: The palette: what is drawn is the number of a colour.
PAPER, GRID, GAP, INK, LIMIT, LINE = range(6)
PALETTE = [(255, 255, 255), (221, 221, 221), (241, 233, 221), (68, 68, 68), (214, 39, 40), (31, 119, 180)]
#: Between two labels of the time axis; the first that leaves room for them.
STEPS = tuple(
    timedelta(minutes=minutes) for minutes in (5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 5760, 10080)
)
MOST_LABELS = 8


class Drawings:
    def draw(
        self, points: Sequence[Sequence[Any]], unit: str, zone: str, limit: float | None
    ) -> bytes | None:
        values = [float(value) for _, value in points if value is not None]
        if not values:
            return None
        plot = _Plot(points, ZoneInfo(zone), _top_of(max(values), limit))
        plot.gaps()
        plot.values(Unit(unit))
        plot.times()
        if limit is not None and limit <= plot.top:
            plot.across(limit)
        plot.line()
        return plot.canvas.png()


def _top_of(highest: float, limit: float | None) -> float:
    """A round number above all values; above the limit, too, unless that is far off."""
    if limit is not None and limit <= 4 * highest:
        highest = max(highest, limit)
    if highest <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(highest))
    return next((step * unit for step in (1, 2, 2.5, 5) if step * unit >= highest), 10 * unit)


class Canvas:
    """Dots, each with the number of a colour. What lies outside is not drawn."""

    def __init__(self) -> None:
        self._rows = [bytearray(WIDTH) for _ in range(HEIGHT)]

    def fill(self, left: int, top: int, right: int, bottom: int, colour: int) -> None:
        """Up to, not including, `right` and `bottom`."""
        left = max(0, left)
        right = max(left, min(WIDTH, right))
        for y in range(max(0, top), min(HEIGHT, bottom)):
            self._rows[y][left:right] = bytes([colour]) * (right - left)

    def stroke(self, x1: float, y1: float, x2: float, y2: float, colour: int) -> None:
        """A line of LINE_WIDTH, dot by dot."""
        steps = max(1, math.ceil(max(abs(x2 - x1), abs(y2 - y1))))
        half = LINE_WIDTH // 2
        for step in range(steps + 1):
            x = round(x1 + (x2 - x1) * step / steps)
            y = round(y1 + (y2 - y1) * step / steps)
            self.fill(x - half, y - half, x + half, y + half, colour)

    def text(self, x: int, y: int, words: str, colour: int) -> None:
        """From its top left corner."""
        for place, char in enumerate(words):
            for column, bits in enumerate(glyphs.GLYPHS.get(char, glyphs.GLYPHS[" "])):
                for row in range(glyphs.HEIGHT):
                    if bits >> row & 1:
                        left = x + (place * (glyphs.WIDTH + 1) + column) * DOT
                        self.fill(left, y + row * DOT, left + DOT, y + (row + 1) * DOT, colour)

    def png(self) -> bytes:
        kept = io.BytesIO()
        png.Writer(WIDTH, HEIGHT, palette=PALETTE, bitdepth=4, compression=9).write(kept, self._rows)
        return kept.getvalue()


def _width(words: str) -> int:
    return (len(words) * (glyphs.WIDTH + 1) - 1) * DOT


class _Plot:
    def __init__(self, points: Sequence[Sequence[Any]], zone: ZoneInfo, top: float) -> None:
        self._points = [
            (datetime.fromisoformat(str(at)), None if value is None else float(value)) for at, value in points
        ]
        self._zone, self.top = zone, top
        self._first, self._last = self._points[0][0], self._points[-1][0]
        self.canvas = Canvas()

    def _x(self, at: datetime) -> int:
        whole = (self._last - self._first).total_seconds() or 1.0
        share = (at - self._first).total_seconds() / whole
        return round(LEFT + share * (WIDTH - LEFT - RIGHT))

    def _y(self, value: float) -> int:
        return round(HEIGHT - BOTTOM - value / self.top * (HEIGHT - TOP - BOTTOM))

    def gaps(self) -> None:
        """A band where there is no value."""
        for (before, _), (at, value) in zip(self._points[:1] + self._points, self._points, strict=False):
            if value is None:
                self.canvas.fill(self._x(before), self._y(self.top), self._x(at), self._y(0), GAP)

    def values(self, unit: Unit) -> None:
        for part in range(5):
            value = self.top * part / 4
            y = self._y(value)
            self.canvas.fill(LEFT, y, WIDTH - RIGHT, y + RULE, GRID)
            label = shown(value, unit).replace(" a second", "/s")
            self.canvas.text(LEFT - 12 - _width(label), y - glyphs.HEIGHT * DOT // 2, label, INK)

    def times(self) -> None:
        whole = self._last - self._first
        step = next((each for each in STEPS if whole / each <= MOST_LABELS), STEPS[-1])
        midnight = self._first.astimezone(self._zone).replace(hour=0, minute=0, second=0, microsecond=0)
        at = midnight + math.ceil((self._first - midnight) / step) * step
        while at <= self._last:
            x, y = self._x(at), self._y(0)
            label = f"{at:%m-%d}" if step >= timedelta(days=1) else f"{at:%H:%M}"
            self.canvas.fill(x, y, x + RULE, y + 8, INK)
            self.canvas.text(x - _width(label) // 2, y + 16, label, INK)
            at += step

    def across(self, limit: float) -> None:
        """Dashes."""
        y = self._y(limit)
        for x in range(LEFT, WIDTH - RIGHT, 16):
            self.canvas.fill(x, y, x + 8, y + RULE, LIMIT)

    def line(self) -> None:
        before: tuple[int, int] | None = None
        for at, value in self._points:
            here = (self._x(at), self._y(value)) if value is not None else None
            if here is not None:
                # A value that stands alone between two gaps is a dot.
                self.canvas.stroke(*(before or here), *here, LINE)
            before = here
