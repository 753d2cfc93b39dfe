"""Lambda's runtime for Python: import the handler once, then answer one event after the other.

Started as a script by the interpreter that stands for Lambda's (which has boto3 and nothing of ours), so it
imports the standard library only. It reads requests from one pipe and writes answers to another, one JSON
object a line; what the handler prints goes to stdout and stderr and is the function's log.

What it follows: https://docs.aws.amazon.com/lambda/latest/dg/python-handler.html,
https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html,
https://docs.aws.amazon.com/lambda/latest/dg/python-logging.html
"""

from __future__ import annotations

import ctypes
import datetime
import decimal
import importlib
import json
import logging
import os
import signal
import site
import sys
import time
import traceback
from collections.abc import Callable
from typing import IO, Any

PR_SET_PDEATHSIG = 1  # prctl(2)
Handler = Callable[[Any, Any], Any]


class LambdaContext:
    """https://docs.aws.amazon.com/lambda/latest/dg/python-context.html"""

    identity = None
    client_context = None

    def __init__(self, request: dict[str, Any]) -> None:
        self.aws_request_id = request["request_id"]
        self.invoked_function_arn = request["arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self._deadline = request["deadline"]

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline - time.time()) * 1000))


class LogFormatter(logging.Formatter):
    """The function's log format: text with tabs, or one JSON object a line."""

    request_id = ""

    def format(self, record: logging.LogRecord) -> str:
        made = datetime.datetime.fromtimestamp(record.created, datetime.UTC).replace(tzinfo=None)
        stamp = made.isoformat(timespec="milliseconds") + "Z"
        message = record.getMessage()
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        if os.environ.get("AWS_LAMBDA_LOG_FORMAT") != "JSON":
            line = f"[{record.levelname}]\t{stamp}\t{self.request_id}\t{message}"
            return f"{line}\n{trace}" if trace else line
        fields = {
            "timestamp": made.isoformat(timespec="seconds") + "Z",
            "level": record.levelname,
            "message": message,
            "logger": record.name,
            "requestId": self.request_id,
        }
        return json.dumps({**fields, **({"stackTrace": trace.splitlines()} if trace else {})})


class HandlerNotFoundError(Exception):
    """The module was imported, and holds no such handler."""


def error_body(kind: str, message: str, request_id: str, frames: list[str]) -> dict[str, Any]:
    return {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": frames}


def frames_of(error: BaseException, skip: int = 1) -> list[str]:
    """The stack as Lambda shows it, without the runtime's own `skip` outermost frames."""
    return traceback.format_list(traceback.extract_tb(error.__traceback__)[skip:])


def load_handler(name: str) -> Handler:
    """Import `module.handler` (or `folder/module.handler`). Raises what the import raises."""
    module_name, _, handler_name = name.rpartition(".")
    module = importlib.import_module(module_name.replace("/", "."))
    try:
        handler: Handler = getattr(module, handler_name)
    except AttributeError:
        raise HandlerNotFoundError(f"Handler '{handler_name}' missing on module '{module_name}'") from None
    return handler


def encode_unusual(value: Any) -> Any:
    if isinstance(value, decimal.Decimal):
        return float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def handle(handler: Handler, request: dict[str, Any]) -> dict[str, Any]:
    """Run the handler on one event: {"result": JSON text} or {"error": what Lambda answers}."""
    request_id = request["request_id"]
    LogFormatter.request_id = request_id
    if request.get("trace_id"):
        os.environ["_X_AMZN_TRACE_ID"] = request["trace_id"]
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
    try:
        result = handler(request["event"], LambdaContext(request))
    except Exception as error:
        body = error_body(type(error).__name__, str(error), request_id, frames_of(error))
        report(body)
        return {"error": body}
    try:
        return {"result": json.dumps(result, default=encode_unusual)}
    except (TypeError, ValueError) as error:
        body = error_body("Runtime.MarshalError", f"Unable to marshal response: {error}", request_id, [])
        report(body)
        return {"error": body}


def report(body: dict[str, Any]) -> None:
    """Print an error into the log, as the runtime does."""
    trace = "Traceback (most recent call last):\n" + "".join(body["stackTrace"]) if body["stackTrace"] else ""
    print(f"[ERROR] {body['errorType']}: {body['errorMessage']}\n{trace}".rstrip(), flush=True)


def initialise(start: dict[str, Any]) -> tuple[Handler | None, dict[str, Any] | None]:
    """The handler, or the error which every invocation then answers with."""
    for folder in reversed(start["path"]):
        if folder.endswith("site-packages"):
            site.addsitedir(folder)
        sys.path.insert(0, folder)
    try:
        return load_handler(os.environ["_HANDLER"]), None
    except HandlerNotFoundError as error:
        body = error_body("Runtime.HandlerNotFound", str(error), "", [])
    except ImportError as error:
        module = os.environ["_HANDLER"].rpartition(".")[0]
        body = error_body("Runtime.ImportModuleError", f"Unable to import module '{module}': {error}", "", [])
    except SyntaxError as error:
        module = os.environ["_HANDLER"].rpartition(".")[0]
        body = error_body(
            "Runtime.UserCodeSyntaxError", f"Syntax error in module '{module}': {error}", "", []
        )
    except Exception as error:
        body = error_body(type(error).__name__, str(error), "", frames_of(error, skip=0))
    report(body)
    return None, body


def answer(responses: IO[str], body: dict[str, Any]) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    responses.write(json.dumps(body) + "\n")
    responses.flush()


def main(request_pipe: int, response_pipe: int, parent: int) -> None:
    # The emulator may be killed without a chance to end its workers.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        return
    sys.path.pop(0)  # this script's folder is no part of the function
    log = logging.StreamHandler(sys.stdout)
    log.setFormatter(LogFormatter())
    logging.getLogger().addHandler(log)
    with os.fdopen(request_pipe) as requests, os.fdopen(response_pipe, "w") as responses:
        handler, failure = initialise(json.loads(requests.readline()))
        answer(responses, {"error": failure})
        if handler is None:
            return
        for line in requests:
            answer(responses, handle(handler, json.loads(line)))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]))
