"""What every addition to the emulator is given: settings, clients, role sessions, and checked seams."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import botocore.config
import botocore.session
from ministack.core import responses
from ministack.services import sts
from ministack.services.cloudformation import provisioners, stacks

from sandbox.settings import SandboxSettings

# Shapes that ministack gives to a CloudFormation resource type's handler.
Properties = dict[str, Any]
Provisioned = tuple[str, dict[str, Any]]  # (physical id, attributes for Fn::GetAtt)
Create = Callable[[str, Properties, str], Provisioned]  # (logical id, properties, stack name)
Update = Callable[[str, Properties, Properties, str], Provisioned]  # (physical id, old, new, stack name)
Delete = Callable[[str, Properties], None]  # (physical id, properties)


class SeamError(RuntimeError):
    """A name of ministack's that an addition hangs on is not there: the pinned version has changed."""


def seam(owner: Any, name: str) -> Any:
    """Return `owner.name`, or say which addition point is gone. Use it for each name that is replaced."""
    try:
        return getattr(owner, name)
    except AttributeError as error:
        where = getattr(owner, "__name__", repr(owner))
        raise SeamError(
            f"{where}.{name} does not exist in this ministack: the sandbox is written for the version "
            "pinned in requirements-dev.txt"
        ) from error


def replace(owner: Any, name: str, value: Any) -> Any:
    """Put `value` in the place of `owner.name`, which has to exist; return what stood there."""
    previous = seam(owner, name)
    setattr(owner, name, value)
    return previous


@dataclass(frozen=True)
class Credentials:
    """An access key, its secret and (for a role's session) the session token."""

    access_key: str
    secret_key: str
    token: str | None = None


@dataclass
class Context:
    """The running emulator as an addition sees it."""

    settings: SandboxSettings
    added_types: set[str] = field(default_factory=set)
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    # One session for all clients: it keeps the services' models, some of which take a second to read.
    _session: Any = field(default_factory=botocore.session.Session)

    @property
    def root_credentials(self) -> Credentials:
        """The account's root user: ministack takes the 12-digit account id as root's access key."""
        return Credentials(self.settings.account, "test")

    def client(self, service: str, credentials: Credentials | None = None) -> Any:
        """A botocore client on the gateway, as root or with `credentials`. Safe to share among threads.

        Never call it on the event loop's thread: the gateway that has to answer runs there.
        """
        who = credentials or self.root_credentials
        key = (service, who.access_key)
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._session.create_client(
                    service,
                    region_name=self.settings.region,
                    endpoint_url=self.settings.endpoint_url,
                    aws_access_key_id=who.access_key,
                    aws_secret_access_key=who.secret_key,
                    aws_session_token=who.token,
                    config=botocore.config.Config(
                        retries={"total_max_attempts": 1},
                        connect_timeout=5,
                        read_timeout=910,  # a Lambda may take its 900 seconds
                        max_pool_connections=64,
                        inject_host_prefix=False,
                        s3={"addressing_style": "path"},
                    ),
                )
            return self._clients[key]

    def role_credentials(self, role_arn: str, session: str) -> Credentials:
        """A session in which an AWS service acts as `role_arn`; IAM judges every call made with it.

        The key is derived from role and session name, so the same pair always gives the same session.
        """
        account, role = role_arn.split(":")[4], role_arn.rsplit("/", 1)[-1]
        digest = hashlib.sha256(f"{role_arn}\n{session}".encode()).hexdigest()
        access_key = "ASIA" + digest[:16].upper()
        secret = hashlib.sha256(f"secret {digest}".encode()).hexdigest()
        token = hashlib.sha256(f"token {digest}".encode()).hexdigest()
        with self._lock:
            if access_key not in sts._sessions:
                sts.register_session(
                    access_key,
                    {
                        "Arn": f"arn:aws:sts::{account}:assumed-role/{role}/{session}",
                        "UserId": f"{role}:{session}",
                        "SecretAccessKey": secret,
                        "SessionToken": token,
                    },
                )
        return Credentials(access_key, secret, token)

    def scope(self) -> None:
        """Let this thread read and write ministack's state of our account and region."""
        responses.set_request_account_id(self.settings.account)
        responses.set_request_region(self.settings.region)

    def arn(self, service: str, resource: str) -> str:
        """`arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE` of this sandbox's region and account."""
        return f"arn:aws:{service}:{self.settings.region}:{self.settings.account}:{resource}"

    def add_resource(
        self, type_name: str, create: Create, update: Update | None = None, delete: Delete | None = None
    ) -> None:
        """Teach CloudFormation the resource type `type_name`.

        The handlers run on a worker thread with the account's scope set, so they may use `client`.
        Without `update`, a changed resource is replaced, as CloudFormation does for create-only properties.
        """
        handlers: dict[str, Any] = {"create": create, "delete": delete or (lambda _id, _properties: None)}
        if update is not None:
            handlers["update"] = update
        seam(provisioners, "_RESOURCE_HANDLERS")[type_name] = handlers
        self.added_types.add(type_name)


def install(context: Context) -> None:
    """Let the CloudFormation types that were added run on a worker thread."""
    runs_on_worker_thread = seam(stacks, "_runs_on_worker_thread")

    def on_worker(type_name: str) -> bool:
        return type_name in context.added_types or bool(runs_on_worker_thread(type_name))

    replace(stacks, "_runs_on_worker_thread", on_worker)
