"""How the demo is told: headings, steps with their times, and the traffic as users see it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

_BAR = 40
_COLOURS = ("cyan", "green", "red", "magenta")


def traffic_line(report: Mapping[str, Any]) -> Text:
    """`v1 ████████ v2   500 rps   p95 3 ms   12,000 answers   0 failed`."""
    line = Text()
    split = report["split"]
    total = sum(split.values())
    if not total:
        return Text("no traffic", style="dim")
    names = sorted(report["versions"])
    for number, name in enumerate(names):
        share = split.get(name, 0) / total
        if share:
            style = _COLOURS[number % len(_COLOURS)]
            line.append(f"{name} ", style=f"bold {style}")
            line.append("█" * max(1, round(share * _BAR)), style=style)
            line.append(f" {share:.0%}  ")
    failed = report["failed"]
    p95 = f"{report['p95_ms']:.0f} ms" if report["p95_ms"] is not None else "–"
    line.append(f"{report['rps']} rps  p95 {p95}  {report['answers']:,} answers  ")
    line.append(f"{failed:,} failed", style="red" if failed else "green")
    return line


class Narrator:
    """Tells the story on a terminal with a live line of traffic, and in a pipe with a line now and then."""

    _PIPE_SECONDS = 5.0

    def __init__(self, console: Console, report: Callable[[], Mapping[str, Any]]) -> None:
        self.console, self._report = console, report
        self._told_at = 0.0
        self.timings: dict[str, float] = {}

    def heading(self, text: str) -> None:
        """A new chapter."""
        self.console.print(f"\n[bold]{text}[/]")

    def say(self, text: str) -> None:
        """One line."""
        self.console.print(f"  {text}")

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Something that takes a while; its time is told when it ends."""
        start = time.monotonic()
        if self.console.is_terminal:
            with self.console.status(name):
                yield
        else:
            yield
        self.timings[name] = round(time.monotonic() - start, 2)
        self.say(f"[green]✓[/] {name} [dim]{self.timings[name]:.1f} s[/]")

    @contextmanager
    def traffic(self) -> Iterator[Callable[[str], None]]:
        """Show the traffic while something runs; the callable says what is being done just now."""
        doing = [""]

        def view() -> Table:
            grid = Table.grid(padding=(0, 1))
            grid.add_row(Text(f"  {doing[0]}", style="dim"))
            grid.add_row(Text("  ").append_text(traffic_line(self._report())))
            return grid

        if self.console.is_terminal:
            with Live(console=self.console, get_renderable=view, refresh_per_second=4, transient=True):
                yield lambda text: doing.__setitem__(0, text)
            return

        def tell(text: str) -> None:
            doing[0] = text
            if time.monotonic() - self._told_at > self._PIPE_SECONDS:
                self._told_at = time.monotonic()
                self.console.print(Text("    ").append_text(traffic_line(self._report())))

        yield tell


def summary(figures: Mapping[str, Any]) -> Table:
    """The table at the end."""
    table = Table(title="What happened", show_header=True)
    for column in ("", "v1", "v2", "v3 (bad)"):
        table.add_column(column, justify="left" if not column else "right")
    rows = {
        "status": "status",
        "requests while it ran": "requests",
        "failed requests": "failed",
        "rule modified → first answer (ms)": "swap_ms",
        "frontend: requests": "page_requests",
        "frontend: failed": "page_failed",
        "frontend: rule modified → first answer (ms)": "page_swap_ms",
        "alarm": "trigger",
        "first bad answer → ALARM (ms)": "first_bad_to_alarm_ms",
        "ALARM → rule modified (ms)": "alarm_to_modify_ms",
        "ALARM → last bad answer (ms)": "alarm_to_last_bad_ms",
        "failed after the rollback": "failed_after_rollback",
        "deployment took (s)": "seconds",
    }
    for label, name in rows.items():
        cells = [figures.get(version, {}).get(name) for version in ("v1", "v2", "v3")]
        table.add_row(
            label,
            *("" if cell is None else f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells),
        )
    return table
