"""Who may do what: one role for each function, explicit actions, named resources."""

import json
import re

import pytest

from stacks.constructs.policy import WITHOUT_RESOURCE
from stacks.naming import CONTROL_FUNCTIONS, ENVIRONMENT_FUNCTIONS, PEOPLE_FUNCTIONS, ROTATION

#: Resources with a wildcard, and why nothing narrower can be written.
OPEN = {
    r"\*": "the actions take no resource (each is in WITHOUT_RESOURCE) or a condition narrows them",
    r"arn:aws:logs:.*:log-group:/(aws|cutover)/.*:\*": "a log group's streams have names of their service",
    r"arn:aws:logs:.*:log-group:/(aws/lambda/cutover-\w+-|cutover/\w+/)\*": "the environment's log groups",
    r"arn:aws:states:.*:execution:cutover-\w+-(deploy|rollback|drill|contract):\*": "executions have names of their own",
    r"arn:aws:scheduler:.*:schedule/cutover-\w+-(contractions|reports)/\*": "schedules are named by their deployment",
    r"arn:aws:cloudformation:.*:stack/cutover-\w+-(network|data|service|monitoring)/\*": "a stack's ARN ends in a random id",
    r"arn:aws:elasticloadbalancing:.*:(loadbalancer|listener|listener-rule)/app/cutover-\w+/\*": "as does a balancer's",
    r"arn:aws:elasticloadbalancing:.*:targetgroup/cutover-\w+-(ui-)?(blue|green)/\*": "as does a target group's",
    r"arn:aws:s3:::cdk-hnb659fds-assets-\d+-[\w-]+/\*": "assets are named by their hash",
    r"arn:aws:s3:::cutover-\w+-artifacts-\d+/sources/\*": "sources are named by their hash",
    r"arn:aws:s3:::cutover-\w+-artifacts-\d+/plans/\*": "plans are named by their digest",
    r"arn:aws:s3:::cutover-\w+-artifacts-\d+/(boards|evidence|reports)/\*": "they are named by their deployment or time",
    r"arn:aws:s3:::cutover-\w+-artifacts-\d+/scans/(dependencies|releases|web)/\*": "named by their deployment, source or release",
    r"arn:aws:ec2:.*:network-interface/\*": "interfaces have random ids; a condition names the service",
    r"arn:aws:s3:::cutover-\w+-files-\d+/\*": "the users' files",
    r"arn:aws:ec2:.*:security-group/\*": "groups have random ids; a condition on their tag narrows it",
    r"arn:aws:ec2:.*:instance/\*": "instances have random ids; a condition on their tag narrows it",
    r"arn:aws:ec2:[\w-]+:\d+:\*": "network resources have no names before they are made",
    r"arn:aws:ec2:[\w-]+::(image|snapshot)/\*": "public images belong to nobody",
    r"arn:aws:ssm:[\w-]+::parameter/aws/service/\*": "AWS's own public parameters",
    r"arn:aws:acm:.*:certificate/\*": "certificates have random ids",
    r"arn:aws:route53:::hostedzone/\*": "the zone is configured after the policy is written",
    r"arn:aws:autoscaling:.*:autoScalingGroup:\*:autoScalingGroupName/cutover-\w+-((back|front)end-(blue|green)|monitoring)": "random id",
    r"arn:aws:(rds|elasticache):.*:[\w-]+:cutover-\w+\*": "clusters and their members",
    r"arn:aws:secretsmanager:.*:secret:cutover-\w+/\*": "a secret's ARN ends in six random characters",
    r"arn:aws:lambda:.*:layer:cutover-\w+-libraries:\*": "versions are numbers",
    r"arn:aws:cloudwatch:.*:alarm:(\*|cutover-\w+-\*)": "alarms of the environment; DescribeAlarms reads all",
    r"arn:aws:iam::\d+:role/aws-service-role/\*": "a condition names the services",
}

