"""Start ministack in this process: its environment, the additions in their order, and the gateway."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

from sandbox import processes
from sandbox.settings import SandboxSettings

if TYPE_CHECKING:
    from sandbox.emulator.context import Context

# Additions in the order they are put on. Each is a module of this package with install(context).
ADDITIONS = (
    "transport",
    "iam",
    "functions",
    "states",
    "event_targets",
    "scheduler",
    "formation",
    "formation_conditions",
    "formation_changes",
    "formation_role",
    "secrets",
    "secret_rotation",
    "certificates",
    "load_balancers",
    "autoscaling",
    "run_command",
    "builds",
    "registry",
    "image_scans",
    "databases",
    "offerings",
    "security_groups",
    "metrics",
    "alarms",
    "notifications",
    "status_page",
)


def environment(settings: SandboxSettings) -> dict[str, str]:
    """The variables which ministack reads while it is imported.

    AUTH enforces IAM. Nothing persists: a sandbox that is stopped is gone, like a closed account.
    """
    temporary = settings.root / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(settings.gateway_port),
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": settings.region,
        "MINISTACK_ACCOUNT_ID": settings.account,
        # A managed policy that ministack does not know would allow everything, if it were made up.
        "MINISTACK_AUTOCREATE_AWS_MANAGED": "0",
        "AUTH": "true",
        "PERSIST_STATE": "0",
        "S3_PERSIST": "0",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "AWS_EC2_METADATA_DISABLED": "true",
        "LOG_LEVEL": os.environ.get("LOG_LEVEL", "INFO"),
        "TMPDIR": str(temporary),
        processes.MARKER: str(settings.root),
    }


def install(context: Context, without: Collection[str] = ()) -> None:
    """Put every addition on. One that is missing, or that misses a seam, stops the start."""
    from sandbox.emulator import context as context_module  # noqa: PLC0415 (ministack reads its variables on import)

    context_module.install(context)
    for name in (each for each in ADDITIONS if each not in without):
        module = importlib.import_module(f"sandbox.emulator.{name}")
        module.install(context)


def run(settings: SandboxSettings, without: Collection[str] = ()) -> None:
    """Serve the AWS API on 127.0.0.1 until SIGTERM."""
    os.environ.update(environment(settings))
    import ministack.app  # noqa: PLC0415 (reads the variables above while it is imported)

    from sandbox.emulator.context import Context  # noqa: PLC0415

    install(Context(settings), without)
    sys.argv = ["ministack"]
    ministack.app.main()
