import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.unit.utils.virtual_clock import VirtualClock
from utils.retry import RetryPolicy, retry

POLICY = RetryPolicy(tries=4, base_seconds=2, max_seconds=5, multiplier=2, jitter=0.1)


class Flaky:
    def __init__(self, failures: int, error: BaseException) -> None:
        self.failures = failures
        self.error = error
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "answer"


async def test_tries_again_with_growing_bounded_waits_and_tells():
    clock, told = VirtualClock(), []
    error = ConnectionError("reset")
    fn = Flaky(3, error)
    answer = await retry(
        fn,
        POLICY,
        retry_on=(ConnectionError,),
        name="query",
        on_retry=lambda name, error: told.append((name, error)),
        sleep=clock.sleep,
        uniform=lambda: 0.5,
    )
    assert answer == "answer"
    assert clock.slept == pytest.approx([2 * 1.05, 4 * 1.05, 5 * 1.05])
    assert told == [("query", error)] * 3


async def test_the_last_error_comes_out_as_it_was():
    clock = VirtualClock()
    fn = Flaky(99, ConnectionError("reset"))
    with pytest.raises(ConnectionError, match="reset"):
        await retry(fn, POLICY, retry_on=(OSError,), name="query", sleep=clock.sleep)
    assert fn.calls == POLICY.tries
    assert len(clock.slept) == POLICY.tries - 1


@pytest.mark.parametrize("error", [ValueError("wrong"), asyncio.CancelledError()])
async def test_what_is_not_listed_is_not_tried_again(error):
    fn = Flaky(1, error)
    with pytest.raises(type(error)):
        await retry(fn, POLICY, retry_on=(ConnectionError,), name="query")
    assert fn.calls == 1


@given(
    base=st.floats(0, 60),
    maximum=st.floats(0, 600),
    jitter=st.floats(0, 1),
    retries=st.integers(0, 19),
    share=st.floats(0, 1),
)
def test_no_wait_is_longer_than_the_maximum_and_its_jitter(base, maximum, jitter, retries, share):
    policy = RetryPolicy(tries=20, base_seconds=base, max_seconds=maximum, jitter=jitter)
    wait = policy.wait_seconds(retries, share)
    assert 0 <= wait <= maximum * (1 + jitter)
    assert wait >= min(base, maximum)


@pytest.mark.parametrize("change", [{"tries": 0}, {"jitter": 2}, {"unknown": 1}])
def test_refuses_figures_out_of_range(change):
    with pytest.raises(ValidationError):
        RetryPolicy(**{"tries": 3, "base_seconds": 1, "max_seconds": 30} | change)
