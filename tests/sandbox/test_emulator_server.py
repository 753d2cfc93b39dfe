"""The emulator's own start: IAM is enforced from the first request, and TLS-only policies can be met."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError


def test_a_user_without_a_policy_may_do_nothing(emulator: Any) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-denyallow.html"""
    with pytest.raises(ClientError, match="AccessDenied"):
        emulator.client("s3", emulator.user()).list_buckets()


def test_a_bucket_that_demands_tls_can_be_written_to(emulator: Any) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-securetransport"""
    s3, bucket = emulator.client("s3"), emulator.unique("bucket")
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "ap-northeast-2"})
    tls_only = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": f"arn:aws:s3:::{bucket}/*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    s3.put_bucket_policy(Bucket=bucket, Policy=emulator.policy(tls_only))
    writer = emulator.user(emulator.allow("s3:PutObject", on=f"arn:aws:s3:::{bucket}/*"))
    emulator.client("s3", writer).put_object(Bucket=bucket, Key="a", Body=b"b")
