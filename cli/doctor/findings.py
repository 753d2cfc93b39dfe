"""What the doctor says of each thing it looked at, and what to do about it. It decides, and asks nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from cli.errors import ExitCode

#: CDK's templates ask for this version of the bootstrap stack.
#: https://docs.aws.amazon.com/cdk/v2/guide/bootstrapping-env.html#bootstrapping-template-versions
BOOTSTRAP_VERSION = 6
#: The CDK CLI's and Node's.
NODE = 20


class State(StrEnum):
    """UNKNOWN is neither: it could not be looked at, and is told as such."""

    SOUND = "sound"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """`mend` is a command or a sentence; empty where nothing is to be done."""

    name: str
    state: State
    found: str
    mend: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def sound(name: str, found: str) -> Finding:
    return Finding(name, State.SOUND, found)


def missing(name: str, found: str, mend: str) -> Finding:
    return Finding(name, State.MISSING, found, mend)


def unknown(name: str, found: str, mend: str = "") -> Finding:
    return Finding(name, State.UNKNOWN, found, mend)


def exit_code(findings: Sequence[Finding]) -> ExitCode:
    """What is missing fails; what could not be looked at is no success either."""
    states = {finding.state for finding in findings}
    if State.MISSING in states:
        return ExitCode.FAILED
    return ExitCode.UNREACHABLE if State.UNKNOWN in states else ExitCode.OK


def judge_node(version: str | None) -> Finding:
    """`version` is what `node --version` prints (v20.20.2), None without one."""
    name, mend = "Node", f"install Node {NODE} or newer: it runs the CDK CLI"
    if version is None:
        return missing(name, "there is no node on PATH", mend)
    major = version.removeprefix("v").partition(".")[0]
    if not major.isdigit():
        return unknown(name, f"node answers {version!r}", mend)
    return sound(name, version) if int(major) >= NODE else missing(name, version, mend)


def judge_account(found: str, wanted: str, environment: str) -> Finding:
    name = "Account"
    if found == wanted:
        return sound(name, found)
    return missing(
        name,
        f"these credentials are of {found}, and config/{environment}.toml says {wanted}",
        "use the other account's credentials (AWS_PROFILE), or correct `account`",
    )


def judge_bootstrap(version: str | None, account: str, region: str) -> Finding:
    """`version` is the SSM parameter /cdk-bootstrap/hnb659fds/version, None without one."""
    name, mend = "CDK bootstrap", f"npx cdk bootstrap aws://{account}/{region}"
    if version is None:
        return missing(name, f"{account}/{region} was never bootstrapped", mend)
    if not version.isdigit():
        return unknown(name, f"its version reads {version!r}", mend)
    old = int(version) < BOOTSTRAP_VERSION
    return missing(name, f"version {version} is too old", mend) if old else sound(name, f"version {version}")


def judge_installed(
    installed: Mapping[str, Any] | None, wanted: Mapping[str, Any], environment: str
) -> Finding:
    """The configuration that the functions read, against the file's."""
    name, mend = "Control plane", f"npx cdk deploy cutover-{environment}-control"
    if installed is None:
        return missing(name, "it is not installed", mend)
    differing = sorted(
        key for key in {*installed, *wanted} if installed.get(key, ...) != wanted.get(key, ...)
    )
    if differing:
        told = ", ".join(differing)
        return missing(name, f"it was installed with another configuration: {told}", mend)
    return sound(name, "installed with this configuration")


@dataclass(frozen=True)
class Quota:
    """A quota of Service Quotas: what it allows, what the region uses, and what the environment adds."""

    name: str
    service: str
    code: str
    allowed: float | None
    used: float | None
    needed: float

    @property
    def told(self) -> str:
        return f"{self.needed:g} needed, {self.used or 0:g} of {self.allowed or 0:g} in use"


def judge_quota(quota: Quota) -> Finding:
    """With the environment standing already, what it needs is among what is used: `needed` is 0 then."""
    name = f"Quota: {quota.name}"
    if quota.allowed is None or quota.used is None:
        return unknown(name, f"{quota.needed:g} are needed; the quota or its use could not be read")
    if quota.used + quota.needed <= quota.allowed:
        return sound(name, quota.told)
    wanted = quota.used + quota.needed
    mend = (
        "aws service-quotas request-service-quota-increase "
        f"--service-code {quota.service} --quota-code {quota.code} --desired-value {wanted:g}"
    )
    return missing(name, quota.told, mend)
