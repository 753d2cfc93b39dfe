"""The parameters of an AWS request, read alike from every protocol, for IAM's decision."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs


@dataclass(frozen=True)
class Request:
    """One API call: its parameters by name, its path, and where it was made.

    Form parameters keep their flat names (`AlarmNames.member.1`); `many` reads lists in both shapes.
    """

    parameters: dict[str, Any]
    path: str
    region: str
    account: str

    def one(self, *names: str) -> str:
        """The first of the parameters that is a text and not empty; else ''."""
        for name in names:
            value = self.parameters.get(name)
            if isinstance(value, str) and value:
                return value
        return ""

    def many(self, name: str) -> list[Any]:
        """The list parameter `name`, whether it came as JSON or as `name.member.1` or `name.1`."""
        value = self.parameters.get(name)
        if isinstance(value, list):
            return value
        pattern = re.compile(rf"{re.escape(name)}(?:\.member)?\.(\d+)")
        found = [(match, text) for key, text in self.parameters.items() if (match := pattern.fullmatch(key))]
        return [text for _, text in sorted(found, key=lambda pair: int(pair[0][1]))]

    def inner(self, *names: str) -> str:
        """The text at a path of objects: `inner("Target", "RoleArn")`; in a form it is `Target.RoleArn`."""
        value: Any = self.parameters
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        return value if isinstance(value, str) else self.one(".".join(names))

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"


def read(
    path: str, headers: dict[str, str], body: bytes, query: dict[str, Any], where: tuple[str, str]
) -> Request:
    """Read a request of any of AWS's protocols; a body that can't be read has no parameters.

    `where` is (region, account). What the request means, IAM then decides without it: a policy for a
    particular resource does not match.
    """
    flat = {key: value[0] if isinstance(value, list) and value else value for key, value in query.items()}
    content_type = headers.get("content-type", "")
    parsed: Any = {}
    try:
        if "x-www-form-urlencoded" in content_type:
            parsed = {key: value[0] for key, value in parse_qs(body.decode(), keep_blank_values=True).items()}
        elif body[:1] == b"{":
            parsed = json.loads(body)
    except ValueError:
        parsed = {}
    return Request({**(parsed if isinstance(parsed, dict) else {}), **flat}, path, *where)
