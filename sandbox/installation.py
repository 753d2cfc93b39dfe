"""Installing the control plane as a team would: `cdk bootstrap` once by the account's owner, then
`cdk deploy` by a deployer who may only assume the bootstrap roles."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from config.model import load
from sandbox import identities
from sandbox.settings import SandboxSettings, SettingsError, default_root

ENVIRONMENT = "sandbox"
CONTROL_STACK = f"cutover-{ENVIRONMENT}-control"


class InstallationError(Exception):
    """A command of the installation failed; the message holds its last lines and names its log."""


def run(settings: SandboxSettings, name: str, command: Sequence[str], variables: Mapping[str, str]) -> None:
    """Run a command to its end, its output in the sandbox's log of this name.

    Raises:
        InstallationError: it did not exit with 0.
    """
    # Not among the logs of the sandbox's processes, which `up` sets aside while the synthesis may be running.
    log = settings.root / "cdk" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    clean = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    clean["PATH"] = (
        f"{Path(sys.executable).parent}:{clean.get('PATH', '')}"  # cdk.json runs the app's python3
    )
    with log.open("ab") as output:
        code = subprocess.run(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**clean, **variables},
            check=False,
        ).returncode
    if code:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
        raise InstallationError(f"`{' '.join(command[:3])}` exited with {code}; the end of {log}:\n{tail}")


def cdk() -> str:
    """The CDK CLI of package.json.

    Raises:
        InstallationError: it is not installed.
    """
    found = shutil.which("cdk", path=f"{Path.cwd() / 'node_modules' / '.bin'}:{os.environ.get('PATH', '')}")
    if not found:
        raise InstallationError("the CDK CLI is not installed; run `make install`")
    return found


def synthesise(settings: SandboxSettings) -> Path:
    """`cdk synth` of the sandbox's environment: needs no account and no network.

    Returns:
        The cloud assembly's folder.
    """
    assembly = settings.root / "cdk.out"
    command = [
        cdk(),
        "synth",
        "--quiet",
        "--context",
        f"environment={ENVIRONMENT}",
        "--output",
        str(assembly),
    ]
    run(settings, "cdk-synth", command, {})
    return assembly


def bootstrap(settings: SandboxSettings, assembly: Path) -> None:
    """`cdk bootstrap`, and the mails' sender made known to SES, as the account's owner."""
    where = f"aws://{settings.account}/{settings.region}"
    run(
        settings,
        "cdk-bootstrap",
        [cdk(), "bootstrap", where, "--app", str(assembly)],
        identities.root_environment(settings),
    )
    email = load(ENVIRONMENT).notifications.email
    if email is not None:
        mail = identities.root_session(settings).client("sesv2", endpoint_url=settings.endpoint_url)
        mail.create_email_identity(EmailIdentity=email.sender)


def install(settings: SandboxSettings, assembly: Path) -> None:
    """`cdk deploy` of the control plane, as the deployer."""
    command = [cdk(), "deploy", CONTROL_STACK, "--app", str(assembly), "--require-approval", "never"]
    run(settings, "cdk-deploy", command, identities.environment(settings, identities.DEPLOYER))


def iam_is_enforced(settings: SandboxSettings) -> bool:
    """Whether AWS refuses what these people may not do: tried, not assumed."""
    attempts: tuple[tuple[str, str, str, dict[str, object]], ...] = (
        (identities.DEPLOYER, "iam", "create_user", {"UserName": "intruder"}),
        (identities.DEPLOYER, "lambda", "invoke", {"FunctionName": f"cutover-{ENVIRONMENT}-rollback"}),
        (identities.OPERATOR, "s3", "list_buckets", {}),
        (
            identities.OPERATOR,
            "dynamodb",
            "put_item",
            {"TableName": f"cutover-{ENVIRONMENT}-journal", "Item": {"pk": {"S": "x"}, "sk": {"S": "x"}}},
        ),
    )
    return all(_refused(settings, *attempt) for attempt in attempts)


def _refused(
    settings: SandboxSettings, profile: str, service: str, operation: str, arguments: Mapping[str, object]
) -> bool:
    files = identities.environment(settings, profile)
    keys = _keys(Path(files["AWS_SHARED_CREDENTIALS_FILE"]), profile)
    session = identities.session_of(settings, *keys)
    client = session.client(service, endpoint_url=settings.endpoint_url)  # type: ignore[call-overload]
    try:
        getattr(client, operation)(**arguments)
    except ClientError as error:
        return "AccessDenied" in error.response["Error"]["Code"]
    return False


def _keys(path: Path, profile: str) -> tuple[str, str]:
    file = configparser.ConfigParser(interpolation=None)
    file.read(path)
    return file[profile]["aws_access_key_id"], file[profile]["aws_secret_access_key"]


def main() -> int:
    """Install the control plane into the running sandbox: synth, bootstrap, deploy, the two users' keys."""
    settings = SandboxSettings.load(default_root())
    try:
        print("cdk synth …")
        assembly = synthesise(settings)
        print("cdk bootstrap, as the account's owner …")
        bootstrap(settings, assembly)
        identities.make_deployer(settings)
        print("cdk deploy, as a deployer who may only assume the bootstrap roles …")
        install(settings, assembly)
        identities.make_operator(settings, ENVIRONMENT)
    except (InstallationError, SettingsError, BotoCoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print('installed; now: eval "$(cutover sandbox env)"')
    return 0


if __name__ == "__main__":
    sys.exit(main())
