"""A walk through a definition of statemachines/ with the real handlers, in one process and without AWS.

It knows the states and fields that the machine uses, and raises for any other. Time passes when the machine waits.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import jsonata

from tests.contract.fakes import FakeClock, FakeTasks

ROOT = Path(__file__).resolve().parents[2]
DEFINITION: dict[str, Any] = json.loads((ROOT / "statemachines" / "deploy.asl.json").read_text())
STATES: dict[str, dict[str, Any]] = DEFINITION["States"]
WAITING = "arn:aws:states:::lambda:invoke.waitForTaskToken"
SCHEDULE = "arn:aws:states:::aws-sdk:scheduler:createSchedule"
START = "arn:aws:states:::aws-sdk:sfn:startExecution"
LAMBDA, BUILD = "arn:aws:states:::lambda:invoke", "arn:aws:states:::codebuild:startBuild.sync"
Function = Callable[[dict[str, Any]], Any]


class TaskFailed(Exception):
    """A task's error output."""

    def __init__(self, error: str, cause: str) -> None:
        super().__init__(f"{error}: {cause}")
        self.output = {"Error": error, "Cause": cause}


class Walk:
    """One execution. `functions` are by the names in the definition, such as ${SwapFunction}."""

    def __init__(
        self,
        functions: Mapping[str, Function],
        clock: FakeClock,
        *,
        name: str = "d2",
        arn: str = "arn:d2",
        on_wait: Callable[[], None] = lambda: None,
        build: Callable[[Mapping[str, Any]], Any] | None = None,
        tasks: FakeTasks | None = None,
        schedule: Callable[[Mapping[str, Any]], Any] = lambda _: {},
        start: Callable[[Mapping[str, Any]], Any] = lambda _: {"ExecutionArn": "arn:another"},
        definition: Mapping[str, Any] = DEFINITION,
    ) -> None:
        self._tasks = tasks or FakeTasks()
        self._schedule, self._start, self._definition = schedule, start, definition
        self._functions, self._clock, self._on_wait, self._build = functions, clock, on_wait, build
        started = clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._context: dict[str, Any] = {"Execution": {"Id": arn, "Name": name, "StartTime": started}}
        self.variables: dict[str, Any] = {}
        self.visited: list[str] = []
        self.tried: list[str] = []
        self.given: Any = None
        self._stopped_in: tuple[str, Any] = ("", None)

    def run(self, given: Mapping[str, Any]) -> tuple[str, Any]:
        """("SUCCEEDED", output) or ("FAILED", {Error, Cause})."""
        self._context["Execution"]["Input"] = json.loads(json.dumps(given))
        return self._walk(self._definition, json.loads(json.dumps(given)))

    def redrive(self) -> tuple[str, Any]:
        """Go on with the state in which it stopped, its input and the variables.

        https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html
        """
        name, data = self._stopped_in
        return self._walk(self._definition, data, name)

    def _walk(self, definition: Mapping[str, Any], data: Any, name: str = "") -> tuple[str, Any]:
        name = name or definition["StartAt"]
        for _ in range(2000):
            self.visited.append(name)
            if definition is self._definition:
                self._stopped_in = (name, data)
            self.given = data
            state = definition["States"][name]
            if state["Type"] == "Fail":
                return "FAILED", {key: self._value(state[key], data) for key in ("Error", "Cause")}
            if state["Type"] == "Succeed":
                return "SUCCEEDED", self._value(state["Output"], data)
            name, data = getattr(self, f"_{state['Type'].lower()}")(state, data)
            if name is None:
                return "SUCCEEDED", data
        raise AssertionError(f"no end after {len(self.visited)} states: {self.visited[-6:]}")

    def _parallel(self, state: Mapping[str, Any], data: Any) -> tuple[str, Any]:
        """One branch after the other, each from the same moment on; what a branch assigns stays in it."""
        outer, results = dict(self.variables), []
        began = last = self._clock.now()
        for branch in state["Branches"]:
            self._clock.turn_to(began)
            status, output = self._walk(branch, data)
            last = max(last, self._clock.now())
            assert status == "SUCCEEDED", "a branch that fails stops the others, which is not walked here"
            results.append(output)
            self.variables = dict(outer)
        self._clock.turn_to(last)
        self._assign(state, data, result=results)
        return state["Next"], self._value(state["Output"], data, result=results)

    def _pass(self, state: Mapping[str, Any], data: Any) -> tuple[str | None, Any]:
        output = self._value(state["Output"], data) if "Output" in state else data
        self._assign(state, data)
        return _following(state), output

    def _wait(self, state: Mapping[str, Any], data: Any) -> tuple[str, Any]:
        if "Timestamp" in state:
            until = datetime.fromisoformat(self._value(state["Timestamp"], data))
            seconds = max(0.0, (until - self._clock.now()).total_seconds())
        else:
            seconds = float(self._value(state["Seconds"], data))
        self._clock.sleep(seconds)
        self._on_wait()
        return state["Next"], data

    def _choice(self, state: Mapping[str, Any], data: Any) -> tuple[str, Any]:
        for choice in state["Choices"]:
            verdict = self._value(choice["Condition"], data)
            assert isinstance(verdict, bool), f"{choice['Condition']} gave {verdict!r}"
            if verdict:
                self._assign(choice, data)
                return choice["Next"], data
        return state["Default"], data

    def _task(self, state: Mapping[str, Any], data: Any) -> tuple[str | None, Any]:
        try:
            if state["Resource"] == WAITING:
                self._context["Task"] = {"Token": f"token-{len(self.visited)}"}
                self._tasks.waiting.add(self._context["Task"]["Token"])
            result = self._attempts(state, self._value(state["Arguments"], data))
            if state["Resource"] == WAITING:
                result = self._answer(float(self._value(state["TimeoutSeconds"], data)))
        except TaskFailed as failed:
            for catch in state.get("Catch", []):
                if {"States.ALL", failed.output["Error"]} & set(catch["ErrorEquals"]):
                    self._assign(catch, data, errorOutput=failed.output)
                    return catch["Next"], data
            raise
        output = self._value(state["Output"], data, result=result)
        self._assign(state, data, result=result)
        return _following(state), output

    def _map(self, state: Mapping[str, Any], data: Any) -> tuple[str, Any]:
        """One item after the other; each sees the variables around it, and keeps its own."""
        inner, results = state["ItemProcessor"], []
        try:
            for item in self._value(state["Items"], data):
                outer, name, result = dict(self.variables), inner["StartAt"], item
                while name:
                    step = inner["States"][name]
                    name, result = getattr(self, f"_{step['Type'].lower()}")(step, result)
                results.append(result)
                self.variables = outer
        except TaskFailed as failed:
            for catch in state.get("Catch", []):
                if {"States.ALL", failed.output["Error"]} & set(catch["ErrorEquals"]):
                    self._assign(catch, data, errorOutput=failed.output)
                    return catch["Next"], data
            raise
        self._assign(state, data, result=results)
        return state["Next"], self._value(state["Output"], data, result=results)

    def _answer(self, seconds: float) -> Any:
        """What somebody answers with the task's token while time passes."""
        token = self._context["Task"]["Token"]
        for _ in range(int(seconds)):
            if token in self._tasks.answers:
                answer = self._tasks.answers[token]
                if isinstance(answer, tuple):
                    raise TaskFailed(*answer)
                return json.loads(json.dumps(answer))
            self._clock.sleep(1)
            self._on_wait()
        self._tasks.waiting.discard(token)
        raise TaskFailed("States.Timeout", "")

    def _attempts(self, state: Mapping[str, Any], arguments: Mapping[str, Any]) -> Any:
        left = {name: rule["MaxAttempts"] for rule in state.get("Retry", []) for name in rule["ErrorEquals"]}
        while True:
            try:
                if state["Resource"] == BUILD:
                    assert self._build is not None
                    return {"Build": self._called(self._build, arguments)}
                if state["Resource"] == SCHEDULE:
                    return self._called(self._schedule, arguments)
                if state["Resource"] == START:
                    return self._called(self._start, arguments)
                assert state["Resource"] in (LAMBDA, WAITING), state["Resource"]
                return {"Payload": self._invoke(arguments)}
            except TaskFailed as failed:
                name = failed.output["Error"]
                if left.get(name, 0) < 1:
                    raise
                left[name] -= 1
                self.tried.append(name)

    def _invoke(self, arguments: Mapping[str, Any]) -> Any:
        """As Lambda does it: JSON in, JSON out."""
        event = json.loads(json.dumps(arguments["Payload"]))
        answer = self._called(self._functions[arguments["FunctionName"]], event)
        return json.loads(json.dumps(answer))

    @staticmethod
    def _called(function: Callable[[Any], Any], argument: Any) -> Any:
        """An exception is its class's name and its message."""
        try:
            return function(argument)
        except Exception as error:
            kind = type(error).__name__
            cause = json.dumps({"errorMessage": str(error), "errorType": kind, "stackTrace": []})
            raise TaskFailed(kind, cause) from error

    def _assign(self, holder: Mapping[str, Any], data: Any, **more: Any) -> None:
        # All of them are evaluated before any of them is set.
        values = {name: self._value(value, data, **more) for name, value in holder.get("Assign", {}).items()}
        self.variables.update(values)

    def _value(self, template: Any, data: Any, **more: Any) -> Any:
        if isinstance(template, dict):
            return {key: self._value(value, data, **more) for key, value in template.items()}
        if isinstance(template, list):
            return [self._value(value, data, **more) for value in template]
        if not (isinstance(template, str) and template.startswith("{%")):
            return template
        return self._evaluate(template[2:-2].strip(), data, **more)

    def _evaluate(self, text: str, data: Any, **more: Any) -> Any:
        """An undefined answer is an error, as it is in Step Functions: null is written null."""
        functions = {
            "parse": json.loads,
            "millis": lambda: self._clock.now().timestamp() * 1000,
            "now": lambda: self._clock.now().isoformat(),
        }
        bound = {
            **{name: jsonata.Jsonata.JLambda(function) for name, function in functions.items()},
            **self.variables,
            "states": self._states(data, more),
        }
        (answer,) = _parsed(text).evaluate(None, bound)
        if "value" not in answer:
            raise TaskFailed("States.QueryEvaluationError", f"{text} is undefined in {self.visited[-1]}")
        return json.loads(json.dumps(answer["value"]))

    def _states(self, data: Any, more: Mapping[str, Any]) -> dict[str, Any]:
        return {"input": data, "context": self._context, **more}


@cache
def _parsed(text: str) -> jsonata.Jsonata:
    return jsonata.Jsonata(f"[{{'value': {text}}}]")


def _following(state: Mapping[str, Any]) -> str | None:
    """None at the end of a branch."""
    assert ("Next" in state) != bool(state.get("End")), state
    return state.get("Next")
