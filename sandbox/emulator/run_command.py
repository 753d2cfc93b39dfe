"""SSM Run Command that runs: SendCommand on instances, with their output, time limits and cancellation.

https://docs.aws.amazon.com/systems-manager/latest/userguide/run-command.html
The instance's agent runs the script, so it belongs to the instance and ends with it. An instance is managed
when its agent answers and its role may do what the SSM agent does (ssm:UpdateInstanceInformation).
"""

from __future__ import annotations

import contextvars
import datetime
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ministack.services import ec2, iam, ssm

from sandbox.compute.agents import Agents
from sandbox.compute.errors import DockerError
from sandbox.emulator.autoscaling import agents_of
from sandbox.emulator.command_documents import DocumentError, Documents, Step, bind, steps
from sandbox.emulator.context import Context, replace, seam
from sandbox.emulator.registry import denied

# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetCommandInvocation.html
STDOUT_LIMIT, STDERR_LIMIT = 24000, 8000  # characters
DELIVERY_SECONDS = 3600  # TimeoutSeconds of SendCommand, when it says nothing
ENDED = ("Success", "Failed", "Cancelled", "TimedOut")
UNSUPPORTED = ("OutputS3BucketName", "CloudWatchOutputConfig", "NotificationConfig", "AlarmConfiguration")
Answer = tuple[int, dict[str, str], bytes]
Data = dict[str, Any]


def install(context: Context) -> None:
    command = RunCommand(context, agents_of(context))
    handle = seam(ssm, "handle_request")
    seam(ssm, "_commands")
    replace(ssm, "_managed_instance_ids", command.managed)
    replace(ssm, "_send_command", command.answering(command.send))
    replace(ssm, "_get_command_invocation", command.answering(command.get_invocation))
    operations = {
        "ListCommandInvocations": command.list_invocations,
        "CancelCommand": command.cancel,
        "CreateDocument": command.documents.create,
        "UpdateDocument": command.documents.update,
        "UpdateDocumentDefaultVersion": command.documents.set_default_version,
        "GetDocument": command.documents.get,
        "DescribeDocument": command.documents.describe,
        "DeleteDocument": command.documents.delete,
    }

    async def handle_more(method: str, path: str, headers: dict[str, str], body: bytes, query: Data) -> Any:
        operation = operations.get(headers.get("x-amz-target", "").rpartition(".")[2])
        if operation is None:
            return await handle(method, path, headers, body, query)
        return command.answering(operation)(json.loads(body or b"{}"))

    replace(ssm, "handle_request", handle_more)


