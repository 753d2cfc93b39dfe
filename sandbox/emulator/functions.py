"""Lambda: Python functions run on Lambda's own interpreter, fail as they fail there, and leave metrics.

Reserved concurrency, asynchronous retries (2 by default, seconds apart instead of minutes) and dead-letter
targets are ministack's. VpcConfig is stored and has no effect: every process here reaches every loopback
address. Memory is not limited.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from sandbox.emulator.context import Context, replace, seam
from sandbox.emulator.embedded_metrics import metrics_of
from sandbox.emulator.function_worker import PythonWorker, is_python
from sandbox.emulator.trust import distrusted

log = logging.getLogger(__name__)


def install(context: Context) -> None:
    PythonWorker.settings = context.settings
    PythonWorker.layer_zip = staticmethod(seam(lambda_svc, "_resolve_layer_zip"))
    _install_worker()
    _install_metrics(context)
    _install_trust()


def _install_worker() -> None:
    worker_class_for = seam(lambda_runtime, "_worker_class_for")
    kill_workers = seam(lambda_runtime, "kill_workers")
    run_other = seam(lambda_svc, "_execute_function_warm")

    def worker_class(config: dict[str, Any]) -> Any:
        return PythonWorker if is_python(config) else worker_class_for(config)

    def kill_all(workers: list[Any]) -> None:
        for worker in workers:
            if isinstance(worker, PythonWorker):
                worker.retire()
        kill_workers([worker for worker in workers if not isinstance(worker, PythonWorker)])

    def run(function: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        config = function.get("config") or function
        if not is_python(config) or not function.get("code_zip"):
            other: dict[str, Any] = run_other(function, event, request_id)
            return other
        return _run(function, config, event, request_id)

    replace(lambda_runtime, "_worker_class_for", worker_class)
    replace(lambda_runtime, "kill_workers", kill_all)
    replace(lambda_svc, "_execute_function_warm", run)


def _run(function: dict[str, Any], config: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
    """One invocation in an environment of the pool, in the shape in which ministack takes it."""
    lambda_svc._ensure_reaper_thread()
    worker, _ = lambda_runtime.acquire_worker(
        config["FunctionName"], config, function["code_zip"], qualifier=config.get("Version", "$LATEST")
    )
    try:
        if not isinstance(worker, PythonWorker):
            raise TypeError(f"the pool gave {type(worker).__name__} for {config['FunctionName']}")
        worker.config = config  # the name it was called by may differ: a version, an alias
        answer, text = worker.call(event, request_id, lambda_svc._xray_trace_id_for_invocation(config))
    finally:
        lambda_runtime.release_worker(worker)
    if "error" in answer:
        return {"body": answer["error"], "error": True, "log": text}
    return {"body": json.loads(answer["result"]), "log": text}


def _install_metrics(context: Context) -> None:
    """AWS/Lambda metrics of every invocation, asynchronous ones included, and of embedded metrics.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
    """
    dispatch = seam(lambda_svc, "_execute_function_dispatch")
    emit = seam(lambda_svc, "_emit_lambda_metrics")
    write_log = seam(lambda_svc, "_emit_lambda_logs")

    def measured(
        function: dict[str, Any], config: dict[str, Any], event: Any, request_id: str, started: float
    ) -> dict[str, Any]:
        result: dict[str, Any] = dispatch(function, config, event, request_id, started)
        seconds = lambda_svc.time.time() - started
        name = config.get("FunctionName", "unknown")
        emit(name, duration_ms=seconds * 1000, error=bool(result.get("error")), throttle=False)
        return result

    def only_throttles(name: str, duration_ms: float, error: bool, throttle: bool) -> None:
        if throttle:  # everything else has been counted where it ran
            emit(name, duration_ms=duration_ms, error=error, throttle=throttle)

    def logged(function: dict[str, Any], request_id: str, text: str, *rest: Any, **named: Any) -> None:
        for line in (text or "").splitlines():
            for namespace, entries in metrics_of(line).items():
                try:
                    context.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=entries)
                except Exception:
                    log.exception("an embedded metric of %s could not be put", namespace)
        write_log(function, request_id, text, *rest, **named)

    replace(lambda_svc, "_execute_function_dispatch", measured)
    replace(lambda_svc, "_emit_lambda_metrics", only_throttles)
    replace(lambda_svc, "_emit_lambda_logs", logged)


def _install_trust() -> None:
    """A role that does not trust Lambda can't be given to a function.

    https://docs.aws.amazon.com/lambda/latest/dg/lambda-intro-execution-role.html
    """
    create = seam(lambda_svc, "_create_function")
    change = seam(lambda_svc, "_update_config")

    def refused(data: dict[str, Any]) -> Any:
        if not distrusted(str(data.get("Role") or ""), "lambda.amazonaws.com"):
            return None
        message = "The role defined for the function cannot be assumed by Lambda."
        return lambda_svc.error_response_json("InvalidParameterValueException", message, 400)

    def checked_create(data: dict[str, Any], *rest: Any, **named: Any) -> Any:
        return refused(data) or create(data, *rest, **named)

    def checked_change(name: str, data: dict[str, Any], *rest: Any, **named: Any) -> Any:
        return refused(data) or change(name, data, *rest, **named)

    replace(lambda_svc, "_create_function", checked_create)
    replace(lambda_svc, "_update_config", checked_change)
