"""What a new JSON schema refuses that the old one let through.

Judged keyword by keyword; a keyword that is not known here and differs counts as tighter, so that in doubt a
change waits until no version of the application is left that could stumble over it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Json = Mapping[str, Any]
_WORDS_ONLY = {"title", "description"}
_LEAST = {"minimum", "minLength", "minItems", "minProperties"}
_MOST = {"maximum", "maxLength", "maxItems", "maxProperties"}
_NUMBERS = {"int", "long", "double", "decimal"}


def tighter(before: Json, after: Json, where: str = "") -> list[str]:
    """One sentence for each thing; empty when the new schema accepts all that the old one did."""
    return list(_tighter(before, after, where))


def _tighter(before: Json, after: Json, where: str) -> Iterator[str]:
    at = where or "the document"
    for word in sorted(after):
        old, new = before.get(word), after[word]
        if word in _WORDS_ONLY or old == new:
            continue
        if word == "required":
            yield from (
                f"{_join(where, name)} becomes required" for name in sorted(set(new) - set(old or []))
            )
        elif word == "properties":
            for name in sorted(new):
                yield from _tighter((old or {}).get(name, {}), new[name], _join(where, name))
        elif word == "items" and isinstance(new, Mapping):
            yield from _tighter(old if isinstance(old, Mapping) else {}, new, _join(where, "[]"))
        else:
            yield from _bound(at, word, old, new)
    # Without additional properties, a field that is no longer listed is refused.
    if after.get("additionalProperties") is False and before.get("additionalProperties") is False:
        for name in sorted(set(before.get("properties", {})) - set(after.get("properties", {}))):
            yield f"{_join(where, name)} is no longer allowed"


def _bound(at: str, word: str, old: Any, new: Any) -> Iterator[str]:
    """One keyword that bounds the value itself."""
    was = f" (was {_said(old)})" if old is not None else ""
    if word in ("bsonType", "type"):
        if old is None or _types(old) - _types(new):
            yield f"{at} must be {_said(new)}{was}"
    elif word == "enum":
        if old is None or any(value not in new for value in old):
            yield f"{at} must be one of {', '.join(map(str, new))}"
    elif word in _LEAST or word in _MOST:
        if old is None or (new > old if word in _LEAST else new < old):
            yield f"{at}: {word} {new}{was}"
    elif word == "additionalProperties":
        if new is not True:
            yield f"{at} must have no other fields"
    else:
        yield f"{at}: {word} changes"


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _types(told: str | list[str]) -> set[str]:
    names = {told} if isinstance(told, str) else set(told)
    return names | (_NUMBERS if "number" in names else set())


def _said(told: object) -> str:
    return " or ".join(map(str, told)) if isinstance(told, list) else str(told)
