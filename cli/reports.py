"""Making a report with the caller's own rights, and showing it: as text, JSON, or a folder of pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from cli.errors import UserError
from cli.output import print_json
from cli.session import Environment, aws_errors_explained
from cutover.adapters.clock import SystemClock
from cutover.adapters.error_log import InstancesErrorLog
from cutover.adapters.fleet import AutoScalingInstances
from cutover.adapters.journal import DynamoJournal
from cutover.adapters.metric_history import CloudWatchHistory
from cutover.adapters.plots import Drawings
from cutover.domain.errors import CutoverError
from cutover.domain.log_patterns import grouped
from cutover.domain.moves import Spell
from cutover.domain.report_page import as_text, page_of
from cutover.domain.report_words import Locale, Speech
from cutover.report_ports import ErrorLog
from cutover.steps.render_report import files_of
from cutover.steps.report import Wish, make_report


class _Settings:
    """The environment's file: a report is judged by the thresholds that the caller sees."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def read(self) -> Mapping[str, Any]:
        return self._environment.configuration.for_lambdas()


class FileErrorLog:
    """Lines of a log that somebody has exported."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = lines

    def read(self, spells: Sequence[Spell]) -> Mapping[str, Any]:
        """As `cutover.report_ports.ErrorLog`."""
        return grouped(self._lines, [spell.span for spell in spells])


def error_log_of(environment: Environment) -> ErrorLog:
    """What the environment's instances say of their logs."""
    return InstancesErrorLog(
        environment.commands,
        AutoScalingInstances(environment.groups),
        environment.name,
        environment.error_log_document,
        SystemClock(),
    )


def make(environment: Environment, wish: Wish, error_log: ErrorLog | None = None) -> dict[str, Any]:
    """The document. Raises UserError."""
    with aws_errors_explained(environment):
        try:
            return make_report(
                wish,
                environment.name,
                journal=DynamoJournal(environment.journal, environment.journal_table),
                metrics=CloudWatchHistory(environment.alarms),
                configuration=_Settings(environment),
                clock=SystemClock(),
                error_log=error_log,
            )
        except CutoverError as error:
            if isinstance(error.__cause__, ClientError | BotoCoreError):
                raise error.__cause__ from None
            raise UserError(str(error)) from None


def show(document: Mapping[str, Any], locale: Locale, folder: Path | None, as_json: bool) -> None:
    """On stdout; and in the folder, where one is given."""
    page = page_of(document, Speech(locale, document["zone"]))
    if folder is not None:
        keep(document, folder)
    if as_json:
        print_json(document)
        return
    click.echo(as_text(page), nl=False)
    if folder is not None:
        click.echo(f"\n{folder / f'report.{locale}.html'}")


def keep(document: Mapping[str, Any], folder: Path) -> None:
    """report.json, report.en.html, report.ko.html, and their pictures. Raises UserError when the folder can't
    be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, file in files_of(document, Drawings()).items():
            (folder / name).write_bytes(file.body)
    except OSError as error:
        raise UserError(f"--output {folder}: can't be written ({error.strerror})") from None
