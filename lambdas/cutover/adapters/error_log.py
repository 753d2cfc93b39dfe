"""The errors of the backends' log, as the instances group them (stacks/environment/error_log.py).

https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetCommandInvocation.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from cutover.adapters.aws import aws_errors, code
from cutover.adapters.fleet import AutoScalingInstances, SystemsManagerCommands
from cutover.domain.colours import Colour
from cutover.domain.errors import CutoverError, ServiceRefusedError
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


@dataclass
class _Asked:
    """What the instances have said so far."""

    asked: int = 0
    groups: list[Mapping[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    kept: list[Mapping[str, str]] = field(default_factory=list)


class InstancesErrorLog:
    """`client` is Systems Manager's."""

    def __init__(
        self, client: Any, instances: AutoScalingInstances, environment: str, document: str, clock: Clock
    ) -> None:
        self._client, self._instances, self._clock = client, instances, clock
        self._environment, self._document = environment, document
        self._commands = SystemsManagerCommands(client)

    def read(self, spells: Sequence[Spell]) -> dict[str, Any]:
        """As `cutover.report_ports.ErrorLog`."""
        found = _Asked()
        for colour in sorted({spell.colour for spell in spells}):
            own = [spell for spell in spells if spell.colour is colour][-MOST_SPELLS:]
            try:
                self._ask(colour, own, found)
            except CutoverError as error:
                found.problems.append(f"{colour}: {error}")
        return {
            **merged(found.groups),
            "asked": found.asked,
            "answered": len(found.groups),
            "problems": found.problems,
            "kept": found.kept,
        }

    def _ask(self, colour: Colour, spells: Sequence[Spell], found: _Asked) -> None:
        group = self._instances.group(group_of(self._environment, colour))
        members = list(group.instances) if group else []
        if not members:
            found.problems.append(f"{colour}: no instance is in service")
            return
        found.asked += len(members)
        spans = ",".join(f"{text(spell.since)}/{text(spell.until)}" for spell in spells)
        comment = f"Groups the errors of {colour} for a report"
        command = self._commands.send(self._document, members, {"Spans": spans}, comment)
        deadline = self._clock.monotonic() + PATIENCE
        kept: list[datetime] = []
        for instance in members:
            try:
                told = self._answer(command, instance, deadline)
            except CutoverError as error:
                found.problems.append(f"{colour}, {instance}: {error}")
                continue
            found.groups.append(told)
            kept.append(datetime.fromisoformat(told["kept_since"]))
        if kept and max(kept) > spells[0].since:
            found.kept.append({"colour": colour.value, "since": text(max(kept))})

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
