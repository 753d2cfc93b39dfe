"""Gates: what was found against what is wanted, and whether that lets a deployment go on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """ "No data" has a name of its own: it is neither a pass nor a failure, and it closes a gate."""

    PASS = "Pass"  # noqa: S105  a verdict, not a password
    FAIL = "Fail"
    INCONCLUSIVE = "Inconclusive"


class Persona(StrEnum):
    """The three who judge a deployment (requirement A2)."""

    RELIABILITY = "reliability"
    PERFORMANCE = "performance"
    SECURITY = "security"


@dataclass(frozen=True)
class Gate:
    """One judged fact. `samples` is how many observations stand behind it; `must` gates close the
    deployment."""

    name: str
    requirement: str
    persona: Persona
    verdict: Verdict
    found: str
    wanted: str
    samples: int
    must: bool = True

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Subject:
    """What a family of gates is about, so that each of them states only what differs."""

    requirement: str
    persona: Persona

    def judge(
        self, name: str, passed: bool, *, found: str, wanted: str, samples: int = 1, must: bool = True
    ) -> Gate:
        """Pass or Fail; with no samples, Inconclusive whatever `passed` says."""
        if samples < 1:
            return self.inconclusive(name, found=found or "no data", wanted=wanted, must=must)
        verdict = Verdict.PASS if passed else Verdict.FAIL
        return Gate(name, self.requirement, self.persona, verdict, found, wanted, samples, must)

    def inconclusive(self, name: str, *, found: str, wanted: str, must: bool = True) -> Gate:
        return Gate(name, self.requirement, self.persona, Verdict.INCONCLUSIVE, found, wanted, 0, must)


def closed(gates: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The gates, in their JSON shape, that keep a deployment from going on: `must` and not Pass.

    An unknown verdict is closed too: only the word Pass opens a gate.
    """
    return [gate for gate in gates if gate.get("must", True) and gate.get("verdict") != Verdict.PASS]


def sentence(gate: Mapping[str, Any]) -> str:
    """One closed gate, for a person."""
    verb = "failed" if gate.get("verdict") == Verdict.FAIL else "is inconclusive"
    return (
        f"“{gate.get('name')}” ({gate.get('requirement')}) {verb}: "
        f"found {gate.get('found')}, wanted {gate.get('wanted')}"
    )
