"""A store that fails on demand, and lets others in between a caller's steps."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from ports.store import StoreError

Action = Callable[[], Awaitable[object]]
When = Literal["before", "after"]


class FaultyStore:
    """Passes every call on to another store; what is planned happens to the next calls."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._plans: dict[str, deque[tuple[When, Action]]] = {}
        self.calls: list[str] = []

    def fail(self, method: str, when: When, times: int = 1, *, skip: int = 0) -> None:
        """Let calls fail, before they had an effect or after (the answer is lost): the next ones,
        or those after the next `skip`."""

        async def lost() -> None:
            raise StoreError(f"{method} was not confirmed")

        for action in [_nothing] * skip + [lost] * times:
            self.meanwhile(method, when, action)

    def meanwhile(self, method: str, when: When, action: Action) -> None:
        """Do something just before or after the effect of the next call."""
        self._plans.setdefault(method, deque()).append((when, action))

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append(name)
            plans = self._plans.get(name)
            when, action = plans.popleft() if plans else ("after", _nothing)
            if when == "before":
                await action()
            result = await method(*args, **kwargs)
            if when == "after":
                await action()
            return result

        return call


class SlowStore:
    """Gives way to other tasks a few times before and after each effect, as a seed decides."""

    def __init__(self, store: Any, seed: int) -> None:
        self._store = store
        self._random = random.Random(seed)  # noqa: S311  an interleaving, not a secret

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            await self._give_way()
            result = await method(*args, **kwargs)
            await self._give_way()
            return result

        return call

    async def _give_way(self) -> None:
        for _ in range(self._random.randrange(4)):
            await asyncio.sleep(0)


async def _nothing() -> None:
    return
