"""`$group` and its accumulators, https://www.mongodb.com/docs/manual/reference/operator/aggregation/group/."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from bson import Decimal128, Int64

from sandbox.database import expressions
from sandbox.database.errors import CommandError, Document
from sandbox.database.values import (
    MISSING,
    arithmetic,
    is_number,
    sort_key,
    to_float,
)

Fold = Callable[[list[Any]], Any]


def _sum(values: list[Any]) -> Any:
    total: Any = 0
    for value in values:
        if is_number(value):
            total = arithmetic("+", total, value)
    return total


def _average(values: list[Any]) -> Any:
    numbers = [value for value in values if is_number(value)]
    if not numbers:
        return None
    total = _sum(numbers)
    if isinstance(total, Decimal128):
        return Decimal128(total.to_decimal() / len(numbers))
    return to_float(total) / len(numbers)


def _extreme(smallest: bool) -> Fold:
    def fold(values: list[Any]) -> Any:
        present = [value for value in values if value is not None and value is not MISSING]
        if not present:
            return None
        return min(present, key=sort_key) if smallest else max(present, key=sort_key)

    return fold


def _present(values: list[Any]) -> list[Any]:
    return [value for value in values if value is not MISSING]


def _distinct(values: list[Any]) -> list[Any]:
    return list({sort_key(value): value for value in reversed(_present(values))}.values())


_ACCUMULATORS: dict[str, Fold] = {
    "$sum": _sum,
    "$avg": _average,
    "$min": _extreme(True),
    "$max": _extreme(False),
    "$first": lambda values: None if values[0] is MISSING else values[0],
    "$last": lambda values: None if values[-1] is MISSING else values[-1],
    "$push": _present,
    "$addToSet": _distinct,
    "$count": lambda values: Int64(len(values)) if len(values) >= 2**31 else len(values),
}


def parse(specification: Any) -> Callable[[Sequence[Document]], list[Document]]:
    """The stage as a function over all documents; raises MongoDB's errors for unknown accumulators."""
    if not isinstance(specification, dict):
        raise CommandError(15947, "a group's fields must be specified in an object")
    if "_id" not in specification:
        raise CommandError(15955, "a group specification must include an _id")
    identifier = expressions.parse(specification["_id"])
    folds: dict[str, tuple[Fold, expressions.Expression]] = {}
    for name, accumulator in specification.items():
        if name == "_id":
            continue
        if "." in name or name.startswith("$"):
            raise CommandError(
                40235 if "." in name else 40236,
                f"The field name '{name}' cannot contain '.' or start with '$'",
            )
        if not isinstance(accumulator, dict):
            raise CommandError(40234, f"The field '{name}' must be an accumulator object")
        if len(accumulator) != 1:
            raise CommandError(40238, f"The field '{name}' must specify one accumulator")
        ((operator, argument),) = accumulator.items()
        if operator not in _ACCUMULATORS:
            raise CommandError(15952, f"unknown group operator '{operator}'")
        if operator == "$count" and argument != {}:
            raise CommandError(9, "$count takes no arguments, i.e. $count:{}")
        folds[name] = (_ACCUMULATORS[operator], expressions.parse(argument))

    arguments = [argument for _, argument in folds.values()]

    def run(documents: Sequence[Document]) -> list[Document]:
        # Per group its identifier and the values that each accumulator folds, but not the documents.
        groups: dict[Any, tuple[Any, list[list[Any]]]] = {}
        for document in documents:
            value = expressions.evaluate(identifier, document)
            columns = groups.setdefault(sort_key(value), (value, [[] for _ in arguments]))[1]
            for column, argument in zip(columns, arguments, strict=True):
                column.append(expressions.evaluate(argument, document))
        return [
            {
                "_id": None if value is MISSING else value,
                **{
                    name: fold(column)
                    for (name, (fold, _)), column in zip(folds.items(), columns, strict=True)
                },
            }
            for value, columns in groups.values()
        ]

    return run
