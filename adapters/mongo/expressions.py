"""Aggregation expressions that several queries share. "Now" is the server's clock."""

from collections.abc import Sequence
from typing import Any

from adapters.mongo.documents import encode

Expression = dict[str, Any]

NOW = "$$NOW"

TEXT: dict[str, str] = {"$gt": ""}
"""Matches any text, and an array that holds one: the form of "is set" that a partial index and
the queries it serves can share, because the planner sees that `= "x"` implies it."""

NOT_TEXT = {"$not": TEXT}
"""Matches what TEXT does not."""


def literal(value: Any) -> Expression:
    """A value as data: text that begins with a dollar sign stays text."""
    return {"$literal": encode(value)}


def after_now(seconds: float) -> Expression:
    """The moment so many seconds from now; a negative number is in the past."""
    return {"$add": [NOW, round(seconds * 1000)]}


def is_set(path: str) -> Expression:
    """Whether there is a value at `path`."""
    return {"$ne": [_or_null(path), None]}


def has_passed(path: str) -> Expression:
    """Whether the time at `path` is set and not in the future."""
    return {"$and": [is_set(path), {"$lte": [path, NOW]}]}


def is_ahead(path: str) -> Expression:
    """Whether the time at `path` is set and in the future."""
    return {"$gt": [_or_null(path), NOW]}


def items(path: str | Expression) -> Expression:
    """The array at a path, or that an expression gives; an empty one where there is none."""
    return {"$ifNull": [path, []]}


def pushed(path: str, *values: Expression) -> Expression:
    """The array at `path` with values at its end."""
    return {"$concatArrays": [items(path), list(values)]}


def without(path: str, condition: Expression) -> Expression:
    """The array at `path` without the items, `$$item`, for which the condition holds."""
    return {"$filter": {"input": items(path), "as": "item", "cond": {"$not": [condition]}}}


def united(collection: str, pipelines: Sequence[Sequence[Expression]]) -> list[Expression]:
    """One pipeline over a collection that gives what each of these (one at least) gives."""
    first, *others = pipelines
    unions = [{"$unionWith": {"coll": collection, "pipeline": [*each]}} for each in others]
    return [*first, *unions]


def _or_null(path: str) -> Expression:
    return {"$ifNull": [path, None]}
