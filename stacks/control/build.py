"""Where images come from: the bucket of sources, the project that builds, the repository that keeps."""

import json
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.constructs.bucket import Bucket, private_bucket
from stacks.constructs.build import BuildSpec, make_build
from stacks.constructs.policy import Statement, acknowledge
from stacks.naming import SERVICES, Names

BUILDSPEC = Path(__file__).with_name("buildspec.yml")
IMAGES_KEPT = 50
SOURCE_DAYS = 90
#: A plan is evidence of what was approved: it is kept for over a year.
PLAN_DAYS = 400
#: Evidence answers audits: three years.
EVIDENCE_DAYS = 1100
PIP_AUDIT_VERSION = "2.10.1"


def artifacts_bucket(scope: Construct, names: Names, *, keep: bool) -> Bucket:
    """The bucket cutover-ENV-artifacts-ACCOUNT: sources/SHA256.zip, plans/SHA256.json, boards/ID.json,
    scans/web/ID.json and evidence/ID/NNNN.json by the deployment's id, scans/dependencies/SHA256.json by the
    source's, and scans/releases/SHA256.json by image and settings."""
    bucket = private_bucket(
        scope,
        "Artifacts",
        name=names.artifacts_bucket,
        keep=keep,
        lifecycle=[
            _expiring("sources", SOURCE_DAYS),
            _expiring("plans", PLAN_DAYS),
            _expiring("boards", PLAN_DAYS),
            _expiring("scans", PLAN_DAYS),
            _expiring("evidence", EVIDENCE_DAYS),
        ],
    )
    acknowledge(
        bucket.bucket,
        "AwsSolutions-S1",
        "Only the deployer writes and CodeBuild reads here, and both leave CloudTrail entries",
    )
    return bucket


def _expiring(folder: str, days: int) -> s3.CfnBucket.RuleProperty:
    """What is in the folder goes after so many days, and so do its former versions."""
    return s3.CfnBucket.RuleProperty(
        id=f"old-{folder}",
        status="Enabled",
        prefix=f"{folder}/",
        expiration_in_days=days,
        noncurrent_version_expiration=s3.CfnBucket.NoncurrentVersionExpirationProperty(noncurrent_days=days),
    )


def repositories(scope: Construct, names: Names, *, keep: bool) -> None:
    """The repositories cutover-ENV-{backend,frontend}."""
    _repository(scope, "Repository", names.repository_of("backend"), keep=keep)
    _repository(scope, "FrontendRepository", names.repository_of("frontend"), keep=keep)


def _repository(scope: Construct, id: str, name: str, *, keep: bool) -> ecr.CfnRepository:
    """A tag is written once, every image is scanned."""
    made = ecr.CfnRepository(
        scope,
        id,
        repository_name=name,
        image_tag_mutability="IMMUTABLE",
        image_scanning_configuration=ecr.CfnRepository.ImageScanningConfigurationProperty(scan_on_push=True),
        encryption_configuration=ecr.CfnRepository.EncryptionConfigurationProperty(encryption_type="AES256"),
        empty_on_delete=not keep,
        lifecycle_policy=ecr.CfnRepository.LifecyclePolicyProperty(
            lifecycle_policy_text=json.dumps(
                {
                    "rules": [
                        {
                            "rulePriority": 1,
                            "description": f"Keep the newest {IMAGES_KEPT} images to go back to",
                            "selection": {
                                "tagStatus": "any",
                                "countType": "imageCountMoreThan",
                                "countNumber": IMAGES_KEPT,
                            },
                            "action": {"type": "expire"},
                        }
                    ]
                }
            )
        ),
    )
    made.apply_removal_policy(cdk.RemovalPolicy.RETAIN if keep else cdk.RemovalPolicy.DESTROY)
    return made


def build_project(scope: Construct, names: Names) -> codebuild.CfnProject:
    """The project cutover-ENV-build: runs buildspec.yml on a source of the artifacts bucket."""
    bucket = f"arn:aws:s3:::{names.artifacts_bucket}"
    spec = BuildSpec(
        name="build",
        purpose="Builds the production image of a source and pushes it",
        # Each build names its own source, and the frontend's its own repository; the project's source only
        # fixes the kind and the buildspec.
        source=codebuild.CfnProject.SourceProperty(
            type="S3",
            location=f"{names.artifacts_bucket}/sources/source.zip",
            build_spec=BUILDSPEC.read_text(encoding="utf-8"),
        ),
        variables={
            "REPOSITORY": names.repository,
            "REPOSITORY_URI": names.repository_uri,
            "REGISTRY": names.repository_uri.partition("/")[0],
            "ARTIFACTS_BUCKET": names.artifacts_bucket,
            "PIP_AUDIT_VERSION": PIP_AUDIT_VERSION,
        },
        statements=[
            Statement(["s3:GetObject", "s3:GetObjectVersion"], [f"{bucket}/sources/*"]),
            Statement(["s3:GetBucketLocation", "s3:ListBucket"], [bucket]),
            Statement(["s3:PutObject"], [f"{bucket}/scans/dependencies/*"]),
            Statement(["ecr:GetAuthorizationToken"]),
            Statement(
                [
                    "ecr:BatchCheckLayerAvailability",
                    "ecr:BatchGetImage",
                    "ecr:CompleteLayerUpload",
                    "ecr:DescribeImages",
                    "ecr:DescribeRepositories",
                    "ecr:GetDownloadUrlForLayer",
                    "ecr:InitiateLayerUpload",
                    "ecr:PutImage",
                    "ecr:UploadLayerPart",
                ],
                [names.arn("ecr", f"repository/{names.repository_of(service)}") for service in SERVICES],
            ),
        ],
        timeout_minutes=60,
        queued_minutes=30,
        privileged="Building an image needs Docker, which needs privileged mode",
        artifacts="The project keeps no artifacts; the image goes to ECR",
    )
    return make_build(Construct(scope, "Build"), names, spec)
