"""Buckets in Redis: shared between processes, short-lived, and harmless to lose."""

import asyncio
import os
import signal
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from adapters.memory.throttle import LocalThrottle
from adapters.redis.client import BestEffort, open_client
from adapters.redis.throttle import RedisThrottle
from devnet.embedded import Valkey
from devnet.stack import ROOT
from models.rate import Rate

LONG = 20.0
SLOW = Rate("create", permits=10, per_seconds=86_400, burst=5)
PATIENT = {"timeout_seconds": LONG, "pause_seconds": 0.0}


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    client = open_client(redis_url)
    yield client
    await client.aclose()


def throttle(client: Redis, prefix: str, **calls: float) -> RedisThrottle:
    """One process's throttle."""
    best = BestEffort(**{**PATIENT, **calls})
    return RedisThrottle(client, prefix, LocalThrottle(), calls=best)


async def allowed(throttle: RedisThrottle, tries: int) -> int:
    """How many of so many tries get through."""
    return sum([(await throttle.take("alice", SLOW)).allowed for _ in range(tries)])


ASK = """
import asyncio, sys
from adapters.redis.client import BestEffort, open_client
from adapters.redis.throttle import RedisThrottle
from adapters.memory.throttle import LocalThrottle
from models.rate import Rate

async def main(url, prefix):
    client = open_client(url)
    calls = BestEffort(timeout_seconds=20)
    throttle = RedisThrottle(client, prefix, LocalThrottle(), calls=calls)
    rate = Rate("create", permits=1000, per_seconds=86_400, burst=50)
    verdicts = await asyncio.gather(*(throttle.take("alice", rate) for _ in range(40)))
    print(sum(verdict.allowed for verdict in verdicts))
    await client.aclose()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_processes_share_one_bucket(redis_url: str) -> None:
    words = [sys.executable, "-c", ASK, redis_url, f"{uuid.uuid4().hex}:"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [
        await asyncio.create_subprocess_exec(*words, env=env, stdout=asyncio.subprocess.PIPE)
        for _ in range(3)
    ]
    answers = await asyncio.gather(*(process.communicate() for process in processes))
    assert sum(int(out) for out, _ in answers) == 50


async def test_a_bucket_lives_until_it_is_full_again(client: Redis) -> None:
    prefix = uuid.uuid4().hex
    await allowed(throttle(client, prefix), 2)
    (key,) = await client.keys(f"{prefix}*")
    life = await client.pttl(key)
    assert 2 * 8_640_000 - 60_000 < life <= 2 * 8_640_000


async def test_a_refusal_is_one_call_at_most(client: Redis) -> None:
    throttled = throttle(client, uuid.uuid4().hex)
    await allowed(throttled, 1)  # the script is known to the server now
    before = (await client.info("commandstats"))["cmdstat_evalsha"]["calls"]
    assert await allowed(throttled, 30) == 4
    after = (await client.info("commandstats"))["cmdstat_evalsha"]["calls"]
    # What this process refuses by itself is not asked for.
    assert after - before == 4


@pytest.mark.parametrize("junk", ["", "nan", "inf", "-inf", "1e300", "x" * 1000, "-5"])
async def test_whatever_stands_in_a_key_is_a_bucket(client: Redis, junk: str) -> None:
    prefix = uuid.uuid4().hex
    await client.set(f"{prefix}alice", junk)
    verdict = await throttle(client, prefix).take("alice", SLOW)
    assert 0 <= verdict.retry_after_seconds <= 86_400
    assert 0 <= verdict.remaining < 5


async def test_a_key_of_another_kind_is_as_good_as_no_redis(client: Redis) -> None:
    prefix = uuid.uuid4().hex
    await client.rpush(f"{prefix}alice", "x")
    assert await allowed(throttle(client, prefix), 10) == 5


@pytest.mark.parametrize("harm", ["kill", "stop"])
async def test_without_redis_each_process_counts_for_itself(tmp_path: Path, harm: str) -> None:
    with Valkey(tmp_path) as server:
        client = open_client(server.url)
        first, second = (
            throttle(client, "rate:", timeout_seconds=timeout) for timeout in (0.25, 0.25)
        )
        assert await allowed(first, 3) == 3
        if harm == "kill":
            server.kill()
        else:
            os.kill(server.pid, signal.SIGSTOP)
        async with asyncio.timeout(LONG):
            assert await allowed(first, 10) == 2  # what it let through before still counts
            assert await allowed(second, 10) == 5
        if harm == "kill":
            server.start()
        else:
            os.kill(server.pid, signal.SIGCONT)
        assert await allowed(first, 10) == 0
        await client.aclose()


async def test_a_flush_gives_nobody_a_fresh_bucket_here(tmp_path: Path) -> None:
    with Valkey(tmp_path) as server:
        client = open_client(server.url)
        first, second = throttle(client, "rate:"), throttle(client, "rate:")
        assert await allowed(first, 5) == 5
        assert await allowed(second, 1) == 0
        await client.flushall()
        await client.script_flush()
        assert await allowed(first, 5) == 0
        assert await allowed(second, 10) == 4  # one of its own five went when it was refused
        await client.aclose()
