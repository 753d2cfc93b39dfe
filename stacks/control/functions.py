"""The control plane's functions: what each may do is written here, line by line, and nowhere else."""

from dataclasses import dataclass

from constructs import Construct

from stacks.constructs.function import Code, Function, FunctionSpec, make_function
from stacks.constructs.policy import Statement
from stacks.control.commands import send_command
from stacks.control.events import dead_letters
from stacks.control.templates import Published
from stacks.naming import SERVICES, TEMPLATES, Names

_HEALTH = Statement(
    [
        "elasticloadbalancing:DescribeListeners",
        "elasticloadbalancing:DescribeRules",
        "elasticloadbalancing:DescribeTargetHealth",
    ]
)


@dataclass(frozen=True)
class Provisioning:
    """What the provision function needs to make the environment's stacks."""

    templates: Published
    service_role_arn: str


def control_functions(
    scope: Construct, names: Names, code: Code, provisioning: Provisioning
) -> dict[str, Function]:
    """The control plane's functions by name."""
    specs = (
        _journal(names),
        _provision(names, code, provisioning),
        _plan(names, code, provisioning),
        _release(names),
        _observe(names),
        _swap(names),
        _rollback(names),
        _drift(names, provisioning),
        _approval(names),
        _evidence(names),
    )
    here = Construct(scope, "Functions")
    return {spec.name: make_function(here, names, spec, code) for spec in specs}


def _table(names: Names, *actions: str) -> Statement:
    """Rights on the journal. A transaction needs those of its parts.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
    """
    return Statement(
        [f"dynamodb:{action}" for action in actions], [names.arn("dynamodb", f"table/{names.journal}")]
    )


def _writes(names: Names, *more: str) -> Statement:
    return _table(names, "GetItem", "PutItem", "UpdateItem", "ConditionCheckItem", *more)


def _events(names: Names) -> Statement:
    return Statement(["events:PutEvents"], [names.arn("events", f"event-bus/{names.bus}")])


def _releases(names: Names) -> list[Statement]:
    return send_command(names, [names.document_arn(service) for service in SERVICES])


def _move_traffic(names: Names) -> list[Statement]:
    return [
        Statement(["elasticloadbalancing:ModifyListener"], [names.listeners_arn]),
        Statement(["elasticloadbalancing:ModifyRule"], [names.rules_arn]),
    ]


def _stacks(names: Names, *actions: str) -> Statement:
    return Statement(
        [f"cloudformation:{action}" for action in actions],
        [names.arn("cloudformation", f"stack/{names.stack(template)}/*") for template in TEMPLATES],
    )


def _images(names: Names, *more: str) -> Statement:
    actions = [f"ecr:{action}" for action in ("DescribeImages", *more)]
    return Statement(
        actions, [names.arn("ecr", f"repository/{names.repository_of(service)}") for service in SERVICES]
    )


def _repositories(names: Names) -> dict[str, str]:
    return {
        "REPOSITORY": names.repository,
        "REPOSITORY_URI": names.repository_uri,
        "FRONTEND_REPOSITORY": names.repository_of("frontend"),
        "FRONTEND_REPOSITORY_URI": names.repository_uri_of("frontend"),
    }


def _journal(names: Names) -> FunctionSpec:
    return FunctionSpec(
        name="journal",
        purpose="Holds the lock and writes down what happens",
        timeout_seconds=30,
        memory_mb=512,
        statements=[
            _writes(names, "DeleteItem", "Query"),
            Statement(
                ["states:DescribeExecution"],
                [
                    names.executions_arn,
                    names.rollback_executions_arn,
                    names.drill_executions_arn,
                    names.contraction_executions_arn,
                ],
            ),
            _events(names),
            Statement(["ssm:GetParameter"], [names.arn("ssm", f"parameter{names.parameter}")]),
            Statement(["s3:PutObject"], [f"arn:aws:s3:::{names.artifacts_bucket}/boards/*"]),
        ],
        environment={
            "CONFIGURATION_PARAMETER": names.parameter,
            "ARTIFACTS_BUCKET": names.artifacts_bucket,
        },
    )


