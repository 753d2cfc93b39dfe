"""CloudFormation in memory, with the environment's four stacks: change sets are computed, executed and taken
back while time passes (`advance`).

What it does follows
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-updating-stacks-changesets.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, Literal

from cutover.domain.colours import Weights
from cutover.domain.declared import Declared
from cutover.domain.destruction import STATEFUL
from cutover.domain.stacks import ChangeSet, Stack, StackResource
from cutover.domain.templates import EnvironmentTemplate
from cutover.ports import Layer
from tests.contract.fakes import OUTPUTS, TARGETS, FakeLoadBalancer, declare

EMPTY = "The submitted information didn't contain changes."
HANDED_ON = {
    "network": ("VpcId", "PrivateSubnet1"),
    "data": ("DatabaseEndpoint", "DatabasePort", "RedisEndpoint", "RedisPort", "FilesBucket"),
    "monitoring": ("Dashboard", "MonitoringDigest", "MonitoringDocument", "MonitoringGroup"),
}
LISTENER = "AWS::ElasticLoadBalancingV2::Listener"
# By the listener or the rule, the head of its weights' parameters.
FORKS = {
    TARGETS.listener_arn: "",
    TARGETS.test_listener_arn: "Test",
    OUTPUTS["FrontendRuleArn"]: "Frontend",
    OUTPUTS["FrontendTestRuleArn"]: "FrontendTest",
}
WEIGHTS = [f"{head}{colour}Weight" for head in FORKS.values() for colour in ("Blue", "Green")]


class Killed(Exception):
    """The function's process ended here."""


def ref(name: str) -> dict[str, str]:
    return {"Ref": name}


