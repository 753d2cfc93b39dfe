"""One execution environment of a Lambda function: a process of Lambda's interpreter that is kept warm.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ministack.core import lambda_runtime

from sandbox import processes
from sandbox.settings import SandboxSettings

BOOTSTRAP = Path(__file__).with_name("lambda_runtime") / "bootstrap.py"
PYTHON_VARIABLE = "CUTOVER_LAMBDA_PYTHON"
DEFAULT_PYTHON = Path(__file__).resolve().parents[2] / ".venv-lambda" / "bin" / "python"
# Lambda gives the imports 10 s, and again the function's own timeout when they take longer:
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-ib
# This machine has many other things to do at that moment, so it is given more.
INIT_SECONDS = 60.0
# 6 MB and room for an envelope: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
LARGEST_RESPONSE_BYTES = 6_291_556

# A child is killed when the *thread* that started it ends (PR_SET_PDEATHSIG): one lasting thread starts all.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lambda-starter")


class WorkerGoneError(Exception):
    """The process ended, or had to be ended, before it answered. Carries Lambda's error body."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass
class Process:
    """The live process: its pipes for requests and answers, and the pipe that carries its log."""

    popen: subprocess.Popen[bytes]
    requests: io.FileIO
    responses: int
    log: int

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.popen.pid, signal.SIGKILL)
        self.popen.wait()
        self.requests.close()
        os.close(self.responses)
        os.close(self.log)


class PythonWorker(lambda_runtime.Worker):  # type: ignore[misc]
    """A worker in ministack's pool (which leases it and reaps it) that behaves as Lambda does."""

    settings: SandboxSettings
    layer_zip: Callable[[Any], bytes | None]

    def __init__(self, name: str, config: dict[str, Any], code_zip: bytes) -> None:
        super().__init__(name, config, code_zip)
        self._process: Process | None = None
        self._temporary: str | None = None
        self._retired = False

    def retire(self) -> None:
        """End the process, once the invocation under way (if any) has been answered."""
        self._retired = True
        if self._lock.acquire(blocking=False):
            try:
                self._end()
            finally:
                self._lock.release()

    def call(self, event: Any, request_id: str, trace_id: str | None) -> tuple[dict[str, Any], str]:
        """Run one invocation. Returns ({"result": JSON text} or {"error": body}, the log of it)."""
        with self._lock:
            lines: list[str] = []
            timeout = float(self.config.get("Timeout") or 3)
            try:
                if self._process is None:
                    self._start(lines, INIT_SECONDS + timeout)
                process = self._process
                assert process is not None
                request = {
                    "event": event,
                    "request_id": request_id,
                    "arn": self.config.get("FunctionArn", ""),
                    "deadline": time.time() + timeout,
                    "trace_id": trace_id,
                }
                try:
                    process.requests.write(json.dumps(request).encode() + b"\n")
                except BrokenPipeError:
                    raise self._exited() from None
                answer = self._read(process, lines, timeout, f"Task timed out after {timeout:.2f} seconds")
            except WorkerGoneError as gone:
                self._end()
                message = f"RequestId: {request_id} Error: {gone}"
                lines.append(f"{message}\n")
                answer = {"error": {"errorType": gone.kind, "errorMessage": message}}
            if len(answer.get("result") or "") > LARGEST_RESPONSE_BYTES:
                limit = f"maximum allowed payload size ({LARGEST_RESPONSE_BYTES} bytes)"
                message = f"Response payload size exceeded {limit}."
                answer = {"error": {"errorType": "Function.ResponseSizeTooLarge", "errorMessage": message}}
            if self._retired:
                self._end()
            return answer, "".join(lines)

    def _start(self, lines: list[str], seconds: float) -> None:
        code = _unpacked(self.settings.root / "tmp" / "functions", self.code_zip)
        self._temporary = tempfile.mkdtemp(prefix="lambda-", dir=self.settings.root / "tmp")
        python = Path(os.environ.get(PYTHON_VARIABLE) or DEFAULT_PYTHON)
        if not python.exists():
            raise WorkerGoneError(
                "Runtime.InvalidEntrypoint",
                f"{python} does not exist; run `make setup` or set {PYTHON_VARIABLE}",
            )
        environment = {**self._environment(code), "TMPDIR": self._temporary}
        self._process = _starter.submit(_launch, python, environment, code).result()
        process = self._process
        process.requests.write(json.dumps({"path": [str(code), *self._layer_paths()]}).encode() + b"\n")
        started = self._read(process, lines, seconds, "Task timed out during initialization")
        if started["error"]:
            failure = started["error"]
            self._end()
            raise WorkerGoneError(failure["errorType"], failure["errorMessage"])

    def _environment(self, code: Path) -> dict[str, str]:
        """What a function finds in its environment, and nothing of this process's.

        https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
        """
        settings, config = self.settings, self.config
        logging = config.get("LoggingConfig") or {}
        stream = f"{time.strftime('%Y/%m/%d')}/[{config.get('Version', '$LATEST')}]{os.urandom(16).hex()}"
        own = (config.get("Environment") or {}).get("Variables") or {}
        given = {
            "_HANDLER": config.get("Handler", "index.handler"),
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{config.get('Runtime', 'python3.12')}",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.get("MemorySize", 128)),
            "AWS_LAMBDA_FUNCTION_NAME": config.get("FunctionName", ""),
            "AWS_LAMBDA_FUNCTION_VERSION": config.get("Version", "$LATEST"),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_FORMAT": logging.get("LogFormat", "Text"),
            "AWS_LAMBDA_LOG_GROUP_NAME": logging.get("LogGroup")
            or f"/aws/lambda/{config.get('FunctionName', '')}",
            "AWS_LAMBDA_LOG_STREAM_NAME": stream,
            "AWS_REGION": settings.region,
            "AWS_DEFAULT_REGION": settings.region,
            "LAMBDA_TASK_ROOT": str(code),
            **{key: value for key, value in lambda_runtime.execution_credentials(config).items() if value},
        }
        environment = {
            "AWS_ENDPOINT_URL": settings.endpoint_url,
            "LANG": "en_US.UTF-8",
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "TZ": ":UTC",
            **{key: value for key, value in own.items() if key not in given},
            **given,
            processes.MARKER: str(settings.root),
        }
        if settings.ca_bundle.exists():  # the machine's trust store holds the sandbox's authority
            for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE"):
                environment.setdefault(name, str(settings.ca_bundle))
        return environment

    def _layer_paths(self) -> list[str]:
        """The layers' folders for imports; a later layer lies over an earlier one.

        https://docs.aws.amazon.com/lambda/latest/dg/packaging-layers.html
        """
        paths: list[str] = []
        for layer in reversed(self.config.get("Layers") or []):
            content = type(self).layer_zip(layer)
            if content is None:
                continue
            python = _unpacked(self.settings.root / "tmp" / "layers", content) / "python"
            paths += [str(each) for each in sorted(python.glob("lib/python3.*/site-packages"))]
            paths.append(str(python))
        return paths

    def _read(self, process: Process, lines: list[str], seconds: float, too_late: str) -> dict[str, Any]:
        """The next answer; meanwhile the log is read, so that the process never waits for us."""
        deadline, received = time.monotonic() + seconds, b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.responses, selectors.EVENT_READ)
            selector.register(process.log, selectors.EVENT_READ)
            while not received.endswith(b"\n"):
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    _drain(process.log, lines)
                    raise WorkerGoneError("Sandbox.Timedout", too_late)
                for key, _ in ready:
                    if key.fd == process.log:
                        if not _drain(process.log, lines):
                            selector.unregister(process.log)
                    elif chunk := os.read(process.responses, 65536):
                        received += chunk
                    else:
                        _drain(process.log, lines)
                        raise self._exited()
        _drain(process.log, lines)
        answer: dict[str, Any] = json.loads(received)
        return answer

    def _exited(self) -> WorkerGoneError:
        assert self._process is not None
        status = self._process.popen.wait()
        how = f"signal: {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        return WorkerGoneError("Runtime.ExitError", f"Runtime exited with error: {how}")

    def _end(self) -> None:
        process, self._process = self._process, None
        if process:
            process.close()
        self._discard_tmpdir()

    # What ministack's pool calls.

    def _spawn(self) -> None:
        raise NotImplementedError("SnapStart is not part of the sandbox")

    def _discard_tmpdir(self) -> None:
        if self._temporary:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None


