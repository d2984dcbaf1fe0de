"""A small cache by key and age, for one event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

MAX_CACHED = 10_000


class Cache(Generic[T]):
    """Values by key, kept for some seconds; at most `MAX_CACHED` of them."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._values: dict[str, tuple[float, T]] = {}

    async def get(
        self,
        key: str,
        fetch: Callable[[], Awaitable[T]],
        keep: Callable[[T], bool] = lambda value: True,
    ) -> T:
        """The kept value, or a new one, which is kept if `keep` says so."""
        now = asyncio.get_running_loop().time()
        if key in self._values and self._values[key][0] > now:
            return self._values[key][1]
        value = await fetch()
        if keep(value):
            if len(self._values) >= MAX_CACHED:
                self._values.clear()
            self._values[key] = (now + self._seconds, value)
        return value
