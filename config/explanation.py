"""A mistake in a configuration file in words: the field, its value and the way out, in one line."""

import difflib
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails


class UnfitError(ValueError):
    """A field does not go with another one. `field` is relative to the table in which both stand."""

    def __init__(self, field: str, value: object, problem: str) -> None:
        super().__init__(problem)
        self.field = field
        self.value = value


def explain(error: ValidationError, raw: dict[str, Any], root: type[BaseModel]) -> str:
    """The first problem in words. A misspelt key comes first: it also makes the right one 'missing'."""
    problems = sorted(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    problem = problems[0]
    location = [str(part) for part in problem["loc"] if part != "[key]"]
    match problem["type"]:
        case "extra_forbidden":
            return _unknown_key(location, root)
        case "missing":
            table = ".".join(location[:-1])
            return f"{'.'.join(location)} is missing; add it" + (f" to [{table}]" if table else "")
    cause = problem.get("ctx", {}).get("error")
    if isinstance(cause, UnfitError):
        return f"{'.'.join([*location, cause.field])} is {_plain(cause.value)!r}: it {cause}"
    return f"{'.'.join(location)} is {_shown(problem, raw)}: {_reason(problem, cause)}"


def _unknown_key(location: list[str], table: type[BaseModel]) -> str:
    for part in location[:-1]:
        if part.isdecimal():  # in a list of tables
            continue
        inner = _table_in(table.model_fields[part].annotation)
        if inner is None:
            break
        table = inner
    known = sorted(table.model_fields)
    near = difflib.get_close_matches(location[-1], known, 1)
    way_out = f"did you mean {near[0]}?" if near else f"known keys are {', '.join(known)}"
    return f"{'.'.join(location)} is not a known key; {way_out}"


def _table_in(annotation: object) -> type[BaseModel] | None:
    """The table that a field holds, by itself or several of it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _table_in(part))), None)


def _plain(value: object) -> object:
    """A whole number as it was most likely written."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _shown(problem: ErrorDetails, raw: dict[str, Any]) -> str:
    value = problem["input"]
    return "the whole file" if value is raw else repr(value)


def _reason(problem: ErrorDetails, cause: object) -> str:
    if isinstance(cause, ValueError):
        return f"it {cause}"
    if problem["type"] == "string_pattern_mismatch":
        return f"it must match {problem['ctx']['pattern']}"
    return problem["msg"].replace("Input should", "it must").replace("Value should", "it must")
