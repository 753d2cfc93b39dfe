"""A configuration made of another one: some values changed, the rest as it stands, comments and all."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

#: (table, key); the table is empty for the keys before the first one.
Place = tuple[str, str]
_TABLE, _KEY = re.compile(r"^\[([^\]]+)\]"), re.compile(r"^([A-Za-z_]+)\s*=")


def adapted(
    text: str, changes: Mapping[Place, object], added: Mapping[Place, object], *, heading: str
) -> str:
    """TOML in which each key of `changes` has its new value, and each of `added` stands first in its table.

    `heading` takes the place of the comment that the file begins with. Every key of `changes` and every table
    of `added` has to be there: KeyError for the first one that is not.
    """
    lines = text.splitlines()
    while lines and lines[0].startswith("#"):
        del lines[0]
    left, table, made = {**changes}, "", [heading]
    new_tables = {table for table, _ in added}
    for line in lines:
        if found := _TABLE.match(line):
            table = found[1]
            made.append(line)
            made += [_line(key, value) for (of, key), value in added.items() if of == table]
            new_tables.discard(table)
            continue
        key = _KEY.match(line)
        place = (table, key[1]) if key else None
        made.append(_line(place[1], left.pop(place)) if place in left and place else line)
    if left or new_tables:
        raise KeyError(next(iter([*left, *new_tables])))
    return "\n".join(made) + "\n"


def _line(key: str, value: object) -> str:
    # JSON's strings, lists and numbers are TOML's, too.
    return f"{key} = {json.dumps(value, ensure_ascii=False)}"
