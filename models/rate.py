"""How often something may be done: a token bucket, kept as one moment (GCRA).

All times are whole microseconds, so that every place where a bucket is kept decides alike.
"""

from dataclasses import dataclass
from typing import Final

SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """`permits` for each `per_seconds`, of which `burst` (1 to `permits`) may be taken at once.

    No window of t seconds holds more than burst + t · permits / per_seconds. `name` is how an
    answer calls it.
    """

    name: str
    permits: int
    per_seconds: int
    burst: int

    @property
    def interval_us(self) -> int:
        """How long one permit takes to come back; rounded up, so that never more come."""
        return -(-self.per_seconds * SECOND_US // self.permits)

    @property
    def full_us(self) -> int:
        """How long an empty bucket takes to fill up."""
        return self.burst * self.interval_us


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of asking for a permit.

    `remaining` more may be taken now; after `retry_after_seconds` the next one (0 if it was
    allowed), after `reset_seconds` the whole burst.
    """

    allowed: bool
    remaining: int
    retry_after_seconds: float
    reset_seconds: float


def take(rate: Rate, until_us: int, now_us: int) -> tuple[int, Verdict]:
    """Ask for a permit of a bucket that is full again at `until_us`; when it is full after that.

    A moment that no bucket of this rate can have counts as the nearest one that it can: so a rate
    that changes, or a clock that does, leaves nobody waiting for longer than `full_us`.
    """
    until_us = min(max(until_us, now_us), now_us + rate.full_us)
    wait_us = until_us + rate.interval_us - rate.full_us - now_us
    if wait_us <= 0:
        until_us += rate.interval_us
    return until_us, verdict(rate, wait_us, until_us - now_us)


def verdict(rate: Rate, wait_us: int, reset_us: int) -> Verdict:
    """The verdict where a permit is there in `wait_us` (≤ 0: now, and it was taken), and the bucket
    is full again in `reset_us`."""
    return Verdict(
        allowed=wait_us <= 0,
        remaining=(rate.full_us - reset_us) // rate.interval_us,
        retry_after_seconds=max(wait_us, 0) / SECOND_US,
        reset_seconds=reset_us / SECOND_US,
    )