def _provision(names: Names, code: Code, provisioning: Provisioning) -> FunctionSpec:
    return FunctionSpec(
        name="provision",
        purpose="Prepares, executes and verifies the environment's change sets",
        timeout_seconds=110,
        memory_mb=512,
        statements=[
            _stacks(
                names,
                "CancelUpdateStack",
                "CreateChangeSet",
                "DeleteChangeSet",
                "DescribeChangeSet",
                "DescribeStackEvents",
                "DescribeStacks",
                "ExecuteChangeSet",
                "GetTemplate",
                "ListChangeSets",
                "ListStackResources",
            ),
            Statement(
                ["iam:PassRole"],
                [provisioning.service_role_arn],
                {"StringEquals": {"iam:PassedToService": "cloudformation.amazonaws.com"}},
            ),
            # CloudFormation reads the template with its caller's rights.
            Statement(["s3:GetObject"], [f"arn:aws:s3:::{provisioning.templates.bucket}/*"]),
            Statement(
                [
                    "autoscaling:DescribeAutoScalingGroups",
                    "ec2:DescribeFlowLogs",
                    "ec2:DescribeLaunchTemplateVersions",
                    "ec2:DescribeNatGateways",
                    "ec2:DescribeRouteTables",
                    "ec2:DescribeSecurityGroups",
                    "ec2:DescribeSubnets",
                    "ec2:DescribeVpcs",
                    "elasticloadbalancing:DescribeListeners",
                    "elasticloadbalancing:DescribeLoadBalancers",
                    "elasticloadbalancing:DescribeRules",
                    "elasticloadbalancing:DescribeTargetGroups",
                ]
            ),
            # DocumentDB's actions are those of RDS.
            Statement(["rds:DescribeDBClusters"], [names.arn("rds", f"cluster:{names.prefix}")]),
            Statement(["rds:DescribeDBInstances"], [names.arn("rds", f"db:{names.prefix}*")]),
            Statement(
                ["s3:GetEncryptionConfiguration"],
                [f"arn:aws:s3:::{bucket}" for bucket in (names.files_bucket, names.logs_bucket)],
            ),
            Statement(
                ["secretsmanager:DescribeSecret"],
                [names.arn("secretsmanager", f"secret:{names.secret('*')}")],
            ),
            Statement(["cloudwatch:DescribeAlarms"], [names.arn("cloudwatch", "alarm:*")]),
            Statement(
                ["elasticache:DescribeReplicationGroups"],
                [names.arn("elasticache", f"replicationgroup:{names.prefix}")],
            ),
            *_preflight(names),
        ],
        environment={
            "TEMPLATES": provisioning.templates.told,
            "SERVICE_ROLE_ARN": provisioning.service_role_arn,
            "CODE_BUCKET": code.bucket,
            "CODE_KEY": code.key,
            "LAYER_ARN": code.layer or "",
            "BUCKETS": f"{names.files_bucket},{names.logs_bucket}",
        },
    )


def _preflight(names: Names) -> list[Statement]:
    """To ask beforehand for what AWS would refuse: types, names that are taken, certificate and zone."""
    return [
        Statement(["ec2:DescribeInstanceTypeOfferings", "rds:DescribeOrderableDBInstanceOptions"]),
        # HeadBucket, which answers 403 without it, as for another account's.
        Statement(
            ["s3:ListBucket"],
            [f"arn:aws:s3:::{bucket}" for bucket in (names.files_bucket, names.logs_bucket)],
        ),
        Statement(["acm:DescribeCertificate"], [names.arn("acm", "certificate/*")]),
        Statement(["route53:GetHostedZone"], ["arn:aws:route53:::hostedzone/*"]),
    ]


def _plan(names: Names, code: Code, provisioning: Provisioning) -> FunctionSpec:
    return FunctionSpec(
        name="plan",
        purpose="Works out what a deployment would do",
        timeout_seconds=110,
        memory_mb=512,
        statements=[
            _table(names, "GetItem", "Query"),
            _stacks(names, "DescribeStacks", "GetTemplate"),
            Statement(["elasticloadbalancing:DescribeListeners", "elasticloadbalancing:DescribeRules"]),
            _images(names, "DescribeImageScanFindings"),
            Statement(
                ["s3:GetObject"],
                [
                    f"arn:aws:s3:::{names.artifacts_bucket}/sources/*",
                    f"arn:aws:s3:::{provisioning.templates.bucket}/*",
                ],
            ),
            # What the migrations would do, only the database can tell.
            Statement(["lambda:InvokeFunction"], [names.function_arn("database")]),
            Statement(["s3:GetObject", "s3:PutObject"], [f"arn:aws:s3:::{names.artifacts_bucket}/plans/*"]),
            # Without it, a source that is not there answers 403 instead of 404.
            Statement(["s3:ListBucket"], [f"arn:aws:s3:::{names.artifacts_bucket}"]),
        ],
        environment={
            "TEMPLATES": provisioning.templates.told,
            "REPOSITORY": names.repository,
            "FRONTEND_REPOSITORY": names.repository_of("frontend"),
            "ARTIFACTS_BUCKET": names.artifacts_bucket,
            "DATABASE_FUNCTION": names.named("database"),
            "CODE_KEY": code.key,
            "LAYER_ARN": code.layer or "",
        },
    )


