"""docs/state-machines.md shows the state machines as they are."""

import re

import pytest

from stacks.diagrams import FILE, FOLDER, MACHINES, caught, drawn, edges, read, written


def test_the_document_is_what_the_definitions_say():
    text = FILE.read_text(encoding="utf-8")
    assert written(text) == text, "run: python -m stacks.diagrams"


def test_no_machine_is_left_out():
    assert {path.name.partition(".")[0] for path in FOLDER.glob("*.asl.json")} == set(MACHINES)


def picture(name):
    return drawn().split(f"\n## {name}\n")[1].split("```")[1]


@pytest.mark.parametrize("name", MACHINES)
def test_every_state_and_every_way_is_drawn(name):
    machine, text = read(name), picture(name)
    nodes = dict(re.findall(r'^  (s\d+)[^"\s]+"([^"]+)"', text, re.MULTILINE))
    assert sorted(nodes.values()) == sorted(machine["States"])
    ways = re.findall(r"^  (s\d+) (?:-- \"[^\"]+\" )?--> (s\d+)$", text, re.MULTILINE)
    assert re.search(rf"^  begin.*--> {next(iter(nodes))}$", text, re.MULTILINE)
    assert sorted((nodes[a], nodes[b]) for a, b in ways) == sorted((a, b) for a, b, _ in edges(machine))


@pytest.mark.parametrize("name", MACHINES)
def test_sections_are_opened_and_closed(name):
    text = picture(name)
    assert text.count("subgraph ") == len(re.findall(r"^  end$", text, re.MULTILINE))
    assert name != "deploy" or text.count("subgraph ") == 7 + 4


def test_where_failures_lead_is_told():
    assert caught(read("deploy"))["Roll back"] > 40
    assert re.search(r"States that go elsewhere when they fail: \d+ to \*Roll back\*", drawn())
