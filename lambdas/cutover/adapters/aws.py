"""AWS clients, and the one place where AWS's errors become ours.

boto3 finds region, credentials and endpoint in the environment, as in any Lambda.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError
from botocore.parsers import ResponseParserError

from cutover.domain.errors import (
    AccessDeniedError,
    CutoverError,
    MisconfiguredError,
    NotReachableError,
    ServiceRefusedError,
    ThrottledError,
)

DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "UnauthorizedOperation",
        "AuthorizationError",
        "AuthorizationErrorException",
    }
)
THROTTLED = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ProvisionedThroughputExceededException",
        "TransactionInProgressException",
        "PriorRequestNotComplete",
        "SlowDown",
        "OperationInProgressException",
    }
)
# Seconds. A step that hangs costs more than one that is tried again.
CONFIG = Config(
    connect_timeout=3,
    read_timeout=15,
    retries={"mode": "standard", "max_attempts": 3},
    max_pool_connections=10,
)


def client(service: str) -> Any:
    return boto3.client(service, config=CONFIG)  # type: ignore[call-overload]


def patient_client(service: str, seconds: float) -> Any:
    """For a call that takes its time, and is not made twice."""
    patient = CONFIG.merge(Config(read_timeout=seconds, retries={"total_max_attempts": 1}))
    return boto3.client(service, config=patient)  # type: ignore[call-overload]


@contextmanager
def aws_errors() -> Iterator[None]:
    """Raise AWS's errors as ours. AWS's own words are kept: they name the principal, the action, the
    resource."""
    try:
        yield
    except ClientError as error:
        raise translate(error) from error
    except NoCredentialsError as error:
        raise MisconfiguredError("AWS credentials: none were found; a function has its role's") from error
    except (HTTPClientError, BotoCoreError, ResponseParserError) as error:
        raise NotReachableError(str(error)) from error


def code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def translate(error: ClientError) -> CutoverError:
    name = code(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400))
    if name in DENIED:
        return AccessDeniedError(str(error))
    if name in THROTTLED or status == 429:
        return ThrottledError(str(error))
    if status >= 500:
        return NotReachableError(str(error))
    return ServiceRefusedError(str(error))
