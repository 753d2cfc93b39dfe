"""The files by which a release declares what it wants of the database: which there are, and their digests."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from cutover.domain.errors import MisconfiguredError
from cutover.domain.indexes import Index, read_indexes

# In the source, beside the Dockerfile.
FOLDER = "migrations"
Files = Mapping[str, bytes]


def digests(files: Files) -> dict[str, str]:
    """SHA-256 by a file's name."""
    return {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files)}


def digest(files: Files) -> str:
    """SHA-256 over the names and the contents of all."""
    whole = hashlib.sha256()
    for name, content in digests(files).items():
        whole.update(f"{name}\0{content}\0".encode())
    return whole.hexdigest()


def wanted_indexes(files: Files) -> tuple[Index, ...]:
    return read_indexes(read_json(files, "indexes.json", {}))


def read_json(files: Files, name: str, otherwise: Any) -> Any:
    """`otherwise` for a file that is not there. Raises MisconfiguredError for what is no JSON."""
    if name not in files:
        return otherwise
    try:
        return json.loads(files[name])
    except ValueError as error:
        raise MisconfiguredError(f"{FOLDER}/{name}: no JSON ({error}); mend it in the source") from error
