import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.utils.virtual_clock import VirtualClock
from utils.rate_limiter import RateLimiter, RateLimiterFull


async def test_a_burst_passes_at_once_and_then_so_many_a_second():
    clock = VirtualClock()
    limiter = RateLimiter(10, 3, monotonic=clock.monotonic, sleep=clock.sleep)
    times = []
    for _ in range(6):
        await limiter.acquire()
        times.append(round(clock.now - 1000, 6))
    assert times == [0, 0, 0, 0.1, 0.2, 0.3]


async def test_the_burst_comes_back_with_time_but_not_more():
    clock = VirtualClock()
    limiter = RateLimiter(10, 3, monotonic=clock.monotonic, sleep=clock.sleep)
    for _ in range(3):
        await limiter.acquire()
    clock.now += 100
    for _ in range(3):
        await limiter.acquire()
    assert clock.slept == []
    await limiter.acquire()
    assert clock.slept == [pytest.approx(0.1)]


async def test_first_come_first_served():
    clock = VirtualClock()
    limiter = RateLimiter(1, 1, monotonic=clock.monotonic, sleep=clock.sleep)
    order = []

    async def call(number: int) -> None:
        await limiter.acquire()
        order.append(number)

    await asyncio.gather(*(call(number) for number in range(20)))
    assert order == list(range(20))
    assert clock.now == pytest.approx(1019)


async def test_a_cancelled_caller_takes_no_turn():
    clock = VirtualClock()
    asleep = asyncio.Event()

    async def sleep(seconds: float) -> None:
        asleep.set()
        await asyncio.Event().wait()

    limiter = RateLimiter(1, 1, monotonic=clock.monotonic, sleep=sleep)
    await limiter.acquire()
    waiting = asyncio.create_task(limiter.acquire())
    await asleep.wait()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    clock.now += 1
    async with asyncio.timeout(1):
        await limiter.acquire()


async def test_the_queue_is_bounded_and_frees_its_places():
    clock = VirtualClock()
    release = asyncio.Event()

    async def sleep(seconds: float) -> None:
        await release.wait()
        clock.now += seconds

    limiter = RateLimiter(1, 1, max_waiting=2, monotonic=clock.monotonic, sleep=sleep)
    await limiter.acquire()
    waiting = [asyncio.create_task(limiter.acquire()) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(RateLimiterFull):
        await limiter.acquire()
    release.set()
    await asyncio.gather(*waiting)
    await limiter.acquire()


@given(
    rate=st.floats(0.1, 100),
    burst=st.integers(1, 20),
    pauses=st.lists(st.floats(0, 5), min_size=1, max_size=60),
)
async def test_no_window_holds_more_than_the_burst_and_the_rate_allow(rate, burst, pauses):
    clock = VirtualClock()
    limiter = RateLimiter(rate, burst, monotonic=clock.monotonic, sleep=clock.sleep)
    times = []
    for pause in pauses:
        clock.now += pause
        await limiter.acquire()
        times.append(clock.now)
    for first in range(len(times)):
        for last in range(first, len(times)):
            window = times[last] - times[first]
            assert last - first + 1 <= burst + window * rate + 1e-6


@pytest.mark.parametrize("figures", [(0, 1), (-1, 1), (1, 0)])
def test_refuses_figures_that_let_nothing_through(figures):
    with pytest.raises(ValueError, match="positive"):
        RateLimiter(*figures)
