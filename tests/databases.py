"""Databases that a test has for itself."""

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from pymongo.monitoring import CommandListener

from adapters.mongo.client import Database, majority_database, open_client
from adapters.mongo.store import MongoPayoutStore

PATIENCE_SECONDS = 20


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
