"""Domain values as documents and back, by the types that the models declare.

A dataclass is a subdocument with all of its fields, an enum its value, a tuple an array. A
mapping is an array of {k, v}, because its keys come from outside: as field names they could hold
dots, dollar signs, or the names by which the driver knows a reference. An integer beyond 64 bits
(a token's log may hold 256) is its decimal text.
"""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum, StrEnum
from functools import cache
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from adapters.mongo.client import Document
from models.chain import Cursor
from models.payout import Payout

T = TypeVar("T")

CURSOR_ID = "cursor"
_INT64 = range(-(2**63), 2**63)


class Kind(StrEnum):
    """What a document of the payouts collection is."""

    PAYOUT = "payout"
    CURSOR = "cursor"
    UNEXPLAINED = "unexplained"
    TOMBSTONE = "tombstone"


def payout_document(payout: Payout) -> Document:
    """The document of a payout; `_id` is the payout id."""
    document: Document = encode(payout)
    return {
        "_id": document.pop("payout_id"),
        "kind": Kind.PAYOUT,
        **document,
        "unsettled": [],
    }


def payout_of(document: Document) -> Payout:
    """The payout of a document."""
    return decode(Payout, {**document, "payout_id": document["_id"]})


def cursor_of(document: Document) -> Cursor:
    """The cursor of the cursor document."""
    return decode(Cursor, document["cursor"])


def encode(value: Any) -> Any:
    """A value as BSON takes it. Raises TypeError for a type that no model has."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, (bool, bytes, datetime)):
        return value
    if isinstance(value, int):
        return value if value in _INT64 else str(value)
    if isinstance(value, str):
        return _valid_text(value)
    if isinstance(value, Mapping):
        return [{"k": _valid_text(key), "v": encode(item)} for key, item in value.items()]
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    if is_dataclass(value):
        return {part.name: encode(getattr(value, part.name)) for part in fields(value)}
    raise TypeError(f"no document form for {type(value).__name__}")


def decode(kind: type[T], document: Any) -> T:
    """The value of a document; what it lacks takes the model's default."""
    decoder: Callable[[Any], T] = _decoder(kind)  # type: ignore[arg-type]  # a type has a hash
    return decoder(document)


def _valid_text(text: str) -> str:
    """Text without lone surrogates: JSON from outside can hold them, BSON can not."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


@cache
def _decoder(kind: Any) -> Callable[[Any], Any]:
    arguments = get_args(kind)
    origin = get_origin(kind)
    if origin is UnionType:
        some = _decoder(arguments[0])
        return lambda value: None if value is None else some(value)
    if origin is tuple:
        item = _decoder(arguments[0])
        return lambda value: tuple(map(item, value))
    if origin is Mapping:
        item = _decoder(arguments[1])
        return lambda value: {pair["k"]: item(pair["v"]) for pair in value}
    if is_dataclass(kind):
        return _dataclass_decoder(kind)
    return _as_it_is if kind in (datetime, bytes) else kind


def _dataclass_decoder(kind: Any) -> Callable[[Any], Any]:
    hints = get_type_hints(kind)
    parts = {part.name: _decoder(hints[part.name]) for part in fields(kind)}
    return lambda value: kind(
        **{name: part(value[name]) for name, part in parts.items() if name in value}
    )


def _as_it_is(value: Any) -> Any:
    return value
