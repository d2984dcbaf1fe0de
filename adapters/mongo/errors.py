"""The one place where a driver's error becomes the port's."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from bson.errors import BSONError
from pymongo.errors import BulkWriteError, PyMongoError

from adapters.mongo.part import StorePart
from ports.store import StoreError
from utils.circuit_breaker import CircuitOpenError

P = ParamSpec("P")
S = TypeVar("S", bound=StorePart)
T = TypeVar("T")

DUPLICATE_KEY = 11000
"""MongoDB's error code for a key that is there already."""


@contextmanager
def store_errors() -> Iterator[None]:
    """Raise StoreError for whatever the driver raises, and for a time-out."""
    try:
        yield
    except CircuitOpenError as error:
        raise StoreError(str(error)) from error
    except (PyMongoError, BSONError, TimeoutError) as error:
        raise StoreError(f"MongoDB did not confirm: {describe(error)}") from error


def confirmed(
    method: Callable[Concatenate[S, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """A store method that answers in time or raises StoreError; at once while the breaker is open.

    The driver keeps its time too, but counts only from when one of its threads takes a command.
    """

    @wraps(method)
    async def call(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        async def in_time() -> T:
            async with asyncio.timeout(self.timeout_seconds):
                return await method(self, *args, **kwargs)

        with store_errors():
            return await self.breaker.call(in_time)

    return call


def describe(error: Exception) -> str:
    """An error for people. A bulk's own text would print whole documents, so it is cut down."""
    if isinstance(error, BulkWriteError):
        faults = [
            *error.details.get("writeErrors", ()),
            *error.details.get("writeConcernErrors", ()),
        ]
        first = faults[0].get("errmsg", "") if faults else ""
        return f"{len(faults)} of a group failed, the first with: {first}"
    return f"{type(error).__name__}: {error}"


def only_duplicates(error: BulkWriteError) -> bool:
    """Whether a bulk met keys that were there already, and no other trouble."""
    faults = error.details.get("writeErrors", [])
    unconfirmed = error.details.get("writeConcernErrors", [])
    return not unconfirmed and all(fault["code"] == DUPLICATE_KEY for fault in faults)