class RunCommand:
    """Documents, commands and their invocations."""

    def __init__(self, context: Context, agents: Agents) -> None:
        self._context, self._agents = context, agents
        self.documents = Documents(context.settings.account)
        self._lock = threading.RLock()

    @staticmethod
    def answering(operation: Any) -> Any:
        """The operation as ministack calls it: errors become the API's."""

        def answer(data: Data) -> Answer:
            try:
                found: Answer = ssm.json_response(operation(data))
            except DocumentError as error:
                found = ssm.error_response_json(error.code, str(error), 400)
            return found

        return answer

    # --- instances --------------------------------------------------------------------------------

    def managed(self) -> set[str]:
        return {key for key, each in list(ec2._instances.items()) if self._is_managed(key, each)}

    def _is_managed(self, instance_id: str, record: Data) -> bool:
        if record["State"]["Name"] != "running" or not self._agents.alive(instance_id):
            return False
        arn = (record.get("IamInstanceProfile") or {}).get("Arn")
        profile = iam._lookup_instance_profile(arn=arn) if arn else None
        for each in (profile or {}).get("Roles") or []:
            role = iam._roles.get(each if isinstance(each, str) else each["RoleName"])
            if role is not None:
                settings = self._context.settings
                key = self._context.role_credentials(role["Arn"], instance_id).access_key
                instance = self._context.arn("ec2", f"instance/{instance_id}")
                action = "ssm:UpdateInstanceInformation"
                return denied(settings.account, settings.region, key, action, instance) is None
        return False

    def _targets(self, data: Data) -> list[str]:
        """InstanceIds, or what every one of Targets agrees on: `InstanceIds` and `tag:KEY`."""
        managed = self.managed()
        if data.get("InstanceIds"):
            wanted = list(dict.fromkeys(data["InstanceIds"]))
            unknown = [each for each in wanted if each not in managed]
            if unknown:
                raise DocumentError(
                    "InvalidInstanceId",
                    f"Instances [[{', '.join(unknown)}]] not in a valid state for account "
                    f"{self._context.settings.account}",
                )
            return wanted
        if not data.get("Targets"):
            raise DocumentError("InvalidParameters", "InstanceIds or Targets is required")
        found = sorted(managed)
        for target in data["Targets"]:
            key, values = target.get("Key", ""), target.get("Values") or []
            if key.lower() == "instanceids":
                found = [each for each in found if each in values]
            elif key.startswith("tag:"):
                found = [each for each in found if self._tag(each, key[4:]) in values]
            else:
                raise DocumentError("InvalidTarget", f"Target key {key!r}: use InstanceIds or tag:KEY")
        return found

    @staticmethod
    def _tag(instance_id: str, key: str) -> str | None:
        return next((tag["Value"] for tag in ec2._tags.get(instance_id) or [] if tag["Key"] == key), None)

    # --- commands ---------------------------------------------------------------------------------

    def send(self, data: Data) -> Data:
        for name in UNSUPPORTED:
            if data.get(name):
                raise DocumentError("ValidationException", f"{name} is not supported by the sandbox")
        document = self.documents.find(data.get("DocumentName", ""))
        version = data.get("DocumentVersion")
        content = document.content(version)
        work = steps(content, bind(content, data.get("Parameters") or {}))
        targets = self._targets(data)
        now, command_id = time.time(), ssm.new_uuid()
        delivery = int(data.get("TimeoutSeconds") or DELIVERY_SECONDS)
        record: Data = {
            "CommandId": command_id,
            "DocumentName": document.name,
            "DocumentVersion": version or "$DEFAULT",
            "Comment": data.get("Comment", ""),
            "ExpiresAfter": now + delivery,
            "Parameters": data.get("Parameters") or {},
            "InstanceIds": list(data.get("InstanceIds") or []),
            "Targets": data.get("Targets") or [],
            "RequestedDateTime": now,
            "Status": "Pending",
            "StatusDetails": "Pending",
            "MaxConcurrency": data.get("MaxConcurrency", "50"),
            "MaxErrors": data.get("MaxErrors", "0"),
            "TargetCount": len(targets),
            "CompletedCount": 0,
            "ErrorCount": 0,
            "DeliveryTimedOutCount": 0,
            "TimeoutSeconds": delivery,
            "Invocations": {
                each: _invocation(command_id, each, document.name, version, data) for each in targets
            },
        }
        if not targets:  # https://docs.aws.amazon.com/systems-manager/latest/userguide/monitor-commands.html
            record.update(Status="Failed", StatusDetails="NoInstancesInTag")
        ssm._commands[command_id] = record
        answer = {key: value for key, value in record.items() if key != "Invocations"}
        if targets:
            scope = contextvars.copy_context()
            threading.Thread(target=scope.run, args=(self._run, record, work), daemon=True).start()
        return {"Command": dict(answer)}

    def _run(self, record: Data, work: list[Step]) -> None:
        """Run on every target, at most MaxConcurrency at once, and no further after MaxErrors."""
        total = len(record["Invocations"])
        most = _portion(record["MaxConcurrency"], total) or 1
        # https://docs.aws.amazon.com/systems-manager/latest/userguide/send-commands-multiple.html
        errors = _portion(record["MaxErrors"], total)
        with ThreadPoolExecutor(max_workers=max(1, min(most, total))) as pool:
            for each in record["Invocations"].values():
                scope = contextvars.copy_context()
                pool.submit(scope.run, self._run_on, record, each, work, errors, total)

    def _run_on(self, record: Data, invocation: Data, work: list[Step], errors: int, total: int) -> None:
        with self._lock:
            failed = sum(each["Status"] in ("Failed", "TimedOut") for each in record["Invocations"].values())
            if invocation["Status"] in ENDED:
                return
            if record["Status"] == "Cancelling" or (failed > errors and total > 1):
                details = "Cancelled" if record["Status"] == "Cancelling" else "Terminated"
                invocation.update(Status="Cancelled", StatusDetails=details)
                self._roll_up(record)
                return
            if time.time() > record["ExpiresAfter"]:
                invocation.update(Status="TimedOut", StatusDetails="DeliveryTimedOut")
                self._roll_up(record)
                return
            invocation.update(Status="InProgress", StatusDetails="InProgress", ExecutionStartDateTime=_now())
            self._roll_up(record)
        began = time.monotonic()
        outcome: Data = {"outcome": "Success", "code": 0, "stdout": "", "stderr": ""}
        for step in work:
            one = self._step(record["CommandId"], invocation["InstanceId"], step)
            outcome["stdout"] += one["stdout"]
            outcome["stderr"] += one["stderr"]
            if one["outcome"] != "Success":
                outcome.update(outcome=one["outcome"], code=one["code"])
                if step.stop_on_failure or one["outcome"] != "Failed":
                    break
        ended = str(outcome["outcome"])
        details = "ExecutionTimedOut" if ended == "TimedOut" else ended
        with self._lock:
            invocation.update(
                ResponseCode=-1 if ended in ("TimedOut", "Cancelled") else outcome["code"],
                StandardOutputContent=outcome["stdout"][:STDOUT_LIMIT],
                StandardErrorContent=outcome["stderr"][:STDERR_LIMIT],
                ExecutionEndDateTime=_now(),
                ExecutionElapsedTime=f"PT{time.monotonic() - began:.3f}S",
                StatusDetails=details,
                Status=ended,
            )
            self._roll_up(record)

    def _step(self, command_id: str, instance_id: str, step: Step) -> Data:
        """Hand the script to the instance's agent, as a file that is executed (so `#!` is honoured)."""
        home = self._agents.home(instance_id)
        folder = home / "var" / "lib" / "amazon" / "ssm" / command_id / step.name
        try:
            if not self._agents.alive(instance_id):
                raise DockerError("its agent has ended")
            record = ec2._instances[instance_id]
            folder.mkdir(parents=True, exist_ok=True)
            script = folder / "_script.sh"
            script.write_text(step.script)
            script.chmod(0o700)
            return self._agents.ask(
                instance_id,
                {
                    "op": "execute",
                    "id": command_id,
                    "argv": ["/bin/sh", "-c", str(script)],
                    "environment": self._agents.command_environment(instance_id, record["PrivateIpAddress"]),
                    "cwd": step.working_directory or str(folder),
                    "folder": str(folder),
                    "timeout": step.timeout_seconds,
                    "stdout_limit": STDOUT_LIMIT,
                    "stderr_limit": STDERR_LIMIT,
                },
                None,
            )
        except (DockerError, OSError, KeyError) as error:  # the instance ended meanwhile
            return {"outcome": "Failed", "code": -1, "stdout": "", "stderr": f"the instance is gone: {error}"}

    def _roll_up(self, record: Data) -> None:
        """The command's status from its invocations'."""
        every = list(record["Invocations"].values())
        ended = [each for each in every if each["Status"] in ENDED]
        record["CompletedCount"] = len(ended)
        record["ErrorCount"] = sum(each["Status"] in ("Failed", "TimedOut") for each in every)
        record["DeliveryTimedOutCount"] = sum(each["StatusDetails"] == "DeliveryTimedOut" for each in every)
        if len(ended) < len(every):
            if record["Status"] != "Cancelling":
                record.update(Status="InProgress", StatusDetails="InProgress")
            return
        found = {each["Status"] for each in every}
        worst = next(each for each in ("Failed", "TimedOut", "Cancelled", "Success") if each in found)
        record.update(Status=worst, StatusDetails=worst)

    def cancel(self, data: Data) -> Data:
        """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_CancelCommand.html"""
        record = ssm._commands.get(data.get("CommandId") or "")
        if record is None:
            raise DocumentError("InvalidCommandId", f"command {data.get('CommandId')} does not exist")
        with self._lock:
            wanted = set(data.get("InstanceIds") or record["Invocations"])
            every = {key: each for key, each in record["Invocations"].items() if key in wanted}
            if record["Status"] in ENDED:
                return {}
            if not data.get("InstanceIds"):
                record.update(Status="Cancelling", StatusDetails="Cancelling")
            for each in every.values():
                if each["Status"] == "Pending":
                    each.update(Status="Cancelled", StatusDetails="Cancelled")
            self._roll_up(record)
        for instance_id, each in every.items():
            if each["Status"] == "InProgress":
                request = {"op": "cancel", "id": record["CommandId"]}
                threading.Thread(target=self._agents.ask, args=(instance_id, request), daemon=True).start()
        return {}

    def get_invocation(self, data: Data) -> Data:
        command_id, instance_id = data.get("CommandId") or "", data.get("InstanceId") or ""
        found = ((ssm._commands.get(command_id) or {}).get("Invocations") or {}).get(instance_id)
        if found is None:
            raise DocumentError("InvocationDoesNotExist", f"{command_id} on {instance_id}")
        with self._lock:
            return dict(found)

    def list_invocations(self, data: Data) -> Data:
        """https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ListCommandInvocations.html"""
        found = []
        for record in list(ssm._commands.values()):
            for instance_id, each in record["Invocations"].items():
                if data.get("CommandId") not in (None, record["CommandId"]):
                    continue
                if data.get("InstanceId") in (None, instance_id):
                    found.append(_listed(record, each, details=bool(data.get("Details"))))
        return {"CommandInvocations": found}


