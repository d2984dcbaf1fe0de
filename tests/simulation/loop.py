"""An event loop with virtual time: it never waits, never does I/O, and always runs the same way.

Time stands still while anything is ready to run, and then jumps to the next timer. Timers that are
due at the same moment run in an order that the seed decides; what is ready runs first in, first
out, as asyncio promises.
"""

import asyncio
from asyncio import TimerHandle
from heapq import heappop
from random import Random
from typing import Any

MAX_STEPS = 400_000
"""Callbacks in one run; more means that something spins."""


class SpinningError(Exception):
    """The run does not come to rest."""


class VirtualLoop(asyncio.BaseEventLoop):
    """One thread, one clock that starts at 0 seconds."""

    def __init__(self, order: Random) -> None:
        """`order` decides among timers of one moment."""
        super().__init__()
        self._order = order
        self._now = 0.0
        self._steps = 0
        # What BaseEventLoop keeps and its stubs do not show.
        self._ready: Any
        self._scheduled: list[TimerHandle]

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._now

    def _run_once(self) -> None:
        ready = self._ready
        if not ready:
            ready.extend(self._due())
        self._steps += len(ready)
        if self._steps > MAX_STEPS:
            self._steps = 0
            raise SpinningError(f"more than {MAX_STEPS} steps by second {self._now:.3f}")
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _due(self) -> list[TimerHandle]:
        """The timers of the next moment at which there are any; time is there then."""
        scheduled = self._scheduled
        due: list[TimerHandle] = []
        while scheduled and (not due or scheduled[0].when() <= self._now):
            handle = heappop(scheduled)
            handle._scheduled = False  # type: ignore[attr-defined]
            if handle.cancelled():
                continue
            self._now = max(self._now, handle.when())
            due.append(handle)
        if not due:
            raise SpinningError(f"everything waits for nothing at second {self._now:.3f}")
        if len(due) > 1:
            self._order.shuffle(due)
        return due

    def _process_events(self, event_list: Any) -> None:
        """There is no I/O."""

    def _write_to_self(self) -> None:
        """Nobody wakes this loop from another thread."""
