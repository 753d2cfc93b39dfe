"""The errors that the server answers with: MongoDB's codes and code names.

Source of the codes: MongoDB's `src/mongo/base/error_codes.yml`,
https://www.mongodb.com/docs/manual/reference/error-codes/.
A code without a name of its own is answered as `Location<code>`, as MongoDB does.
"""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]

_NAMES = {
    1: "InternalError",
    2: "BadValue",
    9: "FailedToParse",
    11: "UserNotFound",
    13: "Unauthorized",
    14: "TypeMismatch",
    15: "Overflow",
    16: "InvalidLength",
    17: "ProtocolError",
    18: "AuthenticationFailed",
    20: "IllegalOperation",
    26: "NamespaceNotFound",
    27: "IndexNotFound",
    28: "PathNotViable",
    31: "RoleNotFound",
    34: "CannotBackfillArray",
    40: "ConflictingUpdateOperators",
    43: "CursorNotFound",
    48: "NamespaceExists",
    50: "MaxTimeMSExpired",
    52: "DollarPrefixedFieldName",
    53: "InvalidIdField",
    56: "EmptyFieldName",
    59: "CommandNotFound",
    66: "ImmutableField",
    67: "CannotCreateIndex",
    72: "InvalidOptions",
    73: "InvalidNamespace",
    79: "UnknownReplWriteConcern",
    85: "IndexOptionsConflict",
    86: "IndexKeySpecsConflict",
    100: "UnsatisfiableWriteConcern",
    121: "DocumentValidationFailure",
    168: "InvalidPipelineOperator",
    171: "CannotIndexParallelArrays",
    197: "InvalidIndexSpecificationOption",
    225: "TransactionTooOld",
    238: "NotImplemented",
    241: "ConversionFailure",
    276: "IndexBuildAborted",
    291: "NoQueryExecutionPlans",
    334: "MechanismUnavailable",
    322: "APIVersionError",
    352: "UnsupportedOpQueryCommand",
    10334: "BSONObjectTooLarge",
    11000: "DuplicateKey",
    14031: "OutOfDiskSpace",
}


class CommandError(Exception):
    """A command failed; `document()` is the reply the client gets.

    `details` are the extra fields of the reply, e.g. `keyPattern` and `keyValue` of a duplicate key.
    """

    def __init__(self, code: int, message: str, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details

    @property
    def code_name(self) -> str:
        return _NAMES.get(self.code, f"Location{self.code}")

    def document(self) -> Document:
        """The whole command's reply: `ok: 0`, `errmsg`, `code`, `codeName` and the details."""
        return {
            "ok": 0.0,
            "errmsg": self.message,
            "code": self.code,
            "codeName": self.code_name,
            **self.details,
        }

    def write_error(self, index: int) -> Document:
        """One entry of `writeErrors`; `index` is the statement's place in its batch."""
        return {"index": index, "code": self.code, "errmsg": self.message, **self.details}


def bad_value(message: str) -> CommandError:
    return CommandError(2, message)


def failed_to_parse(message: str) -> CommandError:
    return CommandError(9, message)


def type_mismatch(message: str) -> CommandError:
    return CommandError(14, message)


def not_implemented(what: str) -> CommandError:
    """MongoDB has it, this server does not: NotImplemented, and never a silent success."""
    return CommandError(238, f"{what} is not implemented by the sandbox's embedded database")
