"""Errors of a log, grouped: lines that differ only in what they are about are one pattern (F1, F3).

Lines are JSON objects as the backend writes them (time, level, message, exception …), or as Elasticsearch
gives them out (the same within `_source`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from cutover.domain.series import Span
from cutover.domain.times import text

LEVELS = frozenset({"ERROR", "CRITICAL", "FATAL"})
#: What differs from line to line, and what stands for it; the first that fits takes it.
_VARIABLES = (
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE), "<uuid>"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+"), "<mail>"),
    (re.compile(r"\b\d{1,3}(\.\d{1,3}){3}(:\d+)?\b"), "<address>"),
    (re.compile(r"\b(0x)?(?=[0-9a-f]*\d)[0-9a-f]{8,}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"'[^']*'|\"[^\"]*\""), "<text>"),
    (re.compile(r"\d+(\.\d+)?"), "<n>"),
)
#: Longer messages are told by their beginning.
LONGEST = 200
MOST = 20


@dataclass(frozen=True)
class Pattern:
    """`example` is one of its lines as it was written; times are None where no line told its own."""

    pattern: str
    count: int
    first: datetime | None
    last: datetime | None
    example: str


def pattern_of(message: str) -> str:
    """The message without what differs from line to line."""
    first_line = message.strip().partition("\n")[0]
    for expression, name in _VARIABLES:
        first_line = expression.sub(name, first_line)
    return " ".join(first_line.split())[:LONGEST]


def grouped(lines: Iterable[str], span: Span) -> dict[str, Any]:
    """{errors, unreadable, patterns}: those of the span, the most frequent first. Lines without a time count
    as of the span; `unreadable` are those that are no JSON object, and could be anything."""
    found: dict[str, Pattern] = {}
    errors = unreadable = 0
    for line in lines:
        if not line.strip():
            continue
        record = _read(line)
        if record is None:
            unreadable += 1
            continue
        at = _time(record)
        if str(record.get("level", "")).upper() not in LEVELS:
            continue
        if at is not None and not span.since <= at < span.until:
            continue
        errors += 1
        message = _message(record)
        pattern = pattern_of(message)
        known = found.get(pattern) or Pattern(pattern, 0, None, None, message[:LONGEST])
        found[pattern] = replace(
            known,
            count=known.count + 1,
            first=min((each for each in (known.first, at) if each is not None), default=None),
            last=max((each for each in (known.last, at) if each is not None), default=None),
            # Of all the same one, in whatever order the lines came.
            example=min(known.example, message[:LONGEST]),
        )
    ordered = sorted(found.values(), key=lambda each: (-each.count, each.pattern))
    return {
        "errors": errors,
        "unreadable": unreadable,
        "kinds": len(ordered),
        "patterns": [
            {
                "pattern": each.pattern,
                "count": each.count,
                "first": text(each.first) if each.first else None,
                "last": text(each.last) if each.last else None,
                "example": each.example,
            }
            for each in ordered[:MOST]
        ],
    }


def _read(line: str) -> Mapping[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    if not isinstance(record, dict):
        return None
    source = record.get("_source")
    return source if isinstance(source, dict) else record


def _message(record: Mapping[str, Any]) -> str:
    """With the last line of a traceback, which names the error."""
    message = str(record.get("message") or "").strip()
    last = str(record.get("exception") or "").strip().rpartition("\n")[2].strip()
    return f"{message}: {last}" if message and last else message or last or "(no message)"


def _time(record: Mapping[str, Any]) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(record.get("time") or record.get("@timestamp")))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
