"""Reading the journal: what is live, who holds the lock, what was deployed before."""

from __future__ import annotations

from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from cli.session import Environment

_deserialize = TypeDeserializer().deserialize


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    return {name: _deserialize(value) for name, value in item.items()}


def _item(environment: Environment, partition: str, sort: str) -> dict[str, Any] | None:
    answer = environment.journal.get_item(
        TableName=environment.journal_table,
        Key={"pk": {"S": partition}, "sk": {"S": sort}},
        ConsistentRead=True,
    )
    return _plain(answer["Item"]) if "Item" in answer else None


def live(environment: Environment, service: str = "backend") -> dict[str, Any] | None:
    """What takes the traffic, and what would take it after a rollback."""
    return _item(environment, "LIVE", service)


def lock(environment: Environment) -> dict[str, Any] | None:
    """The lock, if somebody holds it."""
    item = _item(environment, "LOCK", "LOCK")
    return item if item and item.get("holder") else None


def frozen(environment: Environment) -> dict[str, Any] | None:
    """Who has frozen the environment, since when and why; None while it is not."""
    item = _item(environment, "FREEZE", "FREEZE")
    return item if item and item.get("frozen") else None


def last_drill(environment: Environment) -> dict[str, Any] | None:
    """When the last drill came to its end, and what it measured; None when there was none."""
    return _item(environment, "DRILL", "LAST")


def deployment(environment: Environment, identifier: str) -> dict[str, Any] | None:
    """One deployment's record."""
    return _item(environment, f"DEPLOYMENT#{identifier}", "RECORD")


def history(environment: Environment, most: int) -> list[dict[str, Any]]:
    """The latest deployments, newest first."""
    answer = environment.journal.query(
        TableName=environment.journal_table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": "DEPLOYMENTS"}},
        ScanIndexForward=False,
        Limit=most,
    )
    return [_plain(item) for item in answer["Items"]]


def evidence(environment: Environment, identifier: str) -> dict[str, Any] | None:
    """The digests of a deployment's evidence, entry by entry."""
    return _item(environment, f"DEPLOYMENT#{identifier}", "EVIDENCE")


def answers(environment: Environment, identifier: str) -> dict[str, Any]:
    """What people have answered to the checklists, by line."""
    item = _item(environment, f"DEPLOYMENT#{identifier}", "CHECKLIST") or {}
    return dict(item.get("answers") or {})