#: What each function may do beside logs, traces and (in the VPC) its network interfaces.
RIGHTS = {
    "journal": {
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "dynamodb:DeleteItem",
        "dynamodb:Query",
        "dynamodb:ConditionCheckItem",
        "states:DescribeExecution",
        "events:PutEvents",
        "ssm:GetParameter",
        "s3:PutObject",
    },
    "provision": {
        "cloudformation:CancelUpdateStack",
        "cloudformation:CreateChangeSet",
        "cloudformation:DeleteChangeSet",
        "cloudformation:DescribeChangeSet",
        "cloudformation:DescribeStackEvents",
        "cloudformation:DescribeStacks",
        "cloudformation:ExecuteChangeSet",
        "cloudformation:GetTemplate",
        "cloudformation:ListChangeSets",
        "cloudformation:ListStackResources",
        "cloudwatch:DescribeAlarms",
        "acm:DescribeCertificate",
        "ec2:DescribeInstanceTypeOfferings",
        "rds:DescribeOrderableDBInstanceOptions",
        "route53:GetHostedZone",
        "s3:ListBucket",
        "ec2:DescribeFlowLogs",
        "ec2:DescribeLaunchTemplateVersions",
        "ec2:DescribeNatGateways",
        "ec2:DescribeRouteTables",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVpcs",
        "secretsmanager:DescribeSecret",
        "rds:DescribeDBInstances",
        "s3:GetEncryptionConfiguration",
        "iam:PassRole",
        "s3:GetObject",
        "autoscaling:DescribeAutoScalingGroups",
        "elasticloadbalancing:DescribeListeners",
        "elasticloadbalancing:DescribeLoadBalancers",
        "elasticloadbalancing:DescribeRules",
        "elasticloadbalancing:DescribeTargetGroups",
        "rds:DescribeDBClusters",
        "elasticache:DescribeReplicationGroups",
    },
    "plan": {
        "lambda:InvokeFunction",
        "dynamodb:GetItem",
        "dynamodb:Query",
        "cloudformation:DescribeStacks",
        "cloudformation:GetTemplate",
        "elasticloadbalancing:DescribeListeners",
        "elasticloadbalancing:DescribeRules",
        "ecr:DescribeImages",
        "ecr:DescribeImageScanFindings",
        "s3:GetObject",
        "s3:PutObject",
        "s3:ListBucket",
    },
    "release": {
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "dynamodb:ConditionCheckItem",
        "ecr:DescribeImages",
        "ecr:DescribeImageScanFindings",
        # The report of the audit.
        "s3:GetObject",
        "s3:ListBucket",
        "autoscaling:DescribeAutoScalingGroups",
        "elasticloadbalancing:DescribeTargetHealth",
        # The monitoring host's address.
        "ec2:DescribeInstances",
        "ssm:SendCommand",
        "ssm:GetCommandInvocation",
        "ssm:ListCommandInvocations",
    },
    "observe": {
        "dynamodb:GetItem",
        "cloudwatch:DescribeAlarms",
        "cloudwatch:GetDashboard",
        "cloudwatch:GetMetricData",
        "ec2:DescribeInstances",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeVolumes",
        "elasticache:DescribeReplicationGroups",
        "rds:DescribeDBClusterParameters",
        "rds:DescribeDBClusters",
        "s3:GetEncryptionConfiguration",
        # The web scan's report, and which release it found clean.
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
        "elasticloadbalancing:DescribeListeners",
        "elasticloadbalancing:DescribeLoadBalancers",
        "elasticloadbalancing:DescribeTargetHealth",
    },
    "swap": {
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "dynamodb:ConditionCheckItem",
        "elasticloadbalancing:DescribeListeners",
        "elasticloadbalancing:DescribeTargetHealth",
        "elasticloadbalancing:DescribeRules",
        "elasticloadbalancing:ModifyListener",
        "elasticloadbalancing:ModifyRule",
        "events:PutEvents",
    },
    "rollback": {
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "dynamodb:DeleteItem",
        "dynamodb:ConditionCheckItem",
        "elasticloadbalancing:DescribeListeners",
        "elasticloadbalancing:DescribeTargetHealth",
        "elasticloadbalancing:DescribeRules",
        "elasticloadbalancing:ModifyListener",
        "elasticloadbalancing:ModifyRule",
        "states:ListExecutions",
        "states:DescribeExecution",
        "ecr:DescribeImages",
        "ssm:GetCommandInvocation",
        "ssm:ListCommandInvocations",
        "cloudwatch:GetMetricData",
        "lambda:InvokeFunction",
        "states:StopExecution",
        "scheduler:DeleteSchedule",
        "ssm:SendCommand",
        "events:PutEvents",
        "sqs:SendMessage",
    },
    "drift": {
        "cloudformation:DescribeStackDriftDetectionStatus",
        "cloudformation:DescribeStackResourceDrifts",
        "cloudformation:DescribeStacks",
        "cloudformation:DetectStackDrift",
        "cloudformation:GetTemplate",
        "cloudformation:ListStackResources",
        "ec2:DescribeSecurityGroups",
        "ec2:AuthorizeSecurityGroupEgress",
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:RevokeSecurityGroupIngress",
    },
    "approval": {
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "dynamodb:ConditionCheckItem",
        "events:PutEvents",
        "states:SendTaskFailure",
        "states:SendTaskSuccess",
    },
    "evidence": {
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
        "cloudwatch:DescribeAlarms",
        "sqs:SendMessage",
    },
    "report": {
        "dynamodb:GetItem",
        "dynamodb:Query",
        "cloudwatch:GetMetricData",
        "ssm:GetParameter",
        "s3:GetObject",
        "s3:PutObject",
        "s3:ListBucket",
        "events:PutEvents",
        "scheduler:CreateSchedule",
        "iam:PassRole",
        "sqs:SendMessage",
        # What the errors were, the instances say.
        "autoscaling:DescribeAutoScalingGroups",
        "ssm:GetCommandInvocation",
        "ssm:SendCommand",
    },
    # In staging nobody is told yet: no channel is configured.
    "notify": {"dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "ssm:GetParameter"},
    "status": {
        "dynamodb:GetItem",
        "dynamodb:Query",
        "dynamodb:PutItem",
        "ssm:GetParameter",
        "cloudwatch:GetMetricData",
    },
    "announce": {
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "events:PutEvents",
        "ssm:GetParameter",
    },
    "database": {"s3:GetObject", "secretsmanager:GetSecretValue"},
    "rotation": {
        "dynamodb:GetItem",
        "secretsmanager:DescribeSecret",
        "secretsmanager:GetRandomPassword",
        "secretsmanager:GetSecretValue",
        "secretsmanager:PutSecretValue",
        "secretsmanager:UpdateSecretVersionStage",
    },
    "probe": {"secretsmanager:GetSecretValue"},
    "load": {"secretsmanager:GetSecretValue"},
}
COMMON = {"logs:CreateLogStream", "logs:PutLogEvents", "xray:PutTraceSegments", "xray:PutTelemetryRecords"}
IN_VPC = {
    "ec2:CreateNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:DeleteNetworkInterface",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
}


def roles(synthesised):
    """Role properties by logical id, of all templates, with the documents of their own and managed policies."""
    return [
        (id, {**role, "Documents": [*own(role), *managed(template, role)]})
        for template in (synthesised.control, synthesised.environment)
        for id, role in template.of("AWS::IAM::Role").items()
    ]


def own(role):
    return [policy["PolicyDocument"] for policy in role.get("Policies", [])]


def managed(template, role):
    policies = template.of("AWS::IAM::ManagedPolicy")
    return [policies[arn["Ref"]]["PolicyDocument"] for arn in role.get("ManagedPolicyArns", [])]


def statements(role):
    return [s for policy in role["Documents"] for s in policy["Statement"]]


def actions(role):
    return {action for statement in statements(role) for action in statement["Action"]}


def role_named(synthesised, suffix):
    (found,) = (r for _, r in roles(synthesised) if r["RoleName"] == synthesised.names.named(suffix))
    return found


def test_each_function_has_a_role_of_its_own(each):
    used = []
    for template in (each.control, each.environment):
        for function in template.of("AWS::Lambda::Function").values():
            role = template.resources[function["Role"]["Fn::GetAtt"][0]]["Properties"]
            assert role["RoleName"] == function["FunctionName"]
            used.append(role["RoleName"])
    assert sorted(used) == sorted(
        each.names.named(f) for f in (*CONTROL_FUNCTIONS, *PEOPLE_FUNCTIONS, *ENVIRONMENT_FUNCTIONS, ROTATION)
    )


def test_no_role_uses_a_policy_of_awss_own(each):
    for _, role in roles(each):
        assert all(set(arn) == {"Ref"} for arn in role.get("ManagedPolicyArns", []))


def test_policies_keep_within_iams_limits(each):
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""

    def size(document):
        # IAM does not count white space; a reference becomes an ARN or a name.
        return len(
            re.sub(r"\s", "", re.sub(r'\{"(Ref|Fn::\w+)": [^}]*\}', f'"{"x" * 120}"', json.dumps(document)))
        )

    for template in (each.control, each.environment):
        for role in template.of("AWS::IAM::Role").values():
            assert sum(size(document) for document in own(role)) <= 10_240, role["RoleName"]
            assert len(role.get("ManagedPolicyArns", [])) <= 10
        for policy in template.of("AWS::IAM::ManagedPolicy").values():
            assert size(policy["PolicyDocument"]) <= 6_144, policy["ManagedPolicyName"]


def test_no_action_is_a_wildcard(each):
    for _, role in roles(each):
        for action in actions(role):
            assert re.fullmatch(r"[a-z0-9]+:[A-Za-z0-9]+", action), action


def test_a_wildcard_resource_is_one_of_those_with_a_reason(each):
    for _, role in roles(each):
        for statement in statements(role):
            for resource in statement["Resource"]:
                if isinstance(resource, str) and "*" in resource:
                    assert any(re.fullmatch(pattern, resource) for pattern in OPEN), resource


def test_every_reason_is_still_needed(staging):
    resources = [
        resource
        for _, role in roles(staging)
        for statement in statements(role)
        for resource in statement["Resource"]
        if isinstance(resource, str) and "*" in resource
    ]
    for pattern in OPEN:
        assert any(re.fullmatch(pattern, resource) for resource in resources), pattern


def test_actions_on_every_resource_are_those_that_take_none(each):
    for _, role in roles(each):
        for statement in statements(role):
            if statement["Resource"] == ["*"]:
                assert set(statement["Action"]) <= WITHOUT_RESOURCE


@pytest.mark.parametrize("function", RIGHTS)
def test_a_function_may_do_what_it_needs_and_no_more(staging, function):
    expected = RIGHTS[function] | COMMON
    if function in (*ENVIRONMENT_FUNCTIONS, ROTATION):
        expected |= IN_VPC
    if function == "rollback":
        expected -= {"xray:PutTraceSegments", "xray:PutTelemetryRecords"}
    assert actions(role_named(staging, function)) == expected


def test_only_swap_and_rollback_move_traffic(each):
    movers = {
        role["RoleName"]
        for _, role in roles(each)
        if actions(role) & {"elasticloadbalancing:ModifyListener", "elasticloadbalancing:ModifyRule"}
        and role["RoleName"] != each.names.named("cloudformation")
    }
    assert movers == {each.names.named("swap"), each.names.named("rollback")}


def test_no_function_may_create_infrastructure(each):
    making = re.compile(
        r"(ec2|rds|elasticache|autoscaling|iam|lambda|elasticloadbalancing):(Create|Put|Delete|Run)"
    )
    allowed = IN_VPC
    for function in (*CONTROL_FUNCTIONS, *PEOPLE_FUNCTIONS, *ENVIRONMENT_FUNCTIONS, ROTATION):
        found = {a for a in actions(role_named(each, function)) if making.match(a)} - allowed
        assert not found


def test_commands_reach_only_this_environments_instances(each):
    for function in ("release", "rollback"):
        on_instances = [
            s
            for s in statements(role_named(each, function))
            if any("instance/*" in str(resource) for resource in s["Resource"])
        ]
        (statement,) = on_instances
        assert statement["Action"] == ["ssm:SendCommand"]
        assert statement["Condition"] == {
            "StringEquals": {"ssm:resourceTag/cutover-environment": [each.name]}
        }


def test_roles_are_passed_to_one_service_each_and_by_name(each):
    for _, role in roles(each):
        for statement in statements(role):
            if "iam:PassRole" not in statement["Action"]:
                continue
            assert statement["Action"] == ["iam:PassRole"]
            assert isinstance(statement["Condition"]["StringEquals"]["iam:PassedToService"], str)
            assert not any("*" in str(resource) for resource in statement["Resource"])


def test_cloudformation_cannot_touch_the_control_planes_roles(each):
    role = role_named(each, "cloudformation")
    writable = {
        resource.rpartition("/")[2]
        for statement in statements(role)
        if "iam:PutRolePolicy" in statement["Action"]
        for resource in statement["Resource"]
    }
    made = {r["RoleName"] for r in each.environment.of("AWS::IAM::Role").values()}
    assert writable == made
    assert not writable & {r["RoleName"] for r in each.control.of("AWS::IAM::Role").values()}


def test_cloudformation_may_make_every_kind_of_resource_in_the_template(each):
    """Each type's own create handler, by the rights that its schema asks for at the least."""
    needed = {
        "AWS::AutoScaling::AutoScalingGroup": "autoscaling:CreateAutoScalingGroup",
        "AWS::CertificateManager::Certificate": "acm:RequestCertificate",
        "AWS::CodeBuild::Project": "codebuild:CreateProject",
        "AWS::CloudWatch::Alarm": "cloudwatch:PutMetricAlarm",
        "AWS::CloudWatch::Dashboard": "cloudwatch:PutDashboard",
        "AWS::DocDB::DBCluster": "rds:CreateDBCluster",
        "AWS::DocDB::DBClusterParameterGroup": "rds:CreateDBClusterParameterGroup",
        "AWS::DocDB::DBInstance": "rds:CreateDBInstance",
        "AWS::DocDB::DBSubnetGroup": "rds:CreateDBSubnetGroup",
        "AWS::EC2::EIP": "ec2:AllocateAddress",
        "AWS::EC2::FlowLog": "ec2:CreateFlowLogs",
        "AWS::EC2::InternetGateway": "ec2:CreateInternetGateway",
        "AWS::EC2::LaunchTemplate": "ec2:CreateLaunchTemplate",
        "AWS::EC2::NatGateway": "ec2:CreateNatGateway",
        "AWS::EC2::Route": "ec2:CreateRoute",
        "AWS::EC2::RouteTable": "ec2:CreateRouteTable",
        "AWS::EC2::SecurityGroup": "ec2:CreateSecurityGroup",
        "AWS::EC2::SecurityGroupEgress": "ec2:AuthorizeSecurityGroupEgress",
        "AWS::EC2::SecurityGroupIngress": "ec2:AuthorizeSecurityGroupIngress",
        "AWS::EC2::Subnet": "ec2:CreateSubnet",
        "AWS::EC2::SubnetRouteTableAssociation": "ec2:AssociateRouteTable",
        "AWS::EC2::VPC": "ec2:CreateVpc",
        "AWS::EC2::VPCGatewayAttachment": "ec2:AttachInternetGateway",
        "AWS::ElastiCache::ReplicationGroup": "elasticache:CreateReplicationGroup",
        "AWS::ElastiCache::SubnetGroup": "elasticache:CreateCacheSubnetGroup",
        "AWS::ElasticLoadBalancingV2::Listener": "elasticloadbalancing:CreateListener",
        "AWS::ElasticLoadBalancingV2::ListenerRule": "elasticloadbalancing:CreateRule",
        "AWS::ElasticLoadBalancingV2::LoadBalancer": "elasticloadbalancing:CreateLoadBalancer",
        "AWS::ElasticLoadBalancingV2::TargetGroup": "elasticloadbalancing:CreateTargetGroup",
        "AWS::IAM::InstanceProfile": "iam:CreateInstanceProfile",
        "AWS::IAM::Role": "iam:CreateRole",
        "AWS::Lambda::Permission": "lambda:AddPermission",
        "AWS::SecretsManager::RotationSchedule": "secretsmanager:RotateSecret",
        "AWS::Lambda::Function": "lambda:CreateFunction",
        "AWS::Logs::LogGroup": "logs:CreateLogGroup",
        "AWS::S3::Bucket": "s3:CreateBucket",
        "AWS::S3::BucketPolicy": "s3:PutBucketPolicy",
        "AWS::SNS::Topic": "sns:CreateTopic",
        "AWS::SNS::TopicPolicy": "sns:SetTopicAttributes",
        "AWS::SSM::Document": "ssm:CreateDocument",
        "AWS::SecretsManager::Secret": "secretsmanager:CreateSecret",
        "AWS::Route53::RecordSet": "route53:ChangeResourceRecordSets",
    }
    allowed = actions(role_named(each, "cloudformation"))
    for resource in each.environment.resources.values():
        assert needed[resource["Type"]] in allowed


def test_what_the_named_resources_of_the_template_are_called_is_what_the_policy_names(staging):
    """A name that drifts from its policy would fail minutes into a deployment."""
    named = json.dumps(statements(role_named(staging, "cloudformation")))
    template = staging.environment
    for kind, key, form in (
        ("AWS::Lambda::Function", "FunctionName", "function:{}"),
        ("AWS::IAM::Role", "RoleName", "role/{}"),
        ("AWS::CodeBuild::Project", "Name", "project/{}"),
        ("AWS::AutoScaling::AutoScalingGroup", "AutoScalingGroupName", "autoScalingGroupName/{}"),
        ("AWS::ElasticLoadBalancingV2::TargetGroup", "Name", "targetgroup/{}/*"),
        ("AWS::ElasticLoadBalancingV2::LoadBalancer", "Name", "loadbalancer/app/{}/*"),
        ("AWS::S3::Bucket", "BucketName", "arn:aws:s3:::{}"),
        ("AWS::SSM::Document", "Name", "document/{}"),
        ("AWS::CloudWatch::Dashboard", "DashboardName", "dashboard/{}"),
    ):
        for properties in template.of(kind).values():
            assert f'{form.format(properties[key])}"' in named
