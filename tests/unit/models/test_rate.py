"""Buckets: how much they let through, and what they say about the rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.rate import SECOND_US, Rate, Verdict, take

HOUR = Rate("create", permits=10, per_seconds=3600, burst=5)
MINUTE = Rate("read", permits=120, per_seconds=60, burst=120)


@st.composite
def rates(draw: st.DrawFn) -> Rate:
    permits = draw(st.integers(1, 10_000))
    return Rate("any", permits, draw(st.integers(1, 86_400)), draw(st.integers(1, permits)))


steps = st.lists(st.integers(0, 20 * SECOND_US) | st.just(0), min_size=1, max_size=200)


def allowed_moments(rate: Rate, pauses: list[int]) -> list[int]:
    """When permits were given to somebody who asks after each of the pauses (µs)."""
    now, until, given = 10**12, 0, []
    for pause in pauses:
        now += pause
        until, verdict = take(rate, until, now)
        if verdict.allowed:
            given.append(now)
    return given


@given(rates(), steps)
def test_no_window_holds_more_than_the_burst_and_what_came_back(rate: Rate, pauses: list[int]):
    moments = allowed_moments(rate, pauses)
    for first, start in enumerate(moments):
        for last in range(first, len(moments)):
            came_back = (moments[last] - start) * rate.permits / (rate.per_seconds * SECOND_US)
            assert last - first + 1 <= rate.burst + came_back


@given(rates(), steps)
def test_what_an_answer_says_is_so(rate: Rate, pauses: list[int]):
    now, until = 10**12, 0
    for pause in pauses:
        now += pause
        until, said = take(rate, until, now)
        assert 0 <= said.remaining < rate.burst
        assert round(said.reset_seconds * SECOND_US) <= rate.full_us
        # So many more are there now, and not one beyond.
        later = until
        for _ in range(min(said.remaining, 50)):
            later, verdict = take(rate, later, now)
            assert verdict.allowed
        if said.remaining <= 50:
            assert not take(rate, later, now)[1].allowed
        if said.allowed:
            assert said.retry_after_seconds == 0
        else:
            assert said.remaining == 0
            wait = round(said.retry_after_seconds * SECOND_US)
            assert take(rate, until, now + wait)[1].allowed
            assert not take(rate, until, now + wait - 1)[1].allowed


def test_a_burst_then_one_at_a_time():
    now = 10**12
    until = 0
    for left in (4, 3, 2, 1, 0):
        until, verdict = take(HOUR, until, now)
        assert verdict == Verdict(True, left, 0, (5 - left) * 360)
    assert take(HOUR, until, now) == (until, Verdict(False, 0, 360, 1800))
    assert not take(HOUR, until, now + 360 * SECOND_US - 1)[1].allowed
    assert take(HOUR, until, now + 360 * SECOND_US)[1].allowed


def test_a_rate_that_does_not_divide_gives_a_little_less():
    assert Rate("x", permits=7, per_seconds=1, burst=1).interval_us == 142_858


@pytest.mark.parametrize("until", [0, 10**12 - 1, 10**12])
def test_a_moment_that_has_passed_is_a_full_bucket(until: int):
    assert take(MINUTE, until, 10**12) == (10**12 + 500_000, Verdict(True, 119, 0, 0.5))


def test_a_moment_beyond_any_that_can_be_waits_no_longer_than_the_last_that_can():
    now = 10**12
    until, verdict = take(HOUR, now * 1000, now)
    assert until == now + HOUR.full_us
    assert verdict == Verdict(False, 0, 360, 1800)


@given(rates(), st.lists(st.tuples(st.integers(0, 3 * SECOND_US), st.booleans()), max_size=300))
def test_a_bucket_in_front_of_the_shared_one_is_ahead_of_it_by_one_permit_at_most(
    rate: Rate, asked: list[tuple[int, bool]]
):
    """As in adapters/redis/throttle.py; the others ask the shared one without us."""
    now, mine, shared = 10**12, 0, 0
    for pause, by_others in asked:
        now += pause
        if by_others:
            shared = take(rate, shared, now)[0]
            continue
        mine, verdict = take(rate, mine, now)
        if verdict.allowed:
            shared = take(rate, shared, now)[0]
        else:
            _, would_have = take(rate, shared, now)
            assert would_have.remaining == 0
