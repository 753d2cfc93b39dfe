"""What the command line makes of its options."""

import re
from datetime import UTC, datetime

import pytest

from cli.commands.deploy import exit_code
from cli.errors import ExitCode, UserError
from cli.execution import Ended, Request, new_deployment_id
from cli.options import parse_settings

NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)


def test_settings_are_names_and_values():
    assert parse_settings(("A=1", "URL=a=b")) == {"A": "1", "URL": "a=b"}


@pytest.mark.parametrize("setting", ["A", "=1", ""])
def test_a_setting_without_a_name_or_an_equals_sign_is_refused(setting):
    with pytest.raises(UserError, match="NAME=VALUE"):
        parse_settings((setting,))


def test_the_input_has_no_empty_fields_so_that_it_reads_well_in_the_console():
    document = Request("sandbox", "v1", "deploy", source="sources/a.zip").document()
    assert document == {
        "environment": "sandbox",
        "version": "v1",
        "mode": "deploy",
        "source": "sources/a.zip",
        "persona": "all",
        "user_centric": False,
    }


def test_a_deployment_id_is_a_name_that_step_functions_takes_whatever_the_version():
    identifier = new_deployment_id("v1.0 / 새 버전", NOW)
    assert re.fullmatch(r"20261122-020000-v1-0-[0-9a-f]{4}", identifier)


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        ("SUCCEEDED", "", ExitCode.OK),
        ("FAILED", "LockHeldError", ExitCode.REFUSED),
        ("FAILED", "ImageNotFoundError", ExitCode.BAD_INPUT),
        ("FAILED", "GateFailedError", ExitCode.FAILED),
        ("ABORTED", "", ExitCode.FAILED),
    ],
)
def test_the_exit_code_tells_a_refusal_from_a_failure(status, error, code):
    assert exit_code(Ended(status, NOW, error=error)) == code
