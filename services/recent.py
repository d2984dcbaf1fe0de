"""A figure that may be some seconds old, so that many who ask share one look."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """What `look` returned at most `seconds` ago by `clock`, which only moves on; at most one looks
    at a time, and the others wait for what it sees."""

    def __init__(
        self, seconds: float, clock: Callable[[], float], look: Callable[[], Awaitable[T]]
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._look = look
        self._seen: tuple[float, T] | None = None
        self._looking = asyncio.Lock()

    async def get(self) -> T:
        """The figure; raises whatever `look` raises."""
        async with self._looking:
            now = self._clock()
            if self._seen is None or now - self._seen[0] > self._seconds:
                self._seen = (now, await self._look())
            return self._seen[1]
