"""Errors of a log, grouped: lines that differ only in what they are about are one pattern (F1, F3).

Lines are JSON objects as the backend writes them (time, level, message, exception, status, route …), or as
Elasticsearch gives them out (the same within `_source`).

The instances group their own logs with this very file (stacks/environment/error_log.py), so that no line
leaves them but an example of each pattern. It imports nothing of ours, and runs on their Python, too: 3.10 in
Ubuntu 22.04.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

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
UTC = timezone.utc  # noqa: UP017  Python 3.10 has no other name for it.


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


def grouped(lines: Iterable[str], spans: Sequence[tuple[datetime, datetime]]) -> dict[str, Any]:
    """{errors, unreadable, kinds, patterns}: those of the spans (from, up to and not including), the most
    frequent first, no more than MOST of them. Lines without a time count as of the spans; `unreadable` are
    those that are no JSON object, and could be anything."""
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
        if at is not None and not any(since <= at < until for since, until in spans):
            continue
        errors += 1
        message = _message(record)
        pattern = " ".join(filter(None, (pattern_of(message), _where(record))))
        one = Pattern(pattern, 1, at, at, message[:LONGEST])
        known = found.get(pattern)
        found[pattern] = _both(known, one) if known else one
    return {"errors": errors, "unreadable": unreadable, **_listed(found.values())}


def merged(groups: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Several of `grouped`, of other lines each, as one. A pattern that is not among the first MOST of its
    group is in no list, so that `kinds` is the least that there are."""
    every, found = list(groups), dict[str, Pattern]()
    for group in every:
        for told in group["patterns"]:
            each = Pattern(
                told["pattern"], told["count"], _moment(told["first"]), _moment(told["last"]), told["example"]
            )
            known = found.get(each.pattern)
            found[each.pattern] = _both(known, each) if known else each
    kinds = max([len(found), *(group["kinds"] for group in every)])
    counts = {name: sum(group[name] for group in every) for name in ("errors", "unreadable")}
    return {**counts, **_listed(found.values()), "kinds": kinds}


def _both(one: Pattern, other: Pattern) -> Pattern:
    firsts = [at for at in (one.first, other.first) if at is not None]
    lasts = [at for at in (one.last, other.last) if at is not None]
    return Pattern(
        one.pattern,
        one.count + other.count,
        min(firsts, default=None),
        max(lasts, default=None),
        # Of all the same one, in whatever order the lines came.
        min(one.example, other.example),
    )


def _listed(found: Collection[Pattern]) -> dict[str, Any]:
    ordered = sorted(found, key=lambda each: (-each.count, each.pattern))
    patterns = [
        {
            "pattern": each.pattern,
            "count": each.count,
            "first": _text(each.first),
            "last": _text(each.last),
            "example": each.example,
        }
        for each in ordered[:MOST]
    ]
    return {"kinds": len(ordered), "patterns": patterns}


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


def _where(record: Mapping[str, Any]) -> str:
    """What was answered, and at which route, where the line is of a request: `500 /api/models/{id}`."""
    return " ".join(str(record[name]) for name in ("status", "route") if record.get(name))


def _time(record: Mapping[str, Any]) -> datetime | None:
    return _moment(record.get("time") or record.get("@timestamp"))


def _moment(told: object) -> datetime | None:
    """None of what is none."""
    try:
        # Python 3.10 reads no Z.
        at = datetime.fromisoformat(re.sub("Z$", "+00:00", str(told)))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _text(at: datetime | None) -> str | None:
    """As `cutover.domain.times` writes moments."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None
