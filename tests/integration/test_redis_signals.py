"""Signals and locks while Redis is gone, stuck, flushed and back."""

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from adapters.redis.client import BestEffort, open_client
from adapters.redis.signals import RedisLocks, RedisWakeups
from devnet.embedded import Valkey
from utils.retry import RetryPolicy

LONG = 20.0
QUICKLY = RetryPolicy(tries=3, base_seconds=0.05, max_seconds=0.2)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    client = open_client(redis_url)
    yield client
    await client.aclose()


def wakeups(client: Redis, channel: str, silence_seconds: float = 15.0) -> RedisWakeups:
    """A listener that tries every call, however the one before went."""
    calls = BestEffort(pause_seconds=0)
    return RedisWakeups(
        client, channel, reconnecting=QUICKLY, calls=calls, silence_seconds=silence_seconds
    )


async def listening(*replicas: RedisWakeups) -> None:
    """Wait until each replica listens: that it wakes its own waiter for."""
    for replica in replicas:
        async with asyncio.timeout(LONG / 2):
            await replica.wait(LONG)


async def test_a_signal_reaches_the_other_replicas(client: Redis) -> None:
    channel = uuid.uuid4().hex
    first, second = wakeups(client, channel), wakeups(client, channel)
    await listening(first, second)
    async with asyncio.timeout(LONG / 2):
        for _ in range(3):
            waiting = asyncio.create_task(second.wait(LONG))
            await first.signal()
            await waiting
    await first.close()
    await second.close()


async def test_a_burst_of_signals_is_one_wakeup(client: Redis) -> None:
    replica = wakeups(client, uuid.uuid4().hex)
    await asyncio.gather(*(replica.signal() for _ in range(500)))
    await replica.wait(LONG)
    assert not replica._local._event.is_set()


@pytest.mark.parametrize("steps", range(0, 40, 3))
async def test_a_listener_ends_wherever_it_is(client: Redis, steps: int) -> None:
    replica = wakeups(client, uuid.uuid4().hex)
    replica.start()
    for _ in range(steps):
        await asyncio.sleep(0)
    async with asyncio.timeout(LONG / 2):
        await replica.close()
    await replica.close()


async def test_a_quiet_channel_stays_subscribed(client: Redis) -> None:
    channel = uuid.uuid4().hex
    first, second = wakeups(client, channel), wakeups(client, channel, silence_seconds=0.01)
    await listening(second)
    async with asyncio.timeout(LONG / 2):
        for _ in range(20):  # each longer than the silence after which it pings
            await second.wait(0.02)
        await first.signal()
        await second.wait(LONG)
    await second.close()


@pytest.mark.parametrize("harm", ["kill", "stop"])
async def test_without_redis_it_works_within_the_process(tmp_path: Path, harm: str) -> None:
    with Valkey(tmp_path) as server:
        client = open_client(server.url)
        first = wakeups(client, "channel", silence_seconds=0.1)
        second = wakeups(client, "channel", silence_seconds=0.1)
        locks = [
            RedisLocks(client, "lock:", name, calls=BestEffort(pause_seconds=0)) for name in "ab"
        ]
        await listening(first, second)
        assert await locks[0].hold("settler", LONG)
        assert not await locks[1].hold("settler", LONG)

        if harm == "kill":
            server.kill()
        else:
            os.kill(server.pid, signal.SIGSTOP)
        async with asyncio.timeout(LONG / 2):
            await first.signal()
            await first.wait(LONG)
            assert [await lock.hold("settler", LONG) for lock in locks] == [True, True]
            await locks[0].drop("settler")

        if harm == "kill":
            server.start()
        else:
            os.kill(server.pid, signal.SIGCONT)
        async with asyncio.timeout(LONG):
            await second.wait(LONG)  # it listens again
            waiting = asyncio.create_task(second.wait(LONG))
            await first.signal()
            await waiting
        await first.close()
        await second.close()
        await client.aclose()


async def test_a_flush_frees_locks_and_nothing_breaks(tmp_path: Path) -> None:
    with Valkey(tmp_path) as server:
        client = open_client(server.url)
        locks = [RedisLocks(client, "lock:", name) for name in "ab"]
        assert await locks[0].hold("settler", LONG)
        assert not await locks[1].hold("settler", LONG)
        await client.flushall()
        await client.script_flush()
        assert await locks[1].hold("settler", LONG)
        assert not await locks[0].hold("settler", LONG)
        await client.aclose()


async def test_after_a_failure_no_call_is_tried_for_a_while() -> None:
    calls, tried = BestEffort(pause_seconds=3600), 0

    async def failing() -> None:
        nonlocal tried
        tried += 1
        raise ConnectionRefusedError

    for _ in range(3):
        assert await calls.call(failing) is None
    assert tried == 1


async def test_a_call_gets_its_time_and_no_more() -> None:
    calls = BestEffort(timeout_seconds=0.01, pause_seconds=0)
    async with asyncio.timeout(LONG / 2):
        assert await calls.call(asyncio.Event().wait) is None


async def test_a_cancelled_call_is_cancelled() -> None:
    task = asyncio.create_task(BestEffort(timeout_seconds=LONG).call(asyncio.Event().wait))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
