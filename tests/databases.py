"""Databases that a test has for itself."""

import uuid
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from pymongo.monitoring import CommandListener

from adapters.mongo.client import Database, majority_database, open_client
from adapters.mongo.store import MongoPayoutStore

StoreT = TypeVar("StoreT", bound=MongoPayoutStore)

PATIENCE_SECONDS = 20
APART = 5
"""How many other databases are used before one is used again."""

_used: dict[str, deque[str]] = defaultdict(deque)


@asynccontextmanager
async def fresh_database(
    url: str, listeners: Sequence[CommandListener] = ()
) -> AsyncIterator[Database]:
    """An empty database of that server, with a client of its own; gone afterwards."""
    client = open_client(url, timeout_seconds=PATIENCE_SECONDS, listeners=listeners)
    database = majority_database(client, f"test_{uuid.uuid4().hex}")
    yield database
    # The last collection takes the database along; dropping that itself waits a tenth of a second.
    for name in await database.list_collection_names():
        await database.drop_collection(name)
    client.close()


@asynccontextmanager
async def fresh_store(
    url: str, listeners: Sequence[CommandListener] = ()
) -> AsyncIterator[MongoPayoutStore]:
    """A store that is ready, in a database of its own."""
    async with fresh_database(url, listeners) as database:
        store = MongoPayoutStore(database)
        await store.prepare()
        yield store


@asynccontextmanager
async def lent_store(
    url: str, store_class: type[StoreT] = MongoPayoutStore
) -> AsyncIterator[StoreT]:
    """A store that is ready and empty, for a test that leaves its indexes alone.

    A new database takes most of its time for these, so another test gets it afterwards: not the
    next one, as a call that a test has given up may still be under way.
    """
    client = open_client(url, timeout_seconds=PATIENCE_SECONDS)
    used = _used[url]
    name = used.popleft() if len(used) > APART else f"test_{uuid.uuid4().hex}"
    database = majority_database(client, name)
    for collection in await database.list_collection_names():
        await database[collection].delete_many({})
    store = store_class(database)
    await store.prepare()
    yield store
    used.append(name)
    client.close()
