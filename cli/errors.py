"""Errors that people see: one clear message and an exit code, never a stack trace."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the `cutover` command exits with. Documented in the README; scripts rely on it."""

    OK = 0
    FAILED = 1  # the deployment or rollback was started and did not succeed
    BAD_INPUT = 2  # nothing was started: an option, a file or the configuration is wrong
    REFUSED = 3  # nothing was started: a lock, a window or a gate refused it
    UNREACHABLE = 4  # no credentials, no permission, or AWS could not be reached


class UserError(Exception):
    """A message for the person at the keyboard: what is wrong, and the way out."""

    def __init__(self, message: str, code: ExitCode = ExitCode.BAD_INPUT) -> None:
        super().__init__(message)
        self.code = code