def _release(names: Names) -> FunctionSpec:
    return FunctionSpec(
        name="release",
        purpose="Brings an image to the idle colour's instances, and the monitoring tier to its host",
        timeout_seconds=60,
        memory_mb=512,
        statements=[
            _writes(names),
            _images(names, "DescribeImageScanFindings"),
            # The monitoring host's address, and its document.
            Statement(["ec2:DescribeInstances"]),
            Statement(["ssm:SendCommand"], [names.monitoring_document_arn]),
            Statement(["autoscaling:DescribeAutoScalingGroups", "elasticloadbalancing:DescribeTargetHealth"]),
            *_releases(names),
            Statement(["ssm:GetCommandInvocation", "ssm:ListCommandInvocations"]),
            Statement(["s3:GetObject"], [f"arn:aws:s3:::{names.artifacts_bucket}/scans/dependencies/*"]),
            # Without it, a report that is not there answers 403 instead of 404.
            Statement(["s3:ListBucket"], [f"arn:aws:s3:::{names.artifacts_bucket}"]),
        ],
        environment={
            "RELEASE_DOCUMENT": names.release_document,
            "FRONTEND_RELEASE_DOCUMENT": names.document("frontend"),
            "ARTIFACTS_BUCKET": names.artifacts_bucket,
            **_repositories(names),
        },
    )


def _observe(names: Names) -> FunctionSpec:
    return FunctionSpec(
        name="observe",
        purpose="Reads alarms, dashboard, security groups, encryption and target health",
        timeout_seconds=60,
        memory_mb=512,
        statements=[
            _table(names, "GetItem"),
            Statement(["cloudwatch:DescribeAlarms"], [names.arn("cloudwatch", "alarm:*")]),
            Statement(
                ["cloudwatch:GetDashboard"], [names.global_arn("cloudwatch", f"dashboard/{names.prefix}")]
            ),
            # What the instances needed under the load.
            Statement(["cloudwatch:GetMetricData"]),
            Statement(
                [
                    "ec2:DescribeInstances",
                    "ec2:DescribeSecurityGroups",
                    "ec2:DescribeVolumes",
                    "elasticloadbalancing:DescribeListeners",
                    "elasticloadbalancing:DescribeLoadBalancers",
                    "elasticloadbalancing:DescribeTargetHealth",
                ]
            ),
            # DocumentDB's actions are those of RDS.
            Statement(["rds:DescribeDBClusters"], [names.arn("rds", f"cluster:{names.prefix}")]),
            Statement(["rds:DescribeDBClusterParameters"], [names.arn("rds", f"cluster-pg:{names.prefix}")]),
            Statement(
                ["elasticache:DescribeReplicationGroups"],
                [names.arn("elasticache", f"replicationgroup:{names.prefix}")],
            ),
            Statement(
                ["s3:GetEncryptionConfiguration"],
                [f"arn:aws:s3:::{bucket}" for bucket in (names.files_bucket, names.logs_bucket)],
            ),
            Statement(
                ["s3:GetObject"],
                [f"arn:aws:s3:::{names.artifacts_bucket}/scans/{each}/*" for each in ("web", "releases")],
            ),
            Statement(["s3:PutObject"], [f"arn:aws:s3:::{names.artifacts_bucket}/scans/releases/*"]),
            # Without it, a report that is not there answers 403 instead of 404.
            Statement(["s3:ListBucket"], [f"arn:aws:s3:::{names.artifacts_bucket}"]),
        ],
        environment={
            "DASHBOARD": names.prefix,
            "BUCKETS": f"{names.files_bucket},{names.logs_bucket}",
            "ARTIFACTS_BUCKET": names.artifacts_bucket,
        },
    )


