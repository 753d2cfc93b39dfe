"""The routes of a service, out of its OpenAPI document."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# https://spec.openapis.org/oas/v3.1.0#path-item-object
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
#: Stands in a path for what a template leaves open: there is nothing of this name.
NOBODY = "cutover-probe"


@dataclass(frozen=True)
class Route:
    """`template` is the document's path, such as /api/models/{model_id}; `method` is in capitals."""

    method: str
    template: str

    @property
    def path(self) -> str:
        return re.sub(r"\{[^}]*\}", NOBODY, self.template)

    def __str__(self) -> str:
        return f"{self.method} {self.template}"


def routes(document: object) -> Sequence[Route]:
    """Every operation of the document, in its order; none for what is no OpenAPI 3 document."""
    table: Mapping[str, Any] = document if isinstance(document, Mapping) else {}
    paths = table.get("paths")
    if not str(table.get("openapi", "")).startswith("3.") or not isinstance(paths, Mapping):
        return []
    return [
        Route(method.upper(), str(path))
        for path, item in paths.items()
        if isinstance(item, Mapping)
        for method in METHODS
        if method in item
    ]
