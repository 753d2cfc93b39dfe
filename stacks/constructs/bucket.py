"""A private bucket: encrypted, versioned, TLS only, nothing public."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from constructs import Construct


@dataclass(frozen=True)
class Bucket:
    """The bucket, and the policy that others may have to wait for."""

    bucket: s3.CfnBucket
    policy: s3.CfnBucketPolicy


def private_bucket(
    scope: Construct,
    id: str,
    *,
    name: str,
    keep: bool,
    lifecycle: Sequence[s3.CfnBucket.RuleProperty] = (),
    logs_to: tuple[str, str] | None = None,
    statements: Sequence[dict[str, Any]] = (),
) -> Bucket:
    """Make the bucket and its policy; `logs_to` is the bucket and the prefix of its access logs."""
    bucket = s3.CfnBucket(
        scope,
        id,
        bucket_name=name,
        bucket_encryption=s3.CfnBucket.BucketEncryptionProperty(
            server_side_encryption_configuration=[
                s3.CfnBucket.ServerSideEncryptionRuleProperty(
                    server_side_encryption_by_default=s3.CfnBucket.ServerSideEncryptionByDefaultProperty(
                        sse_algorithm="AES256"
                    )
                )
            ]
        ),
        public_access_block_configuration=s3.CfnBucket.PublicAccessBlockConfigurationProperty(
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
        ),
        ownership_controls=s3.CfnBucket.OwnershipControlsProperty(
            rules=[s3.CfnBucket.OwnershipControlsRuleProperty(object_ownership="BucketOwnerEnforced")]
        ),
        versioning_configuration=s3.CfnBucket.VersioningConfigurationProperty(status="Enabled"),
        lifecycle_configuration=s3.CfnBucket.LifecycleConfigurationProperty(rules=list(lifecycle))
        if lifecycle
        else None,
        logging_configuration=s3.CfnBucket.LoggingConfigurationProperty(
            destination_bucket_name=logs_to[0], log_file_prefix=logs_to[1]
        )
        if logs_to
        else None,
    )
    bucket.apply_removal_policy(cdk.RemovalPolicy.RETAIN if keep else cdk.RemovalPolicy.DESTROY)
    policy = s3.CfnBucketPolicy(
        scope,
        f"{id}Policy",
        bucket=bucket.ref,
        policy_document={
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Sid": "OnlyTls",
                    "Effect": "Deny",
                    "Principal": {"AWS": "*"},
                    "Action": "s3:*",
                    "Resource": [bucket.attr_arn, f"{bucket.attr_arn}/*"],
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                },
                *statements,
            ],
        },
    )
    policy.apply_removal_policy(cdk.RemovalPolicy.RETAIN if keep else cdk.RemovalPolicy.DESTROY)
    return Bucket(bucket, policy)
