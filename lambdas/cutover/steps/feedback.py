"""What users say of a release (requirement F3): short, not too often, kept in the journal as it was written.

Nothing in it is trusted: it is stored as text, and whoever shows it shows it as text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from cutover.domain.errors import ConflictError, InvalidInputError, ThrottledError
from cutover.domain.records import Key
from cutover.domain.times import text
from cutover.ports import Change, Clock, Journal
from cutover.steps.records import read_live

PARTITION = "FEEDBACK"
LONGEST = 1000
#: So many of one sender in a minute.
MOST_PER_MINUTE = 3
RATINGS = ("good", "bad", "none")


def give_feedback(
    body: Mapping[str, Any], sender: str, number: str, *, journal: Journal, clock: Clock
) -> dict[str, Any]:
    """{kept: true}. `sender` is an address, of which only a hash that changes by the hour is kept; `number`
    makes the item's key its own. Raises InvalidInputError; ThrottledError when the sender wrote too much."""
    words, rating = body.get("text"), body.get("rating", "none")
    if not isinstance(words, str) or not words.strip():
        raise InvalidInputError("text: write something")
    if len(words) > LONGEST:
        raise InvalidInputError(f"text: {len(words)} characters; at most {LONGEST} are kept")
    if rating not in RATINGS:
        raise InvalidInputError(f"rating: choose one of {', '.join(RATINGS)}")
    now, live = clock.now(), read_live(journal)
    who = hashlib.sha256(f"{now:%Y-%m-%dT%H} {sender}".encode()).hexdigest()[:16]
    kept = {
        "text": words.strip(),
        "rating": rating,
        "at": text(now),
        "version": live.version if live else None,
        "deployment": live.deployment if live else None,
    }
    for turn in range(MOST_PER_MINUTE):
        taken = Key("FEEDBACK_TURN", f"{who}#{now:%Y-%m-%dT%H:%M}#{turn}")
        changes = [
            Change("put", taken, {"at": kept["at"]}, absent=True),
            Change("put", Key(PARTITION, f"{kept['at']}#{number}"), kept, absent=True),
        ]
        try:
            journal.write(changes)
        except ConflictError:
            continue
        return {"kept": True}
    raise ThrottledError(f"at most {MOST_PER_MINUTE} a minute; wait a moment")
