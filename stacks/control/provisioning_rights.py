"""What CloudFormation may do for the environment's stacks, by what is made.

Names narrow it wherever a service has names. EC2's network resources have none before they are born; there it
is narrowed to this account and region.
"""

from config.model import Configuration
from stacks.constructs.policy import Statement
from stacks.naming import COLOURS, ENVIRONMENT_FUNCTIONS, ROTATION, SERVICES, Names


def network(names: Names) -> list[Statement]:
    """VPC, subnets, NAT, security groups, flow log."""
    return [
        Statement(
            [
                "ec2:DescribeAccountAttributes",
                "ec2:DescribeAddresses",
                "ec2:DescribeAvailabilityZones",
                "ec2:DescribeFlowLogs",
                "ec2:DescribeImages",
                "ec2:DescribeInstances",
                "ec2:DescribeInternetGateways",
                "ec2:DescribeLaunchTemplates",
                "ec2:DescribeLaunchTemplateVersions",
                "ec2:DescribeNatGateways",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeRouteTables",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSecurityGroupRules",
                "ec2:DescribeSubnets",
                "ec2:DescribeTags",
                "ec2:DescribeVpcAttribute",
                "ec2:DescribeVpcs",
            ]
        ),
        Statement(
            [
                "ec2:CreateVpc",
                "ec2:DeleteVpc",
                "ec2:ModifyVpcAttribute",
                "ec2:CreateSubnet",
                "ec2:DeleteSubnet",
                "ec2:ModifySubnetAttribute",
                "ec2:CreateInternetGateway",
                "ec2:AttachInternetGateway",
                "ec2:DetachInternetGateway",
                "ec2:DeleteInternetGateway",
                "ec2:CreateRouteTable",
                "ec2:DeleteRouteTable",
                "ec2:AssociateRouteTable",
                "ec2:DisassociateRouteTable",
                "ec2:ReplaceRouteTableAssociation",
                "ec2:CreateRoute",
                "ec2:ReplaceRoute",
                "ec2:DeleteRoute",
                "ec2:AllocateAddress",
                "ec2:ReleaseAddress",
                "ec2:CreateNatGateway",
                "ec2:DeleteNatGateway",
                "ec2:CreateSecurityGroup",
                "ec2:DeleteSecurityGroup",
                "ec2:AuthorizeSecurityGroupIngress",
                "ec2:AuthorizeSecurityGroupEgress",
                "ec2:RevokeSecurityGroupIngress",
                "ec2:RevokeSecurityGroupEgress",
                "ec2:ModifySecurityGroupRules",
                "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
                "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
                "ec2:CreateFlowLogs",
                "ec2:DeleteFlowLogs",
                "ec2:CreateTags",
                "ec2:DeleteTags",
            ],
            [names.arn("ec2", "*")],
        ),
        Statement(["logs:CreateLogDelivery", "logs:DeleteLogDelivery"]),
    ]


def balancer(names: Names, configuration: Configuration) -> list[Statement]:
    """Load balancer, listeners, rules, target groups, certificate, DNS names."""
    elb = "elasticloadbalancing"
    statements = [
        Statement(
            [
                f"{elb}:CreateLoadBalancer",
                f"{elb}:DeleteLoadBalancer",
                f"{elb}:ModifyLoadBalancerAttributes",
                f"{elb}:SetSecurityGroups",
                f"{elb}:SetSubnets",
                f"{elb}:SetIpAddressType",
                f"{elb}:CreateListener",
                f"{elb}:ModifyListener",
                f"{elb}:ModifyListenerAttributes",
                f"{elb}:DeleteListener",
                f"{elb}:CreateRule",
                f"{elb}:ModifyRule",
                f"{elb}:DeleteRule",
                f"{elb}:SetRulePriorities",
                f"{elb}:CreateTargetGroup",
                f"{elb}:ModifyTargetGroup",
                f"{elb}:ModifyTargetGroupAttributes",
                f"{elb}:DeleteTargetGroup",
                f"{elb}:AddTags",
                f"{elb}:RemoveTags",
            ],
            [
                names.arn(elb, f"loadbalancer/app/{names.prefix}/*"),
                names.listeners_arn,
                names.rules_arn,
                *(
                    names.arn(elb, f"targetgroup/{names.target_group(colour, service)}/*")
                    for service in SERVICES
                    for colour in COLOURS
                ),
            ],
        ),
        Statement(
            [
                f"{elb}:DescribeListenerAttributes",
                f"{elb}:DescribeListeners",
                f"{elb}:DescribeLoadBalancerAttributes",
                f"{elb}:DescribeLoadBalancers",
                f"{elb}:DescribeRules",
                f"{elb}:DescribeTags",
                f"{elb}:DescribeTargetGroupAttributes",
                f"{elb}:DescribeTargetGroups",
                f"{elb}:DescribeTargetHealth",
            ]
        ),
        Statement(["acm:RequestCertificate"]),
        Statement(
            [
                "acm:AddTagsToCertificate",
                "acm:DeleteCertificate",
                "acm:DescribeCertificate",
                "acm:ListTagsForCertificate",
            ],
            [names.arn("acm", "certificate/*")],
        ),
    ]
    if zone := configuration.backend.hosted_zone_id:
        statements += [
            Statement(
                [
                    "route53:ChangeResourceRecordSets",
                    "route53:GetHostedZone",
                    "route53:ListResourceRecordSets",
                ],
                [f"arn:aws:route53:::hostedzone/{zone}"],
            ),
            Statement(["route53:GetChange"], ["arn:aws:route53:::change/*"]),
        ]
    return statements


