"""CodeBuild that executes its buildspec: https://docs.aws.amazon.com/codebuild/latest/userguide/welcome.html ."""

from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError


class Bench:
    """Makes projects in the session's emulator and runs builds in them."""

    def __init__(self, emulator: Any) -> None:
        self.emulator = emulator
        self.codebuild, self.logs = emulator.client("codebuild"), emulator.client("logs")

    def project(self, spec: str, *statements: dict[str, Any], logs: bool = True, **more: Any) -> str:
        name = str(self.emulator.unique("build"))
        allowed = [*([self.emulator.allow("logs:*")] if logs else []), *statements]
        environment = {
            "type": "LINUX_CONTAINER", "image": "aws/codebuild/standard:7.0", "computeType": "BUILD_GENERAL1_SMALL",
            "environmentVariables": [{"name": "FROM_PROJECT", "value": "project"}], **more.pop("environment", {}),
        }  # fmt: skip
        self.codebuild.create_project(
            **{
                "name": name, "source": {"type": "NO_SOURCE", "buildspec": spec}, "artifacts": {"type": "NO_ARTIFACTS"},
                "environment": environment, "serviceRole": self.emulator.role("codebuild.amazonaws.com", *allowed), **more,
            }
        )  # fmt: skip
        return name

    def get(self, build: str) -> dict[str, Any]:
        return dict(self.codebuild.batch_get_builds(ids=[build])["builds"][0])

    def ended(self, build: str) -> dict[str, Any]:
        def done() -> dict[str, Any] | None:
            found = self.get(build)
            return found if found["buildStatus"] != "IN_PROGRESS" else None

        return dict(self.emulator.wait_for(done, seconds=60, what="the end of the build"))

    def run(self, project: str, **more: Any) -> dict[str, Any]:
        return self.ended(self.codebuild.start_build(projectName=project, **more)["build"]["id"])

    def output(self, build: dict[str, Any]) -> str:
        found = self.logs.get_log_events(
            logGroupName=build["logs"]["groupName"],
            logStreamName=build["logs"]["streamName"],
            startFromHead=True,
        )
        return "\n".join(event["message"] for event in found["events"])

    @staticmethod
    def phase(build: dict[str, Any], name: str) -> dict[str, Any] | None:
        return next((each for each in build["phases"] if each["phaseType"] == name), None)


def has_ended(pid: str) -> bool:
    """Gone, or a zombie that its new parent has not buried yet."""
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture(scope="module")
def bench(emulator: Any) -> Bench:
    return Bench(emulator)


def test_a_build_runs_its_commands_and_reports_phases_log_and_exported_variables(bench: Bench) -> None:
    """https://docs.aws.amazon.com/codebuild/latest/userguide/view-build-details-phases.html"""
    build = bench.run(bench.project("""
version: 0.2
env:
  variables: {GREETING: hello, FROM_PROJECT: spec}
  exported-variables: [ANSWER]
phases:
  install: {commands: ["mkdir sub && cd sub", "export STEP=one"]}
  build: {commands: ["echo $GREETING $STEP in $(basename $PWD) from $FROM_PROJECT", "export ANSWER=$((6*7))"]}
"""))  # fmt: skip
    assert build["buildStatus"] == "SUCCEEDED"
    assert "hello one in sub from project" in bench.output(build)
    assert build["exportedEnvironmentVariables"] == [{"name": "ANSWER", "value": "42"}]
    names = [each["phaseType"] for each in build["phases"]]
    assert names == [
        "SUBMITTED", "QUEUED", "PROVISIONING", "DOWNLOAD_SOURCE", "INSTALL", "BUILD", "UPLOAD_ARTIFACTS",
        "FINALIZING", "COMPLETED",
    ]  # fmt: skip
    assert {each.get("phaseStatus", "SUCCEEDED") for each in build["phases"]} == {"SUCCEEDED"}


def test_a_failing_command_fails_the_build_and_is_named_and_post_build_still_runs(bench: Bench) -> None:
    """https://docs.aws.amazon.com/codebuild/latest/userguide/view-build-details-phases.html"""
    build = bench.run(bench.project("""
version: 0.2
phases:
  build: {commands: ["echo before", "false", "echo never"], finally: ["echo at last"]}
  post_build: {commands: ["echo succeeding=$CODEBUILD_BUILD_SUCCEEDING"]}
"""))  # fmt: skip
    assert build["buildStatus"] == "FAILED"
    failed = bench.phase(build, "BUILD")
    assert failed is not None
    assert failed["phaseStatus"] == "FAILED"
    assert failed["contexts"] == [
        {
            "statusCode": "COMMAND_EXECUTION_ERROR",
            "message": "Error while executing command: false. Reason: exit status 1",
        }
    ]
    text = bench.output(build)
    assert "at last" in text
    assert "never" not in text
    assert "succeeding=0" in text


def test_after_a_failed_install_nothing_else_runs(bench: Bench) -> None:
    build = bench.run(bench.project(
        "version: 0.2\nphases:\n  install: {commands: ['exit 2']}\n  post_build: {commands: ['echo never']}\n"
    ))  # fmt: skip
    assert build["buildStatus"] == "FAILED"
    assert bench.phase(build, "POST_BUILD") is None


