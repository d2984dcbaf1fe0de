"""What samples of payouts show: percentiles, when a payout was ready, what it burned."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.figures import (
    FEES_FROM,
    FEES_SECONDS,
    Fees,
    Latency,
    RouteFigures,
    burned_sun,
    fees_of,
    latency_of,
    ready_at,
)
from models.money import Currency
from models.payout import Event, PayoutStatus
from models.transaction import AttemptState
from tests.factories import LONG_AGO, a_hit, a_payout, an_attempt

PENDING, PROCESSING = PayoutStatus.PENDING, PayoutStatus.PROCESSING


@pytest.mark.parametrize(
    ("seconds", "latency"),
    [
        ([], None),
        ([7.5], Latency(7.5, 7.5, 7.5)),
        ([2, 1], Latency(1, 2, 2)),
        (range(1, 21), Latency(10, 19, 20)),
        (range(1, 101), Latency(50, 95, 99)),
        (range(1, 201), Latency(100, 190, 198)),
    ],
)
def test_percentiles_are_of_the_nearest_rank(seconds: list[float], latency: Latency | None) -> None:
    assert latency_of(list(seconds)) == latency


@given(st.lists(st.integers(0, 50), min_size=1))
def test_a_percentile_is_the_least_that_enough_do_not_exceed(seconds: list[int]) -> None:
    latency = latency_of(seconds)
    assert latency is not None
    for percent, value in ((50, latency.p50), (95, latency.p95), (99, latency.p99)):
        enough = percent * len(seconds)
        assert value in seconds
        assert 100 * sum(each <= value for each in seconds) >= enough
        assert 100 * sum(each < value for each in seconds) < enough


@given(st.permutations(range(30)))
def test_the_order_of_a_sample_does_not_matter(seconds: list[int]) -> None:
    assert latency_of(seconds) == latency_of(range(30))


def test_a_payout_is_ready_when_it_is_first_pending() -> None:
    def at(age: int, to: PayoutStatus) -> Event:
        return Event(LONG_AGO + timedelta(seconds=age), "test", None, to, None)

    history = (at(0, PayoutStatus.NEEDS_REVIEW), at(5, PENDING), at(6, PROCESSING), at(9, PENDING))
    assert ready_at(a_payout(history=history)) == LONG_AGO + timedelta(seconds=5)
    assert ready_at(a_payout(history=history[:1])) == LONG_AGO


def test_what_a_payout_burned_is_of_all_its_transactions() -> None:
    attempts = (
        an_attempt(state=AttemptState.FAILED_ON_CHAIN, hit=a_hit(fee_sun=7)),
        an_attempt(state=AttemptState.DEAD),
        an_attempt(state=AttemptState.SETTLED, hit=a_hit(fee_sun=13)),
    )
    assert burned_sun(a_payout(attempts=attempts)) == 20
    assert burned_sun(a_payout(attempts=attempts, linked_hit=a_hit(fee_sun=100))) == 120
    assert burned_sun(a_payout()) == 0


def test_fees_are_what_enough_payouts_of_a_currency_show() -> None:
    enough = RouteFigures(fees={Currency.USDT: Fees(FEES_FROM, 7)})
    fewer = RouteFigures(fees={Currency.USDT: Fees(FEES_FROM - 1, 7)})
    assert enough.usual_fee_sun(Currency.USDT, 13) == 7
    assert enough.usual_fee_sun(Currency.TRX, 13) == 13
    assert fewer.usual_fee_sun(Currency.USDT, 13) == 13
    assert RouteFigures().usual_fee_sun(Currency.USDT, 13) == 13


@given(st.lists(st.tuples(st.integers(0, 7200), st.integers(0, 2**40)), max_size=30))
def test_whatever_was_burned_is_forgotten_in_time(burned: list[tuple[int, int]]) -> None:
    """Else a route that its fees shut would stay shut: no new payout lowers them."""
    payouts = [
        a_payout(
            updated_at=LONG_AGO - timedelta(seconds=age),
            attempts=(an_attempt(hit=a_hit(fee_sun=fee)),),
        )
        for age, fee in burned
    ]
    lately = [fee for age, fee in burned if age <= FEES_SECONDS]
    mean = {Currency.USDT: Fees(len(lately), sum(lately) // len(lately))} if lately else {}
    assert fees_of(payouts, LONG_AGO) == mean
    assert fees_of(payouts, LONG_AGO + timedelta(seconds=FEES_SECONDS + 1)) == {}
