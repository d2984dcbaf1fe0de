"""Throttles, over every implementation. Rates are so slow that nothing comes back in between."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from adapters.memory.throttle import LocalThrottle
from adapters.redis.client import BestEffort, open_client
from adapters.redis.throttle import RedisThrottle
from models.rate import Rate
from ports.throttle import Throttle
from tests.throttles import OpenDoor

SLOW = Rate("create", permits=10, per_seconds=86_400, burst=5)
ONE = Rate("act", permits=1, per_seconds=86_400, burst=1)
QUICK = Rate("read", permits=10_000, per_seconds=1, burst=1)


@pytest.fixture
async def redis_throttle(redis_url: str) -> AsyncIterator[Throttle]:
    client = open_client(redis_url)
    calls = BestEffort(timeout_seconds=20)
    yield RedisThrottle(client, f"rate-{uuid.uuid4().hex}:", LocalThrottle(), calls=calls)
    await client.aclose()


@pytest.fixture
async def redis_alone(redis_url: str) -> AsyncIterator[Throttle]:
    client = open_client(redis_url)
    calls = BestEffort(timeout_seconds=20)
    yield RedisThrottle(client, f"rate-{uuid.uuid4().hex}:", OpenDoor(), calls=calls)
    await client.aclose()


@pytest.fixture
def local_throttle() -> Throttle:
    return LocalThrottle()


@pytest.fixture(params=["local_throttle", "redis_alone", "redis_throttle"])
def throttle(request: pytest.FixtureRequest) -> Throttle:
    """Every implementation of the port; of the one over Redis also what it does by itself."""
    throttle: Throttle = request.getfixturevalue(request.param)
    return throttle


async def test_a_burst_and_no_more(throttle: Throttle) -> None:
    verdicts = [await throttle.take("alice", SLOW) for _ in range(7)]
    assert [verdict.allowed for verdict in verdicts] == [True] * 5 + [False] * 2
    assert [verdict.remaining for verdict in verdicts] == [4, 3, 2, 1, 0, 0, 0]


async def test_what_the_verdict_says(throttle: Throttle) -> None:
    first = await throttle.take("alice", SLOW)
    assert (first.retry_after_seconds, first.reset_seconds) == (0, 8640)
    for _ in range(4):
        await throttle.take("alice", SLOW)
    refused = await throttle.take("alice", SLOW)
    assert 8580 < refused.retry_after_seconds <= 8640
    assert 43_140 < refused.reset_seconds <= 43_200


async def test_who_is_refused_waits_no_longer_for_asking(throttle: Throttle) -> None:
    await throttle.take("alice", ONE)
    waits = [(await throttle.take("alice", ONE)).retry_after_seconds for _ in range(20)]
    assert waits == sorted(waits, reverse=True)


async def test_keys_do_not_share(throttle: Throttle) -> None:
    assert (await throttle.take("alice", ONE)).allowed
    assert not (await throttle.take("alice", ONE)).allowed
    assert (await throttle.take("bob", ONE)).allowed


async def test_permits_come_back(throttle: Throttle) -> None:
    tries = 0
    await throttle.take("alice", QUICK)
    while not (await throttle.take("alice", QUICK)).allowed:
        tries += 1
        assert tries < 100_000


async def test_of_many_at_once_a_burst_gets_through(throttle: Throttle) -> None:
    verdicts = await asyncio.gather(*(throttle.take("alice", SLOW) for _ in range(50)))
    assert sum(verdict.allowed for verdict in verdicts) == 5


async def test_a_faster_rate_holds_at_once(throttle: Throttle) -> None:
    assert (await throttle.take("alice", ONE)).allowed
    assert not (await throttle.take("alice", ONE)).allowed
    faster = Rate("act", permits=86_400, per_seconds=86_400, burst=1)
    assert (await throttle.take("alice", faster)).retry_after_seconds <= 1