def test_the_source_comes_from_s3_under_the_projects_role(bench: Bench) -> None:
    s3, bucket = bench.emulator.client("s3"), bench.emulator.unique("source")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "ap-northeast-2"})
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("buildspec.yml", "version: 0.2\nphases: {build: {commands: ['cat data.txt']}}\n")
        file.writestr("data.txt", "the content\n")
    s3.put_object(Bucket=bucket, Key="a.zip", Body=archive.getvalue())
    source = {"type": "S3", "location": f"{bucket}/a.zip"}
    allowed = bench.run(bench.project("", bench.emulator.allow("s3:GetObject*"), source=source))
    assert allowed["buildStatus"] == "SUCCEEDED"
    assert "the content" in bench.output(allowed)
    denied = bench.run(bench.project("", source=source))
    assert denied["buildStatus"] == "FAILED"
    phase = bench.phase(denied, "DOWNLOAD_SOURCE")
    assert phase is not None
    assert "AccessDenied" in phase["contexts"][0]["message"]


def test_overrides_of_the_start_win(bench: Bench) -> None:
    """https://docs.aws.amazon.com/codebuild/latest/APIReference/API_StartBuild.html"""
    project = bench.project("version: 0.2\nphases: {build: {commands: ['echo value=$FROM_PROJECT']}}\n")
    variable = {"name": "FROM_PROJECT", "value": "start", "type": "PLAINTEXT"}
    assert "value=start" in bench.output(bench.run(project, environmentVariablesOverride=[variable]))


def test_the_same_token_starts_one_build(bench: Bench) -> None:
    """https://docs.aws.amazon.com/codebuild/latest/APIReference/API_StartBuild.html (idempotencyToken)"""
    project = bench.project("version: 0.2\nphases: {build: {commands: ['true']}}\n")
    first, second = (
        bench.codebuild.start_build(projectName=project, idempotencyToken="deploy-1")["build"]["id"]
        for _ in range(2)
    )
    assert first == second
    with pytest.raises(ClientError, match="idempotency token"):
        bench.codebuild.start_build(
            projectName=project, idempotencyToken="deploy-1", timeoutInMinutesOverride=9
        )
    bench.ended(first)
    assert bench.codebuild.list_builds_for_project(projectName=project)["ids"] == [first]


def test_a_stopped_build_ends_with_its_processes(bench: Bench, tmp_path: Path) -> None:
    """https://docs.aws.amazon.com/codebuild/latest/APIReference/API_StopBuild.html"""
    note = tmp_path / "pid"
    project = bench.project(
        f"version: 0.2\nphases: {{build: {{commands: ['sleep 600 & echo $! > {note}; wait']}}}}\n"
    )
    build = bench.codebuild.start_build(projectName=project)["build"]["id"]
    pid = bench.emulator.wait_for(lambda: note.exists() and note.read_text().strip(), what="the command")
    bench.codebuild.stop_build(id=build)
    assert bench.ended(build)["buildStatus"] == "STOPPED"
    bench.emulator.wait_for(lambda: has_ended(pid), what="the end of the command")


def test_what_a_build_does_in_aws_is_judged_as_its_role(bench: Bench) -> None:
    build = bench.run(
        bench.project("version: 0.2\nphases: {build: {commands: ['aws ecr describe-repositories']}}\n")
    )
    assert build["buildStatus"] == "FAILED"
    assert "AccessDenied" in bench.output(build)


def test_a_role_that_may_not_write_logs_fails_the_build(bench: Bench) -> None:
    """https://docs.aws.amazon.com/codebuild/latest/userguide/troubleshooting.html"""
    build = bench.run(bench.project("version: 0.2\nphases: {build: {commands: ['true']}}\n", logs=False))
    assert build["buildStatus"] == "FAILED"
    phase = bench.phase(build, "SUBMITTED")
    assert phase is not None
    assert phase["contexts"][0]["statusCode"] == "ACCESS_DENIED"


def test_docker_needs_the_privileged_mode(bench: Bench) -> None:
    """https://docs.aws.amazon.com/codebuild/latest/userguide/sample-docker.html"""
    spec = "version: 0.2\nphases: {build: {commands: ['docker images']}}\n"
    assert "Cannot connect to the Docker daemon" in bench.output(bench.run(bench.project(spec)))
    privileged = bench.run(bench.project(spec, environment={"privilegedMode": True}))
    assert privileged["buildStatus"] == "SUCCEEDED"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("version: 0.2\nphases: {test: {commands: [a]}}\n", "'test' is not supported"),
        ("missing.yml", "missing.yml: no such file"),
    ],
)
def test_a_buildspec_that_cannot_be_used_fails_the_download_phase(
    bench: Bench, spec: str, message: str
) -> None:
    build = bench.run(bench.project(spec))
    phase = bench.phase(build, "DOWNLOAD_SOURCE")
    assert phase is not None
    assert phase["contexts"][0]["statusCode"] == "YAML_FILE_ERROR"
    assert message in phase["contexts"][0]["message"]


def test_a_parameter_that_is_not_honoured_is_refused(bench: Bench) -> None:
    project = bench.project("version: 0.2\nphases: {build: {commands: ['true']}}\n")
    with pytest.raises(ClientError, match="computeTypeOverride is not supported"):
        bench.codebuild.start_build(projectName=project, computeTypeOverride="BUILD_GENERAL1_LARGE")
    with pytest.raises(ClientError, match="Project cannot be found: nothing"):
        bench.codebuild.start_build(projectName="nothing")


def test_nothing_of_a_build_stays_on_disk(bench: Bench) -> None:
    bench.run(bench.project("version: 0.2\nphases: {build: {commands: ['touch a']}}\n"))
    folder = bench.emulator.settings.root / "builds"
    deadline = time.monotonic() + 10
    while any(folder.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(folder.iterdir()) == []
