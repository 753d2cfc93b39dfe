"""Step Functions: the walk through a state machine, where ministack's own strays from AWS.

Ours: tasks as the machine's role, timeouts and heartbeats, Retry's delays and jitter, StopExecution, JSONata
in Parallel and Succeed, validation. ministack's: Pass, Choice, Wait, Map, paths, and JSONata's evaluation.
Not here: activities, logs of executions to CloudWatch, redrive, and what Distributed Map adds to Map.
"""

from __future__ import annotations

import contextvars
import copy
import json
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ministack.services import cloudwatch
from ministack.services import stepfunctions as sfn
from ministack.services.cloudformation import provisioners

from sandbox.emulator import states_definition
from sandbox.emulator.context import Context, replace, seam
from sandbox.emulator.states_tasks import TaskError, Tasks
from sandbox.emulator.trust import distrusted

State = dict[str, Any]
Execution = dict[str, Any]
Moved = tuple[Any, str | None]  # (output, name of the next state)

LONGEST_TASK_SECONDS = 99_999_999  # a Task's TimeoutSeconds when it gives none
POLL_SECONDS = 0.05
# AWS evaluates an expression for at most a second; this machine may be slower than AWS's.
JSONATA_PATIENCE = 10


class StoppedError(BaseException):
    """The execution has ended (stopped or timed out) while a state was at work; nothing may catch it."""


