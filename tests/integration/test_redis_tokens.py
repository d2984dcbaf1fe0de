"""What Redis remembers of revoked tokens, over a real server: while it is fast, stuck, flushed,
gone, or says nonsense."""

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator, Collection, Mapping
from pathlib import Path

import pytest
from redis.asyncio import Redis

from adapters.memory.tokens import MemoryRevocations
from adapters.redis.client import BestEffort, open_client
from adapters.redis.tokens import FOUND_SECONDS, NOT_FOUND_SECONDS, CachedRevocations
from devnet.embedded import Valkey
from models.token import ALWAYS, NEVER, Revocation, Target
from ports.store import StoreError
from tests.contract.conftest import TickingClock
from tests.factories import LONG_AGO

ONE, OTHER = Target("1"), Target(subject="shop", before=LONG_AGO)
KEYS = [ONE.key, OTHER.key]
LONG_AGO_MS = round(LONG_AGO.timestamp() * 1000)


class Kept(MemoryRevocations):
    """What MongoDB would hold; `asked` is what it was asked, `away` whether it answers."""

    def __init__(self) -> None:
        super().__init__(TickingClock())
        self.asked: list[list[str]] = []
        self.away = False
        self.hold: asyncio.Event | None = None
        self.reached = asyncio.Event()

    async def cutoffs(self, keys: Collection[str]) -> Mapping[str, int]:
        if self.away:
            raise StoreError("away")
        self.asked.append(list(keys))
        found = await super().cutoffs(keys)
        self.reached.set()
        if self.hold is not None:
            await self.hold.wait()
        return found

    async def revoke(self, target: Target, by: str, reason: str) -> Revocation:
        if self.away:
            raise StoreError("away")
        return await super().revoke(target, by, reason)


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[Redis]:
    client = open_client(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
def prefix() -> str:
    return f"{uuid.uuid4().hex}:"


def replica(kept: Kept, client: Redis, prefix: str) -> CachedRevocations:
    """One that tries every call, however the one before went."""
    return CachedRevocations(kept, client, prefix, BestEffort(pause_seconds=0))


async def test_an_answer_is_remembered_either_way(client: Redis, prefix: str) -> None:
    kept = Kept()
    await kept.revoke(ONE, "a", "r")
    replicas = [replica(kept, client, prefix) for _ in range(2)]
    for one in replicas * 2:
        assert await one.cutoffs(KEYS) == {ONE.key: ALWAYS, OTHER.key: NEVER}
    assert kept.asked == [KEYS]


async def test_only_what_is_not_remembered_is_asked(client: Redis, prefix: str) -> None:
    kept = Kept()
    one = replica(kept, client, prefix)
    await one.cutoffs([OTHER.key])
    assert await one.cutoffs(KEYS) == dict.fromkeys(KEYS, NEVER)
    assert kept.asked == [[OTHER.key], [ONE.key]]


async def test_every_answer_ends_by_itself(client: Redis, prefix: str) -> None:
    kept = Kept()
    await kept.revoke(ONE, "a", "r")
    await replica(kept, client, prefix).cutoffs(KEYS)
    lives = {key: await client.ttl(prefix + key) for key in KEYS}
    assert 0 < lives[OTHER.key] <= NOT_FOUND_SECONDS <= 5
    assert NOT_FOUND_SECONDS < lives[ONE.key] <= FOUND_SECONDS
    await client.delete(*(prefix + key for key in KEYS))
    assert (await replica(kept, client, prefix).cutoffs(KEYS))[ONE.key] == ALWAYS
    assert kept.asked == [KEYS, KEYS]


async def test_looking_does_not_lengthen_what_is_remembered(client: Redis, prefix: str) -> None:
    kept = Kept()
    one = replica(kept, client, prefix)
    await one.cutoffs([OTHER.key])
    await client.expire(prefix + OTHER.key, 1)
    await one.cutoffs([OTHER.key])
    await one._tell({OTHER.key: NEVER}, BestEffort())
    assert await client.ttl(prefix + OTHER.key) <= 1


async def test_a_revocation_holds_on_every_replica_at_once(client: Redis, prefix: str) -> None:
    kept = Kept()
    first, second = (replica(kept, client, prefix) for _ in range(2))
    assert await second.cutoffs(KEYS) == dict.fromkeys(KEYS, NEVER)
    await first.revoke(ONE, "a", "r")
    await first.revoke(OTHER, "a", "r")
    assert await second.cutoffs(KEYS) == {ONE.key: ALWAYS, OTHER.key: LONG_AGO_MS}


async def test_an_answer_on_its_way_brings_nothing_back(client: Redis, prefix: str) -> None:
    """A request asks, somebody revokes, and only then is the old answer remembered."""
    kept = Kept()
    slow, quick = (replica(kept, client, prefix) for _ in range(2))
    kept.hold = asyncio.Event()
    asking = asyncio.create_task(slow.cutoffs(KEYS))
    await kept.reached.wait()
    await quick.revoke(ONE, "a", "r")
    kept.hold.set()
    assert await asking == dict.fromkeys(KEYS, NEVER), "asked before"
    assert (await slow.cutoffs(KEYS))[ONE.key] == ALWAYS


async def test_an_earlier_time_overwrites_no_later_one(client: Redis, prefix: str) -> None:
    kept = Kept()
    one = replica(kept, client, prefix)
    await one.revoke(OTHER, "a", "r")
    await one._tell({OTHER.key: LONG_AGO_MS - 1}, BestEffort())
    assert await one.cutoffs([OTHER.key]) == {OTHER.key: LONG_AGO_MS}


async def test_one_round_trip_for_what_is_remembered(
    client: Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept()
    one = replica(kept, client, prefix)
    await one.cutoffs(KEYS)
    commands = []
    send = client.execute_command

    async def counted(*command: object, **options: object) -> object:
        commands.append(command[0])
        return await send(*command, **options)

    monkeypatch.setattr(client, "execute_command", counted)
    for _ in range(10):
        await one.cutoffs(KEYS)
    assert commands == ["MGET"] * 10


async def test_a_flush_forgets_nothing(client: Redis, prefix: str) -> None:
    kept = Kept()
    one = replica(kept, client, prefix)
    await one.revoke(ONE, "a", "r")
    await client.delete(prefix + ONE.key)
    assert await one.cutoffs([ONE.key]) == {ONE.key: ALWAYS}


@pytest.mark.parametrize("nonsense", [b"", b"x", b"-1", b"1e3", b"\xff", "²".encode(), b"9" * 5000])
async def test_nonsense_is_no_answer(client: Redis, prefix: str, nonsense: bytes) -> None:
    kept = Kept()
    await kept.revoke(ONE, "a", "r")
    await client.set(prefix + ONE.key, nonsense)
    await client.lpush(prefix + OTHER.key, "a list")  # type: ignore[misc]
    one = replica(kept, client, prefix)
    assert await one.cutoffs(KEYS) == {ONE.key: ALWAYS, OTHER.key: NEVER}


async def test_what_is_remembered_outlives_the_database(client: Redis, prefix: str) -> None:
    kept = Kept()
    one = replica(kept, client, prefix)
    await one.revoke(ONE, "a", "r")
    await one.cutoffs([OTHER.key])
    kept.away = True
    assert await one.cutoffs(KEYS) == {ONE.key: ALWAYS, OTHER.key: NEVER}
    with pytest.raises(StoreError):
        await one.cutoffs([ONE.key, "token:2"])
    with pytest.raises(StoreError):
        await one.revoke(OTHER, "a", "r")


async def test_a_revocation_that_is_not_kept_is_not_remembered(client: Redis, prefix: str) -> None:
    kept = Kept()
    one = replica(kept, client, prefix)
    kept.away = True
    with pytest.raises(StoreError):
        await one.revoke(ONE, "a", "r")
    assert await client.get(prefix + ONE.key) is None


async def test_without_a_server_the_database_is_asked(tmp_path: Path, prefix: str) -> None:
    kept = Kept()
    with Valkey(tmp_path) as valkey:
        client = open_client(valkey.url)
        one = replica(kept, client, prefix)
        await one.revoke(ONE, "a", "r")
        valkey.stop()
        await one.revoke(OTHER, "a", "r")
        for _ in range(2):
            assert await one.cutoffs(KEYS) == {ONE.key: ALWAYS, OTHER.key: LONG_AGO_MS}
        assert kept.asked == [KEYS, KEYS]
        await client.aclose()


async def test_a_stuck_server_costs_a_moment(tmp_path: Path, prefix: str) -> None:
    kept = Kept()
    with Valkey(tmp_path) as valkey:
        client = open_client(valkey.url)
        one = CachedRevocations(kept, client, prefix)
        await one.cutoffs(KEYS)
        os.kill(valkey.pid, signal.SIGSTOP)
        await one.revoke(ONE, "a", "r")
        answers = [await one.cutoffs(KEYS) for _ in range(20)]
        os.kill(valkey.pid, signal.SIGCONT)
        assert answers == [{ONE.key: ALWAYS, OTHER.key: NEVER}] * 20
        await client.aclose()
