"""Take a person's answer to a checklist's line that no machine can know (requirement G3)."""

from __future__ import annotations

from typing import Any

from cutover.domain.checklist import FOR_PEOPLE
from cutover.domain.errors import InvalidInputError
from cutover.domain.records import checklist_key, deployment_key
from cutover.domain.times import text
from cutover.ports import Change, Clock, Journal

MOST_WORDS = 1000


def answer_line(
    deployment: object, line: object, by: object, note: object, *, journal: Journal, clock: Clock
) -> dict[str, Any]:
    """{deployment, line, text, by, at, note}. A later answer replaces an earlier one; evidence keeps both.

    Raises InvalidInputError for a line that the evidence answers, for an answer without a person or a note,
    and for a deployment that is not known; ConflictError when somebody else answers at the same moment.
    """
    if line not in FOR_PEOPLE:
        raise InvalidInputError(
            f"answer: {line!r} is no line for people; those are {', '.join(FOR_PEOPLE)}, and the evidence "
            "answers the others"
        )
    given = {"by": _words("by", by), "note": _words("note", note), "at": text(clock.now())}
    identifier = str(deployment or "")
    if journal.read(deployment_key(identifier)) is None:
        raise InvalidInputError(f"deployment: {identifier!r} is not known; `cutover history ENV` lists them")
    key = checklist_key(identifier)
    before = journal.read(key)
    item = {
        "answers": {**((before or {}).get("answers") or {}), str(line): given},
        "count": int((before or {}).get("count") or 0) + 1,
    }
    expect = {"count": before["count"]} if before else {}
    journal.write([Change("put", key, item, expect=expect, absent=before is None)])
    return {"deployment": identifier, "line": line, "text": FOR_PEOPLE[str(line)], **given}


def _words(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > MOST_WORDS:
        raise InvalidInputError(
            f"{name}: {value!r} does not fit; wanted a text of 1 to {MOST_WORDS} characters"
        )
    return value.strip()
