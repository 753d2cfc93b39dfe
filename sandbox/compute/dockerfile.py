"""Reading a Dockerfile, following https://docs.docker.com/reference/dockerfile/ .

The grammar is read in full; an instruction that the builder cannot honour is refused by name and line.
"""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from sandbox.compute.errors import DockerError, UnsupportedError

KEYWORDS = frozenset(
    [
        "FROM",
        "ARG",
        "ENV",
        "WORKDIR",
        "COPY",
        "RUN",
        "USER",
        "EXPOSE",
        "HEALTHCHECK",
        "CMD",
        "ENTRYPOINT",
        "LABEL",
        "STOPSIGNAL",
    ]
)
OTHER_KEYWORDS = frozenset(["ADD", "VOLUME", "SHELL", "ONBUILD", "MAINTAINER"])
_VARIABLE = re.compile(r"\\(.)|\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^}]*))?\})")


@dataclass(frozen=True)
class Instruction:
    """One instruction: its keyword, its flags (`--from=x`), its arguments as written, its line."""

    keyword: str
    arguments: str
    line: int
    flags: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        flags = "".join(f" --{name}={value}" for name, value in self.flags.items())
        return f"{self.keyword}{flags} {self.arguments}"

    @property
    def form(self) -> list[str] | None:
        """The words of the exec (JSON) form, or None when the shell form was used."""
        if not self.arguments.startswith("["):
            return None
        try:
            words = json.loads(self.arguments)
        except json.JSONDecodeError:
            return None
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            return None
        return words


@dataclass(frozen=True)
class Stage:
    """FROM base AS name, and the instructions up to the next FROM."""

    name: str
    base: str
    index: int
    instructions: tuple[Instruction, ...]


def parse(text: str) -> list[Instruction]:
    """The instructions of a Dockerfile. Raises `DockerError` naming the line of what it can't read."""
    instructions: list[Instruction] = []
    pending: list[str] = []
    start = 0
    for number, raw in enumerate(text.splitlines(), 1):
        stripped = raw.strip()
        if not pending and number == 1 and re.match(r"#\s*escape\s*=", stripped):
            raise UnsupportedError("dockerfile parse error on line 1: the escape directive is not supported")
        if stripped.startswith("#") or (not stripped and pending):
            continue
        if not stripped:
            continue
        start = start if pending else number
        continued = stripped.endswith("\\")
        pending.append(stripped[:-1].strip() if continued else stripped)
        if not continued:
            instructions.append(_instruction(" ".join(filter(None, pending)), start))
            pending = []
    if pending:
        instructions.append(_instruction(" ".join(filter(None, pending)), start))
    if not instructions:
        raise DockerError("the Dockerfile cannot be empty")
    return instructions


def _instruction(text: str, line: int) -> Instruction:
    keyword, _, rest = text.partition(" ")
    keyword, rest = keyword.upper(), rest.strip()
    if keyword in OTHER_KEYWORDS:
        raise UnsupportedError(f"dockerfile line {line}: {keyword} is not supported by this stand-in: {text}")
    if keyword not in KEYWORDS:
        raise DockerError(f"dockerfile parse error on line {line}: unknown instruction: {keyword}")
    if keyword in ("RUN", "COPY") and re.search(r"<<-?['\"]?\w", rest):
        raise UnsupportedError(f"dockerfile line {line}: here-documents are not supported: {text}")
    flags: dict[str, str] = {}
    if keyword in ("COPY", "RUN", "FROM", "HEALTHCHECK"):
        while rest.startswith("--"):
            flag, _, rest = rest.partition(" ")
            name, _, value = flag[2:].partition("=")
            flags[name], rest = value or "true", rest.strip()
    if not rest:
        raise DockerError(f"dockerfile parse error on line {line}: {keyword} requires at least one argument")
    return Instruction(keyword, rest, line, flags)


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace $NAME, ${NAME}, ${NAME:-default} and ${NAME:+other}, as Dockerfiles do."""

    def value(match: re.Match[str]) -> str:
        if match.group(1) is not None:
            return match.group(1) if match.group(1) == "$" else match.group(0)
        name, operator, other = match.group(2) or match.group(3), match.group(4), match.group(5) or ""
        known = variables.get(name)
        present = known is not None and (known != "" or operator in ("-", "+"))
        if operator in (":-", "-"):
            return known if present and known is not None else other
        if operator in (":+", "+"):
            return other if present else ""
        return known or ""

    return _VARIABLE.sub(value, text)


def stages(instructions: list[Instruction], build_args: Mapping[str, str]) -> list[Stage]:
    """Split into stages. ARGs before the first FROM are known to FROM lines only."""
    outer: dict[str, str] = {}
    found: list[tuple[Instruction, list[Instruction]]] = []
    for instruction in instructions:
        if instruction.keyword == "FROM":
            found.append((instruction, []))
        elif found:
            found[-1][1].append(instruction)
        elif instruction.keyword == "ARG":
            name, _, default = instruction.arguments.partition("=")
            outer[name] = build_args.get(name, expand(default.strip("\"'"), outer))
        else:
            raise DockerError(f"dockerfile line {instruction.line}: no build stage in current context")
    if not found:
        raise DockerError("dockerfile: no build stage: a FROM instruction is required")
    result = []
    for index, (head, body) in enumerate(found):
        words = expand(head.arguments, outer).split()
        if len(words) == 3 and words[1].upper() == "AS":
            name = words[2].lower()
        elif len(words) == 1:
            name = str(index)
        else:
            raise DockerError(f"dockerfile parse error on line {head.line}: FROM IMAGE [AS NAME]: {head}")
        result.append(Stage(name, words[0], index, tuple(body)))
    return result


def key_values(instruction: Instruction) -> list[tuple[str, str]]:
    """The pairs of ENV and LABEL: `A=1 B="2 3"`, and ENV's old form `A 1`."""
    words = shlex.split(instruction.arguments)
    if "=" not in words[0]:
        name, _, value = instruction.arguments.partition(" ")
        return [(name, value.strip())]
    pairs = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise DockerError(
                f"dockerfile line {instruction.line}: {instruction.keyword} wants NAME=VALUE: {word}"
            )
        pairs.append((name, value))
    return pairs


def seconds(text: str) -> float:
    """A Go duration such as `30s`, `1m30s` or `500ms`, in seconds."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6}
    parts = re.findall(r"([0-9.]+)(ms|us|h|m|s)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise DockerError(f"invalid duration {text!r}: write it like 30s or 1m30s")
    return sum(float(number) * units[unit] for number, unit in parts)
