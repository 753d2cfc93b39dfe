"""The caller's AWS session for one environment, and what AWS's refusals mean in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)

from cli.errors import ExitCode, UserError
from config.model import Configuration, ConfigurationError, load

if TYPE_CHECKING:
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_ssm import SSMClient
    from mypy_boto3_stepfunctions import SFNClient

WAYS_IN = (
    "Sign in to AWS (`aws sso login`, or set AWS_PROFILE), or use the sandbox: "
    '`cutover sandbox up && eval "$(cutover sandbox env)"`.'
)


@dataclass(frozen=True)
class Environment:
    """One environment as the caller reaches it. Clients are made when first used."""

    configuration: Configuration

    @classmethod
    def named(cls, name: str, directory: Path | None = None) -> Environment:
        """The environment with this name.

        Raises:
            UserError: no such environment, or its configuration is wrong (the field is named).
        """
        try:
            return cls(load(name, directory) if directory else load(name))
        except ConfigurationError as error:
            raise UserError(str(error)) from None

    @property
    def name(self) -> str:
        return self.configuration.environment

    @property
    def _prefix(self) -> str:
        return f"cutover-{self.name}"

    @property
    def journal_table(self) -> str:
        return f"{self._prefix}-journal"

    @property
    def artifacts_bucket(self) -> str:
        return f"{self._prefix}-artifacts-{self.configuration.account}"

    @property
    def state_machine_arn(self) -> str:
        where = f"{self.configuration.region}:{self.configuration.account}"
        return f"arn:aws:states:{where}:stateMachine:{self._prefix}-deploy"

    @property
    def rollback_machine_arn(self) -> str:
        where = f"{self.configuration.region}:{self.configuration.account}"
        return f"arn:aws:states:{where}:stateMachine:{self._prefix}-rollback"

    @property
    def drill_machine_arn(self) -> str:
        where = f"{self.configuration.region}:{self.configuration.account}"
        return f"arn:aws:states:{where}:stateMachine:{self._prefix}-drill"

    @property
    def approval_function(self) -> str:
        return f"{self._prefix}-approval"

    @property
    def announce_function(self) -> str:
        return f"{self._prefix}-announce"

    @property
    def rollback_function(self) -> str:
        return f"{self._prefix}-rollback"

    @property
    def evidence_function(self) -> str:
        return f"{self._prefix}-evidence"

    @property
    def drift_function(self) -> str:
        return f"{self._prefix}-drift"

    @property
    def error_log_document(self) -> str:
        return f"{self._prefix}-error-log"

    @cached_property
    def _session(self) -> boto3.Session:
        return boto3.Session(region_name=self.configuration.region)

    # One short attempt more than none: a person waits for the answer.
    _CONFIG = Config(retries={"total_max_attempts": 2, "mode": "standard"}, connect_timeout=3)

    @cached_property
    def journal(self) -> DynamoDBClient:
        return self._session.client("dynamodb", config=self._CONFIG)

    @cached_property
    def states(self) -> SFNClient:
        return self._session.client("stepfunctions", config=self._CONFIG)

    @cached_property
    def storage(self) -> S3Client:
        return self._session.client("s3", config=self._CONFIG)

    @cached_property
    def balancer(self) -> ElasticLoadBalancingv2Client:
        return self._session.client("elbv2", config=self._CONFIG)

    @cached_property
    def alarms(self) -> CloudWatchClient:
        return self._session.client("cloudwatch", config=self._CONFIG)

    @cached_property
    def commands(self) -> SSMClient:
        return self._session.client("ssm", config=self._CONFIG)

    @cached_property
    def groups(self) -> AutoScalingClient:
        return self._session.client("autoscaling", config=self._CONFIG)

    def caller(self) -> str:
        """The ARN of whoever runs the command; everybody may ask for their own."""
        return self._session.client("sts", config=self._CONFIG).get_caller_identity()["Arn"]

    @cached_property
    def functions(self) -> LambdaClient:
        # The manual rollback is one long call that must not be sent twice.
        config = self._CONFIG.merge(Config(read_timeout=300, retries={"total_max_attempts": 1}))
        return self._session.client("lambda", config=config)


@contextmanager
def aws_errors_explained(environment: Environment) -> Iterator[None]:
    """Turn what boto3 raises into one message with the way out.

    Raises:
        UserError: in place of any of botocore's errors.
    """
    try:
        yield
    except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
        raise UserError(f"no usable AWS credentials ({error}). {WAYS_IN}", ExitCode.UNREACHABLE) from None
    except (EndpointConnectionError, ConnectTimeoutError) as error:
        raise UserError(f"AWS can't be reached: {error}. {WAYS_IN}", ExitCode.UNREACHABLE) from None
    except ClientError as error:
        raise UserError(*_explain(error, environment)) from None
    except BotoCoreError as error:
        raise UserError(f"AWS could not be used: {error}", ExitCode.UNREACHABLE) from None


def _explain(error: ClientError, environment: Environment) -> tuple[str, ExitCode]:
    code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
    missing = {"StateMachineDoesNotExist", "ResourceNotFoundException", "NoSuchBucket"}
    if code in missing:
        return (
            f"the control plane of '{environment.name}' is not installed in account "
            f"{environment.configuration.account}, {environment.configuration.region} ({code}: {message}). "
            f"Install it: npx cdk deploy cutover-{environment.name}-control",
            ExitCode.UNREACHABLE,
        )
    if "AccessDenied" in code or code in {
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "ExpiredToken",
    }:
        return f"AWS refused ({code}): {message}", ExitCode.UNREACHABLE
    return f"{error.operation_name} failed ({code}): {message}", ExitCode.FAILED