@dataclass(frozen=True)
class Run:
    """The execution that this thread works for."""

    execution: Execution
    role_arn: str

    def check(self) -> None:
        if self.execution["status"] != "RUNNING":
            raise StoppedError

    def sleep(self, seconds: float) -> None:
        """Sleep; raises StoppedError as soon as the execution has ended."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.check()
            time.sleep(min(POLL_SECONDS, left))
        self.check()


_run: contextvars.ContextVar[Run] = contextvars.ContextVar("run")


def install(context: Context) -> None:
    walker = Walker(context)
    replace(sfn, "_run_execution", walker.execute)
    replace(sfn, "_run_sub_machine", walker.branch)
    replace(sfn, "_execute_task", walker.task)
    replace(sfn, "_run_parallel_branches", walker.parallel)
    replace(sfn, "_with_retry_and_catch", retried)
    replace(sfn, "_scaled_sleep", lambda seconds: _run.get().sleep(seconds))
    _install_creation()
    _install_start()
    _install_metrics()
    _install_patience()


class Walker:
    """Walks executions from state to state."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def execute(self, execution_arn: str) -> None:
        """Run an execution from its start to its end."""
        execution = sfn._executions[execution_arn]
        machine = sfn._state_machines[execution["stateMachineArn"]]
        definition = json.loads(machine["definition"])
        _run.set(Run(execution, machine["roleArn"]))
        entered = json.loads(execution["input"])
        values = {
            "QueryLanguage": definition.get("QueryLanguage", "JSONPath"),
            "Execution": {
                "Id": execution_arn,
                "Input": entered,
                "Name": execution["name"],
                "RoleArn": machine["roleArn"],
                "StartTime": execution["startDate"],
                "RedriveCount": 0,
            },
            "StateMachine": {"Id": execution["stateMachineArn"], "Name": machine["name"]},
            "variables": {},
        }
        if "TimeoutSeconds" in definition:
            _end_later(execution, float(definition["TimeoutSeconds"]))
        try:
            output = self._walk(definition["States"], definition["StartAt"], entered, execution, values)
            _finish(execution, "SUCCEEDED", output=json.dumps(output))
        except TaskError as error:
            _finish(execution, "FAILED", error=error.error, cause=error.cause)
        except StoppedError:
            return
        except Exception as error:
            sfn.logger.exception("execution %s", execution_arn)
            _finish(execution, "FAILED", error="States.Runtime", cause=f"{type(error).__name__}: {error}")

    def branch(self, states: State, start: str, entered: Any, execution: Execution, values: State) -> Any:
        """Run a branch of Parallel or an item of Map: it sees the variables around it, and keeps its own."""
        return self._walk(states, start, copy.deepcopy(entered), execution, copy.deepcopy(values))

    def _walk(self, states: State, start: str, entered: Any, execution: Execution, values: State) -> Any:
        name: str | None = start
        while name is not None:
            _run.get().check()
            state = states[name]
            kind = state["Type"]
            values["State"] = {"Name": name, "EnteredTime": sfn.now_iso(), "RetryCount": 0}
            details = {"name": name, "input": json.dumps(entered)}
            sfn._add_event(execution, f"{kind}StateEntered", {"stateEnteredEventDetails": details})
            entered, following = self._step(kind, state, entered, execution, values)
            _run.get().check()
            details = {"name": name, "output": json.dumps(entered)}
            sfn._add_event(execution, f"{kind}StateExited", {"stateExitedEventDetails": details})
            name = following
        return entered

    def _step(self, kind: str, state: State, entered: Any, execution: Execution, values: State) -> Moved:
        moved: Moved
        match kind:
            case "Task":
                return self.task(state, entered, execution, values)
            case "Parallel" | "Map":
                moved = getattr(sfn, f"_execute_{kind.lower()}")(state, entered, execution, values)
            case "Pass" | "Wait":
                moved = getattr(sfn, f"_execute_{kind.lower()}")(state, entered, values)
            case "Choice":
                moved = sfn._execute_choice(state, entered, values)
                if moved[1] == state.get("Default") and "Output" in state and moved[0] is entered:
                    moved = (sfn._apply_jsonata_output(state, entered, values, default=entered), moved[1])
            case "Succeed":
                return _shaped(state, entered, values, entered), None
            case "Fail":
                raise TaskError(*sfn._fail_state_error(state, entered, values))
            case _:
                raise TaskError("States.Runtime", f"unknown state type {kind}")
        return moved

    def task(self, state: State, entered: Any, execution: Execution, values: State) -> Moved:
        """A Task state with its retries and its catchers.

        https://docs.aws.amazon.com/step-functions/latest/dg/state-task.html
        """

        def attempt() -> Moved:
            resource = state["Resource"]
            if resource.endswith(".waitForTaskToken"):
                values["Task"] = {"Token": _new_token()}
            if _is_jsonata(state, values):
                arguments = sfn._apply_jsonata_arguments(state, entered, values)
            else:
                given = sfn._apply_input_path(state, entered, values)
                arguments = sfn._apply_parameters(state, given, values)
            about = {"resource": resource, "resourceType": resource.split(":")[-2], "region": self._region}
            scheduled = {**about, "parameters": json.dumps(arguments)}
            sfn._add_event(execution, "TaskScheduled", {"taskScheduledEventDetails": scheduled})
            try:
                result = self._answer(state, resource, arguments, entered, values)
            except TaskError as error:
                failed = {**about, "error": error.error, "cause": error.cause}
                sfn._add_event(execution, "TaskFailed", {"taskFailedEventDetails": failed})
                raise
            succeeded = {**about, "output": json.dumps(result)}
            sfn._add_event(execution, "TaskSucceeded", {"taskSucceededEventDetails": succeeded})
            output = _shaped(state, entered, values, result)
            sfn._apply_state_assign(state, entered, values, result=result)
            return output, sfn._next_or_end(state)

        return retried(state, entered, values, attempt)

    @property
    def _region(self) -> str:
        return self._context.settings.region

    def _answer(self, state: State, resource: str, arguments: Any, entered: Any, values: State) -> Any:
        """The task's result, or States.Timeout when it takes longer than it may."""
        run = _run.get()
        seconds = _seconds(state, "TimeoutSeconds", LONGEST_TASK_SECONDS, entered, values)
        deadline = time.monotonic() + seconds
        given_up = threading.Event()

        def pause(length: float) -> None:
            if given_up.wait(length):
                raise StoppedError
            run.check()

        tasks = Tasks(self._context, run.role_arn, "states", pause)
        answer = _call_within(lambda: tasks.run(resource, arguments), deadline, run, given_up)
        if resource.endswith(".waitForTaskToken"):
            beat = _seconds(state, "HeartbeatSeconds", LONGEST_TASK_SECONDS, entered, values)
            return _callback(values["Task"]["Token"], deadline, beat, run)
        return answer

    def parallel(self, state: State, entered: Any, execution: Execution, values: State) -> Moved:
        """https://docs.aws.amazon.com/step-functions/latest/dg/state-parallel.html"""
        jsonata = _is_jsonata(state, values)
        if jsonata:
            given = sfn._apply_jsonata_arguments(state, entered, values)
        else:
            given = sfn._apply_parameters(state, sfn._apply_input_path(state, entered, values), values)
        branches = state["Branches"]
        with ThreadPoolExecutor(len(branches)) as pool:
            running = [
                pool.submit(
                    contextvars.copy_context().run,
                    self.branch,
                    branch["States"],
                    branch["StartAt"],
                    given,
                    execution,
                    values,
                )
                for branch in branches
            ]
            results = [each.result() for each in running]
        output = _shaped(state, entered, values, results)
        sfn._apply_state_assign(state, entered, values, result=results)
        return output, sfn._next_or_end(state)


