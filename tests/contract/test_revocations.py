"""Revoked tokens, over every implementation."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from adapters.memory.tokens import MemoryRevocations
from adapters.mongo.tokens import RevokedTokens
from adapters.redis.client import open_client as open_redis
from adapters.redis.tokens import CachedRevocations
from models.token import ALWAYS, NEVER, Target
from ports.tokens import Revocations
from tests.contract.conftest import TickingClock
from tests.databases import fresh_database
from tests.factories import LONG_AGO

TOKEN = Target("token-1")
EARLY = Target(subject="$subject", tenant="north", before=LONG_AGO)
LATE = Target(subject="$subject", tenant="north", before=LONG_AGO + timedelta(milliseconds=1))
LONG_AGO_MS = round(LONG_AGO.timestamp() * 1000)


@pytest.fixture
async def kept(mongodb_url: str) -> AsyncIterator[RevokedTokens]:
    """Those of a database of its own."""
    async with fresh_database(mongodb_url) as database:
        yield RevokedTokens(database)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = open_redis(redis_url)
    yield client
    await client.aclose()


@pytest.fixture(params=["memory", "mongo", "redis over mongo"])
def revocations(request: pytest.FixtureRequest) -> Revocations:
    """Every implementation of the port, empty."""
    if request.param == "memory":
        return MemoryRevocations(TickingClock())
    kept: RevokedTokens = request.getfixturevalue("kept")
    if request.param == "mongo":
        return kept
    return CachedRevocations(kept, request.getfixturevalue("redis"), f"{uuid.uuid4().hex}:")


async def cutoff(revocations: Revocations, target: Target) -> int:
    return (await revocations.cutoffs([target.key]))[target.key]


async def test_what_was_not_revoked_counts(revocations: Revocations) -> None:
    keys = [TOKEN.key, EARLY.key]
    for _ in range(2):
        assert await revocations.cutoffs(keys) == dict.fromkeys(keys, NEVER)
    assert await revocations.revocations(None, 10) == []


async def test_a_token_is_revoked_whenever_it_was_issued(revocations: Revocations) -> None:
    await cutoff(revocations, TOKEN)
    revocation = await revocations.revoke(TOKEN, "ADMIN:$ada", "$reason")
    assert (revocation.target, revocation.revoked_by) == (TOKEN, "ADMIN:$ada")
    assert revocation.reason == "$reason"
    assert revocation.revoked_at > LONG_AGO
    for _ in range(2):
        assert await cutoff(revocations, TOKEN) == ALWAYS
        assert await cutoff(revocations, Target("token-2")) == NEVER


async def test_the_first_revocation_of_a_token_stays(revocations: Revocations) -> None:
    first = await revocations.revoke(TOKEN, "ADMIN:ada", "stolen")
    assert await revocations.revoke(TOKEN, "ADMIN:bob", "again") == first
    assert await revocations.revocations(None, 10) == [first]


async def test_the_latest_time_of_a_subject_counts(revocations: Revocations) -> None:
    early = await revocations.revoke(EARLY, "ADMIN:ada", "early")
    assert early.target == EARLY
    assert await cutoff(revocations, EARLY) == LONG_AGO_MS
    late = await revocations.revoke(LATE, "ADMIN:bob", "late")
    assert (late.target, late.revoked_by, late.reason) == (LATE, "ADMIN:bob", "late")
    assert await revocations.revoke(EARLY, "ADMIN:ada", "moves nothing back") == late
    assert await cutoff(revocations, EARLY) == LONG_AGO_MS + 1
    assert await revocations.revocations(None, 10) == [late]


async def test_concurrent_revocations_leave_the_furthest(revocations: Revocations) -> None:
    targets = [
        Target(subject="s", before=LONG_AGO + timedelta(milliseconds=number))
        for number in range(20)
    ]
    await asyncio.gather(*(revocations.revoke(target, "a", "r") for target in targets))
    assert await cutoff(revocations, targets[0]) == LONG_AGO_MS + 19
    (left,) = await revocations.revocations(None, 10)
    assert left.target == targets[-1]


async def test_a_subject_is_one_of_a_tenant(revocations: Revocations) -> None:
    north, south, none = (Target(subject="s", tenant=t, before=LONG_AGO) for t in ("n", "s", None))
    await revocations.revoke(north, "a", "r")
    assert await cutoff(revocations, north) == LONG_AGO_MS
    assert await cutoff(revocations, south) == NEVER
    assert await cutoff(revocations, none) == NEVER


async def test_names_that_look_alike_are_told_apart(revocations: Revocations) -> None:
    await revocations.revoke(Target(subject="b:c", tenant="a", before=LONG_AGO), "x", "r")
    await revocations.revoke(Target("subject:a:d"), "x", "r")
    for other in (
        Target(subject="a:b:c", before=LONG_AGO),
        Target(subject="c", tenant="a", before=LONG_AGO),
        Target(subject="d", tenant="a", before=LONG_AGO),
        Target("a:b:c"),
    ):
        assert await cutoff(revocations, other) == NEVER


async def test_pages_in_the_order_of_their_keys(revocations: Revocations) -> None:
    names = ["b", "a", "ä", "B", "𝄞"]
    for name in names:
        await revocations.revoke(Target(subject=name, before=LONG_AGO), "x", "r")
        await revocations.revoke(Target(name), "x", "r")
    pages, after = [], None
    while page := await revocations.revocations(after, 3):
        pages.append(page)
        after = page[-1].target.key
    keys = [one.target.key for page in pages for one in page]
    assert keys == sorted(keys)
    assert len(set(keys)) == 2 * len(names)
    assert [len(page) for page in pages] == [3, 3, 3, 1]
