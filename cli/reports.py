"""Making a report with the caller's own rights, and showing it: as text, JSON, or a folder of pages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from cli.errors import UserError
from cli.output import print_json
from cli.session import Environment, aws_errors_explained
from cutover.adapters.clock import SystemClock
from cutover.adapters.journal import DynamoJournal
from cutover.adapters.metric_history import CloudWatchHistory
from cutover.adapters.plots import Drawings
from cutover.domain.errors import CutoverError
from cutover.domain.observed import LINES
from cutover.domain.report_page import as_html, as_text, page_of
from cutover.domain.report_words import LOCALES, Locale, Speech
from cutover.steps.report import Wish, make_report


class _Settings:
    """The environment's file: a report is judged by the thresholds that the caller sees."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment

    def read(self) -> Mapping[str, Any]:
        return self._environment.configuration.for_lambdas()


def make(environment: Environment, wish: Wish) -> dict[str, Any]:
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
    """report.json, report.en.html, report.ko.html, and a picture for each line that they show.

    Raises UserError when the folder can't be written to."""
    drawings = Drawings()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(document, indent=2, ensure_ascii=False)
        (folder / "report.json").write_text(text + "\n", encoding="utf-8")
        for locale in LOCALES:
            speech = Speech(locale, document["zone"])
            page = page_of(document, speech)
            drawn = {}
            for name in page.pictures:
                limit = document["limits"].get(name)
                unit = LINES[name].value
                png = drawings.draw(document["series"][name], unit, document["zone"], limit)
                if png is not None:
                    (folder / f"{name}.png").write_bytes(png)
                    drawn[name] = f"{name}.png"
            body = as_html(page, locale, drawn.get, speech.say)
            (folder / f"report.{locale}.html").write_text(body, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--output {folder}: can't be written ({error.strerror})") from None