def _drain(pipe: int, lines: list[str]) -> bool:
    """Read what a non-blocking pipe holds now; False once its other end is closed."""
    while True:
        try:
            chunk = os.read(pipe, 65536)
        except BlockingIOError:
            return True
        if not chunk:
            return False
        lines.append(chunk.decode("utf-8", "replace"))


def _launch(python: Path, environment: dict[str, str], folder: Path) -> Process:
    request_in, request_out = os.pipe()
    response_in, response_out = os.pipe()
    log_in, log_out = os.pipe()
    try:
        popen = subprocess.Popen(
            [str(python), str(BOOTSTRAP), str(request_in), str(response_out), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=log_out,
            stderr=log_out,
            pass_fds=(request_in, response_out),
            env=environment,
            cwd=folder,
            start_new_session=True,
        )
    except OSError:
        for pipe in (request_out, response_in, log_in):
            os.close(pipe)
        raise
    finally:
        for pipe in (request_in, response_out, log_out):
            os.close(pipe)
    os.set_blocking(log_in, False)
    return Process(popen, io.FileIO(request_out, "w"), response_in, log_in)


def _unpacked(folder: Path, content: bytes) -> Path:
    """Unpack a package once for all workers that use it; its name is its content's hash."""
    target = folder / hashlib.sha256(content).hexdigest()[:24]
    if target.is_dir():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    half_done = Path(tempfile.mkdtemp(dir=folder))
    with zipfile.ZipFile(io.BytesIO(content)) as package:
        package.extractall(half_done)  # zipfile keeps every member inside the folder
        for member in package.infolist():
            mode = member.external_attr >> 16
            if mode & 0o111:  # extractall drops the permission to execute
                (half_done / member.filename).chmod(0o755)
    half_done.chmod(0o755)
    try:
        half_done.rename(target)
    except OSError:  # another worker was first
        shutil.rmtree(half_done, ignore_errors=True)
    return target


def is_python(config: dict[str, Any]) -> bool:
    return bool(re.fullmatch(r"python3\.\d+", str(config.get("Runtime", ""))))