def _is_jsonata(state: State, values: State) -> bool:
    return bool(sfn._state_query_language(state, values) == "JSONata")


def _shaped(state: State, entered: Any, values: State, result: Any) -> Any:
    """A state's output, made of its result by Output (JSONata) or by the paths (JSONPath)."""
    if _is_jsonata(state, values):
        return sfn._apply_jsonata_output(state, entered, values, result=result, default=result)
    if state["Type"] == "Succeed":
        return sfn._apply_output_path(state, sfn._apply_input_path(state, entered, values), values)
    selected = sfn._apply_result_selector(state, result)
    return sfn._apply_output_path(state, sfn._apply_result_path(state, entered, selected), values)


def retried(state: State, entered: Any, values: State, attempt: Callable[[], Moved]) -> Moved:
    """Run `attempt` under the state's Retry and Catch.

    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    """
    run, here = _run.get(), values["State"]
    counts: dict[int, int] = {}
    while True:
        values["State"] = {**here, "RetryCount": sum(counts.values())}
        try:
            return attempt()
        except TaskError as error:
            run.check()
            retrier, index = sfn._find_matching_retrier(state.get("Retry", []), error.error, counts)
            if retrier is None:
                values["State"] = here
                return caught(state, entered, values, error)
            run.sleep(delay(retrier, counts.get(index, 0), random.random()))  # noqa: S311 (jitter)
            counts[index] = counts.get(index, 0) + 1


def delay(retrier: State, retries: int, chance: float) -> float:
    """Seconds before the retry after `retries` earlier ones; `chance` (0 to 1) is the jitter's draw."""
    seconds: float = retrier.get("IntervalSeconds", 1) * retrier.get("BackoffRate", 2.0) ** retries
    seconds = min(seconds, retrier.get("MaxDelaySeconds", seconds))
    return seconds * chance if retrier.get("JitterStrategy") == "FULL" else seconds


def caught(state: State, entered: Any, values: State, error: TaskError) -> Moved:
    """The way on from an error; raises it again when no catcher names it."""
    catcher = sfn._find_matching_catcher(state.get("Catch", []), error.error)
    if catcher is None:
        raise error
    language = sfn._state_query_language(state, values)
    output = {"Error": error.error, "Cause": error.cause}
    return sfn._apply_catcher(catcher, entered, values, language, output), catcher["Next"]


def _seconds(state: State, field: str, default: float, entered: Any, values: State) -> float:
    if f"{field}Path" in state:
        return float(sfn._resolve_path(state[f"{field}Path"], entered))
    if field not in state:
        return default
    if isinstance(state[field], str):
        return float(sfn._jsonata_state_field(state, field, "number", entered, values))
    return float(state[field])


def _call_within(call: Callable[[], Any], deadline: float, run: Run, given_up: threading.Event) -> Any:
    """Run `call` in a thread of its own; it is left alone when its time is up or the execution has ended."""
    outcome: list[Any] = []
    failure: list[BaseException] = []

    def work() -> None:
        try:
            outcome.append(call())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(work,), daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(POLL_SECONDS)
        if thread.is_alive() and (run.execution["status"] != "RUNNING" or time.monotonic() > deadline):
            given_up.set()
            run.check()
            raise TaskError("States.Timeout", "")
    if failure:
        raise failure[0]
    return outcome[0]


def _new_token() -> str:
    token: str = sfn.new_uuid()
    sfn._task_tokens[token] = {"event": threading.Event(), "result": None, "error": None, "heartbeat": None}
    return token


def _callback(token: str, deadline: float, beat_seconds: float, run: Run) -> Any:
    """Wait until someone answers with the task's token.

    https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-wait-token
    """
    task: dict[str, Any] = sfn._task_tokens[token]
    beat, last = task["heartbeat"], time.monotonic()
    try:
        while not task["event"].wait(POLL_SECONDS):
            run.check()
            now = time.monotonic()
            if task["heartbeat"] != beat:
                beat, last = task["heartbeat"], now
            if now > deadline:
                raise TaskError("States.Timeout", "")
            if now - last > beat_seconds:
                raise TaskError("States.HeartbeatTimeout", "")
    finally:
        sfn._task_tokens.pop(token, None)
    if task["error"]:
        raise TaskError(task["error"].get("Error", ""), task["error"].get("Cause", ""))
    return json.loads(task["result"])


