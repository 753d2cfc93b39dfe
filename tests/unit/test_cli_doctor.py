"""`cutover doctor`: each thing that may be missing, what mends it, and what could not be looked at."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from cli.doctor.account import Account
from cli.doctor.findings import (
    Finding,
    Quota,
    State,
    exit_code,
    judge_account,
    judge_bootstrap,
    judge_installed,
    judge_node,
    judge_quota,
    missing,
    sound,
    unknown,
)
from cli.errors import ExitCode
from config.model import load

STAGING = load("staging")


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ("v20.20.2", State.SOUND),
        ("v24.0.0", State.SOUND),
        ("v18.9.0", State.MISSING),
        (None, State.MISSING),
        ("it does not run: no", State.UNKNOWN),
    ],
)
def test_node_has_to_be_new_enough(version: str | None, state: State) -> None:
    assert judge_node(version).state is state


def test_another_accounts_credentials_are_told_with_both_accounts() -> None:
    found = judge_account("999999999999", "111122223333", "staging")
    assert found.state is State.MISSING
    assert "999999999999" in found.found
    assert "111122223333" in found.found


@pytest.mark.parametrize(
    ("version", "state"),
    [("30", State.SOUND), ("5", State.MISSING), (None, State.MISSING), ("?", State.UNKNOWN)],
)
def test_a_bootstrap_that_is_old_or_not_there_is_mended_by_its_command(
    version: str | None, state: State
) -> None:
    found = judge_bootstrap(version, "111122223333", "ap-northeast-2")
    assert found.state is state
    assert found.mend == (
        "" if state is State.SOUND else "npx cdk bootstrap aws://111122223333/ap-northeast-2"
    )


def test_what_was_installed_with_another_configuration_is_named() -> None:
    wanted = {"load": {"users": 200}, "watch": {"hours": 24}}
    assert judge_installed(wanted, wanted, "staging").state is State.SOUND
    found = judge_installed({**wanted, "load": {"users": 100}}, wanted, "staging")
    assert (found.state, found.mend) == (State.MISSING, "npx cdk deploy cutover-staging-control")
    assert found.found.endswith(": load")
    assert judge_installed(None, wanted, "staging").found == "it is not installed"


@pytest.mark.parametrize(
    ("allowed", "used", "state"),
    [(5, 3, State.SOUND), (5, 4, State.MISSING), (None, 4, State.UNKNOWN), (5, None, State.UNKNOWN)],
)
def test_a_quota_has_to_hold_what_is_used_and_what_is_needed(
    allowed: float | None, used: float | None, state: State
) -> None:
    found = judge_quota(Quota("elastic addresses", "ec2", "L-0263D0A3", allowed, used, 2))
    assert found.state is state
    if state is State.MISSING:
        assert found.mend.endswith("--quota-code L-0263D0A3 --desired-value 6")


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([sound("a", "")], ExitCode.OK),
        ([sound("a", ""), unknown("b", "")], ExitCode.UNREACHABLE),
        ([unknown("b", ""), missing("c", "", "")], ExitCode.FAILED),
    ],
)
def test_only_when_all_is_sound_it_is_a_success(findings: list[Finding], code: ExitCode) -> None:
    assert exit_code(findings) is code


class FakeSession:
    """An account in which all is well, but for what a test replaces: answers by service and operation. An
    exception is raised."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Any] = {
            ("sts", "get_caller_identity"): {"Arn": "arn:me", "Account": STAGING.account},
            ("ssm", "get_parameter"): self.parameter,
            ("ec2", "describe_instance_type_offerings"): [
                {"InstanceTypeOfferings": [{"Location": zone} for zone in STAGING.availability_zones]}
            ],
            ("docdb", "describe_orderable_db_instance_options"): [
                {
                    "OrderableDBInstanceOptions": [
                        {"AvailabilityZones": [{"Name": STAGING.availability_zones[0]}]}
                    ]
                }
            ],
            ("cloudformation", "describe_stacks"): client_error("ValidationError", "DescribeStacks"),
            ("ec2", "describe_instance_types"): {
                "InstanceTypes": [
                    {"InstanceType": kind, "VCpuInfo": {"DefaultVCpus": 2}}
                    for kind in ("t3.large", "t3.small")
                ]
            },
            ("ec2", "describe_instances"): [{"Reservations": []}],
            ("ec2", "describe_addresses"): {"Addresses": []},
            ("ec2", "describe_vpcs"): [{"Vpcs": [{}]}],
            ("service-quotas", "get_service_quota"): lambda **asked: {"Quota": {"Value": 32.0}},
        }
        self.parameters: dict[str, str] = {
            "/cdk-bootstrap/hnb659fds/version": "30",
            "/cutover/staging/configuration": json.dumps(STAGING.for_lambdas()),
        }

    def parameter(self, Name: str) -> dict[str, Any]:
        if Name not in self.parameters:
            raise client_error("ParameterNotFound", "GetParameter")
        return {"Parameter": {"Value": self.parameters[Name]}}

    def client(self, service: str, config: Any) -> FakeClient:
        return FakeClient(self, service)