def instances(names: Names) -> list[Statement]:
    """Launch templates, Auto Scaling groups, release documents."""
    return [
        Statement(
            [
                "ec2:CreateLaunchTemplate",
                "ec2:CreateLaunchTemplateVersion",
                "ec2:DeleteLaunchTemplate",
                "ec2:DeleteLaunchTemplateVersions",
                "ec2:ModifyLaunchTemplate",
                # Auto Scaling checks that whoever gives it a launch template could start its instances.
                "ec2:RunInstances",
            ],
            [
                names.arn("ec2", "*"),
                f"arn:aws:ec2:{names.region}::image/*",
                f"arn:aws:ec2:{names.region}::snapshot/*",
            ],
        ),
        Statement(["ssm:GetParameters"], [f"arn:aws:ssm:{names.region}::parameter/aws/service/*"]),
        Statement(
            [
                "autoscaling:AttachLoadBalancerTargetGroups",
                "autoscaling:CreateAutoScalingGroup",
                "autoscaling:CreateOrUpdateTags",
                "autoscaling:DeleteAutoScalingGroup",
                "autoscaling:DeleteTags",
                "autoscaling:DetachLoadBalancerTargetGroups",
                "autoscaling:EnableMetricsCollection",
                "autoscaling:UpdateAutoScalingGroup",
            ],
            [
                names.arn("autoscaling", f"autoScalingGroup:*:autoScalingGroupName/{group}")
                for group in (
                    *(names.group(colour, service) for service in SERVICES for colour in COLOURS),
                    names.monitoring_group,
                )
            ],
        ),
        Statement(["autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeScalingActivities"]),
        Statement(
            [
                "ssm:AddTagsToResource",
                "ssm:CreateDocument",
                "ssm:DeleteDocument",
                "ssm:DescribeDocument",
                "ssm:GetDocument",
                "ssm:ListDocumentVersions",
                "ssm:ListTagsForResource",
                "ssm:RemoveTagsFromResource",
                "ssm:UpdateDocument",
                "ssm:UpdateDocumentDefaultVersion",
            ],
            [
                *(names.arn("ssm", f"document/{names.document(service)}") for service in SERVICES),
                names.error_log_document_arn,
                names.monitoring_document_arn,
            ],
        ),
    ]


def data(names: Names) -> list[Statement]:
    """DocumentDB, Redis, buckets, secrets."""
    return [
        Statement(
            [
                "rds:AddTagsToResource",
                "rds:CreateDBCluster",
                "rds:CreateDBClusterParameterGroup",
                "rds:CreateDBClusterSnapshot",
                "rds:CreateDBInstance",
                "rds:CreateDBSubnetGroup",
                "rds:DeleteDBCluster",
                "rds:DeleteDBClusterParameterGroup",
                "rds:DeleteDBInstance",
                "rds:DeleteDBSubnetGroup",
                "rds:DescribeDBClusterParameterGroups",
                "rds:DescribeDBClusterParameters",
                "rds:DescribeDBClusters",
                "rds:DescribeDBInstances",
                "rds:DescribeDBSubnetGroups",
                "rds:ListTagsForResource",
                "rds:ModifyDBCluster",
                "rds:ModifyDBClusterParameterGroup",
                "rds:ModifyDBInstance",
                "rds:ModifyDBSubnetGroup",
                "rds:RemoveTagsFromResource",
            ],
            [
                names.arn("rds", f"{kind}:{names.prefix}*")
                for kind in ("cluster", "cluster-pg", "cluster-snapshot", "db", "subgrp")
            ],
        ),
        Statement(
            [
                "elasticache:AddTagsToResource",
                "elasticache:CreateCacheSubnetGroup",
                "elasticache:CreateReplicationGroup",
                "elasticache:DeleteCacheSubnetGroup",
                "elasticache:DeleteReplicationGroup",
                "elasticache:DescribeCacheClusters",
                "elasticache:DescribeCacheSubnetGroups",
                "elasticache:DescribeReplicationGroups",
                "elasticache:ListTagsForResource",
                "elasticache:ModifyCacheSubnetGroup",
                "elasticache:ModifyReplicationGroup",
                "elasticache:RemoveTagsFromResource",
            ],
            [
                *(
                    names.arn("elasticache", f"{kind}:{names.prefix}*")
                    for kind in ("cluster", "replicationgroup", "subnetgroup")
                ),
                names.arn("elasticache", "parametergroup:default.redis7"),
            ],
        ),
        Statement(
            [
                "s3:CreateBucket",
                "s3:DeleteBucket",
                "s3:DeleteBucketPolicy",
                "s3:GetBucketPolicy",
                "s3:ListBucket",
                "s3:PutBucketAcl",
                "s3:PutBucketLogging",
                "s3:PutBucketOwnershipControls",
                "s3:PutBucketPolicy",
                "s3:PutBucketPublicAccessBlock",
                "s3:PutBucketTagging",
                "s3:PutBucketVersioning",
                "s3:PutEncryptionConfiguration",
                "s3:PutLifecycleConfiguration",
            ],
            [f"arn:aws:s3:::{bucket}" for bucket in (names.files_bucket, names.logs_bucket)],
        ),
        Statement(["secretsmanager:GetRandomPassword"]),
        Statement(
            [
                "secretsmanager:CancelRotateSecret",
                "secretsmanager:CreateSecret",
                "secretsmanager:DeleteSecret",
                "secretsmanager:DescribeSecret",
                "secretsmanager:GetSecretValue",
                "secretsmanager:PutSecretValue",
                "secretsmanager:RotateSecret",
                "secretsmanager:TagResource",
                "secretsmanager:UntagResource",
                "secretsmanager:UpdateSecret",
            ],
            [names.arn("secretsmanager", f"secret:{names.secret('*')}")],
        ),
    ]