def _finish(execution: Execution, status: str, **details: str) -> None:
    """End an execution that is still running; one that was stopped meanwhile stays as it is."""
    if execution["status"] != "RUNNING":
        return
    execution.update(status=status, stopDate=sfn.now_iso(), **details)
    kind = {"SUCCEEDED": "ExecutionSucceeded", "FAILED": "ExecutionFailed", "TIMED_OUT": "ExecutionTimedOut"}[
        status
    ]
    sfn._add_event(execution, kind, {f"{kind[0].lower()}{kind[1:]}EventDetails": dict(details)})
    sfn._emit_execution_status_event(execution)


def _end_later(execution: Execution, seconds: float) -> None:
    """The machine's own TimeoutSeconds."""

    def end() -> None:
        _finish(execution, "TIMED_OUT", error="States.Timeout", cause="")

    timer = threading.Timer(seconds, contextvars.copy_context().run, args=(end,))
    timer.daemon = True
    timer.start()


def _install_creation() -> None:
    """Refuse a definition or a role that could not run, through the API and through CloudFormation."""
    check_expressions = seam(sfn, "_validate_definition_jsonata")
    from_template = seam(provisioners, "_sfn_definition")
    create, change = seam(sfn, "_create_state_machine"), seam(sfn, "_update_state_machine")

    def problem(definition: str) -> str | None:
        found = states_definition.problems(definition)
        return ", ".join(found) if found else check_expressions(definition)

    def of_template(properties: State) -> Any:
        definition = from_template(properties)
        if found := problem(definition):
            raise ValueError(f"Invalid State Machine Definition: '{found}' (Service: Sfn, Status Code: 400)")
        if distrusted(str(properties.get("RoleArn", "")), "states.amazonaws.com"):
            raise ValueError(_untrusted)
        return definition

    def trusted(call: Callable[[State], Any]) -> Callable[[State], Any]:
        def checked(data: State) -> Any:
            if distrusted(str(data.get("roleArn") or ""), "states.amazonaws.com"):
                return sfn.error_response_json("AccessDeniedException", _untrusted, 400)
            return call(data)

        return checked

    replace(sfn, "_validate_definition_jsonata", problem)
    replace(sfn, "_create_state_machine", trusted(create))
    replace(sfn, "_update_state_machine", trusted(change))
    replace(provisioners, "_sfn_definition", of_template)


_untrusted = (
    "Neither the global service principal states.amazonaws.com, nor the regional one is authorized to assume "
    "the provided role."
)


def _install_start() -> None:
    """Starting a standard execution again under its name and with its input gives the one that runs.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    """
    start = seam(sfn, "_start_execution")

    def started(data: State) -> Any:
        machine = sfn._state_machines.get(
            sfn._resolve_state_machine_arn(data.get("stateMachineArn", "")) or ""
        )
        if machine and data.get("name"):
            arn = machine["stateMachineArn"].replace(":stateMachine:", ":execution:") + f":{data['name']}"
            execution = sfn._executions.get(arn)
            if (
                execution
                and execution["status"] == "RUNNING"
                and json.loads(execution["input"]) == json.loads(data.get("input", "{}"))
            ):
                return sfn.json_response({"executionArn": arn, "startDate": execution["startDate"]})
        return start(data)

    replace(sfn, "_start_execution", started)


def _install_metrics() -> None:
    """https://docs.aws.amazon.com/step-functions/latest/dg/procedure-cw-metrics.html"""
    emit = seam(sfn, "_emit_execution_status_event")
    seam(cloudwatch, "record_metric")
    names = {
        "RUNNING": "ExecutionsStarted",
        "SUCCEEDED": "ExecutionsSucceeded",
        "FAILED": "ExecutionsFailed",
        "TIMED_OUT": "ExecutionsTimedOut",
        "ABORTED": "ExecutionsAborted",
    }

    def emitted(execution: Execution) -> None:
        dimensions = {"StateMachineArn": execution["stateMachineArn"]}
        cloudwatch.record_metric("AWS/States", names[execution["status"]], 1, "Count", dimensions)
        emit(execution)

    replace(sfn, "_emit_execution_status_event", emitted)


def _install_patience() -> None:
    engine = seam(sfn.jsonata, "Jsonata")
    compile_expression = seam(engine, "jsonata")

    def patient(expression: str | None, *rest: Any, timeout: int | None = None) -> Any:
        return compile_expression(expression, *rest, timeout=timeout * JSONATA_PATIENCE if timeout else None)

    replace(engine, "jsonata", staticmethod(patient))
