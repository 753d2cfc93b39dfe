"""The deployed state machine with its long phases left out, so that one swap takes seconds.

Every state that runs is the product's own, with its own arguments, functions, roles, retries and catches.
What the phases before would have found out (the plan, the environment's addresses, the image) is taken over
from one whole deployment; which colour is idle and which release is live is told anew each time.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

Definition = dict[str, Any]

LOCK, AFTER_LOCK = "Take the lock", "Only a look?"
RELEASE, FIRST_OF_RELEASE = "3 Release", "Point the test listener at the idle colour"
AFTER_GUARDS, SHIFT = "Conclude phase 4", "Begin the shift"
WATCH, FINISH, END = "Start the watch", "Finish", "Deployed"
TAKE_UP, GO_ON = "Take up the request", "Take up what was found out"


class UnknownMachineError(Exception):
    """The deployed machine lacks a state that is led around; the message names it."""


def telling(deployed: Mapping[str, Any]) -> Definition:
    """The whole machine up to the watch, whose output is every variable that the phases have assigned."""
    machine = _copied(deployed)
    machine["States"][WATCH]["Next"] = FINISH
    names = sorted(_assigned(state for name, state in machine["States"].items() if name != LOCK))
    known = {name: f"{{% $exists(${name}) ? ${name} : null %}}" for name in names}
    machine["States"][END]["Output"] = {"kept": known}
    return _reachable(machine)


def shifting(deployed: Mapping[str, Any], kept: Mapping[str, Any]) -> Definition:
    """Lock, shift (all at once or in shares, judged), swap, proof, contraction's schedule, finish."""
    machine = _taken_up(deployed, kept, SHIFT)
    machine["States"][WATCH]["Next"] = FINISH
    return _reachable(machine)


def releasing(deployed: Mapping[str, Any], kept: Mapping[str, Any], *, watched: bool) -> Definition:
    """Lock, phase 3 from the released image on, phase 4, shift, swap, proof, the watch if wanted, finish."""
    machine = _taken_up(deployed, kept, RELEASE)
    states = machine["States"]
    states[RELEASE]["Next"] = FIRST_OF_RELEASE
    states[AFTER_GUARDS]["Next"] = SHIFT
    if not watched:
        states[WATCH]["Next"] = FINISH
    return _reachable(machine)


def _taken_up(deployed: Mapping[str, Any], kept: Mapping[str, Any], first: str) -> Definition:
    """The input is {request: the product's own input, kept: variables, configuration: fields to replace}."""
    machine = _copied(deployed)
    states = machine["States"]
    states[AFTER_LOCK] = {"Type": "Pass", "Next": GO_ON}
    states[TAKE_UP] = {
        "Type": "Pass",
        "Assign": {"given": "{% $states.input %}"},
        "Output": "{% $states.input.request %}",
        "Next": machine["StartAt"],
    }
    states[GO_ON] = {
        "Type": "Pass",
        "Assign": {
            **{name: f"{{% $given.kept.{name} %}}" for name in kept},
            "configuration": "{% $merge([$configuration, $given.configuration]) %}",
        },
        "Next": first,
    }
    machine["StartAt"] = TAKE_UP
    return machine


def _copied(deployed: Mapping[str, Any]) -> Definition:
    machine: Definition = copy.deepcopy(dict(deployed))
    used = (LOCK, AFTER_LOCK, RELEASE, FIRST_OF_RELEASE, AFTER_GUARDS, SHIFT, WATCH, FINISH, END)
    for name in used:
        if name not in machine["States"]:
            raise UnknownMachineError(
                f"the deployed machine has no state {name!r}; bench/traffic leads around it"
            )
    return machine


def _assigned(states: Iterable[Mapping[str, Any]]) -> set[str]:
    """The variables that states and their choices assign, those of catches aside."""
    ways = [way for state in states for way in (state, *state.get("Choices", []))]
    return {name for way in ways for name in way.get("Assign", {})}


def _reachable(machine: Definition) -> Definition:
    """Without the states that nothing leads to, which Step Functions refuses."""
    found, ahead = set[str](), [machine["StartAt"]]
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead += _followers(machine["States"][name])
    return {**machine, "States": {name: state for name, state in machine["States"].items() if name in found}}


def _followers(state: Mapping[str, Any]) -> list[str]:
    ways = [state, *state.get("Choices", []), *state.get("Catch", [])]
    return [way[key] for way in ways for key in ("Next", "Default") if key in way]
