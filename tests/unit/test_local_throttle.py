"""Buckets within one process: their bound, and the clock that they go by."""

from hypothesis import given
from hypothesis import strategies as st

from adapters.memory.throttle import LocalThrottle
from models.rate import SECOND_US, Rate

ONE = Rate("act", permits=1, per_seconds=60, burst=1)


class Clock:
    def __init__(self) -> None:
        self.us = 5 * SECOND_US

    def __call__(self) -> int:
        return self.us


async def test_a_permit_comes_back_with_the_clock() -> None:
    clock = Clock()
    throttle = LocalThrottle(clock)
    assert (await throttle.take("alice", ONE)).allowed
    clock.us += 60 * SECOND_US - 1
    assert not (await throttle.take("alice", ONE)).allowed
    clock.us += 1
    assert (await throttle.take("alice", ONE)).allowed


async def test_the_key_that_was_not_asked_for_longest_is_forgotten() -> None:
    throttle = LocalThrottle(Clock(), max_keys=3)
    for key in ("alice", "bob", "carol"):
        await throttle.take(key, ONE)
    assert not (await throttle.take("alice", ONE)).allowed  # and so it is not the oldest
    await throttle.take("dave", ONE)
    assert not (await throttle.take("alice", ONE)).allowed
    assert (await throttle.take("bob", ONE)).allowed


@given(st.lists(st.integers(0, 30), max_size=200))
async def test_never_more_keys_than_the_bound(keys: list[int]) -> None:
    throttle = LocalThrottle(Clock(), max_keys=10)
    for key in keys:
        await throttle.take(str(key), ONE)
    assert len(throttle._full_at) == min(10, len(set(keys)))
