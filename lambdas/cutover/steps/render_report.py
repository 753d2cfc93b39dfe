"""A report's document as files: pages in both languages, pictures, and the document itself."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cutover.domain.observed import LINES
from cutover.domain.report_page import as_html, page_of
from cutover.domain.report_words import LOCALES, Speech
from cutover.report_ports import Plots

DOCUMENT = "report.json"


@dataclass(frozen=True)
class File:
    body: bytes
    media_type: str


def files_of(document: Mapping[str, Any], plots: Plots) -> dict[str, File]:
    """By name: report.en.html and report.ko.html, which carry their pictures inside them; the pictures alone,
    for mails, whose readers show none of those (LINE.png); report.json last."""
    files: dict[str, File] = {}
    for locale in LOCALES:
        speech = Speech(locale, document["zone"])
        page = page_of(document, speech)
        for name in page.pictures:
            if f"{name}.png" not in files:
                points, limit = document["series"][name], document["limits"].get(name)
                png = plots.draw(points, LINES[name].value, document["zone"], limit)
                if png is not None:
                    files[f"{name}.png"] = File(png, "image/png")
        body = as_html(page, locale, lambda name: _inside(files.get(f"{name}.png")), speech.say)
        files[f"report.{locale}.html"] = File(body.encode(), "text/html; charset=utf-8")
    text = json.dumps(document, indent=1, ensure_ascii=False)
    files[DOCUMENT] = File(text.encode(), "application/json")
    return files


def _inside(picture: File | None) -> str | None:
    return f"data:image/png;base64,{base64.b64encode(picture.body).decode()}" if picture else None
