"""Does a query's filter guarantee another one? Decides whether a partial or sparse index may serve it.

Only what is certain is "yes": a partial index that leaves out a matching document would give a wrong result.
https://www.mongodb.com/docs/manual/core/index-partial/#query-coverage
"""

from __future__ import annotations

from bson import Regex

from sandbox.database import predicates as p
from sandbox.database.values import RANK_MAX_KEY, RANK_MIN_KEY, SortKey, encode, sort_key, type_name


def implies(query: p.Predicate, required: p.Predicate) -> bool:
    """Does every document that matches `query` match `required`?"""
    if isinstance(required, p.Everything):
        return True
    if isinstance(required, p.And):
        return all(implies(query, child) for child in required.children)
    if isinstance(query, p.Or):
        return all(implies(child, required) for child in query.children)
    if isinstance(required, p.Or) and any(implies(query, child) for child in required.children):
        return True
    return any(_one_implies(part, required) for part in p.conjuncts(query))


def _one_implies(part: p.Predicate, required: p.Predicate) -> bool:  # noqa: PLR0911 - one per kind
    if isinstance(part, p.Or):
        return implies(part, required)
    if not isinstance(part, p.Leaf) or not isinstance(required, p.Leaf) or part.path != required.path:
        return False
    if type(part) is type(required) and encode(part.describe()) == encode(required.describe()):
        return True
    if isinstance(required, p.Exists):
        return guarantees_presence(part)
    if isinstance(part, p.Comparison) and part.operator == "$eq":
        return _value_satisfies(part.operand, required)
    if isinstance(part, p.In):
        return not part.patterns and all(_value_satisfies(v, required) for v in part.operands)
    if isinstance(part, p.Comparison) and isinstance(required, p.Comparison):
        return _range_implies(part, required)
    if isinstance(part, p.TypeIs) and isinstance(required, p.TypeIs):
        return part.names <= required.names
    return False


def _value_satisfies(value: object, required: p.Leaf) -> bool:
    # Equality to an array is met by the array or by an array that holds it, to null also by a missing field.
    if isinstance(value, (list, Regex)) or (value is None and not isinstance(required, (p.Comparison, p.In))):
        return False
    if isinstance(required, p.TypeIs) and type_name(value) in ("int", "long", "double", "decimal"):
        # 5 is found where 5.0 is stored: the type of the operand says nothing about the stored one's.
        return {"int", "long", "double", "decimal"} <= required.names
    return isinstance(required, (p.Comparison, p.In, p.TypeIs)) and required.test(value)


def _range_implies(part: p.Comparison, required: p.Comparison) -> bool:
    have: SortKey = part.key
    need: SortKey = required.key
    if have[0] != need[0]:
        return False
    if required.operator in ("$gt", "$gte") and part.operator in ("$gt", "$gte"):
        return have > need or (have == need and (required.operator == "$gte" or part.operator == "$gt"))
    if required.operator in ("$lt", "$lte") and part.operator in ("$lt", "$lte"):
        return have < need or (have == need and (required.operator == "$lte" or part.operator == "$lt"))
    return False


def guarantees_presence(part: p.Predicate) -> bool:
    """Does the predicate hold only for documents that have the field, and not as null through its absence?"""
    null = sort_key(None)
    if isinstance(part, p.Comparison):
        if part.operator != "$eq" and part.key[0] in (RANK_MIN_KEY, RANK_MAX_KEY):
            return False
        return part.key != null
    if isinstance(part, p.In):
        return null not in part.keys
    return isinstance(part, (p.Exists, p.RegexMatch, p.TypeIs, p.Size, p.Modulo, p.ElementMatches))
