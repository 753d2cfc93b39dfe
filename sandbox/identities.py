"""The people of the sandbox: IAM users with access keys and as little right as their like have on AWS.

- `deployer` may do one thing: assume the roles that `cdk bootstrap` made. It installs the control plane.
- `operator` has the control plane's own policy for operators. It runs `cutover`.

Their keys go into AWS's own files, `.sandbox/aws/config` and `credentials`, each under a profile of its
name, so that every AWS tool can be pointed at the sandbox by the standard variables.
"""

from __future__ import annotations

import configparser
import json
import os
from pathlib import Path
from typing import Any

import boto3
import botocore.session
from botocore.exceptions import ClientError

from sandbox.settings import SandboxSettings

DEPLOYER = "deployer"
OPERATOR = "operator"

# The emulator's own key, root of the sandbox's account. It makes the users and the bootstrap; nothing else.
_ROOT_KEY = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


# The caller's own profile and files are theirs: the sandbox reads neither, whatever they hold.
_NOT_THE_CALLERS = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}


def root_session(settings: SandboxSettings) -> boto3.Session:
    """A session of the account's root, which IAM never refuses."""
    return session_of(settings, _ROOT_KEY["aws_access_key_id"], _ROOT_KEY["aws_secret_access_key"])


def session_of(settings: SandboxSettings, access_key: str, secret_key: str) -> boto3.Session:
    """A session with these keys, whatever the caller's own environment says."""
    return boto3.Session(
        botocore_session=botocore.session.Session(session_vars=_NOT_THE_CALLERS),
        region_name=settings.region,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
    )


def environment(settings: SandboxSettings, profile: str) -> dict[str, str]:
    """The standard variables with which any AWS tool reaches this sandbox as `profile`."""
    folder = settings.root / "aws"
    return {
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        "AWS_PROFILE": profile,
        "AWS_REGION": settings.region,
        "AWS_ENDPOINT_URL": settings.endpoint_url,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "SSL_CERT_FILE": str(settings.ca_bundle),
        "NODE_EXTRA_CA_CERTS": str(settings.ca_bundle),
    }


def root_environment(settings: SandboxSettings) -> dict[str, str]:
    """The same for the account's root: for `cdk bootstrap`, as an account's owner runs it once."""
    variables = environment(settings, "root")
    del variables["AWS_PROFILE"]
    return variables | {
        "AWS_ACCESS_KEY_ID": _ROOT_KEY["aws_access_key_id"],
        "AWS_SECRET_ACCESS_KEY": _ROOT_KEY["aws_secret_access_key"],
    }


def make_deployer(settings: SandboxSettings) -> None:
    """Make the user who may assume the bootstrap roles and nothing else. Repeatable."""
    statement = {
        "Effect": "Allow",
        "Action": "sts:AssumeRole",
        "Resource": f"arn:aws:iam::{settings.account}:role/cdk-*",
    }
    iam = _iam(settings)
    _make_user(settings, DEPLOYER)
    iam.put_user_policy(
        UserName=DEPLOYER,
        PolicyName="assume-the-bootstrap-roles",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )


def make_operator(settings: SandboxSettings, environment_name: str) -> None:
    """Make the user who has the control plane's policy for operators. Repeatable."""
    _make_user(settings, OPERATOR)
    _iam(settings).attach_user_policy(
        UserName=OPERATOR,
        PolicyArn=f"arn:aws:iam::{settings.account}:policy/cutover-{environment_name}-operator",
    )


def _iam(settings: SandboxSettings) -> Any:
    return root_session(settings).client("iam", endpoint_url=settings.endpoint_url)


def _make_user(settings: SandboxSettings, name: str) -> None:
    iam = _iam(settings)
    try:
        iam.create_user(UserName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] != "EntityAlreadyExists":
            raise
    for key in iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    key = iam.create_access_key(UserName=name)["AccessKey"]
    _write_profile(settings, name, key["AccessKeyId"], key["SecretAccessKey"])


def _write_profile(settings: SandboxSettings, name: str, access_key: str, secret_key: str) -> None:
    folder = settings.root / "aws"
    folder.mkdir(parents=True, exist_ok=True)
    _put(
        folder / "config",
        f"profile {name}",
        {
            "region": settings.region,
            "endpoint_url": settings.endpoint_url,
            "ca_bundle": str(settings.ca_bundle),
        },
    )
    _put(
        folder / "credentials",
        name,
        {
            "aws_access_key_id": access_key,
            "aws_secret_access_key": secret_key,
        },
    )


def _put(path: Path, section: str, values: dict[str, str]) -> None:
    """Set one section of one of AWS's files; readable by its owner only."""
    file = configparser.ConfigParser(interpolation=None)
    file.read(path)
    file[section] = values
    temporary = path.with_suffix(".tmp")
    with open(
        os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as target:
        file.write(target)
    temporary.replace(path)
