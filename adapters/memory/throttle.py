"""Buckets within one process."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from models.rate import Rate, Verdict, take

MAX_KEYS: Final = 50_000
"""About 10 MB. Beyond it the bucket that was asked for least recently is forgotten."""


def monotonic_us() -> int:
    """The clock of this process, in microseconds."""
    return time.monotonic_ns() // 1_000


class LocalThrottle:
    """ports.throttle.Throttle over a table of the moments at which buckets are full again."""

    def __init__(self, now_us: Callable[[], int] = monotonic_us, max_keys: int = MAX_KEYS) -> None:
        self._now_us = now_us
        self._max_keys = max_keys
        self._full_at: OrderedDict[str, int] = OrderedDict()

    async def take(self, key: str, rate: Rate) -> Verdict:
        self._full_at[key], verdict = take(rate, self._full_at.get(key, 0), self._now_us())
        self._full_at.move_to_end(key)
        if len(self._full_at) > self._max_keys:
            self._full_at.popitem(last=False)
        return verdict
