"""Wake-ups and locks within one process."""

import asyncio
from collections.abc import Callable


class LocalWakeups:
    """ports.signals.Wakeups over an event: a signal that nobody waits for is kept for the next."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    async def signal(self) -> None:
        self.wake()

    def wake(self) -> None:
        """Wake those who wait."""
        self._event.set()

    async def wait(self, timeout_seconds: float) -> None:
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._event.wait()
        except TimeoutError:
            return
        self._event.clear()


class LocalLocks:
    """ports.signals.Locks over a table of (holder, until) by name, which all holders share."""

    def __init__(
        self, held: dict[str, tuple[str, float]], holder: str, now: Callable[[], float]
    ) -> None:
        """`now` is a clock in seconds that all holders share."""
        self._held = held
        self._holder = holder
        self._now = now

    async def hold(self, name: str, seconds: float) -> bool:
        holder, until = self._held.get(name, (self._holder, 0.0))
        if holder != self._holder and until > self._now():
            return False
        self._held[name] = (self._holder, self._now() + seconds)
        return True

    async def drop(self, name: str) -> None:
        if self._held.get(name, ("", 0.0))[0] == self._holder:
            del self._held[name]
