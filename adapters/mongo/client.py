"""The MongoDB client: the one module that imports the driver's asynchronous half."""

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any, TypeAlias

from motor.motor_asyncio import (
    AsyncIOMotorClient,
    AsyncIOMotorCollection,
    AsyncIOMotorDatabase,
)
from pymongo import ReadPreference, WriteConcern
from pymongo.monitoring import CommandListener
from pymongo.read_concern import ReadConcern

Document: TypeAlias = dict[str, Any]
Client: TypeAlias = AsyncIOMotorClient[Document]
Database: TypeAlias = AsyncIOMotorDatabase[Document]
Collection: TypeAlias = AsyncIOMotorCollection[Document]

DEFAULT_DATABASE = "payout_router"


def open_client(
    url: str,
    *,
    timeout_seconds: float,
    options: Mapping[str, Any] | None = None,
    listeners: Sequence[CommandListener] = (),
) -> Client:
    """A client for `url`; it connects at its first use and is closed by its `close()`.

    `timeout_seconds` bounds every operation as a whole: finding a primary, a retry after a
    fail-over, and the wait for a majority. `options` are the driver's keyword arguments (pool
    size, connect time-out); they go before those of the URL. `listeners` see every command.
    Raises pymongo's ConfigurationError or InvalidURI, or ValueError, for a URL that is none.
    """
    return AsyncIOMotorClient(
        url,
        **{
            **(options or {}),
            "timeoutMS": round(timeout_seconds * 1000),
            "retryWrites": True,
            "retryReads": True,
            "tz_aware": True,
            "tzinfo": UTC,
            "event_listeners": list(listeners),
        },
    )


def majority_database(client: Client, name: str | None = None) -> Database:
    """A database whose writes a majority journals, and whose reads come from the primary and
    show only what a majority has. `name` None: the URL's, else DEFAULT_DATABASE."""
    return client.get_database(
        name or client.get_default_database(DEFAULT_DATABASE).name,
        read_preference=ReadPreference.PRIMARY,
        write_concern=WriteConcern(w="majority", j=True),
        read_concern=ReadConcern("majority"),
    )
