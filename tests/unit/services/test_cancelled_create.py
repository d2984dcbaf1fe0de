"""A create that is cancelled, wherever it is: as if the process had died there, it leaves nothing
wrong."""

import asyncio
from typing import Any

import pytest

from adapters.memory.store import MemoryPayoutStore
from services.limits import ORPHAN_AGE_SECONDS
from tests.unit.services.desk import Desk, a_desk

AMOUNT = 12_500_000


class SlowStore:
    """A store whose every call takes a turn of the event loop before it is done, and one after."""

    def __init__(self, memory: MemoryPayoutStore) -> None:
        self._memory = memory

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._memory, name)

        async def call(*arguments: Any, **options: Any) -> Any:
            await asyncio.sleep(0)
            answer = await method(*arguments, **options)
            await asyncio.sleep(0)
            return answer

        return call


async def cancelled_after(desk: Desk, turns: int) -> bool:
    """Whether a create was still under way after so many turns; it is cancelled then."""
    task = asyncio.create_task(desk.create(key="k", body="b"))
    for _ in range(turns):
        await asyncio.sleep(0)
    under_way = task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return under_way


async def swept(desk: Desk) -> None:
    desk.clock.tick(ORPHAN_AGE_SECONDS + 1)
    while await desk.limits.sweep():
        pass


@pytest.mark.parametrize("repeated", ["at once", "after the sweep", "never"])
async def test_a_create_that_is_cancelled_counts_once_or_not_at_all(repeated: str) -> None:
    turns, under_way, outcomes = 0, True, set()
    while under_way:
        desk = a_desk(SlowStore)
        under_way = await cancelled_after(desk, turns)
        if repeated == "at once":
            await desk.create(key="k", body="b")
        await swept(desk)
        if repeated == "after the sweep":
            await desk.create(key="k", body="b")
        there = await desk.memory.find_by_key("platform", "k")
        assert await desk.used() == (0 if there is None else AMOUNT)
        assert there is not None or repeated == "never"
        outcomes.add(there is not None)
        turns += 1
    # It was cancelled before the payout was there, and after.
    assert outcomes == ({True, False} if repeated == "never" else {True})
    assert turns > 8
