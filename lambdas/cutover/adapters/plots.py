"""Plots as PNG, which mail clients show, too: one line over time, with its gaps left open.

Pillow draws them, in the Lambda function and in the command alike, so that a report looks the same in both: a
wheel of 7 MB, where matplotlib with NumPy is ten times that. The words are in the report's text: the font
that Pillow brings has no Hangul.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from PIL import Image, ImageDraw, ImageFont

from cutover.domain.gates import Unit, shown

WIDTH, HEIGHT = 640, 200
LEFT, RIGHT, TOP, BOTTOM = 74, 12, 12, 26
#: Drawn larger and shrunk, for smooth lines.
SCALE = 2
INK, LINE, GRID, GAP, LIMIT = "#444444", "#1f77b4", "#dddddd", "#f1e9dd", "#d62728"
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
        picture = _Picture(points, ZoneInfo(zone), _top_of(max(values), limit))
        picture.gaps()
        picture.values(Unit(unit))
        picture.times()
        if limit is not None and limit <= picture.top:
            picture.across(limit)
        picture.line()
        return picture.png()


def _top_of(highest: float, limit: float | None) -> float:
    """A round number above all values; above the limit, too, unless that is far off."""
    if limit is not None and limit <= 4 * highest:
        highest = max(highest, limit)
    if highest <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(highest))
    return next((step * unit for step in (1, 2, 2.5, 5) if step * unit >= highest), 10 * unit)


class _Picture:
    def __init__(self, points: Sequence[Sequence[Any]], zone: ZoneInfo, top: float) -> None:
        self._points = [
            (datetime.fromisoformat(str(at)), None if value is None else float(value)) for at, value in points
        ]
        self._zone, self.top = zone, top
        self._first, self._last = self._points[0][0], self._points[-1][0]
        self._image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), "white")
        self._draw = ImageDraw.Draw(self._image)
        self._font = ImageFont.load_default(11 * SCALE)

    def _x(self, at: datetime) -> float:
        whole = (self._last - self._first).total_seconds() or 1.0
        share = (at - self._first).total_seconds() / whole
        return (LEFT + share * (WIDTH - LEFT - RIGHT)) * SCALE

    def _y(self, value: float) -> float:
        return (HEIGHT - BOTTOM - value / self.top * (HEIGHT - TOP - BOTTOM)) * SCALE

    def _level(self, value: float) -> float:
        """For a horizontal line: on whole pixels of the shrunk picture, so that it stays sharp."""
        return int(self._y(value)) // SCALE * SCALE

    def gaps(self) -> None:
        """A band where there is no value."""
        for (before, _), (at, value) in zip(self._points[:1] + self._points, self._points, strict=False):
            if value is None:
                self._draw.rectangle((self._x(before), self._y(self.top), self._x(at), self._y(0)), fill=GAP)

    def values(self, unit: Unit) -> None:
        for part in range(5):
            value = self.top * part / 4
            y = self._level(value)
            self._draw.line((LEFT * SCALE, y, (WIDTH - RIGHT) * SCALE, y), fill=GRID, width=SCALE)
            label = shown(value, unit).replace(" a second", "/s")
            self._draw.text(((LEFT - 6) * SCALE, y), label, fill=INK, font=self._font, anchor="rm")

    def times(self) -> None:
        whole = self._last - self._first
        step = next((each for each in STEPS if whole / each <= MOST_LABELS), STEPS[-1])
        midnight = self._first.astimezone(self._zone).replace(hour=0, minute=0, second=0, microsecond=0)
        at = midnight + math.ceil((self._first - midnight) / step) * step
        while at <= self._last:
            x, y = self._x(at), (HEIGHT - BOTTOM + 4) * SCALE
            label = f"{at:%m-%d}" if step >= timedelta(days=1) else f"{at:%H:%M}"
            self._draw.line((x, self._y(0), x, y), fill=INK, width=SCALE)
            self._draw.text((x, y + 2 * SCALE), label, fill=INK, font=self._font, anchor="mt")
            at += step

    def across(self, limit: float) -> None:
        """Dashes."""
        y = self._level(limit)
        for x in range(LEFT, WIDTH - RIGHT, 8):
            self._draw.line((x * SCALE, y, (x + 4) * SCALE, y), fill=LIMIT, width=SCALE)

    def line(self) -> None:
        run: list[tuple[float, float]] = []
        for at, value in [*self._points, (self._last, None)]:
            if value is not None:
                run.append((self._x(at), self._y(value)))
                continue
            if len(run) > 1:
                self._draw.line(run, fill=LINE, width=2 * SCALE, joint="curve")
            elif run:
                x, y = run[0]
                self._draw.ellipse((x - SCALE, y - SCALE, x + SCALE, y + SCALE), fill=LINE)
            run = []

    def png(self) -> bytes:
        kept = io.BytesIO()
        self._image.reduce(SCALE).save(kept, "PNG", optimize=True)
        return kept.getvalue()
