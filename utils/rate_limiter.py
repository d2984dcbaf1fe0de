"""Hold calls back to so many a second, first come, first served."""

import asyncio
import time
from collections.abc import Awaitable, Callable


class RateLimiterFull(Exception):  # noqa: N818  a state of the limiter, named as such
    """More callers wait than may; the call was not made."""


class RateLimiter:
    """`await limiter.acquire()` before each call; for one event loop.

    Lets `burst` calls through at once and then `rate_per_second`, counted so that no window of
    t seconds ever holds more than burst + t * rate (GCRA). At most `max_waiting` callers wait.
    """

    def __init__(
        self,
        rate_per_second: float,
        burst: int,
        *,
        max_waiting: int = 10_000,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if rate_per_second <= 0 or burst < 1 or max_waiting < 1:
            raise ValueError("rate_per_second, burst and max_waiting must be positive")
        self._interval = 1 / rate_per_second
        self._tolerance = (burst - 1) * self._interval
        self._max_waiting = max_waiting
        self._monotonic = monotonic
        self._sleep = sleep
        # When the calls so far would have ended if they had come one by one.
        self._busy_until = monotonic()
        self._waiting = 0
        # Callers queue on the lock, which is fair; a cancelled one leaves without taking a turn.
        self._turn = asyncio.Lock()

    async def acquire(self) -> None:
        """Return when the call may be made. Raises RateLimiterFull if too many wait already."""
        if self._waiting >= self._max_waiting:
            raise RateLimiterFull(f"{self._waiting} calls wait already")
        self._waiting += 1
        try:
            async with self._turn:
                while (wait := self._busy_until - self._tolerance - self._monotonic()) > 0:
                    await self._sleep(wait)
                self._busy_until = max(self._busy_until, self._monotonic()) + self._interval
        finally:
            self._waiting -= 1
