"""A bounded loop around one service call: turn after turn, through every failure, until told to
stop. A turn that is under way is finished first."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)

MAX_TURNS_AT_ONCE = 1_000
"""Turns without a pause, after which even a loop that has more to do gives way once."""


class Loop:
    """Calls `turn` until it says that nothing more is there at once, then awaits `pause`.

    A turn that fails is logged and counted as one with nothing more to do, so that `pause` is the
    back-off. `problem` is what the last turn failed with, `turns` how many ended well;
    `succeeded_at` and `failed_at` are when the last one did, by the clock of the event loop.
    """

    def __init__(
        self,
        name: str,
        turn: Callable[[], Awaitable[bool]],
        pause: Callable[[], Awaitable[None]],
    ) -> None:
        self.name = name
        self._turn = turn
        self._pause = pause
        self.problem = ""
        self.turns = 0
        self.succeeded_at: float | None = None
        self.failed_at: float | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Loop until `stop` is set. Raises only CancelledError."""
        while not stop.is_set():
            for _ in range(MAX_TURNS_AT_ONCE):
                if not await self._take_turn() or stop.is_set():
                    break
            await _first_of(self._pause(), stop.wait())

    async def _take_turn(self) -> bool:
        try:
            more = await self._turn()
        except Exception as error:  # a loop outlives whatever one turn meets
            if not self.problem:
                log.exception("loop turn failed", loop=self.name)
            self.problem = f"{type(error).__name__}: {error}"
            self.failed_at = asyncio.get_running_loop().time()
            return False
        if self.problem:
            log.info("loop works again", loop=self.name)
        self.problem = ""
        self.turns += 1
        self.succeeded_at = asyncio.get_running_loop().time()
        return more


async def _first_of(*waits: Awaitable[object]) -> None:
    """Return when the first one is done; the others are cancelled."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def every(seconds: float) -> Callable[[], Awaitable[None]]:
    """A pause of so many seconds."""

    async def pause() -> None:
        await asyncio.sleep(seconds)

    return pause
