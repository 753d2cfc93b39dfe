"""The errors of the backends' log, as the instances group them (stacks/environment/error_log.py).

https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetCommandInvocation.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from cutover.adapters.aws import aws_errors, code
from cutover.adapters.fleet import AutoScalingInstances, SystemsManagerCommands
from cutover.domain.colours import Colour
from cutover.domain.errors import CutoverError, NotReachableError, ServiceRefusedError
from cutover.domain.figures import group_of
from cutover.domain.log_patterns import merged
from cutover.domain.moves import Spell
from cutover.domain.times import text
from cutover.ports import Clock

#: An invocation that is not there yet is none that failed.
UNDER_WAY = frozenset({"Pending", "InProgress", "Delayed", "InvocationDoesNotExist"})
#: Seconds: a little longer than the script may take.
PATIENCE, PAUSE = 75.0, 1.0
#: Run Command takes no more in a parameter than this leaves room for; a colour has a spell or two a day.
MOST_SPELLS = 30


@dataclass(frozen=True)
class _Command:
    """What was sent to a colour's instances."""

    id: str
    colour: Colour
    instances: Sequence[str]
    first: datetime


class InstancesErrorLog:
    """`client` is Systems Manager's."""

    def __init__(
        self, client: Any, instances: AutoScalingInstances, environment: str, document: str, clock: Clock
    ) -> None:
        self._client, self._instances, self._clock = client, instances, clock
        self._environment, self._document = environment, document
        self._commands = SystemsManagerCommands(client)

    def read(self, spells: Sequence[Spell]) -> dict[str, Any]:
        """As `cutover.report_ports.ErrorLog`. All instances are asked before any is waited for."""
        asked = 0
        commands: list[_Command] = []
        problems: dict[Colour, list[str]] = {colour: [] for colour in sorted({s.colour for s in spells})}
        for colour, own_problems in problems.items():
            own = [spell for spell in spells if spell.colour is colour][-MOST_SPELLS:]
            try:
                members = self._members(colour)
                asked += len(members)
                commands.append(self._ask(colour, members, own))
            except CutoverError as error:
                own_problems.append(f"{colour}: {error}")
        deadline = self._clock.monotonic() + PATIENCE
        groups: list[Mapping[str, Any]] = []
        kept: list[Mapping[str, str]] = []
        for command in commands:
            told = list(self._answers(command, deadline, problems[command.colour]))
            groups += told
            since = max((datetime.fromisoformat(each["kept_since"]) for each in told), default=command.first)
            if since > command.first:
                kept.append({"colour": command.colour.value, "since": text(since)})
        return {
            **merged(groups),
            "asked": asked,
            "answered": len(groups),
            "problems": [problem for own_problems in problems.values() for problem in own_problems],
            "kept": kept,
        }

    def _members(self, colour: Colour) -> Sequence[str]:
        group = self._instances.group(group_of(self._environment, colour))
        if group is None or not group.instances:
            raise NotReachableError("no instance is in service")
        return group.instances

    def _ask(self, colour: Colour, instances: Sequence[str], spells: Sequence[Spell]) -> _Command:
        spans = ",".join(f"{text(spell.since)}/{text(spell.until)}" for spell in spells)
        comment = f"Groups the errors of {colour} for a report"
        sent = self._commands.send(self._document, instances, {"Spans": spans}, comment)
        return _Command(sent, colour, instances, spells[0].since)

    def _answers(
        self, command: _Command, deadline: float, problems: list[str]
    ) -> Iterator[Mapping[str, Any]]:
        for instance in command.instances:
            try:
                yield self._answer(command.id, instance, deadline)
            except CutoverError as error:
                problems.append(f"{command.colour}, {instance}: {error}")

    def _answer(self, command: str, instance: str, deadline: float) -> dict[str, Any]:
        """Raises ServiceRefusedError for an answer that is none."""
        status, out, err = self._output(command, instance)
        while status in UNDER_WAY and self._clock.monotonic() < deadline:
            self._clock.sleep(PAUSE)
            status, out, err = self._output(command, instance)
        if status != "Success":
            words = err.strip().rpartition("\n")[2]
            raise ServiceRefusedError(f"the command ended {status}" + (f": {words}" if words else ""))
        try:
            told = json.loads(out)
            return {name: told[name] for name in ("errors", "unreadable", "kinds", "patterns", "kept_since")}
        except (ValueError, KeyError, TypeError) as error:
            raise ServiceRefusedError(f"its answer can't be read: {out[:80]!r}") from error

    def _output(self, command: str, instance: str) -> tuple[str, str, str]:
        with aws_errors():
            try:
                told = self._client.get_command_invocation(CommandId=command, InstanceId=instance)
            except ClientError as error:
                if code(error) in UNDER_WAY:
                    return code(error), "", ""
                raise
        return (
            str(told["Status"]),
            str(told.get("StandardOutputContent") or ""),
            str(told.get("StandardErrorContent") or ""),
        )