def _swap(names: Names) -> FunctionSpec:
    return FunctionSpec(
        name="swap",
        purpose="Moves the traffic to the other colour",
        timeout_seconds=30,
        memory_mb=512,
        statements=[_writes(names), _HEALTH, *_move_traffic(names), _events(names)],
    )


def _rollback(names: Names) -> FunctionSpec:
    return FunctionSpec(
        name="rollback",
        purpose="Moves the traffic back",
        # It may have to wait for the previous containers to come up again (cutover.steps.roll_back).
        timeout_seconds=90,
        # Memory buys CPU, up to a whole one at 1769 MB, and so a shorter cold start, which is part of every
        # rollback. For the same reason it has no layer and no tracing.
        memory_mb=1769,
        statements=[
            _writes(names, "DeleteItem"),
            _HEALTH,
            *_move_traffic(names),
            Statement(
                ["states:DescribeExecution", "states:StopExecution"],
                [names.executions_arn, names.rollback_executions_arn, names.drill_executions_arn],
            ),
            # The manual rollback brings a former image back and sees it through.
            _images(names),
            Statement(["ssm:GetCommandInvocation", "ssm:ListCommandInvocations"]),
            Statement(["states:ListExecutions"], [names.state_machine_arn]),
            # When the first bad request was, and when the last one.
            Statement(["cloudwatch:GetMetricData"]),
            Statement(["lambda:InvokeFunction"], [names.function_arn("probe")]),
            Statement(["scheduler:DeleteSchedule"], [names.contractions_arn]),
            *_releases(names),
            _events(names),
            dead_letters(names),
        ],
        environment={
            "RELEASE_DOCUMENT": names.release_document,
            "FRONTEND_RELEASE_DOCUMENT": names.document("frontend"),
            "CONTRACTION_GROUP": names.contractions,
            "STATE_MACHINE_ARN": names.state_machine_arn,
            "PROBE_FUNCTION": names.named("probe"),
            **_repositories(names),
        },
        layer=False,
        traced=False,
    )


def _drift(names: Names, provisioning: Provisioning) -> FunctionSpec:
    return FunctionSpec(
        name="drift",
        purpose="Compares the security groups with the templates and puts them right",
        timeout_seconds=90,
        memory_mb=512,
        statements=[
            _stacks(
                names,
                "DescribeStackResourceDrifts",
                "DescribeStacks",
                "DetectStackDrift",
                "GetTemplate",
                "ListStackResources",
            ),
            Statement(["cloudformation:DescribeStackDriftDetectionStatus"]),
            Statement(["ec2:DescribeSecurityGroups"]),
            # Only on this environment's groups.
            Statement(
                [
                    "ec2:AuthorizeSecurityGroupEgress",
                    "ec2:AuthorizeSecurityGroupIngress",
                    "ec2:RevokeSecurityGroupIngress",
                ],
                [names.arn("ec2", "security-group/*")],
                {"StringEquals": {"aws:ResourceTag/cutover-environment": names.environment}},
            ),
        ],
        environment={"TEMPLATES": provisioning.templates.told},
    )


def _approval(names: Names) -> FunctionSpec:
    return FunctionSpec(
        name="approval",
        purpose="Asks a person to approve a plan, and takes the answer",
        timeout_seconds=30,
        memory_mb=512,
        statements=[
            _writes(names),
            _events(names),
            # Whose task a token is of, only the token tells; the function answers those in the journal.
            Statement(["states:SendTaskSuccess", "states:SendTaskFailure"]),
        ],
    )


def _evidence(names: Names) -> FunctionSpec:
    bucket = f"arn:aws:s3:::{names.artifacts_bucket}"
    return FunctionSpec(
        name="evidence",
        purpose="Adds what a deployment tells to its evidence, and takes people's answers",
        timeout_seconds=60,
        memory_mb=512,
        statements=[
            _table(names, "GetItem", "PutItem", "Query"),
            # It never writes over what is there: each object is put on the condition that there is none.
            Statement(["s3:GetObject", "s3:PutObject"], [f"{bucket}/evidence/*"]),
            Statement(["s3:GetObject"], [f"{bucket}/plans/*"]),
            # Without it, an object that is not there answers 403 instead of 404.
            Statement(["s3:ListBucket"], [bucket]),
            Statement(["cloudwatch:DescribeAlarms"], [names.arn("cloudwatch", "alarm:*")]),
            dead_letters(names, "evidence"),
        ],
        environment={"ARTIFACTS_BUCKET": names.artifacts_bucket},
    )
