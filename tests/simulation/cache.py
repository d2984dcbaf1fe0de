"""What Redis remembers of revoked tokens in a world: values with a time to live."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any


class Cache:
    """The values, which a flush takes away. `now` is a clock in seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.values: dict[str, tuple[int, float]] = {}

    async def get_many(self, keys: Sequence[str]) -> list[str | None]:
        """As MGET: the texts that are there and have not run out."""
        return [self._valid(key) for key in keys]

    async def raise_to(self, keys: Sequence[str], args: Sequence[int]) -> None:
        """As the script of adapters/redis/tokens.py: (value, seconds) of each key, never lower."""
        for key, value, seconds in zip(keys, args[::2], args[1::2], strict=True):
            known = self._valid(key)
            if known is None or int(known) < value:
                self.values[key] = value, self._now() + seconds

    def _valid(self, key: str) -> str | None:
        value, until = self.values.get(key, (0, 0.0))
        return str(value) if until > self._now() else None


class CacheClient:
    """The few calls of a Redis client that revocations make, over the port of a `Cache`."""

    def __init__(self, port: Any) -> None:
        self._port = port

    async def mget(self, keys: Sequence[str]) -> list[str | None]:
        """The values of these keys."""
        found: list[str | None] = await self._port.get_many(keys)
        return found

    def register_script(self, text: str) -> Callable[..., Awaitable[None]]:
        """The one script that there is."""

        async def run(keys: Sequence[str], args: Sequence[int]) -> None:
            await self._port.raise_to(keys, args)

        return run
