"""The names of everything, in one place.

Both halves use them: the control plane's policies name what the environment's template has yet to create, so
a name is decided here and nowhere else. Names begin with `cutover-ENVIRONMENT`.
"""

from dataclasses import dataclass
from typing import Literal, get_args

Colour = Literal["blue", "green"]
COLOURS: tuple[Colour, ...] = get_args(Colour)
AlarmKind = Literal["errors", "latency", "cpu", "memory", "health"]
ALARM_KINDS: tuple[AlarmKind, ...] = get_args(AlarmKind)
FastAlarmKind = Literal["fast-errors", "fast-latency", "fast-silence"]
FAST_ALARM_KINDS: tuple[FastAlarmKind, ...] = get_args(FastAlarmKind)
CONTROL_FUNCTIONS = (
    "journal",
    "provision",
    "plan",
    "release",
    "observe",
    "swap",
    "rollback",
    "drift",
    "approval",
)
ENVIRONMENT_FUNCTIONS = ("database", "probe", "load")


@dataclass(frozen=True)
class Names:
    """Names and ARNs of one environment's resources."""

    environment: str
    account: str
    region: str

    @property
    def prefix(self) -> str:
        return f"cutover-{self.environment}"

    def named(self, suffix: str) -> str:
        return f"{self.prefix}-{suffix}"

    def arn(self, service: str, resource: str) -> str:
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def global_arn(self, service: str, resource: str) -> str:
        """The ARN of what belongs to no region, like IAM's roles and CloudWatch's dashboards."""
        return f"arn:aws:{service}::{self.account}:{resource}"

    def role_arn(self, suffix: str) -> str:
        return self.global_arn("iam", f"role/{self.named(suffix)}")

    def function_arn(self, function: str) -> str:
        return self.arn("lambda", f"function:{self.named(function)}")

    @property
    def control_stack(self) -> str:
        return self.named("control")

    @property
    def environment_stack(self) -> str:
        return self.named("environment")

    @property
    def journal(self) -> str:
        return self.named("journal")

    @property
    def artifacts_bucket(self) -> str:
        # Bucket names are shared by all accounts, so that the account's number goes into them.
        return self.named(f"artifacts-{self.account}")

    @property
    def files_bucket(self) -> str:
        return self.named(f"files-{self.account}")

    @property
    def logs_bucket(self) -> str:
        return self.named(f"logs-{self.account}")

    @property
    def repository(self) -> str:
        return self.named("backend")

    @property
    def repository_uri(self) -> str:
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com/{self.repository}"

    @property
    def bus(self) -> str:
        return self.named("events")

    @property
    def parameter(self) -> str:
        return f"/cutover/{self.environment}/configuration"

    @property
    def state_machine(self) -> str:
        return self.named("deploy")

    @property
    def state_machine_arn(self) -> str:
        return self.arn("states", f"stateMachine:{self.state_machine}")

    @property
    def executions_arn(self) -> str:
        return self.arn("states", f"execution:{self.state_machine}:*")

    @property
    def rollback_machine_arn(self) -> str:
        return self.arn("states", f"stateMachine:{self.named('rollback')}")

    @property
    def rollback_executions_arn(self) -> str:
        return self.arn("states", f"execution:{self.named('rollback')}:*")

    @property
    def release_document(self) -> str:
        return self.named("release")

    @property
    def release_document_arn(self) -> str:
        return self.arn("ssm", f"document/{self.release_document}")

    @property
    def listeners_arn(self) -> str:
        """Every listener of the environment's load balancer."""
        return self.arn("elasticloadbalancing", f"listener/app/{self.prefix}/*")

    def group(self, colour: Colour) -> str:
        return self.named(f"backend-{colour}")

    def target_group(self, colour: Colour) -> str:
        return self.named(colour)

    def alarm(self, colour: Colour, kind: AlarmKind | FastAlarmKind) -> str:
        return self.named(f"backend-{colour}-{kind}")

    def secret(self, name: str) -> str:
        return f"{self.prefix}/{name}"
