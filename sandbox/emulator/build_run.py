"""One build: its phases, one after the other, with their outcome and log."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from ministack.core.responses import get_region

from sandbox import processes
from sandbox.compute import toolchain
from sandbox.compute.run_step import MACHINE_SETTINGS
from sandbox.emulator.buildspec import PHASES, BuildSpec, BuildSpecError, Phase, parse, script
from sandbox.emulator.context import Context

POLL_SECONDS = 0.05
LOG_SECONDS = 0.5  # how often new output goes to CloudWatch Logs
GRACE_SECONDS = 2.0  # between SIGTERM and SIGKILL for a build that is stopped
Data = dict[str, Any]


class PhaseError(Exception):
    """A phase failed; `code` is the statusCode of its context."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _EndedError(Exception):
    """The build was stopped or took too long; the argument is its status."""


class BuildRun:
    """Executes `build`, a build record of ministack's, and keeps the record up to date."""

    def __init__(self, context: Context, build: Data, role: str) -> None:
        self.build = build
        self._context = context
        session = "AWSCodeBuild-" + build["id"].rpartition(":")[2]
        self._credentials = context.role_credentials(role, session)
        self._stopped = threading.Event()
        self._succeeding = True
        self._deadline = time.monotonic() + build["timeoutInMinutes"] * 60
        self._folder = Path()
        self._logs: _Logs | None = None

    def stop(self) -> None:
        self._stopped.set()

    def run(self) -> None:
        scratch = self._context.settings.root / "builds"
        scratch.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(dir=scratch))
        try:
            status = self._phases()
        except _EndedError as error:
            status = str(error)
        finally:
            if self._logs is not None:
                self._logs.close()
            shutil.rmtree(self._folder, ignore_errors=True)
        self.finish(status)

    def finish(self, status: str) -> None:
        now = time.time()
        self._close_open_phase(now)
        self.build["phases"].append({"phaseType": "COMPLETED", "startTime": now})
        self.build.update(currentPhase="COMPLETED", endTime=now, buildComplete=True)
        self.build["buildStatus"] = status  # last: who sees an end sees all of it

    def _phases(self) -> str:
        self._open("SUBMITTED")
        try:
            self._logs = _Logs(self._context, self._credentials, self.build, self._folder / "output")
        except ClientError as error:
            return self._fail(
                "ACCESS_DENIED", f"Service role does not allow CodeBuild to write its logs: {error}"
            )
        self._open("QUEUED")
        self._open("PROVISIONING")
        source = self._folder / "src"
        source.mkdir()
        self._open("DOWNLOAD_SOURCE")
        try:
            spec = self._spec(source)
        except PhaseError as error:
            return self._fail(error.code, str(error))
        environment = self._environment(spec, source)
        succeeded = True
        for name in PHASES:
            phase = spec.phases.get(name)
            if phase is None:
                continue
            self._open(name.upper())
            self._succeeding = succeeded
            try:
                self._execute(phase, spec, source, environment)
            except PhaseError as error:
                self._fail(error.code, str(error))
                succeeded = False
                # post_build runs after a failed build phase, and after no other failure.
                if name != "build" and not phase.goes_on:
                    break
        self._export(spec)
        self._open("UPLOAD_ARTIFACTS")
        self._open("FINALIZING")
        return "SUCCEEDED" if succeeded else "FAILED"

    # --- phases -----------------------------------------------------------------------------------

    def _open(self, name: str) -> None:
        now = time.time()
        self._close_open_phase(now)
        self.build["phases"].append({"phaseType": name, "startTime": now})
        self.build["currentPhase"] = name
        if self._logs is not None:
            self._logs.say(f"[Container] Phase is {name}")

    def _close_open_phase(
        self, now: float, status: str = "SUCCEEDED", contexts: list[Data] | None = None
    ) -> None:
        phases = self.build["phases"]
        if phases and "phaseStatus" not in phases[-1]:
            began = phases[-1]["startTime"]
            contexts = contexts if contexts is not None else [{"statusCode": "", "message": ""}]
            phases[-1].update(
                phaseStatus=status, endTime=now, durationInSeconds=int(now - began), contexts=contexts
            )

    def _fail(self, code: str, message: str, status: str = "FAILED") -> str:
        if self._logs is not None:
            self._logs.say(f"[Container] Phase context status code: {code} Message: {message}")
        self._close_open_phase(time.time(), status, [{"statusCode": code, "message": message}])
        return status

    def _spec(self, source: Path) -> BuildSpec:
        wanted = self.build["source"]
        if wanted["type"] == "S3":
            self._download(wanted["location"], source)
        text = wanted.get("buildspec") or "buildspec.yml"
        if "\n" not in text.strip() and not text.lstrip().startswith(("{", "version")):
            path = source / text.strip()
            if not path.is_file():
                raise PhaseError("YAML_FILE_ERROR", f"stat {text.strip()}: no such file or directory")
            text = path.read_text()
        try:
            return parse(text)
        except BuildSpecError as error:
            raise PhaseError("YAML_FILE_ERROR", str(error)) from error

    def _download(self, location: str, source: Path) -> None:
        bucket, _, key = location.removeprefix("arn:aws:s3:::").partition("/")
        archive = self._folder / "source.zip"
        try:
            answer = self._context.client("s3", self._credentials).get_object(Bucket=bucket, Key=key)
            with archive.open("wb") as file:
                shutil.copyfileobj(answer["Body"], file)
            with zipfile.ZipFile(archive) as content:
                for info in content.infolist():
                    target = Path(content.extract(info, source))
                    if info.external_attr >> 16 & 0o111 and not info.is_dir():
                        target.chmod(0o755)
        except (ClientError, BotoCoreError) as error:
            raise PhaseError("CLIENT_ERROR", f"{error} for primary source {location}") from error
        except zipfile.BadZipFile as error:
            raise PhaseError("CLIENT_ERROR", f"{location} is no ZIP archive") from error

    def _environment(self, spec: BuildSpec, source: Path) -> dict[str, str]:
        """https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html

        The variables of the start win over the project's, those over the buildspec's.
        """
        settings, credentials = self._context.settings, self._credentials
        region = get_region()
        bundle = str(settings.ca_bundle)
        trust = (
            ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE") if settings.ca_bundle.exists() else ()
        )
        home = self._folder / "home"
        home.mkdir()
        machine = {name: value for name, value in os.environ.items() if MACHINE_SETTINGS.match(name)}
        given = {}
        for each in self.build["environment"].get("environmentVariables") or []:
            if each.get("type", "PLAINTEXT") != "PLAINTEXT":
                raise PhaseError(
                    "CLIENT_ERROR", f"variable {each['name']}: type {each['type']} is not supported"
                )
            given[each["name"]] = each.get("value", "")
        found = {
            **machine,
            "PATH": toolchain.path_variable(settings.root),
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "TMPDIR": str(self._folder),
            processes.MARKER: str(settings.root),
            **dict.fromkeys(trust, bundle),
            "AWS_ENDPOINT_URL": settings.endpoint_url,
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "AWS_SESSION_TOKEN": credentials.token or "",
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            "CODEBUILD_BUILD_ID": self.build["id"],
            "CODEBUILD_BUILD_ARN": self.build["arn"],
            "CODEBUILD_BUILD_NUMBER": str(self.build["buildNumber"]),
            "CODEBUILD_INITIATOR": self.build["initiator"],
            "CODEBUILD_SRC_DIR": str(source),
            "CODEBUILD_LOG_PATH": self.build["logs"]["streamName"],
            "CODEBUILD_START_TIME": str(int(self.build["startTime"] * 1000)),
            "CODEBUILD_RESOLVED_SOURCE_VERSION": self.build.get("sourceVersion") or "",
            **spec.variables,
            **given,
        }
        if not self.build["environment"].get("privilegedMode"):
            # Without the privileged mode there is no Docker daemon in a build:
            # https://docs.aws.amazon.com/codebuild/latest/userguide/troubleshooting.html#troubleshooting-cannot-connect-to-docker-daemon
            found["DOCKER_HOST"] = f"unix://{self._folder / 'no-docker.sock'}"
        return found

    def _execute(self, phase: Phase, spec: BuildSpec, source: Path, environment: dict[str, str]) -> None:
        failure: PhaseError | None = None
        for commands in (phase.commands, phase.last):
            try:
                if commands:
                    self._shell(commands, spec, source, environment)
            except PhaseError as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def _shell(
        self, commands: tuple[str, ...], spec: BuildSpec, source: Path, environment: dict[str, str]
    ) -> None:
        path = self._folder / "phase.sh"
        path.write_text(script(commands, self._folder, succeeding=self._succeeding))
        process = processes.spawn(
            [f"/bin/{spec.shell}", path],
            name=f"build {self.build['id']}",
            log=self._folder / "output",
            env=environment,
            cwd=source,
        )
        while process.poll() is None:
            late = time.monotonic() > self._deadline
            if late or self._stopped.is_set():
                processes.end_tree(process.pid, grace_seconds=GRACE_SECONDS)
                process.wait()
                status = "TIMED_OUT" if late else "STOPPED"
                message = "Build timed out" if late else "Build was stopped"
                self._fail("BUILD_TIMED_OUT" if late else "STOPPED", message, status)
                raise _EndedError(status)
            time.sleep(POLL_SECONDS)
        if process.returncode:
            current = (self._folder / "current").read_text()
            message = f"Error while executing command: {current}. Reason: exit status {process.returncode}"
            raise PhaseError("COMMAND_EXECUTION_ERROR", message)

    def _export(self, spec: BuildSpec) -> None:
        """The exported variables' values as the last phase left them."""
        state = self._folder / "state"
        if not spec.exported or not state.exists():
            return
        code = "import json, os; print(json.dumps(dict(os.environ)))"
        done = subprocess.run(
            [f"/bin/{spec.shell}", "-c", '. "$0"; exec "$1" -I -c "$2"', str(state), sys.executable, code],
            env={},
            capture_output=True,
            text=True,
            check=False,
        )
        values = json.loads(done.stdout) if done.returncode == 0 else {}
        self.build["exportedEnvironmentVariables"] = [
            {"name": name, "value": values[name]} for name in spec.exported if name in values
        ]


