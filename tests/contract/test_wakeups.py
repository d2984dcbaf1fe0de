"""Wake-ups, over every implementation."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from adapters.memory.signals import LocalWakeups
from adapters.redis.client import open_client
from adapters.redis.signals import RedisWakeups
from ports.signals import Wakeups
from utils.retry import RetryPolicy

LONG = 20.0
QUICKLY = RetryPolicy(tries=3, base_seconds=0.05, max_seconds=0.2)


@pytest.fixture
async def redis_wakeups(redis_url: str) -> AsyncIterator[RedisWakeups]:
    client = open_client(redis_url)
    wakeups = RedisWakeups(client, f"wake-{uuid.uuid4().hex}", reconnecting=QUICKLY)
    yield wakeups
    await wakeups.close()
    await client.aclose()


@pytest.fixture(params=["local", "redis"])
def wakeups(request: pytest.FixtureRequest) -> Wakeups:
    if request.param == "local":
        return LocalWakeups()
    redis: RedisWakeups = request.getfixturevalue("redis_wakeups")
    return redis


async def test_a_signal_wakes_who_waits(wakeups: Wakeups) -> None:
    async with asyncio.timeout(LONG / 2):
        waiting = asyncio.create_task(wakeups.wait(LONG))
        await asyncio.sleep(0)
        await wakeups.signal()
        await waiting


async def test_a_signal_wakes_all_who_wait(wakeups: Wakeups) -> None:
    async with asyncio.timeout(LONG / 2):
        waiting = [asyncio.create_task(wakeups.wait(LONG)) for _ in range(3)]
        await asyncio.sleep(0)
        await wakeups.signal()
        await asyncio.gather(*waiting)


async def test_a_signal_before_the_wait_is_not_lost(wakeups: Wakeups) -> None:
    await wakeups.signal()
    async with asyncio.timeout(LONG / 2):
        await wakeups.wait(LONG)


async def test_without_a_signal_the_wait_ends(wakeups: Wakeups) -> None:
    async with asyncio.timeout(LONG / 2):
        for _ in range(3):
            await wakeups.wait(0.01)


async def test_a_wait_can_be_cancelled(wakeups: Wakeups) -> None:
    async with asyncio.timeout(LONG / 2):
        waiting = asyncio.create_task(_wait_for_ever(wakeups))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def _wait_for_ever(wakeups: Wakeups) -> None:
    while True:
        await wakeups.wait(LONG)
