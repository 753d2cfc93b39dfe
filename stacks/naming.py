"""The names of everything, in one place.

Both halves use them: the control plane's policies name what the environment's template has yet to create, so
a name is decided here and nowhere else. Names begin with `cutover-ENVIRONMENT`.
"""

from dataclasses import dataclass
from typing import Literal, get_args

Colour = Literal["blue", "green"]
COLOURS: tuple[Colour, ...] = get_args(Colour)
ServiceName = Literal["backend", "frontend"]
SERVICES: tuple[ServiceName, ...] = get_args(ServiceName)
TemplateName = Literal["network", "data", "service", "monitoring"]
#: The environment's templates in the order in which they are deployed: each may build on the earlier ones.
TEMPLATES: tuple[TemplateName, ...] = get_args(TemplateName)
AlarmKind = Literal["errors", "latency", "cpu", "memory", "health"]
ALARM_KINDS: tuple[AlarmKind, ...] = get_args(AlarmKind)
#: The frontend's, of which the balancer alone tells.
FRONTEND_ALARM_KINDS: tuple[AlarmKind, ...] = ("errors", "health")
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
    "evidence",
)
#: The control plane's too, but no state machine calls them: no deployment waits for what is for people.
PEOPLE_FUNCTIONS = ("report", "notify", "status", "announce")
ENVIRONMENT_FUNCTIONS = ("database", "probe", "load")
# In the environment too, but Secrets Manager's to call, not the control plane's.
ROTATION = "rotation"


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

    def stack(self, template: TemplateName) -> str:
        """The stack of one of the environment's templates."""
        return self.named(template)

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
        return self.repository_of("backend")

    def repository_of(self, service: ServiceName) -> str:
        return self.named(service)

    @property
    def repository_uri(self) -> str:
        return self.repository_uri_of("backend")

    def repository_uri_of(self, service: ServiceName) -> str:
        return f"{self.account}.dkr.ecr.{self.region}.amazonaws.com/{self.repository_of(service)}"

    @property
    def bus(self) -> str:
        return self.named("events")

    @property
    def parameter(self) -> str:
        return f"/cutover/{self.environment}/configuration"

    @property
    def notifications_parameter(self) -> str:
        return f"/cutover/{self.environment}/notifications"

    def notices_queue(self, channel: str) -> str:
        """The queue of what a channel has yet to tell people."""
        return self.named(f"notices-{channel}.fifo")

    @property
    def topic(self) -> str:
        """The topic whose subscribers are told by SMS."""
        return self.named("urgent")

    def token(self, channel: str) -> str:
        """The secret with a channel's token."""
        return self.secret(f"notifications-{channel}")

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
    def drill_machine_arn(self) -> str:
        return self.arn("states", f"stateMachine:{self.named('drill')}")

    @property
    def drill_executions_arn(self) -> str:
        return self.arn("states", f"execution:{self.named('drill')}:*")

    @property
    def contraction_executions_arn(self) -> str:
        return self.arn("states", f"execution:{self.named('contract')}:*")

    @property
    def contractions(self) -> str:
        """The group of the one-time schedules that contract a schema after its release's watch."""
        return self.named("contractions")

    @property
    def contractions_arn(self) -> str:
        return self.arn("scheduler", f"schedule/{self.contractions}/*")

    @property
    def reports(self) -> str:
        """The group of the one-time schedules of reports, and the role that they call the function with."""
        return self.named("reports")

    @property
    def reports_arn(self) -> str:
        return self.arn("scheduler", f"schedule/{self.reports}/*")

    @property
    def release_document(self) -> str:
        return self.document("backend")

    def document_arn(self, service: ServiceName) -> str:
        return self.arn("ssm", f"document/{self.document(service)}")

    def document(self, service: ServiceName) -> str:
        """The SSM document that brings a release of the service to an instance."""
        return self.named("release" if service == "backend" else f"{service}-release")

    @property
    def error_log_document(self) -> str:
        """The SSM document that groups the errors of an instance's log."""
        return self.named("error-log")

    @property
    def error_log_document_arn(self) -> str:
        return self.arn("ssm", f"document/{self.error_log_document}")

    @property
    def listeners_arn(self) -> str:
        """Every listener of the environment's load balancer."""
        return self.arn("elasticloadbalancing", f"listener/app/{self.prefix}/*")

    @property
    def rules_arn(self) -> str:
        """Every rule of those listeners."""
        return self.arn("elasticloadbalancing", f"listener-rule/app/{self.prefix}/*")

    def group(self, colour: Colour, service: ServiceName = "backend") -> str:
        return self.named(f"{service}-{colour}")

    @property
    def scan_project(self) -> str:
        """The CodeBuild project that scans a release on the test listener."""
        return self.named("scan")

    @property
    def scan_project_arn(self) -> str:
        return self.arn("codebuild", f"project/{self.scan_project}")

    @property
    def monitoring_group(self) -> str:
        return self.named("monitoring")

    @property
    def monitoring_document(self) -> str:
        """The SSM document that brings the monitoring tier to its host."""
        return self.named("monitoring")

    @property
    def monitoring_document_arn(self) -> str:
        return self.arn("ssm", f"document/{self.monitoring_document}")

    @property
    def alerts_topic_arn(self) -> str:
        """Where Alertmanager's alerts go."""
        return self.arn("sns", self.named("alerts"))

    def target_group(self, colour: Colour, service: ServiceName = "backend") -> str:
        # A target group's name has 32 characters, and an environment's may have 15 of them.
        return self.named(colour if service == "backend" else f"ui-{colour}")

    def alarm(self, colour: Colour, kind: AlarmKind | FastAlarmKind, service: ServiceName = "backend") -> str:
        return self.named(f"{service}-{colour}-{kind}")

    def secret(self, name: str) -> str:
        return f"{self.prefix}/{name}"