class _Logs:
    """The build's log stream in CloudWatch Logs, written by the project's role."""

    def __init__(self, context: Context, credentials: Any, build: Data, output: Path) -> None:
        self._client = context.client("logs", credentials)
        self._output, self._position = output, 0
        self._place = {
            "logGroupName": build["logs"]["groupName"],
            "logStreamName": build["logs"]["streamName"],
        }
        arn = f"log-group:{self._place['logGroupName']}:log-stream:{self._place['logStreamName']}"
        build["logs"]["cloudWatchLogsArn"] = context.arn("logs", arn)
        self._create()
        output.touch()
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _create(self) -> None:
        exists = self._client.exceptions.ResourceAlreadyExistsException
        try:
            self._client.create_log_stream(**self._place)
        except self._client.exceptions.ResourceNotFoundException:
            with contextlib.suppress(exists):
                self._client.create_log_group(logGroupName=self._place["logGroupName"])
            self._client.create_log_stream(**self._place)

    def say(self, line: str) -> None:
        with self._output.open("a") as file:
            file.write(line + "\n")

    def _follow(self) -> None:
        while not self._ended.wait(LOG_SECONDS):
            self._send()

    def _send(self) -> None:
        with self._lock:
            with self._output.open("rb") as file:
                file.seek(self._position)
                fresh = file.read(900_000)  # PutLogEvents takes 1,048,576 bytes
            whole = fresh[: fresh.rfind(b"\n") + 1] if not self._ended.is_set() else fresh
            if not whole:
                return
            now = int(time.time() * 1000)
            lines = [line for line in whole.decode(errors="replace").splitlines() if line]
            events = [{"timestamp": now, "message": line} for line in lines]
            try:
                for start in range(0, len(events), 1000):
                    self._client.put_log_events(**self._place, logEvents=events[start : start + 1000])
            except (ClientError, BotoCoreError):
                return  # tried again with the next lines
            self._position += len(whole)

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._send()