def functions(names: Names, code_bucket: str) -> list[Statement]:
    """The functions inside the network, from the code that the control plane has."""
    return [
        Statement(
            [
                "lambda:CreateFunction",
                "lambda:DeleteFunction",
                "lambda:GetFunction",
                "lambda:GetFunctionCodeSigningConfig",
                "lambda:GetFunctionConfiguration",
                "lambda:GetRuntimeManagementConfig",
                "lambda:ListTags",
                "lambda:TagResource",
                "lambda:UntagResource",
                "lambda:UpdateFunctionCode",
                "lambda:UpdateFunctionConfiguration",
            ],
            [names.function_arn(function) for function in (*ENVIRONMENT_FUNCTIONS, ROTATION)],
        ),
        # Whoever has a secret rotated by a function must be let invoke it.
        # https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html
        Statement(
            ["lambda:AddPermission", "lambda:GetPolicy", "lambda:InvokeFunction", "lambda:RemovePermission"],
            [names.function_arn(ROTATION)],
        ),
        Statement(["lambda:GetLayerVersion"], [names.arn("lambda", f"layer:{names.named('libraries')}:*")]),
        Statement(["s3:GetObject", "s3:GetObjectVersion"], [f"arn:aws:s3:::{code_bucket}/*"]),
    ]


def web_scan(names: Names) -> list[Statement]:
    """The project that scans a release."""
    return [
        Statement(
            [
                "codebuild:BatchGetProjects",
                "codebuild:CreateProject",
                "codebuild:DeleteProject",
                "codebuild:UpdateProject",
            ],
            [names.scan_project_arn],
        )
    ]


def monitoring(names: Names) -> list[Statement]:
    """Alarms, dashboard, log groups, the alerts' topic."""
    return [
        Statement(
            [
                "cloudwatch:DeleteAlarms",
                "cloudwatch:DescribeAlarms",
                "cloudwatch:ListTagsForResource",
                "cloudwatch:PutMetricAlarm",
                "cloudwatch:TagResource",
                "cloudwatch:UntagResource",
            ],
            [names.arn("cloudwatch", f"alarm:{names.named('*')}")],
        ),
        Statement(
            ["cloudwatch:DeleteDashboards", "cloudwatch:GetDashboard", "cloudwatch:PutDashboard"],
            [names.global_arn("cloudwatch", f"dashboard/{names.prefix}")],
        ),
        Statement(
            [
                "logs:CreateLogGroup",
                "logs:DeleteLogGroup",
                "logs:DeleteRetentionPolicy",
                "logs:ListTagsForResource",
                "logs:PutRetentionPolicy",
                "logs:TagResource",
                "logs:UntagResource",
            ],
            [
                names.arn("logs", f"log-group:/aws/lambda/{names.named('*')}"),
                names.arn("logs", f"log-group:/aws/codebuild/{names.scan_project}"),
                names.arn("logs", f"log-group:/cutover/{names.environment}/*"),
            ],
        ),
        Statement(["logs:DescribeLogGroups"]),
        Statement(
            [
                "sns:CreateTopic",
                "sns:DeleteTopic",
                "sns:GetTopicAttributes",
                "sns:ListSubscriptionsByTopic",
                "sns:ListTagsForResource",
                "sns:SetTopicAttributes",
                "sns:TagResource",
                "sns:UntagResource",
            ],
            [names.alerts_topic_arn],
        ),
    ]
