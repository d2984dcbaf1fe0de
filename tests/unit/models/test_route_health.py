"""When a route's own failures stop it, when it is tried again, and how its health is told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.chain import Balances
from models.figures import Latency, RouteFigures
from models.money import Currency
from models.route_health import Health, breaker, condition, room
from models.routes import BreakerState, BreakerVerdict, Route, RouteLimits
from tests.unit.models.test_routing import BREAKER, HALF_OPEN, OPEN, POLICY, V0, coins, route

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def figures(ended: int, failed: int, ago: float = 0) -> RouteFigures:
    failed_at = NOW - timedelta(seconds=ago) if failed else None
    return RouteFigures(ended=ended, failed=failed, last_failed_at=failed_at)


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (figures(0, 0), BreakerState.CLOSED),
        (figures(9, 9), BreakerState.CLOSED),  # too few to judge by
        (figures(10, 4), BreakerState.CLOSED),
        (figures(11, 5), BreakerState.CLOSED),
        (figures(10, 5), BreakerState.OPEN),
        (figures(10, 10, ago=59.9), BreakerState.OPEN),
        (figures(10, 10, ago=60), BreakerState.HALF_OPEN),
        (figures(20, 10, ago=300), BreakerState.HALF_OPEN),
        (figures(21, 10, ago=300), BreakerState.CLOSED),  # a trial succeeded
    ],
)
def test_a_share_of_failures_over_a_volume_opens_and_time_lets_trials_through(
    seen: RouteFigures, state: BreakerState
) -> None:
    assert breaker(seen, BREAKER, NOW).state is state


def test_the_verdict_says_what_and_until_when() -> None:
    assert breaker(figures(12, 9, ago=30), BREAKER, NOW) == BreakerVerdict(
        BreakerState.OPEN,
        0,
        "9 of the 12 payouts that ended in the last 600 s failed; "
        "trial payouts from 2026-03-01 12:00:30 UTC",
    )
    assert breaker(figures(12, 9, ago=90), BREAKER, NOW) == BreakerVerdict(
        BreakerState.HALF_OPEN,
        3,
        "9 of the 12 payouts that ended in the last 600 s failed; 3 trial payouts at a time",
    )


ends = st.lists(st.tuples(st.floats(0, 900), st.booleans()), max_size=40)


def window(history: list[tuple[float, bool]], now: datetime) -> RouteFigures:
    """What the store gives: the ends in the window that ends now; `history` is (seconds, failed)"""
    times = [(NOW + timedelta(seconds=after), failed) for after, failed in history]
    start = now - timedelta(seconds=BREAKER.window_seconds)
    seen = [(at, failed) for at, failed in times if start <= at <= now]
    failures = [at for at, failed in seen if failed]
    return RouteFigures(
        ended=len(seen), failed=len(failures), last_failed_at=max(failures, default=None)
    )


@given(ends, st.floats(0, 2000))
def test_the_breaker_follows_from_the_window_alone(
    history: list[tuple[float, bool]], after: float
) -> None:
    now = NOW + timedelta(seconds=after)
    seen = window(history, now)
    verdict = breaker(seen, BREAKER, now)
    bad = seen.ended >= BREAKER.min_volume and 2 * seen.failed >= seen.ended
    assert (verdict.state is BreakerState.CLOSED) == (not bad)
    assert (verdict.at_once is None) == (not bad)
    assert bool(verdict.text) == bad


@given(ends)
def test_without_new_failures_it_closes_by_itself(history: list[tuple[float, bool]]) -> None:
    end = NOW + timedelta(seconds=900)
    order = (BreakerState.OPEN, BreakerState.HALF_OPEN, BreakerState.CLOSED)
    later = [end + timedelta(seconds=step) for step in range(0, 700, 50)]
    states = [breaker(window(history, now), BREAKER, now).state for now in later]
    assert states[-1] is BreakerState.CLOSED
    opened = [state for state in states if state is BreakerState.OPEN]
    assert states[: len(opened)] == opened, "once trials are let through, time alone stops none"
    assert set(states) <= set(order)


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        (route(in_flight=400, waiting=9000), 600),
        (route(in_flight=1000), 0),
        (route(in_flight=1001), 0),
        (route(breaker=OPEN), 0),
        (route(breaker=HALF_OPEN, in_flight=1, waiting=50), 2),
        (route(replace(V0, capacity=2), breaker=HALF_OPEN), 2),
        (route(breaker=HALF_OPEN, in_flight=40), 0),
        (route(replace(V0, enabled=False)), 0),
        (route(paused="audit"), 0),
        (route(closed="starting"), 0),
    ],
)
def test_room_for_more_live_attempts(candidate: Route, expected: int) -> None:
    assert room(candidate) == expected


FAILED: dict[str, Any] = {"ended": 100, "last_failed_at": NOW}


@pytest.mark.parametrize(
    ("candidate", "health", "reason"),
    [
        (route(replace(V0, enabled=False)), Health.OFFLINE, "the route is switched off"),
        (route(paused="audit"), Health.OFFLINE, "the route is paused: audit"),
        (route(closed="head_stale"), Health.UNAVAILABLE, "dispatch is closed: head_stale"),
        (route(breaker=OPEN), Health.UNAVAILABLE, "12 of 20 failed"),
        (route(breaker=HALF_OPEN, in_flight=3), Health.UNAVAILABLE, "3 trial payouts at a time"),
        (
            route(funds=Balances(0, coins(5))),
            Health.UNAVAILABLE,
            "the wallet has no TRX left for fees",
        ),
        (route(funds=Balances(coins(5), 0)), Health.DEGRADED, "the wallet has no USDT left"),
        (route(breaker=HALF_OPEN, in_flight=2), Health.DEGRADED, "3 trial payouts at a time"),
        (
            route(failed=6, **FAILED),
            Health.DEGRADED,
            "94 of 100 payouts succeeded, less than 95 %",
        ),
        (
            route(latency=Latency(60, 301, 400)),
            Health.DEGRADED,
            "1 of 20 payouts takes 301 s or more; 300 s is slow",
        ),
        (
            route(in_flight=700, waiting=100),
            Health.DEGRADED,
            "800 payouts in flight or waiting, with a capacity of 1000",
        ),
    ],
)
def test_one_thing_that_is_wrong(candidate: Route, health: Health, reason: str) -> None:
    found = condition(candidate, POLICY)
    assert (found.health, found.reasons) == (health, (reason,))


@pytest.mark.parametrize(
    "candidate",
    [
        route(),
        route(failed=5, **FAILED),
        route(ended=9, failed=4, last_failed_at=NOW),
        route(latency=Latency(60, 300, 400)),
        route(in_flight=700, waiting=99),
        route(funds=Balances(1, 1)),
        route(replace(V0, limits={Currency.TRX: RouteLimits(1)}), funds=Balances(1, 0)),
    ],
)
def test_nothing_that_is_wrong(candidate: Route) -> None:
    found = condition(candidate, POLICY)
    assert (found.health, found.reasons) == (Health.OPERATIONAL, ())


def test_the_worst_is_the_health_and_all_reasons_are_told_the_worst_first() -> None:
    found = condition(route(closed="starting", in_flight=1000, funds=Balances(0, 0)), POLICY)
    assert found.health is Health.UNAVAILABLE
    assert found.reasons == (
        "dispatch is closed: starting",
        "1000 of 1000 payouts are in flight",
        "the wallet has no TRX left for fees",
        "the wallet has no USDT left",
        "1000 payouts in flight or waiting, with a capacity of 1000",
    )
