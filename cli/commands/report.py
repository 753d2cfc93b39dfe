"""`cutover report`: the first hour, the first day and every week of a release; and `cutover trend`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import click

from cli.errors import UserError
from cli.options import environment_options
from cli.output import json_option
from cli.reports import FileErrorLog, error_log_of, make, show
from cli.session import Environment
from cutover.domain.errors import InvalidInputError
from cutover.domain.observed import LINES
from cutover.domain.report import TRENDS, Kind
from cutover.domain.report_words import Locale
from cutover.steps.report import Wish

_UNITS = {"minute": 1, "hour": 60, "day": 24 * 60, "week": 7 * 24 * 60}
#: What the deployment plan calls it.
_ALIASES = {"response_time": "p95"}

_locale = click.option(
    "--locale",
    type=click.Choice(get_args(Locale)),
    default="en",
    show_default=True,
    envvar="CUTOVER_LOCALE",
    help="The language.",
)
_output = click.option(
    "--output",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder for HTML in both languages, pictures (PNG) and JSON.",
)
_until = click.option(
    "--until",
    metavar="TIME",
    help="The report's end (ISO 8601, in UTC where no zone is said). Default: now.",
)


def parse_until(text: str | None) -> datetime | None:
    """Raises UserError for what is no moment in ISO 8601."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(
            f"--until {text!r}: write a moment like 2026-03-04T18:00 or 2026-03-05T03:00+09:00."
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def parse_period(text: str) -> timedelta:
    """`7 days`, `24 hours`. Raises UserError."""
    match = re.fullmatch(r"\s*(\d{1,6})\s*(minute|hour|day|week)s?\s*", text)
    if not match:
        raise UserError(f'--period {text!r}: write a number and a unit, like "7 days" or "24 hours".')
    return timedelta(minutes=int(match[1]) * _UNITS[match[2]])


def parse_lines(text: str) -> tuple[str, ...]:
    """Names separated by commas; each once."""
    names = [part.strip() for part in text.split(",") if part.strip()]
    return tuple(dict.fromkeys(_ALIASES.get(name, name) for name in names)) or TRENDS


def wish_of(
    kind: Kind, until: str | None, length: timedelta | None = None, lines: tuple[str, ...] = TRENDS
) -> Wish:
    """Raises UserError for what can't be reported on."""
    try:
        return Wish(kind, parse_until(until), length, lines)
    except InvalidInputError as error:
        raise UserError(f"--{error}") from None


_error_log = click.option(
    "--error-log",
    "error_log",
    type=click.File(encoding="utf-8", errors="replace"),
    help="The backends' log as JSON lines (- is stdin), instead of asking the instances for their errors.",
)


@click.command()
@click.argument(
    "kind", type=click.Choice([kind.value for kind in (Kind.CHECKPOINT, Kind.DAILY, Kind.WEEKLY)])
)
@environment_options
@_locale
@_output
@_until
@_error_log
@json_option
def report(
    *,
    kind: str,
    environment_name: str,
    locale: Locale,
    folder: Path | None,
    until: str | None,
    error_log: Iterable[str] | None,
    config_dir: Path | None,
    as_json: bool,
) -> None:
    """Report on ENVIRONMENT from its metrics and its journal.

    \b
    checkpoint   the first hour of the release that is live
    daily        24 hours, with improvements and production readiness
    weekly       7 days: trends of response time, throughput and errors

    What there is no data for is said, and never taken for zero.
    """
    environment = Environment.named(environment_name, config_dir)
    log = FileErrorLog(error_log) if error_log is not None else error_log_of(environment)
    show(make(environment, wish_of(Kind(kind), until), log), locale, folder, as_json)


@click.command()
@environment_options
@click.option("--period", default="7 days", show_default=True, help="How far to look back.")
@click.option(
    "--metrics",
    default="response_time,throughput,error_rate",
    show_default=True,
    help=f"Which, separated by commas: response_time (p95), {', '.join(LINES)}.",
)
@_locale
@_output
@_until
@json_option
def trend(
    *,
    environment_name: str,
    period: str,
    metrics: str,
    locale: Locale,
    folder: Path | None,
    until: str | None,
    config_dir: Path | None,
    as_json: bool,
) -> None:
    """Tell whether ENVIRONMENT's figures rise or fall, how sure that is, and when their level changed."""
    environment = Environment.named(environment_name, config_dir)
    wish = wish_of(Kind.TREND, until, parse_period(period), parse_lines(metrics))
    show(make(environment, wish), locale, folder, as_json)
