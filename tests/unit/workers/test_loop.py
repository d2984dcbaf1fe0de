"""A loop goes through every failure, ends when told to, and finishes its turn first."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from workers.loop import MAX_TURNS_AT_ONCE, Loop, every

FOREVER = 3_600.0
Turn = Callable[[], Awaitable[bool]]


async def soon() -> None:
    """A pause of one turn of the event loop."""
    await asyncio.sleep(0)


async def stopped(task: asyncio.Task[None]) -> None:
    """Wait for the end, which must come by itself."""
    async with asyncio.timeout(5):
        await task


class Script:
    """Turns that do what a list says: an answer or an error; then `stop` is set."""

    def __init__(self, *steps: bool | BaseException) -> None:
        self._steps = iter(steps)
        self.stop = asyncio.Event()
        self.seen: list[tuple[str, int]] = []
        self.loop = Loop("script", self.turn, self.pause)
        self.pauses = 0

    async def turn(self) -> bool:
        self.seen.append((self.loop.problem, self.loop.turns))
        step = next(self._steps, None)
        if step is None:
            self.stop.set()
            return False
        if isinstance(step, BaseException):
            raise step
        return step

    async def pause(self) -> None:
        self.pauses += 1

    async def run(self) -> None:
        async with asyncio.timeout(5):
            await self.loop.run(self.stop)


async def test_turns_follow_at_once_while_there_is_more() -> None:
    script = Script(True, True, False, True, False)
    await script.run()
    assert len(script.seen) == 6
    assert script.pauses <= 3  # after each False; the last one is cut short by the stop
    assert script.loop.turns == 6


async def test_an_error_ends_the_turn_and_not_the_loop() -> None:
    script = Script(True, ValueError("broken"), RuntimeError("still"), False)
    await script.run()
    problems = [problem for problem, _ in script.seen]
    assert problems == ["", "", "ValueError: broken", "RuntimeError: still", ""]
    assert script.loop.problem == ""
    assert script.loop.turns == 3


async def test_it_tells_when_a_turn_last_ended_well_and_when_one_failed() -> None:
    clock = asyncio.get_running_loop().time
    never, started = Script(), clock()
    assert (never.loop.succeeded_at, never.loop.failed_at) == (None, None)
    script = Script(False, ValueError("broken"))
    await script.run()
    succeeded, failed = script.loop.succeeded_at, script.loop.failed_at
    assert succeeded is not None
    assert failed is not None
    assert started <= failed <= succeeded <= clock()  # the last turn, which stops it, is a success


async def test_after_an_error_the_loop_pauses_before_it_tries_again() -> None:
    order: list[str] = []
    stop = asyncio.Event()

    async def turn() -> bool:
        order.append("turn")
        raise ValueError("broken")

    async def pause() -> None:
        order.append("pause")
        if len(order) >= 6:
            stop.set()

    await stopped(asyncio.create_task(Loop("x", turn, pause).run(stop)))
    assert order == ["turn", "pause"] * 3


async def test_an_error_is_shown_until_a_turn_ends_well() -> None:
    answers = iter([ValueError("broken"), False])
    reached = asyncio.Event()

    async def turn() -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    go_on = asyncio.Event()

    async def pause() -> None:
        reached.set()
        await go_on.wait()
        go_on.clear()

    loop, stop = Loop("x", turn, pause), asyncio.Event()
    task = asyncio.create_task(loop.run(stop))
    await reached.wait()
    assert (loop.problem, loop.turns) == ("ValueError: broken", 0)
    reached.clear()
    go_on.set()
    await reached.wait()
    assert (loop.problem, loop.turns) == ("", 1)
    stop.set()
    await stopped(task)


async def test_stop_ends_a_pause_at_once() -> None:
    paused = asyncio.Event()

    async def turn() -> bool:
        return False

    async def pause() -> None:
        paused.set()
        await every(FOREVER)()

    stop = asyncio.Event()
    task = asyncio.create_task(Loop("x", turn, pause).run(stop))
    await paused.wait()
    stop.set()
    await stopped(task)


async def test_a_turn_that_is_under_way_is_finished() -> None:
    begun, finish, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def turn() -> bool:
        begun.set()
        await finish.wait()
        done.set()
        return True

    stop = asyncio.Event()
    loop = Loop("x", turn, every(FOREVER))
    task = asyncio.create_task(loop.run(stop))
    await begun.wait()
    stop.set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not task.done()
    finish.set()
    await stopped(task)
    assert done.is_set()
    assert loop.turns == 1  # there was more, but it was told to stop


async def test_a_loop_that_was_stopped_before_does_nothing() -> None:
    script = Script(True)
    script.stop.set()
    await script.run()
    assert script.seen == []


@pytest.mark.parametrize("where", ["turn", "pause"])
async def test_cancellation_ends_it_wherever_it_is(where: str) -> None:
    reached = asyncio.Event()
    cancelled: list[str] = []

    async def hang(name: str) -> None:
        reached.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(name)
            raise

    async def turn() -> bool:
        if where == "turn":
            await hang("turn")
        return False

    task = asyncio.create_task(Loop("x", turn, lambda: hang("pause")).run(asyncio.Event()))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled == [where]


async def test_even_a_loop_that_always_has_more_gives_way() -> None:
    turns = 0
    stop = asyncio.Event()

    async def turn() -> bool:
        nonlocal turns
        turns += 1
        return True

    async def pause() -> None:
        stop.set()

    await stopped(asyncio.create_task(Loop("x", turn, pause).run(stop)))
    assert turns == MAX_TURNS_AT_ONCE


async def test_a_pause_that_fails_does_not_end_the_loop() -> None:
    script = Script(False, False)

    async def broken() -> None:
        raise OSError("no pause")

    loop = Loop("x", script.turn, broken)
    async with asyncio.timeout(5):
        await loop.run(script.stop)
    assert loop.turns == 3
