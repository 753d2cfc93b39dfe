"""CodeBuild that builds: StartBuild executes the buildspec as the project's service role.

https://docs.aws.amazon.com/codebuild/latest/userguide/view-build-details-phases.html
A build runs in a folder of its own with the sandbox's `docker` and `aws`; what it does in AWS is judged by
IAM. ministack's builds succeed without running.
"""

from __future__ import annotations

import contextvars
import copy
import logging
import threading
import time
from typing import Any

from ministack.services import codebuild

from sandbox.compute import toolchain
from sandbox.emulator.build_run import BuildRun
from sandbox.emulator.context import Context, replace, seam

log = logging.getLogger("sandbox.builds")
# What StartBuild takes; another parameter is refused rather than ignored.
PARAMETERS = frozenset(
    {
        "projectName",
        "sourceVersion",
        "sourceTypeOverride",
        "sourceLocationOverride",
        "buildspecOverride",
        "environmentVariablesOverride",
        "timeoutInMinutesOverride",
        "idempotencyToken",
        "privilegedModeOverride",
    }
)
SOURCES = ("S3", "NO_SOURCE")
TOKEN_SECONDS = 300  # an idempotency token is good for five minutes
Data = dict[str, Any]


def install(context: Context) -> None:
    toolchain.install(context.settings.root)
    builds = Builds(context)
    for name in ("_builds", "_projects", "_make_build_record", "_build_id"):
        seam(codebuild, name)
    replace(codebuild, "_start_build", builds.start)
    replace(codebuild, "_stop_build", builds.stop)


class Builds:
    """Starts and stops builds; each runs on a thread of its own."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._runs: dict[str, BuildRun] = {}
        self._tokens: dict[str, tuple[str, Data, float]] = {}
        self._lock = threading.Lock()

    def start(self, data: Data) -> Any:  # noqa: PLR0911 (one return per refusal)
        """https://docs.aws.amazon.com/codebuild/latest/APIReference/API_StartBuild.html"""
        unknown = sorted(set(data) - PARAMETERS)
        if unknown:
            return _invalid(f"{unknown[0]} is not supported by the sandbox")
        name = data.get("projectName", "")
        project = codebuild._projects.get(name)
        if project is None:
            return codebuild.error_response_json(
                "ResourceNotFoundException", f"Project cannot be found: {name}", 400
            )
        source = {**(project.get("source") or {})}
        source["type"] = data.get("sourceTypeOverride", source.get("type", "NO_SOURCE"))
        source["location"] = data.get("sourceLocationOverride", source.get("location", ""))
        if data.get("buildspecOverride"):
            source["buildspec"] = data["buildspecOverride"]
        if source["type"] not in SOURCES:
            return _invalid(f"source type {source['type']}: {' and '.join(SOURCES)} are supported")
        if source["type"] == "NO_SOURCE" and not source.get("buildspec"):
            return _invalid("a project without a source needs a buildspec")
        with self._lock:
            known = self._known_token(data)
            if isinstance(known, str):
                return codebuild.json_response({"build": copy.deepcopy(codebuild._builds[known])})
            if known is not None:
                return known
            build = self._record(project, source, data)
            codebuild._builds[build["id"]] = build
            if data.get("idempotencyToken"):
                self._tokens[data["idempotencyToken"]] = (build["id"], data, time.monotonic())
            run = self._runs[build["id"]] = BuildRun(self._context, build, project["serviceRole"])
        answer = {"build": copy.deepcopy(build)}
        scope = contextvars.copy_context()
        threading.Thread(target=scope.run, args=(self._run, run), name=build["id"], daemon=True).start()
        return codebuild.json_response(answer)

    def _known_token(self, data: Data) -> str | Any | None:
        """The build that this idempotency token started, an error for another request with it, or None."""
        token = data.get("idempotencyToken")
        now = time.monotonic()
        self._tokens = {key: each for key, each in self._tokens.items() if now - each[2] < TOKEN_SECONDS}
        if not token or token not in self._tokens:
            return None
        build_id, first, _ = self._tokens[token]
        return build_id if first == data else _invalid("the idempotency token was used with other parameters")

    def _record(self, project: Data, source: Data, data: Data) -> Data:
        build: Data = codebuild._make_build_record(
            project, codebuild._build_id(project["name"]), data.get("sourceVersion")
        )
        environment = copy.deepcopy(project.get("environment") or {})
        variables = {each["name"]: each for each in environment.get("environmentVariables") or []}
        variables |= {each["name"]: each for each in data.get("environmentVariablesOverride") or []}
        environment["environmentVariables"] = list(variables.values())
        if "privilegedModeOverride" in data:
            environment["privilegedMode"] = data["privilegedModeOverride"]
        build.pop("endTime", None)
        build.update(
            buildStatus="IN_PROGRESS",
            buildComplete=False,
            currentPhase="SUBMITTED",
            phases=[],
            source=source,
            environment=environment,
            serviceRole=project["serviceRole"],
            timeoutInMinutes=int(
                data.get("timeoutInMinutesOverride") or project.get("timeoutInMinutes") or 60
            ),
            exportedEnvironmentVariables=[],
        )
        return build

    def _run(self, run: BuildRun) -> None:
        try:
            run.run()
        except Exception:
            log.exception("build %s ended by a fault of the sandbox", run.build["id"])
            run.finish("FAULT")
        finally:
            self._runs.pop(run.build["id"], None)

    def stop(self, data: Data) -> Any:
        """https://docs.aws.amazon.com/codebuild/latest/APIReference/API_StopBuild.html"""
        build = codebuild._builds.get(data.get("id", ""))
        if build is None:
            return codebuild.error_response_json(
                "ResourceNotFoundException", f"Build cannot be found: {data.get('id')}", 400
            )
        run = self._runs.get(build["id"])
        if run is not None:
            run.stop()
        return codebuild.json_response({"build": copy.deepcopy(build)})


def _invalid(message: str) -> Any:
    return codebuild.error_response_json("InvalidInputException", message, 400)