def _invocation(command_id: str, instance_id: str, document: str, version: str | None, data: Data) -> Data:
    return {
        "CommandId": command_id,
        "InstanceId": instance_id,
        "Comment": data.get("Comment", ""),
        "DocumentName": document,
        "DocumentVersion": version or "$DEFAULT",
        "PluginName": "aws:runShellScript",
        "ResponseCode": -1,
        "ExecutionStartDateTime": "",
        "ExecutionElapsedTime": "",
        "ExecutionEndDateTime": "",
        "Status": "Pending",
        "StatusDetails": "Pending",
        "StandardOutputContent": "",
        "StandardOutputUrl": "",
        "StandardErrorContent": "",
        "StandardErrorUrl": "",
    }


def _listed(record: Data, invocation: Data, *, details: bool) -> Data:
    found: Data = {
        key: invocation[key]
        for key in (
            "CommandId",
            "InstanceId",
            "Comment",
            "DocumentName",
            "DocumentVersion",
            "Status",
            "StatusDetails",
        )
    }
    found["RequestedDateTime"] = record["RequestedDateTime"]
    if details:
        output = invocation["StandardOutputContent"]
        if invocation["StandardErrorContent"]:
            output += "\n----------ERROR-------\n" + invocation["StandardErrorContent"]
        plugin: Data = {
            "Name": invocation["PluginName"],
            "Status": invocation["Status"],
            "ResponseCode": invocation["ResponseCode"],
            "StatusDetails": invocation["StatusDetails"],
            "Output": output[:2500],
        }
        found["CommandPlugins"] = [plugin]
    else:
        found["CommandPlugins"] = []
    return found


def _portion(text: str, total: int) -> int:
    """MaxConcurrency and MaxErrors: a number, or a percentage of the targets."""
    return int(text[:-1]) * total // 100 if text.endswith("%") else int(text)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
