"""A figure that many ask for, and one looks."""

import asyncio

import pytest

from services.recent import Recent


class Look:
    """Counts how often it looks; waits until it may, and fails when told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.looks = 0
        self.fails = False
        self.looking, self.may = asyncio.Event(), asyncio.Event()
        self.may.set()
        self.recent = Recent(5, lambda: self.now, self)

    async def __call__(self) -> int:
        self.looks += 1
        self.looking.set()
        await self.may.wait()
        if self.fails:
            raise OSError("no answer")
        return self.looks


async def test_a_figure_counts_for_so_many_seconds() -> None:
    look = Look()
    for now, expected in [(0, 1), (5, 1), (5.1, 2), (10, 2), (10.2, 3)]:
        look.now = now
        assert await look.recent.get() == expected


async def test_those_who_ask_at_once_share_one_look() -> None:
    look = Look()
    look.may.clear()
    asking = [asyncio.create_task(look.recent.get()) for _ in range(20)]
    await look.looking.wait()
    look.may.set()
    assert await asyncio.gather(*asking) == [1] * 20


async def test_a_look_that_failed_is_forgotten() -> None:
    look = Look()
    look.fails = True
    for expected in (1, 2):
        with pytest.raises(OSError, match="no answer"):
            await look.recent.get()
        assert look.looks == expected
    look.fails = False
    assert await look.recent.get() == 3


async def test_who_is_called_off_keeps_nobody_from_looking() -> None:
    look = Look()
    look.may.clear()
    asking = asyncio.create_task(look.recent.get())
    await look.looking.wait()
    asking.cancel()
    look.may.set()
    assert await look.recent.get() == 2
