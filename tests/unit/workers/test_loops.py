"""Each loop around its service call."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from adapters.memory.signals import LocalLocks, LocalWakeups
from workers.dispatcher import dispatch_loop
from workers.housekeeper import housekeeping_loop
from workers.loop import Loop
from workers.scheduler import scheduler_loop
from workers.sequencer import archive_loop, head_loop, sequence_loop
from workers.settler import LOCK_TURNS, review_loop, settle_loop

FOREVER = 3_600.0


class Recorder:
    """Stands for every service: notes what is called, answers as told, and then stops the loop."""

    def __init__(self, answers: dict[str, Any] | None = None, turns: int = 1) -> None:
        self.calls: list[str] = []
        self.stop = asyncio.Event()
        self._answers = answers or {}
        self._turns = turns

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any) -> Any:
            self.calls.append(name)
            if self.calls.count(self.calls[0]) >= self._turns:
                self.stop.set()
            answer = self._answers.get(name, 0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


async def run(loop: Loop, services: Recorder) -> None:
    """Let a loop run until the recorder stops it."""
    async with asyncio.timeout(5):
        await loop.run(services.stop)


def locks(*held_elsewhere: str) -> LocalLocks:
    """Locks of this process; those named are another one's."""
    held = dict.fromkeys(held_elsewhere, ("another", FOREVER))
    return LocalLocks(held, "this one", lambda: 0.0)


Make = Callable[[Any, LocalLocks], Loop]
LOOPS: dict[str, Make] = {
    "dispatcher": lambda any_, _: dispatch_loop(any_, any_, LocalWakeups(), FOREVER),
    "settler": lambda any_, locks_: settle_loop(any_, any_, locks_, FOREVER),
    "reviewer": lambda any_, locks_: review_loop(any_, any_, locks_, FOREVER),
    "housekeeper": lambda any_, _: housekeeping_loop(any_, FOREVER),
    "scheduler": lambda any_, locks_: scheduler_loop(any_, any_, locks_, FOREVER),
    "sequencer": lambda any_, locks_: sequence_loop(any_, locks_, FOREVER),
    "archivist": lambda any_, locks_: archive_loop(any_, locks_),
    "audit_head": lambda any_, _: head_loop(any_),
}


@pytest.mark.parametrize(
    ("name", "held_elsewhere", "calls"),
    [
        ("dispatcher", [], ["ensure", "run_group"]),
        ("dispatcher", ["settler", "reviewer"], ["ensure", "run_group"]),
        ("settler", [], ["ensure", "advance"]),
        ("settler", ["reviewer"], ["ensure", "advance"]),
        ("settler", ["settler"], ["ensure", "follow"]),
        ("reviewer", [], ["ensure", "review"]),
        ("reviewer", ["settler"], ["ensure", "review"]),
        ("reviewer", ["reviewer"], ["ensure"]),
        ("housekeeper", [], ["run"]),
        ("scheduler", ["settler"], ["run", "run"]),
        ("sequencer", ["archivist"], ["run"]),
        ("archivist", ["sequencer"], ["archive"]),
        ("audit_head", ["sequencer", "archivist"], ["run"]),
    ],
)
async def test_what_a_turn_calls(name: str, held_elsewhere: list[str], calls: list[str]) -> None:
    services = Recorder()
    loop = LOOPS[name](services, locks(*held_elsewhere))
    await run(loop, services)
    assert loop.name == name
    assert services.calls == calls
    assert (loop.turns, loop.problem) == (1, "")


@pytest.mark.parametrize(("name", "call"), [("dispatcher", "run_group"), ("settler", "advance")])
async def test_more_to_do_is_done_without_a_pause(name: str, call: str) -> None:
    services = Recorder({call: True}, turns=5)
    await run(LOOPS[name](services, locks()), services)
    assert services.calls == ["ensure", call] * 5


@pytest.mark.parametrize(("name", "call"), [("sequencer", "run"), ("archivist", "archive")])
async def test_more_to_log_is_logged_without_a_pause(name: str, call: str) -> None:
    services = Recorder({call: True}, turns=5)
    await run(LOOPS[name](services, locks()), services)
    assert services.calls == [call] * 5


@pytest.mark.parametrize("name", ["scheduler", "sequencer", "archivist"])
async def test_what_another_replica_keeps_is_left_to_it(name: str) -> None:
    services = Recorder()
    assert not await LOOPS[name](services, locks(name))._turn()
    assert services.calls == []


@pytest.mark.parametrize("name", ["dispatcher", "settler", "reviewer"])
async def test_nothing_is_asked_of_a_chain_that_is_not_known_to_be_ours(name: str) -> None:
    services = Recorder({"ensure": ConnectionError("no endpoint")})
    loop = LOOPS[name](services, locks())
    await run(loop, services)
    assert services.calls == ["ensure"]
    assert loop.problem == "ConnectionError: no endpoint"


async def test_a_signal_wakes_the_dispatcher_long_before_its_poll() -> None:
    services = Recorder(turns=2)
    wakeups = LocalWakeups()
    await wakeups.signal()  # the first pause takes it, and there is no second one
    await run(dispatch_loop(services, services, wakeups, FOREVER), services)  # type: ignore[arg-type]
    assert services.calls == ["ensure", "run_group"] * 2


async def test_the_lock_outlives_a_few_polls_and_then_another_takes_over() -> None:
    held: dict[str, tuple[str, float]] = {}
    now = 0.0
    ours, theirs = (LocalLocks(held, name, lambda: now) for name in ("ours", "theirs"))
    poll = 3.0
    first = Recorder()
    await run(settle_loop(first, first, ours, poll), first)  # type: ignore[arg-type]
    takes = {}
    for now in (poll * LOCK_TURNS - 0.1, poll * LOCK_TURNS):
        second = Recorder()
        await run(settle_loop(second, second, theirs, poll), second)  # type: ignore[arg-type]
        takes[now] = second.calls[-1]
    assert list(takes.values()) == ["follow", "advance"]
