"""Writes the reference of every key into docs/configuration.md: `python -m config.reference`.

It is drawn from the types that read the files, so that it can't tell of a key, a bound or a default that is
not there. What a key is for stands above it in the code, as a comment. A test compares the file with what
this would write.
"""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, StringConstraints
from pydantic.fields import FieldInfo

from config import types
from config.model import Configuration

FILE = Path(__file__).resolve().parents[1] / "docs" / "configuration.md"
BEGIN, END = "<!-- drawn from the types: begin -->", "<!-- drawn from the types: end -->"
#: What a type that checks by a function takes, in words.
CHECKED = {
    types.Cidr: "IPv4 network",
    types.DomainName: "domain name",
}
_PLAIN = {bool: "`true` or `false`", int: "whole number", float: "number", str: "text", dict: "table"}
_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def drawn() -> str:
    """The whole reference."""
    return "\n".join([BEGIN, "", *_table("", Configuration), END])


def written(text: str) -> str:
    """The file's text with its drawn part made new."""
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return before + drawn() + after


def _table(path: str, model: type[BaseModel]) -> Iterator[str]:
    """A table's rows, and then those of the tables within it."""
    yield f"**`[{path}]`**: {_summary(model)}" if path else f"At the top: {_summary(model)}"
    yield ""
    yield from ("| key | takes | default | note |", "|---|---|---|---|")
    inner: list[tuple[str, type[BaseModel]]] = []
    notes = _notes(model)
    for name, field in model.model_fields.items():
        table = _model_of(field.annotation)
        if table is not None:
            inner.append((f"{path}.{name}" if path else name, table))
            if _is_model(field.annotation):
                continue
        takes = _takes(field.annotation, field.metadata)
        yield f"| `{name}` | {takes} | {_default(field)} | {_cell(notes.get(name, ''))} |"
    yield ""
    for place, table in inner:
        yield from _table(place, table)


def _summary(model: type[BaseModel]) -> str:
    text = " ".join((inspect.getdoc(model) or "").split())
    return text[:1].lower() + text[1:] if not text[:2].isupper() else text


def _notes(model: type[BaseModel]) -> dict[str, str]:
    """The comments right above the fields, of the class and of those that it is made from."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if not issubclass(each, BaseModel) or each in (BaseModel, types.Table):
            continue
        lines = textwrap.dedent(inspect.getsource(each)).splitlines()
        (body,) = ast.parse("\n".join(lines)).body
        for statement in getattr(body, "body", []):
            if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
                continue
            comment: list[str] = []
            above = statement.lineno - 2
            while above >= 0 and lines[above].strip().startswith("#"):
                comment.insert(0, lines[above].strip().lstrip("#: "))
                above -= 1
            if comment:
                found[statement.target.id] = " ".join(comment)
    return found


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """The table that a field holds: one, perhaps one, or several."""
    if _is_model(annotation):
        found: type[BaseModel] = annotation
        return found
    parts = (_model_of(part) for part in get_args(annotation) if part is not annotation)
    return next((part for part in parts if part is not None), None)


def _takes(annotation: Any, metadata: list[Any]) -> str:
    """In words: what the key may be."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if words := _checked(annotation, metadata):
        told = words
    elif origin is Annotated:
        told = _takes(inner[0], [*inner[1:], *metadata])
    elif origin in (Union, UnionType):
        told = " or ".join(_takes(part, metadata) for part in inner if part is not NoneType)
    elif origin is Literal:
        told = " or ".join(f"`{value}`" for value in inner)
    elif origin is tuple:
        told = f"list{_size(metadata)} of: {_takes(inner[0], [])}"
    elif origin is dict:
        told = f"table of: {_takes(inner[0], [])} = {_takes(inner[1], [])}"
    elif _is_model(annotation):
        told = "tables (below)"
    else:
        told = _PLAIN.get(annotation, "anything") + _bounds(metadata)
    return told


def _checked(annotation: Any, metadata: list[Any]) -> str | None:
    """The words of a type that checks by a function; pydantic takes such a type apart."""
    for known, words in CHECKED.items():
        plain, check = get_args(known)[:2]
        if annotation == known or (annotation is plain and check in metadata):
            return words
    return None


def _size(metadata: list[Any]) -> str:
    least = next((m.min_length for m in metadata if getattr(m, "min_length", None) is not None), None)
    most = next((m.max_length for m in metadata if getattr(m, "max_length", None) is not None), None)
    if least is None and most is None:
        return ""
    return f" ({least})" if least == most else f" ({least or 0} to {most if most is not None else 'any'})"


def _bounds(metadata: list[Any]) -> str:
    """Limits, and the pattern that a text has to have."""
    flat = [inner for each in metadata for inner in ([each, *getattr(each, "metadata", [])])]
    limits = [
        f"{sign} {_number(value)}"
        for each in flat
        for name, sign in _BOUNDS.items()
        if (value := getattr(each, name, None)) is not None
    ]
    patterns = [
        f"like `{_cell(str(each.pattern))}`"
        for each in flat
        if isinstance(each, StringConstraints) and each.pattern
    ]
    told = list(dict.fromkeys([*limits, *patterns]))
    return f", {', '.join(told)}" if told else ""


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _default(field: FieldInfo) -> str:
    """A dash for a key that has to be given; longer ones are told by what they are."""
    if field.is_required():
        return "—"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None:
        return "none"
    if isinstance(value, tuple) and any(isinstance(each, BaseModel) for each in value):
        return f"{len(value)} of them (`{type(value[0]).__module__.replace('.', '/')}.py`)"
    if isinstance(value, dict):
        lines = [f"`{_cell(f'{json.dumps(key)} = {json.dumps(each)}')}`" for key, each in value.items()]
        return "<br>".join(lines) or "empty"
    return f"`{_cell(json.dumps(value, ensure_ascii=False, default=list))}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write."""
    FILE.write_text(written(FILE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
