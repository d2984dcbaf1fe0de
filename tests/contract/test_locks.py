"""Advisory locks, over every implementation."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from adapters.memory.signals import LocalLocks
from adapters.redis.client import open_client
from adapters.redis.signals import RedisLocks
from ports.signals import Locks

Pair = tuple[Locks, Locks]
LONG = 60.0


@pytest.fixture
async def redis_locks(redis_url: str) -> AsyncIterator[Pair]:
    client = open_client(redis_url)
    prefix = f"lock-{uuid.uuid4().hex}:"
    yield RedisLocks(client, prefix, "first"), RedisLocks(client, prefix, "second")
    await client.aclose()


@pytest.fixture
def local_locks() -> Pair:
    held: dict[str, tuple[str, float]] = {}
    ticks = iter(range(1_000))
    return tuple(LocalLocks(held, name, lambda: next(ticks) / 10) for name in ("1", "2"))  # type: ignore[return-value]


@pytest.fixture(params=["local_locks", "redis_locks"])
def pair(request: pytest.FixtureRequest) -> Pair:
    """Two processes that know of each other."""
    locks: Pair = request.getfixturevalue(request.param)
    return locks


async def test_one_holds_at_a_time(pair: Pair) -> None:
    first, second = pair
    assert await first.hold("settler", LONG)
    assert not await second.hold("settler", LONG)
    assert await second.hold("scheduler", LONG)


async def test_the_holder_renews(pair: Pair) -> None:
    first, second = pair
    assert await first.hold("settler", 0.01)
    assert await first.hold("settler", LONG)
    assert not await second.hold("settler", LONG)


async def test_what_is_dropped_is_free(pair: Pair) -> None:
    first, second = pair
    await first.hold("settler", LONG)
    await first.drop("settler")
    assert await second.hold("settler", LONG)
    assert not await first.hold("settler", LONG)


async def test_nobody_drops_what_another_holds(pair: Pair) -> None:
    first, second = pair
    await first.hold("settler", LONG)
    await second.drop("settler")
    await second.drop("unknown")
    assert not await second.hold("settler", LONG)


async def test_a_lock_ends_by_itself(pair: Pair) -> None:
    first, second = pair
    await first.hold("settler", 0.001)
    tries = 0
    while not await second.hold("settler", LONG):
        tries += 1
        assert tries < 10_000
    assert not await first.hold("settler", LONG)


async def test_of_many_who_race_one_holds(pair: Pair) -> None:
    held = await asyncio.gather(*(locks.hold("settler", LONG) for locks in pair))
    assert sorted(held) == [False, True]
