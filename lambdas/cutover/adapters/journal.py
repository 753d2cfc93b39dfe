"""The journal in DynamoDB. A deployment's writes carry a check of its lock in the same transaction, so that a
deployment which has lost its lock can write nothing, however late it wakes up.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.exceptions import ClientError

from cutover.adapters.aws import aws_errors, code
from cutover.domain.errors import ConflictError, LockLostError, ThrottledError
from cutover.domain.lock import Lock
from cutover.domain.records import LOCK, Item, Key

if TYPE_CHECKING:
    from cutover.ports import Change

_FAILED = "ConditionalCheckFailed"
_OPERATIONS = {"put": "Put", "update": "Update", "check": "ConditionCheck"}


class DynamoJournal:
    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table

    def read(self, key: Key) -> Item | None:
        with aws_errors():
            found = self._client.get_item(
                TableName=self._table, Key=_to_table(key._asdict()), ConsistentRead=True
            )
        item = found.get("Item")
        return _from_table(item) if item else None

    def write(self, changes: Sequence[Change], *, lock: Lock | None = None) -> None:
        from cutover.ports import Change  # noqa: PLC0415  a rollback's reading does not wait for it

        every = list(changes)
        if lock is not None:
            every.insert(0, Change("check", LOCK, expect={"holder": lock.holder, "fence": lock.fence}))
        with aws_errors():
            try:
                self._client.transact_write_items(TransactItems=[self._operation(change) for change in every])
            except ClientError as error:
                if code(error) == "TransactionCanceledException":
                    self._explain(error, every, lock)
                raise

    def newest(self, partition: str, most: int) -> Sequence[Item]:
        with aws_errors():
            found = self._client.query(
                TableName=self._table,
                KeyConditionExpression="pk = :pk",
                ExpressionAttributeValues={":pk": {"S": partition}},
                ScanIndexForward=False,
                Limit=most,
            )
        return [_from_table(item) for item in found["Items"]]

    def _operation(self, change: Change) -> dict[str, Any]:
        expression = _Expression()
        conditions = expression.conditions(change.expect)
        if change.absent:
            conditions.append("attribute_not_exists(pk)")
        operation: dict[str, Any] = {"TableName": self._table}
        key = _to_table(change.key._asdict())
        if change.how == "put":
            operation["Item"] = {**_to_table(change.values), **key}
        else:
            operation["Key"] = key
        if change.how == "update":
            operation["UpdateExpression"] = expression.assignments(change.values)
        if conditions:
            operation["ConditionExpression"] = " AND ".join(conditions)
        return {_OPERATIONS[change.how]: {**operation, **expression.names_and_values()}}

    @staticmethod
    def _explain(error: ClientError, changes: Sequence[Change], lock: Lock | None) -> None:
        """Why a transaction was cancelled, change by change."""
        raw: Any = error.response.get("CancellationReasons") or []
        reasons = [str(reason.get("Code")) for reason in raw]
        if lock is not None and reasons[:1] == [_FAILED]:
            raise LockLostError(
                f"deployment {lock.holder} no longer holds the lock (its token was {lock.fence})"
            )
        failed = [change.key for change, reason in zip(changes, reasons, strict=False) if reason == _FAILED]
        if failed:
            raise ConflictError("; ".join(f"{key.pk}/{key.sk} is not as expected" for key in failed))
        if any(reason in ("TransactionConflict", "ThrottlingError") for reason in reasons):
            raise ThrottledError(str(error))


class _Expression:
    """Placeholders for an operation's expressions: any field name may be a reserved word."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, Any] = {}

    def conditions(self, expect: Item) -> list[str]:
        return [self._condition(self._name(field), value) for field, value in expect.items()]

    def _condition(self, name: str, value: object) -> str:
        """A field that is expected to be None may be absent as well."""
        if value is not None:
            return f"{name} = {self._value(value)}"
        return f"(attribute_not_exists({name}) OR attribute_type({name}, {self._value('NULL')}))"

    def assignments(self, values: Item) -> str:
        return "SET " + ", ".join(
            f"{self._name(field)} = {self._value(value)}" for field, value in values.items()
        )

    def names_and_values(self) -> dict[str, Any]:
        every: dict[str, Any] = {}
        if self._names:
            every["ExpressionAttributeNames"] = {
                placeholder: field for field, placeholder in self._names.items()
            }
        if self._values:
            every["ExpressionAttributeValues"] = self._values
        return every

    def _name(self, field: str) -> str:
        return self._names.setdefault(field, f"#n{len(self._names)}")

    def _value(self, value: object) -> str:
        placeholder = f":v{len(self._values)}"
        self._values[placeholder] = TypeSerializer().serialize(_numbers_in(value))
        return placeholder


def _to_table(item: Mapping[str, Any]) -> dict[str, Any]:
    serializer = TypeSerializer()
    return {field: serializer.serialize(_numbers_in(value)) for field, value in item.items()}


def _from_table(item: Mapping[str, Any]) -> dict[str, Any]:
    deserializer = TypeDeserializer()
    return {field: _numbers_out(deserializer.deserialize(value)) for field, value in item.items()}


def _numbers_in(value: Any) -> Any:
    """DynamoDB's numbers are decimal; boto3 refuses floats."""
    if isinstance(value, float):
        return Decimal(str(value))
    if isinstance(value, Mapping):
        return {str(key): _numbers_in(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_numbers_in(inner) for inner in value]
    return value


def _numbers_out(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {key: _numbers_out(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_numbers_out(inner) for inner in value]
    return value
