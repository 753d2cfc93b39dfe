"""Errors that people see: one clear message and an exit code, never a stack trace."""

from __future__ import annotations

from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """What the `cutover` command exits with; scripts rely on it. docs/exit-codes.md is drawn from here."""

    meaning: str

    OK = 0, "it was done, or what was looked at is sound"
    FAILED = 1, "it was started and did not succeed, or what was looked at is not sound"
    BAD_INPUT = 2, "nothing was started: an option, a file or the configuration is wrong"
    REFUSED = 3, "nothing was started: a lock, a window, a freeze, an approval or a gate refused it"
    UNREACHABLE = 4, "AWS could not be used: no credentials, no permission, not reached, or not installed"
    INTERRUPTED = 130, "stopped by Ctrl-C; what was started goes on by itself"

    def __new__(cls, code: int, meaning: str) -> Self:
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member


class UserError(Exception):
    """A message for the person at the keyboard: what is wrong, and the way out."""

    def __init__(self, message: str, code: ExitCode = ExitCode.BAD_INPUT) -> None:
        super().__init__(message)
        self.code = code