def environment_templates() -> dict[str, dict[str, Any]]:
    """Four small templates that stand to each other as the environment's do."""
    elsewhere = {name for names in HANDED_ON.values() for name in names}
    outputs = {**{name: OUTPUTS.get(name, f"the {name}") for name in elsewhere}, **OUTPUTS}
    resources: dict[str, dict[str, Any]] = {
        "network": {"Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"CidrBlock": "10.0.1.0/24"}}},
        "data": {
            "Database": {
                "Type": "AWS::DocDB::DBCluster",
                "Properties": {"StorageEncrypted": True, "Subnet": ref("PrivateSubnet1")},
            }
        },
        "service": {
            "Balancer": {"Type": "AWS::X", "Properties": {"Version": 1, "Subnet": ref("PrivateSubnet1")}},
            "Listener": {"Type": LISTENER, "Properties": {name: ref(name) for name in WEIGHTS}},
            "Function": {"Type": "AWS::Lambda::Function", "Properties": {"Key": ref("CodeKey")}},
        },
        "monitoring": {
            "Alarm": {
                "Type": "AWS::CloudWatch::Alarm",
                "Properties": {"Threshold": 1, "Of": ref("ListenerArn")},
            }
        },
    }
    own = {name: set(names) for name, names in HANDED_ON.items()}
    own["service"] = set(outputs) - elsewhere
    return {
        name: {"Resources": body, "Outputs": {key: outputs[key] for key in sorted(own[name])}}
        for name, body in resources.items()
    }


def parameters_of(template: Mapping[str, Any]) -> tuple[str, ...]:
    """Every name that the template's properties refer to."""
    properties = [each["Properties"] for each in template["Resources"].values()]
    values = [value for each in properties for value in each.values() if isinstance(value, dict)]
    return tuple(dict.fromkeys(value["Ref"] for value in values))


@dataclass
class Kill:
    """Ends the process before or after its n-th side effect, and lets all the others be."""

    at: int
    when: Literal["before", "after"]
    seen: int = 0

    def around(self, effect: Callable[[], Any]) -> Any:
        self.seen += 1
        if self.seen == self.at and self.when == "before":
            raise Killed
        answer = effect()
        if self.seen == self.at and self.when == "after":
            raise Killed
        return answer


def effect(method: Callable[..., Any]) -> Callable[..., Any]:
    """A call that changes something; it can be where a process ends."""

    @wraps(method)
    def call(self: FakeStack, *arguments: Any, **named: Any) -> Any:
        self.formation.effects.append((method.__name__, self.template, str(arguments[0])))
        return self.formation.kill.around(lambda: method(self, *arguments, **named))

    return call


class FakeStack:
    """One stack and its change sets. `wanted` is its template; `breaks` makes the next change of it fail, and
    while it is `waiting` for somebody it does not end."""

    def __init__(self, formation: FakeFormation, template: str, wanted: dict[str, Any]) -> None:
        self.formation, self.template, self.wanted = formation, template, wanted
        self.name = f"cutover-sandbox-{template}"
        self.there: Stack | None = None
        self.live: dict[str, Any] = {"Resources": {}, "Outputs": {}}
        self.sets: dict[str, ChangeSet] = {}
        self.bodies: dict[str, dict[str, Any]] = {}
        self.breaks = self.failure = self.waiting = ""
        self.held = [StackResource(f"{template.capitalize()}Resource", "AWS::X", "CREATE_COMPLETE")]
        self.declares: list[Declared] = []

    # --- Stacks

    def stack(self) -> Stack | None:
        return self.there

    def resources(self) -> Sequence[StackResource]:
        return self.held

    def declared(self) -> Sequence[Declared]:
        return self.declares

    def waits_for(self) -> str | None:
        return self.waiting or None

    def cancel_update(self) -> bool:
        if self.there is None or self.there.status != "UPDATE_IN_PROGRESS":
            return False
        self.there = replace(self.there, status="UPDATE_ROLLBACK_IN_PROGRESS")
        return True

    def first_failure(self) -> str | None:
        return self.failure or None

    # --- ChangeSets

    @effect
    def create(self, name: str, *, new_stack: bool, parameters: Mapping[str, str]) -> None:
        assert new_stack is (self.there is None or self.there.only_in_review), "the wrong type of change set"
        if self.there is None:
            self.there = Stack("REVIEW_IN_PROGRESS", "", {})
        self._create(name, self.wanted, {"CodeKey": "code.zip", **parameters})

    @effect
    def create_from_current(self, name: str, parameters: Mapping[str, str]) -> None:
        assert self.there is not None
        self._create(name, self.live, {**self.there.parameters, **parameters})

    def _create(self, name: str, body: dict[str, Any], parameters: Mapping[str, str]) -> None:
        if name in self.sets:
            return
        given = {key: parameters[key] for key in parameters_of(body)}  # each of them must be there
        self.bodies[name] = deepcopy(body)
        self.sets[name] = ChangeSet(name, "CREATE_IN_PROGRESS", "UNAVAILABLE", "", [], given)

    def find(self, name: str) -> ChangeSet | None:
        return self.sets.get(name)

    def unexecuted(self) -> Sequence[str]:
        return [
            name
            for name, each in self.sets.items()
            if not each.execution_status.startswith("EXECUTE_") and each.status != "CREATE_IN_PROGRESS"
        ]

    @effect
    def execute(self, name: str) -> None:
        assert self.there is not None
        assert self.sets[name].execution_status == "AVAILABLE"
        self.formation.executed.append((self.template, name))
        begun = "CREATE" if self.there.only_in_review else "UPDATE"
        self.there = replace(self.there, status=f"{begun}_IN_PROGRESS")
        self.sets = {name: replace(self.sets[name], execution_status="EXECUTE_IN_PROGRESS")}

    @effect
    def delete(self, name: str) -> None:
        self.sets.pop(name, None)

    # --- CloudFormation's own part

    def advance(self) -> None:
        for name, each in list(self.sets.items()):
            if each.status == "CREATE_IN_PROGRESS":
                self.sets[name] = self._computed(each)
            elif each.execution_status == "EXECUTE_IN_PROGRESS" and not self.waiting:
                self._finish(each)

    def _computed(self, each: ChangeSet) -> ChangeSet:
        changes = self._changes(self.bodies[each.name], each.parameters)
        outputs = self.bodies[each.name]["Outputs"] != self.live["Outputs"]
        if not changes and not outputs:
            return replace(each, status="FAILED", reason=EMPTY)
        return replace(each, status="CREATE_COMPLETE", execution_status="AVAILABLE", changes=changes)

    def _changes(self, body: Mapping[str, Any], parameters: Mapping[str, str]) -> list[dict[str, Any]]:
        known = self.there.parameters if self.there else {}
        before = {id: _resolved(each, known) for id, each in self.live["Resources"].items()}
        after = {id: _resolved(each, parameters) for id, each in body["Resources"].items()}
        changes = []
        for id in dict.fromkeys((*after, *before)):
            old, new = before.get(id), after.get(id)
            if old == new:
                continue
            action = "Add" if old is None else "Remove" if new is None else "Modify"
            kind = (new or old or {})["Type"]
            names = (
                [key for key in old["Properties"] if old["Properties"][key] != new["Properties"].get(key)]
                if old and new
                else []
            )
            replaced = bool(STATEFUL.get(kind, frozenset()) & set(names))
            changes.append(
                {
                    "action": action,
                    "logical_id": id,
                    "type": kind,
                    "replacement": str(replaced),
                    "scope": ["Properties"] if names else [],
                    "properties": names,
                    "causes": [],
                }
            )
        return changes

    def _finish(self, each: ChangeSet) -> None:
        assert self.there is not None
        began = self.there.status.removesuffix("_IN_PROGRESS")
        if self.breaks and self.bodies[each.name] != self.live:
            # The listeners go back to what CloudFormation set last.
            self.failure, self.breaks = self.breaks, ""
            self.sets[each.name] = replace(each, execution_status="EXECUTE_FAILED")
            ended = "ROLLBACK_COMPLETE" if began == "CREATE" else "UPDATE_ROLLBACK_COMPLETE"
            self.there = replace(self.there, status=ended)
        else:
            self.live, self.failure = self.bodies[each.name], ""
            self.sets[each.name] = replace(each, execution_status="EXECUTE_COMPLETE")
            self.there = Stack(f"{began}_COMPLETE", "", self.live["Outputs"], each.parameters)
        self._set_weights(self.there.parameters)

    def _set_weights(self, parameters: Mapping[str, str]) -> None:
        for arn, head in FORKS.items():
            if f"{head}BlueWeight" in parameters:
                shares = (int(parameters[f"{head}{colour}Weight"]) for colour in ("Blue", "Green"))
                self.formation.balancer.of[arn] = Weights(*shares)


def _resolved(resource: Mapping[str, Any], parameters: Mapping[str, str]) -> dict[str, Any]:
    properties = {
        key: parameters.get(value["Ref"]) if isinstance(value, dict) else value
        for key, value in resource["Properties"].items()
    }
    return {**resource, "Properties": properties}


class FakeFormation:
    """The environment's stacks; `there` lets them exist already, as their templates want them.

    Answers as the port Templates does, too. `effects` are (call, template, change set) in their order,
    `executed` (template, change set).
    """

    def __init__(self, balancer: FakeLoadBalancer | None = None, *, there: bool = True) -> None:
        self.balancer = balancer or FakeLoadBalancer()
        self.effects: list[tuple[str, str, str]] = []
        self.executed: list[tuple[str, str]] = []
        self.kill = Kill(0, "before")
        self.stacks = {name: FakeStack(self, name, body) for name, body in environment_templates().items()}
        self.stacks["network"].declares = declare()
        if there:
            self._build()

    def _build(self) -> None:
        outputs: dict[str, str] = {"CodeKey": "code.zip"}
        outputs |= {
            f"{head}{colour}Weight": str(getattr(self.balancer.of[arn], colour.lower()))
            for arn, head in FORKS.items()
            for colour in ("Blue", "Green")
        }
        for stack in self.stacks.values():
            stack.live = deepcopy(stack.wanted)
            given = {name: outputs[name] for name in parameters_of(stack.live)}
            stack.there = Stack("UPDATE_COMPLETE", "", stack.live["Outputs"], given)
            outputs |= stack.live["Outputs"]

    def raze(self) -> None:
        """No stack is there any more."""
        for stack in self.stacks.values():
            stack.there, stack.live, stack.sets = None, {"Resources": {}, "Outputs": {}}, {}

    @property
    def layers(self) -> tuple[Layer, ...]:
        return tuple(
            Layer(
                EnvironmentTemplate(name, stack.name, f"https://{name}", parameters_of(stack.wanted)),
                stack,
                stack,
            )
            for name, stack in self.stacks.items()
        )

    def advance(self) -> None:
        for stack in self.stacks.values():
            stack.advance()

    @property
    def unexecuted(self) -> list[tuple[str, str]]:
        """(template, change set) of every one that somebody could still execute, or that had nothing in it."""
        return [
            (name, each.name)
            for name, stack in self.stacks.items()
            for each in stack.sets.values()
            if not each.execution_status.startswith("EXECUTE_")
        ]

    def wanted(self) -> Mapping[str, tuple[Mapping[str, Any], str]]:
        return {
            name: (stack.wanted, hashlib.sha256(json.dumps(stack.wanted).encode()).hexdigest())
            for name, stack in self.stacks.items()
        }

    def live(self) -> Mapping[str, Mapping[str, Any] | None]:
        return {
            name: stack.live if stack.there and stack.live["Resources"] else None
            for name, stack in self.stacks.items()
        }

    @property
    def state(self) -> dict[str, Any]:
        """What is there in the end, whatever the way."""
        return {
            "stacks": {
                name: (stack.there and (stack.there.outputs, stack.there.parameters), stack.live)
                for name, stack in self.stacks.items()
            },
            "weights": dict(self.balancer.of),
            "unexecuted": self.unexecuted,
        }
