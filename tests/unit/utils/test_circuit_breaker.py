import asyncio
import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.utils.virtual_clock import VirtualClock
from utils.circuit_breaker import BreakerPolicy, BreakerState, CircuitBreaker, CircuitOpenError

POLICY = BreakerPolicy(
    failure_threshold=3, recovery_seconds=60, success_threshold=2, half_open_max_calls=2
)


class DownError(Exception):
    pass


class RefusedError(Exception):
    pass


async def fail() -> None:
    raise DownError


async def succeed() -> str:
    return "answer"


async def refuse() -> None:
    raise RefusedError


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def changes() -> list[tuple[str, BreakerState]]:
    return []


@pytest.fixture
def breaker(clock: VirtualClock, changes: list[tuple[str, BreakerState]]) -> CircuitBreaker:
    return CircuitBreaker(
        "node",
        POLICY,
        counts=lambda error: not isinstance(error, RefusedError),
        monotonic=clock.monotonic,
        on_change=lambda name, state: changes.append((name, state)),
    )


async def open_up(breaker: CircuitBreaker) -> None:
    for _ in range(POLICY.failure_threshold):
        with pytest.raises(DownError):
            await breaker.call(fail)


async def test_opens_after_failures_in_a_row_and_refuses_without_calling(breaker, clock, changes):
    assert await breaker.call(succeed) == "answer"
    await open_up(breaker)
    assert breaker.state is BreakerState.OPEN
    clock.now += 20
    called = False

    async def call() -> None:
        nonlocal called
        called = True

    with pytest.raises(CircuitOpenError) as refusal:
        await breaker.call(call)
    assert not called
    assert refusal.value.name == "node"
    assert refusal.value.retry_after_seconds == 40
    assert changes == [("node", BreakerState.OPEN)]


async def test_a_success_between_failures_starts_the_count_anew(breaker):
    for _ in range(5):
        for _ in range(POLICY.failure_threshold - 1):
            with pytest.raises(DownError):
                await breaker.call(fail)
        await breaker.call(succeed)
    assert breaker.state is BreakerState.CLOSED


async def test_an_exception_that_does_not_count_is_an_answer(breaker):
    for _ in range(10):
        with pytest.raises(RefusedError):
            await breaker.call(refuse)
    assert breaker.state is BreakerState.CLOSED


async def test_closes_after_enough_successful_trials(breaker, clock, changes):
    await open_up(breaker)
    clock.now += 60
    await breaker.call(succeed)
    assert breaker.state is BreakerState.HALF_OPEN
    await breaker.call(succeed)
    assert breaker.state is BreakerState.CLOSED
    assert [state for _, state in changes] == ["open", "half_open", "closed"]


async def test_a_failed_trial_opens_for_another_full_time(breaker, clock):
    await open_up(breaker)
    clock.now += 60
    with pytest.raises(DownError):
        await breaker.call(fail)
    clock.now += 59
    with pytest.raises(CircuitOpenError):
        await breaker.call(succeed)
    clock.now += 1
    assert await breaker.call(succeed) == "answer"


async def test_only_so_many_trials_run_at_a_time(breaker, clock):
    await open_up(breaker)
    clock.now += 60
    release = asyncio.Event()
    trials = [asyncio.create_task(breaker.call(release.wait)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(CircuitOpenError):
        await breaker.call(succeed)
    release.set()
    await asyncio.gather(*trials)
    assert breaker.state is BreakerState.CLOSED


async def test_a_cancelled_trial_gives_its_slot_back_and_counts_as_nothing(breaker, clock):
    await open_up(breaker)
    clock.now += 60
    for _ in range(5):
        trials = [asyncio.create_task(breaker.call(asyncio.Event().wait)) for _ in range(2)]
        await asyncio.sleep(0)
        for trial in trials:
            trial.cancel()
        await asyncio.gather(*trials, return_exceptions=True)
        assert breaker.state is BreakerState.HALF_OPEN
    await breaker.call(succeed)
    await breaker.call(succeed)
    assert breaker.state is BreakerState.CLOSED


async def test_cancelled_calls_do_not_open_it(breaker):
    for _ in range(10):
        call = asyncio.create_task(breaker.call(asyncio.Event().wait))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    assert breaker.state is BreakerState.CLOSED


async def test_an_answer_from_before_a_change_of_state_says_nothing_about_the_new_one(
    breaker, clock
):
    late = asyncio.Event()

    async def fail_late() -> None:
        await late.wait()
        raise DownError

    stragglers = [asyncio.create_task(breaker.call(fail_late)) for _ in range(3)]
    await asyncio.sleep(0)
    await open_up(breaker)
    clock.now += 60
    await breaker.call(succeed)
    late.set()
    await asyncio.gather(*stragglers, return_exceptions=True)
    assert breaker.state is BreakerState.HALF_OPEN
    await breaker.call(succeed)
    assert breaker.state is BreakerState.CLOSED


@given(st.lists(st.sampled_from(["fail", "succeed", "wait"]), max_size=60))
async def test_whatever_happens_a_healthy_other_side_is_reached_again(steps):
    clock = VirtualClock()
    breaker = CircuitBreaker("node", POLICY, monotonic=clock.monotonic)
    for step in steps:
        if step == "wait":
            clock.now += 61
        else:
            with contextlib.suppress(DownError, CircuitOpenError):
                await breaker.call(fail if step == "fail" else succeed)
    clock.now += 61
    for _ in range(POLICY.success_threshold):
        assert await breaker.call(succeed) == "answer"
    assert breaker.state is BreakerState.CLOSED
