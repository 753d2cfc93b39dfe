"""What the environment's stacks tell about themselves: their outputs, as every payload carries them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self, assert_never

from cutover.domain.colours import Colour
from cutover.domain.errors import MisconfiguredError
from cutover.domain.services import Service

NUMBERS = frozenset(
    {
        "listener_port",
        "test_listener_port",
        "database_port",
        "redis_port",
        "containers_per_instance",
        "first_port",
        "frontend_containers_per_instance",
        "frontend_first_port",
    }
)


@dataclass(frozen=True)
class Targets:
    """The two listeners (or rules of them) and the two target groups, by ARN: all that it takes to move
    traffic."""

    listener_arn: str
    test_listener_arn: str
    blue: str
    green: str

    def of(self, colour: Colour) -> str:
        return self.blue if colour is Colour.BLUE else self.green

    def as_json(self) -> dict[str, str]:
        return asdict(self)

    @classmethod
    def read(cls, table: Mapping[str, Any]) -> Self:
        return cls(*(str(table[name]) for name in ("listener_arn", "test_listener_arn", "blue", "green")))


#: What it takes to move the traffic of each service, the backend first.
Services = Mapping[Service, Targets]


@dataclass(frozen=True)
class Place:
    """Where a service's release goes: the document that brings it, and its instances by the colour."""

    targets: Targets
    document: str
    blue_group: str
    green_group: str
    containers_per_instance: int

    def group(self, colour: Colour) -> str:
        """The Auto Scaling group of a colour."""
        return self.blue_group if colour is Colour.BLUE else self.green_group


@dataclass(frozen=True)
class Environment:
    """The stacks' outputs; ports and counts as numbers. What is the frontend's is called so; the rest is the
    backend's, or both's."""

    listener_arn: str
    test_listener_arn: str
    blue_target_group_arn: str
    green_target_group_arn: str
    load_balancer_dns: str
    domain: str
    listener_port: int
    test_listener_port: int
    blue_group: str
    green_group: str
    release_document: str
    dashboard: str
    database_endpoint: str
    database_port: int
    redis_endpoint: str
    redis_port: int
    files_bucket: str
    containers_per_instance: int
    first_port: int
    frontend_rule_arn: str
    frontend_test_rule_arn: str
    frontend_blue_target_group_arn: str
    frontend_green_target_group_arn: str
    frontend_domain: str
    frontend_blue_group: str
    frontend_green_group: str
    frontend_release_document: str
    frontend_containers_per_instance: int
    frontend_first_port: int
    monitoring_group: str
    monitoring_document: str
    monitoring_digest: str

    @classmethod
    def read(cls, table: Mapping[str, Any]) -> Self:
        """From snake_case keys. Raises MisconfiguredError naming the first output that is missing or no
        number."""
        values: dict[str, Any] = {}
        for field in fields(cls):
            value = table.get(field.name)
            if value is None:
                raise MisconfiguredError(f"none of the environment's stacks has an output for {field.name!r}")
            try:
                values[field.name] = int(value) if field.name in NUMBERS else str(value)
            except ValueError as error:
                raise MisconfiguredError(f"the output {field.name!r} is {value!r}, not a number") from error
        return cls(**values)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def targets(self) -> Targets:
        return Targets(
            self.listener_arn,
            self.test_listener_arn,
            self.blue_target_group_arn,
            self.green_target_group_arn,
        )

    @property
    def frontend_targets(self) -> Targets:
        return Targets(
            self.frontend_rule_arn,
            self.frontend_test_rule_arn,
            self.frontend_blue_target_group_arn,
            self.frontend_green_target_group_arn,
        )

    @property
    def groups(self) -> dict[str, str]:
        """Every Auto Scaling group, by what it is for."""
        return {
            "blue": self.blue_group,
            "green": self.green_group,
            "frontend's blue": self.frontend_blue_group,
            "frontend's green": self.frontend_green_group,
            "monitoring": self.monitoring_group,
        }

    @property
    def services(self) -> Services:
        return {Service.BACKEND: self.targets, Service.FRONTEND: self.frontend_targets}

    def group(self, colour: Colour) -> str:
        """The backend's Auto Scaling group of a colour."""
        return self.place(Service.BACKEND).group(colour)

    def place(self, service: Service) -> Place:
        match service:
            case Service.BACKEND:
                return Place(
                    self.targets,
                    self.release_document,
                    self.blue_group,
                    self.green_group,
                    self.containers_per_instance,
                )
            case Service.FRONTEND:
                return Place(
                    self.frontend_targets,
                    self.frontend_release_document,
                    self.frontend_blue_group,
                    self.frontend_green_group,
                    self.frontend_containers_per_instance,
                )
            case _ as unknown:
                assert_never(unknown)


def snake_case(name: str) -> str:
    """BlueTargetGroupArn → blue_target_group_arn."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
