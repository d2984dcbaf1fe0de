"""When payouts are released and expire, and that none starves."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import PayoutError
from models.order import BatchWindow, PayoutType, RouteName
from models.schedule import (
    EPOCH,
    HIGHEST_PRIORITY,
    SchedulePolicy,
    check_expiry,
    rank_at,
    release_at,
    target_seconds,
    window_end,
)

POLICY = SchedulePolicy(
    max_ahead_days=30,
    batch_interval_seconds=300,
    batch_size=50,
    ageing_seconds=1800,
    targets={PayoutType.IMMEDIATE: 60, PayoutType.EMERGENCY: 30},
    priority_targets=((10, 3600), (8, 7200), (5, 21_600), (1, 86_400)),
)
NOW = datetime(2026, 3, 4, 13, 7, 30, 250_000, tzinfo=UTC)  # a Wednesday
MONTH = timedelta(days=30)
moments = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


def released(payout_type: PayoutType, **facts: Any) -> datetime | None:
    usual = {
        "batch_window": BatchWindow.INTERVAL,
        "scheduled_at": None,
        "route": RouteName.V0,
        "now": NOW,
        "policy": POLICY,
    }
    return release_at(payout_type=payout_type, **usual | facts)


@pytest.mark.parametrize("payout_type", [PayoutType.IMMEDIATE, PayoutType.EMERGENCY])
def test_what_does_not_wait(payout_type: PayoutType) -> None:
    assert released(payout_type) is None


@pytest.mark.parametrize("payout_type", sorted(set(PayoutType) - {PayoutType.BATCH}))
@pytest.mark.parametrize("window", sorted(set(BatchWindow) - {BatchWindow.INTERVAL}))
def test_only_a_batch_has_a_window(payout_type: PayoutType, window: BatchWindow) -> None:
    moment = NOW + MONTH if payout_type is PayoutType.SCHEDULED else None
    with pytest.raises(PayoutError, match=f"type {payout_type} has no") as refusal:
        released(payout_type, batch_window=window, scheduled_at=moment)
    assert (refusal.value.code, refusal.value.field) == ("P003", "batch_window")


@pytest.mark.parametrize("ahead", [timedelta(milliseconds=1), MONTH], ids=["soonest", "latest"])
@pytest.mark.parametrize("route", RouteName)
def test_a_scheduled_payout_waits_for_its_time_on_every_route(
    ahead: timedelta, route: RouteName
) -> None:
    moment = NOW + ahead
    assert released(PayoutType.SCHEDULED, scheduled_at=moment, route=route) == moment


@pytest.mark.parametrize(
    ("payout_type", "moment", "message"),
    [
        (PayoutType.SCHEDULED, None, "needs scheduled_at"),
        (PayoutType.SCHEDULED, NOW, "in the future"),
        (PayoutType.SCHEDULED, NOW - MONTH, "in the future"),
        (PayoutType.SCHEDULED, NOW + MONTH + timedelta(milliseconds=1), "within 30 days"),
        (PayoutType.IMMEDIATE, NOW + MONTH, "type immediate"),
        (PayoutType.BATCH, NOW + MONTH, "type batch"),
        (PayoutType.EMERGENCY, NOW + MONTH, "type emergency"),
    ],
)
def test_a_time_that_does_not_do(
    payout_type: PayoutType, moment: datetime | None, message: str
) -> None:
    with pytest.raises(PayoutError, match=message) as refusal:
        released(payout_type, scheduled_at=moment)
    assert (refusal.value.code, refusal.value.field) == ("P003", "scheduled_at")
    assert refusal.value.extra == {"latest": "2026-04-03T13:07:30Z"}


@pytest.mark.parametrize(
    ("window", "end"),
    [
        (BatchWindow.INTERVAL, datetime(2026, 3, 4, 13, 10, tzinfo=UTC)),
        (BatchWindow.HOURLY, datetime(2026, 3, 4, 14, tzinfo=UTC)),
        (BatchWindow.DAILY, datetime(2026, 3, 5, tzinfo=UTC)),
        (BatchWindow.WEEKLY, datetime(2026, 3, 9, tzinfo=UTC)),
    ],
)
def test_a_batch_waits_for_the_end_of_its_window(window: BatchWindow, end: datetime) -> None:
    assert released(PayoutType.BATCH, batch_window=window) == end
    assert released(PayoutType.BATCH, batch_window=window, route=RouteName.KYC) == end
    assert released(PayoutType.BATCH, batch_window=window, route=RouteName.DIRECT) is None
    # Whoever comes at the end is in the next window.
    assert window_end(window, end - timedelta(microseconds=1), POLICY) == end
    assert window_end(window, end, POLICY) > end


LENGTHS = {
    BatchWindow.INTERVAL: timedelta(seconds=300),
    BatchWindow.HOURLY: timedelta(hours=1),
    BatchWindow.DAILY: timedelta(days=1),
    BatchWindow.WEEKLY: timedelta(days=7),
}


@given(st.sampled_from(BatchWindow), moments)
def test_windows_lie_side_by_side_without_gaps(window: BatchWindow, now: datetime) -> None:
    end = window_end(window, now, POLICY)
    assert now < end <= now + LENGTHS[window]
    assert window_end(window, end - LENGTHS[window], POLICY) == end
    if window is BatchWindow.INTERVAL:
        assert (end - EPOCH) % LENGTHS[window] == timedelta(0)
    if window is BatchWindow.WEEKLY:
        assert (end.weekday(), end.hour, end.minute, end.second) == (0, 0, 0, 0)


@pytest.mark.parametrize("expires_at", [None, NOW + timedelta(milliseconds=1)])
def test_an_expiry_in_time(expires_at: datetime | None) -> None:
    check_expiry(expires_at, None, NOW)


def test_an_expiry_that_is_over() -> None:
    with pytest.raises(PayoutError) as refusal:
        check_expiry(NOW, None, NOW)
    assert (refusal.value.code, refusal.value.field) == ("P503", "expires_at")


def test_a_payout_may_not_expire_before_it_is_released() -> None:
    released_at = NOW + timedelta(hours=1)
    check_expiry(released_at + timedelta(milliseconds=1), released_at, NOW)
    with pytest.raises(PayoutError) as refusal:
        check_expiry(released_at, released_at, NOW)
    assert (refusal.value.code, refusal.value.field) == ("P003", "expires_at")
    assert refusal.value.extra == {"released_at": "2026-03-04T14:07:30Z"}


priorities = st.integers(1, HIGHEST_PRIORITY)
ageings = st.integers(1, 86_400)


def ranked(
    priority: int,
    since: datetime,
    ageing: int,
    payout_type: PayoutType = PayoutType.IMMEDIATE,
) -> datetime:
    return rank_at(payout_type, priority, since, replace(POLICY, ageing_seconds=ageing))


@given(
    priorities,
    moments,
    st.lists(st.tuples(priorities, moments, st.sampled_from(PayoutType))),
    ageings,
)
def test_nothing_starves(
    priority: int,
    since: datetime,
    others: list[tuple[int, datetime, PayoutType]],
    ageing: int,
) -> None:
    """Whatever comes, a payout is overtaken only by what comes soon after it."""
    mine = ranked(priority, since, ageing)
    horizon = since + timedelta(seconds=(HIGHEST_PRIORITY + 1 - priority) * ageing)
    overtaking = [when for other, when, kind in others if ranked(other, when, ageing, kind) < mine]
    assert all(when < horizon or when < since for when in overtaking)


@given(priorities, priorities, moments, ageings)
def test_an_emergency_goes_before_whatever_comes_with_it(
    urgent: int, other: int, since: datetime, ageing: int
) -> None:
    assert ranked(urgent, since, ageing, PayoutType.EMERGENCY) < ranked(other, since, ageing)


@given(st.tuples(priorities, priorities), moments, ageings)
def test_of_two_that_come_at_once_the_higher_priority_is_first(
    pair: tuple[int, int], since: datetime, ageing: int
) -> None:
    one, other = (ranked(priority, since, ageing) for priority in pair)
    assert (one < other) == (pair[0] > pair[1])


@given(priorities, st.tuples(moments, moments), ageings)
def test_of_two_of_one_priority_the_first_is_first(
    priority: int, pair: tuple[datetime, datetime], ageing: int
) -> None:
    one, other = (ranked(priority, since, ageing) for since in pair)
    assert (one < other) == (pair[0] < pair[1])


@pytest.mark.parametrize(
    ("payout_type", "priority", "seconds"),
    [
        (PayoutType.IMMEDIATE, 1, 60),
        (PayoutType.EMERGENCY, 10, 30),
        (PayoutType.BATCH, 1, 86_400),
        (PayoutType.BATCH, 4, 86_400),
        (PayoutType.BATCH, 5, 21_600),
        (PayoutType.SCHEDULED, 7, 21_600),
        (PayoutType.SCHEDULED, 8, 7_200),
        (PayoutType.SCHEDULED, 9, 7_200),
        (PayoutType.SCHEDULED, 10, 3_600),
    ],
)
def test_within_how_long_a_payout_is_meant_to_be_sent(
    payout_type: PayoutType, priority: int, seconds: int
) -> None:
    assert target_seconds(payout_type, priority, POLICY) == seconds
