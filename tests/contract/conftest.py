"""The stores over which the suite runs."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from adapters.memory.store import MemoryPayoutStore
from adapters.mongo.store import MongoPayoutStore
from ports.store import PayoutStore
from tests.databases import lent_store
from tests.factories import LONG_AGO


class TickingClock:
    """A clock that goes on by a millisecond each time that somebody looks."""

    def __init__(self) -> None:
        self._time = LONG_AGO + timedelta(days=500)

    def __call__(self) -> datetime:
        self._time += timedelta(milliseconds=1)
        return self._time


@pytest.fixture
async def mongo_store(mongodb_url: str) -> AsyncIterator[MongoPayoutStore]:
    """A store in a database that nobody else uses."""
    async with lent_store(mongodb_url) as store:
        yield store


@pytest.fixture(params=["memory", "mongo"])
def store(request: pytest.FixtureRequest) -> PayoutStore:
    """Every implementation of the port, empty and prepared."""
    if request.param == "memory":
        return MemoryPayoutStore(TickingClock())
    mongo: MongoPayoutStore = request.getfixturevalue("mongo_store")
    return mongo
