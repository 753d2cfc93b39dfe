"""Draws docs/state-machines.md from the state machines themselves: `python -m stacks.diagrams`.

A test compares the file with what this would write. The ways into a failure are left out of the drawings, for
nearly every state has one: how many go where is told below each.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "statemachines"
FILE = ROOT / "docs" / "state-machines.md"
BEGIN, END = "<!-- drawn from the state machines: begin -->", "<!-- drawn from the state machines: end -->"
#: In the order in which people meet them.
MACHINES = ("deploy", "rollback", "drill", "boot", "contract")
#: Where a section begins, and what it is called; a phase's own state names it.
SECTIONS: Mapping[str, str] = {
    "Take the lock": "Before anything is touched",
    "Go or no go?": "The traffic",
    "Look at the environment": "A look",
    "The phase is over its budget": "When something fails",
}
_PHASE = re.compile(r"\d \w+")
#: A condition that is longer is to be read in the definition.
LONGEST_LABEL = 40
#: How a state is drawn, by its type; any other is a box.
SHAPES = {"Choice": "{{{}}}", "Succeed": "([{}])", "Fail": "([{}])", "Wait": "[/{}/]", "Map": "[[{}]]"}
Machine = Mapping[str, Any]


def read(name: str) -> Machine:
    """The definition of statemachines/NAME.asl.json."""
    definition: Machine = json.loads((FOLDER / f"{name}.asl.json").read_text(encoding="utf-8"))
    return definition


def edges(machine: Machine) -> list[tuple[str, str, str]]:
    """(from, to, label) of every way but those into a failure."""
    found = []
    for name, state in machine["States"].items():
        for choice in state.get("Choices") or []:
            found.append((name, choice["Next"], _label(choice)))
        if "Default" in state:
            found.append((name, state["Default"], "else"))
        if "Next" in state:
            found.append((name, state["Next"], ""))
    return found


def caught(machine: Machine) -> Counter[str]:
    """How many states go where when they fail."""
    return Counter(
        target
        for state in machine["States"].values()
        for target in {catch["Next"] for catch in state.get("Catch") or []}
    )


def drawn() -> str:
    """All machines."""
    return "\n".join([BEGIN, "", *(line for name in MACHINES for line in _section(name, read(name))), END])


def written(text: str) -> str:
    """The file's text with its drawn part made new."""
    before, rest = text.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return before + drawn() + after


def _section(name: str, machine: Machine) -> Iterator[str]:
    yield from (f"## {name}", "", str(machine.get("Comment", "")), "", "```mermaid", "flowchart TD")
    ids = {state: f"s{number}" for number, state in enumerate(machine["States"])}
    yield f"""  begin((" ")) --> {ids[machine["StartAt"]]}"""
    inside = False
    for state, about in machine["States"].items():
        title = SECTIONS.get(state) or (state if _PHASE.fullmatch(state) else None)
        if title and name == "deploy":
            if inside:
                yield "  end"
            yield f'  subgraph {ids[state]}_[" {_quoted(title)} "]'
            inside = True
        words = f'"{_quoted(state)}"'
        yield f"  {ids[state]}{SHAPES.get(about['Type'], '[{}]').format(words)}"
    if inside:
        yield "  end"
    for start, end, label in edges(machine):
        way = f'-- "{label}" -->' if label else "-->"
        yield f"  {ids[start]} {way} {ids[end]}"
    yield from ("```", "")
    told = [f"{count} to *{target}*" for target, count in caught(machine).most_common()]
    yield from (f"States that go elsewhere when they fail: {', '.join(told)}." if told else "", "")


def _label(choice: Mapping[str, Any]) -> str:
    condition = str(choice.get("Condition", "")).removeprefix("{%").removesuffix("%}").strip()
    return _quoted(condition) if len(condition) <= LONGEST_LABEL else ""


def _quoted(text: str) -> str:
    """Within double quotes of Mermaid: https://mermaid.js.org/syntax/flowchart.html#entity-codes-to-escape-characters"""
    return text.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")


def main() -> None:
    """Write."""
    FILE.write_text(written(FILE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