class FakeClient:
    class exceptions:
        class NoSuchResourceException(ClientError):
            pass

    def __init__(self, session: FakeSession, service: str) -> None:
        self._session, self._service = session, service

    def __getattr__(self, operation: str) -> Any:
        answer = self._session.answers[self._service, operation]

        def call(**asked: Any) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer(**asked) if callable(answer) else answer

        return call

    def get_paginator(self, operation: str) -> Any:
        call = getattr(self, operation)
        return type("Pages", (), {"paginate": staticmethod(call)})


def client_error(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "told by AWS"}}, operation)


def examine(session: FakeSession) -> dict[str, Finding]:
    return {each.name: each for each in Account(STAGING, session).examine()}  # type: ignore[arg-type]


def test_an_account_that_has_everything_lacks_only_what_staging_leaves_open() -> None:
    found = examine(FakeSession())
    assert [name for name, each in found.items() if each.state is not State.SOUND] == ["Certificate"]
    assert "DNS records" in found["Certificate"].mend


def test_without_credentials_nothing_else_is_asked() -> None:
    session = FakeSession()
    session.answers["sts", "get_caller_identity"] = NoCredentialsError()
    (found,) = examine(session).values()
    assert (found.name, found.state) == ("Credentials", State.MISSING)
    assert "aws sso login" in found.mend


def test_a_look_that_is_refused_is_unknown_and_leaves_the_others_theirs() -> None:
    session = FakeSession()
    session.answers["ec2", "describe_addresses"] = client_error("UnauthorizedOperation", "DescribeAddresses")
    found = examine(session)
    assert found["Quota: elastic addresses"].state is State.UNKNOWN
    assert found["Quota: elastic addresses"].mend == "look with an identity that may call DescribeAddresses"
    assert found["Quota: VPCs"].state is State.SOUND


def test_an_environment_that_stands_needs_no_more_than_it_uses() -> None:
    session = FakeSession()
    session.answers["service-quotas", "get_service_quota"] = lambda **asked: {"Quota": {"Value": 1.0}}
    assert examine(session)["Quota: VPCs"].state is State.MISSING
    session.answers["cloudformation", "describe_stacks"] = {"Stacks": [{"StackStatus": "UPDATE_COMPLETE"}]}
    assert examine(session)["Quota: VPCs"].state is State.SOUND


def test_an_instance_type_that_a_zone_lacks_is_missing_with_the_way_out() -> None:
    session = FakeSession()
    session.answers["ec2", "describe_instance_type_offerings"] = [
        {"InstanceTypeOfferings": [{"Location": "ap-northeast-2a"}]}
    ]
    found = examine(session)["backend.instance_type"]
    assert found.state is State.MISSING
    assert found.mend == "choose another type, or other availability_zones"
