"""The Redis client, and calls that are worth a quarter of a second but never more."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import RedisError

T = TypeVar("T")


def open_client(url: str, options: Mapping[str, Any] | None = None) -> Redis:
    """A client for `url`; it connects at its first use and is closed by its `aclose()`.

    `options` are the driver's keyword arguments (pool size, time-outs). A call waits for a free
    connection. Raises ValueError for a URL that is none.
    """
    return Redis.from_pool(BlockingConnectionPool.from_url(url, **(options or {})))


class BestEffort:
    """Calls to Redis that may fail without harm, and cost little while it is slow or gone.

    A call gets `timeout_seconds`. After one that failed, no other is tried for `pause_seconds`.
    """

    def __init__(self, timeout_seconds: float = 0.25, pause_seconds: float = 1.0) -> None:
        self._timeout_seconds = timeout_seconds
        self._pause_seconds = pause_seconds
        self._quiet_until = 0.0

    async def call(self, command: Callable[[], Awaitable[T]]) -> T | None:
        """The command's answer; None if there was none, or none was asked for."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._quiet_until:
            return None
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await command()
        except (RedisError, OSError, TimeoutError):
            self._quiet_until = loop.time() + self._pause_seconds
            return None
