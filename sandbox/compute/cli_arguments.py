"""Words of a docker command line: its flags, and its Go templates."""

import json
import re
from typing import Any

from sandbox.compute.errors import DockerError

VERSION = "24.0.9"  # the Docker release whose behaviour is followed (requirement B3: 24 or newer)


class Arguments:
    """Docker's flags: `--name value`, `--name=value`, `-n value`; switches take no value."""

    def __init__(self, words: list[str], command: str, values: dict[str, str], switches: set[str]) -> None:
        self.values: dict[str, list[str]] = {}
        self.rest: list[str] = []
        words = list(words)
        while words:
            word = words.pop(0)
            name, equals, value = word.partition("=")
            if name in switches and not equals:
                self.values[name] = ["true"]
            elif name in values:
                if not equals:
                    if not words:
                        raise DockerError(f"flag needs an argument: {name}", 125)
                    value = words.pop(0)
                self.values.setdefault(values[name], []).append(value)
            elif word.startswith("-") and word != "-":
                raise DockerError(f"unknown flag: {name}\nSee 'docker {command} --help'.", 125)
            else:
                self.rest.append(word)

    def one(self, name: str, default: str | None = None) -> str | None:
        return self.values[name][-1] if name in self.values else default

    def on(self, name: str) -> bool:
        return name in self.values


def render(template: str, document: dict[str, Any]) -> str:
    """The `{{.A.B}}`, `{{json .A}}` and `{{index .A 0}}` of Go templates; anything else is an error."""

    def value(match: re.Match[str]) -> str:
        words = match.group(1).split()
        as_json = words[0] == "json"
        indexed = words[0] == "index" and len(words) == 3
        path = words[1] if as_json or indexed else words[0]
        if not path.startswith(".") or len(words) != (3 if indexed else 2 if as_json else 1):
            raise DockerError(
                f"template parsing error: {match.group(0)} is not supported by this stand-in", 64
            )
        found: Any = document
        for name in filter(None, path.split(".")):
            if not isinstance(found, dict) or name not in found:
                raise DockerError(f"template parsing error: can't evaluate field {name}", 64)
            found = found[name]
        if indexed:
            try:
                found = found[int(words[2])]
            except (IndexError, ValueError) as error:
                raise DockerError(
                    f"template parsing error: {match.group(0)}: index out of range", 64
                ) from error
        return json.dumps(found) if as_json or isinstance(found, dict | list) else str(found)

    return re.sub(r"\{\{\s*(.*?)\s*\}\}", value, template)
