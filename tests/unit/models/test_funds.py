"""Who is paid when the purse does not reach for all."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.chain import Balances, FeeRates
from models.funds import (
    TOKEN_BANDWIDTH_BYTES,
    TRX_BANDWIDTH_BYTES,
    Cost,
    Purse,
    allot,
    attempt_cost,
    purse,
)
from models.money import BASE_UNITS, Currency
from models.payout import Payout
from models.policy import FeePolicy
from tests.factories import a_payout, an_order

FEES = FeePolicy(
    fee_limit_sun=20 * BASE_UNITS,
    max_fee_limit_sun=60 * BASE_UNITS,
    payout_cap_sun=100 * BASE_UNITS,
    daily_ceiling_sun=5_000 * BASE_UNITS,
)
RATES = FeeRates(
    energy_sun=100, byte_sun=1_000, account_sun=1_100_000, max_fee_limit_sun=15_000 * BASE_UNITS
)
CHEAP = Cost(fee_limit_sun=0, max_cost_sun=0)
ENDLESS = Purse(trx_sun=10**18, usdt=10**18, fees_sun=10**18)


def of(amount: int, currency: Currency = Currency.USDT, **fields: Any) -> Payout:
    return a_payout(order=an_order(amount=amount, currency=currency), **fields)


costs = st.integers(0, 120 * BASE_UNITS).map(lambda sun: Cost(fee_limit_sun=sun, max_cost_sun=sun))
payouts = st.builds(
    of,
    st.integers(1, 10**9),
    st.sampled_from(Currency),
    burned_sun=st.sampled_from([0, 0, 90 * BASE_UNITS]),
)
queues = st.lists(st.tuples(payouts, costs), max_size=25)
purses = st.builds(
    Purse,
    trx_sun=st.integers(-(10**6), 2 * 10**9),
    usdt=st.integers(-(10**6), 5 * 10**9),
    fees_sun=st.integers(-(10**6), 10**9),
)


def taken(paid: list[tuple[Payout, Cost]], currency: Currency) -> int:
    return sum(p.order.amount for p, _ in paid if p.order.currency is currency)


@given(queues, purses)
def test_never_more_is_promised_than_the_purse_holds(
    queue: list[tuple[Payout, Cost]], left: Purse
) -> None:
    paid = list(allot(queue, left, FEES).paid)
    fees = sum(cost.max_cost_sun for _, cost in paid)
    if not paid:
        return
    assert fees <= left.fees_sun
    assert fees + taken(paid, Currency.TRX) <= left.trx_sun
    assert taken(paid, Currency.USDT) <= max(0, left.usdt)


@given(queues, purses)
def test_everybody_is_paid_or_waits_with_a_reason_in_the_order_given(
    queue: list[tuple[Payout, Cost]], left: Purse
) -> None:
    result = allot(queue, left, FEES)
    paid = {payout.payout_id for payout, _ in result.paid}
    assert list(result.paid) == [pair for pair in queue if pair[0].payout_id in paid]
    assert [payout for payout, _ in result.waiting] == [
        payout for payout, _ in queue if payout.payout_id not in paid
    ]
    assert {reason.code for _, reason in result.waiting} <= {"P200", "P201", "P403"}


@given(queues, purses)
def test_nobody_waits_for_what_was_still_there(
    queue: list[tuple[Payout, Cost]], left: Purse
) -> None:
    """Whoever waits would not have fitted into what those before left."""
    result = allot(queue, left, FEES)
    waiting = {payout.payout_id for payout, _ in result.waiting}
    before: list[tuple[Payout, Cost]] = []
    for payout, cost in queue:
        if payout.payout_id not in waiting:
            before.append((payout, cost))
            continue
        if payout.burned_sun + cost.max_cost_sun > FEES.payout_cap_sun:
            continue
        with_it = [*before, (payout, cost)]
        fees = sum(each.max_cost_sun for _, each in with_it)
        assert (
            fees > left.fees_sun
            or fees + taken(with_it, Currency.TRX) > left.trx_sun
            or taken(with_it, Currency.USDT) > left.usdt
        )


def test_small_ones_behind_a_big_one_are_paid() -> None:
    big, small, smaller = of(1_000), of(60), of(40)
    result = allot([(p, CHEAP) for p in (big, small, smaller)], Purse(0, 100, 0), FEES)
    assert [payout for payout, _ in result.paid] == [small, smaller]
    assert [payout for payout, _ in result.waiting] == [big]


def test_the_first_in_the_queue_are_served_first() -> None:
    first, second = of(60), of(60)
    result = allot([(first, CHEAP), (second, CHEAP)], Purse(0, 100, 0), FEES)
    assert [payout for payout, _ in result.paid] == [first]


def test_the_last_unit_is_spent() -> None:
    trx = of(70, Currency.TRX)
    exact = Purse(trx_sun=100, usdt=0, fees_sun=30)
    assert allot([(trx, Cost(0, 30))], exact, FEES).paid


@pytest.mark.parametrize(
    ("payout", "left", "code", "word"),
    [
        (of(10), Purse(30, 9, 30), "P200", "USDT"),
        (of(10), Purse(29, 10, 30), "P200", "TRX"),
        (of(10, Currency.TRX), Purse(39, 0, 30), "P200", "TRX"),
        (of(10), Purse(30, 10, 29), "P201", "daily ceiling"),
        (of(10, burned_sun=FEES.payout_cap_sun - 29), Purse(30, 10, 30), "P403", "100.00 TRX"),
    ],
    ids=["tokens", "fees of tokens", "coin", "ceiling", "cap of the payout"],
)
def test_who_waits_is_told_why(payout: Payout, left: Purse, code: str, word: str) -> None:
    ((_, reason),) = allot([(payout, Cost(30, 30))], left, FEES).waiting
    assert reason.code == code
    assert word in reason.message


def test_each_of_them_fits_with_one_unit_more() -> None:
    assert allot([(of(10), Cost(30, 30))], Purse(30, 10, 30), FEES).paid
    assert allot([(of(10, Currency.TRX), Cost(30, 30))], Purse(40, 0, 30), FEES).paid
    capped = of(10, burned_sun=FEES.payout_cap_sun - 30)
    assert allot([(capped, Cost(30, 30))], Purse(30, 10, 30), FEES).paid


amounts = st.integers(0, 10**12)


@given(amounts, amounts, amounts, amounts, amounts, amounts)
def test_what_is_in_flight_is_not_promised_again(
    trx: int, usdt: int, taken_trx: int, taken_usdt: int, promised: int, fees_left: int
) -> None:
    """What all wallets may still burn has the fees in flight taken off already (test_funds.py of
    the services)."""
    left = purse(Balances(trx, usdt), Balances(taken_trx, taken_usdt), promised, fees_left)
    assert left == Purse(trx - taken_trx - promised, usdt - taken_usdt, fees_left)


def cost_of(payout: Payout, energy: int | None = None, rates: FeeRates = RATES) -> Cost:
    return attempt_cost(payout, FEES, rates, new_account=False, energy=energy)


@pytest.mark.parametrize(
    ("raised", "energy", "limit"),
    [
        (0, None, 20 * BASE_UNITS),
        (30 * BASE_UNITS, None, 30 * BASE_UNITS),
        (90 * BASE_UNITS, None, 60 * BASE_UNITS),
        (0, 64_000, 8 * BASE_UNITS),
        (30 * BASE_UNITS, 64_000, 30 * BASE_UNITS),
        (0, 10**9, 60 * BASE_UNITS),
    ],
    ids=["usual", "raised", "raised too far", "simulated", "raised and simulated", "absurd"],
)
def test_the_fee_limit_of_a_token_transfer(raised: int, energy: int | None, limit: int) -> None:
    cost = cost_of(of(1, min_fee_limit_sun=raised), energy)
    assert cost == Cost(limit, limit + TOKEN_BANDWIDTH_BYTES * RATES.byte_sun)


def test_the_chain_caps_the_fee_limit() -> None:
    low = FeeRates(100, 1_000, 1_100_000, max_fee_limit_sun=5 * BASE_UNITS)
    assert cost_of(of(1), rates=low).fee_limit_sun == 5 * BASE_UNITS


@given(
    st.integers(0, 10**10),
    st.none() | st.integers(0, 10**9),
    st.integers(1, 10**6),
    st.integers(0, 10**11),
)
def test_no_fee_limit_exceeds_policy_or_chain(
    raised: int, energy: int | None, energy_sun: int, highest: int
) -> None:
    rates = FeeRates(energy_sun, 1_000, 1_100_000, highest)
    cost = cost_of(of(1, min_fee_limit_sun=raised), energy, rates)
    assert 0 <= cost.fee_limit_sun <= min(FEES.max_fee_limit_sun, highest)
    assert cost.max_cost_sun > cost.fee_limit_sun


@pytest.mark.parametrize(("new_account", "creation"), [(False, 0), (True, RATES.account_sun)])
def test_a_coin_transfer_burns_bandwidth_and_an_account(new_account: bool, creation: int) -> None:
    cost = attempt_cost(of(1, Currency.TRX), FEES, RATES, new_account=new_account, energy=None)
    assert cost == Cost(0, TRX_BANDWIDTH_BYTES * RATES.byte_sun + creation)


def test_an_endless_purse_pays_everybody() -> None:
    queue = [(of(10**6, currency), Cost(0, 10)) for currency in Currency for _ in range(50)]
    assert list(allot(queue, ENDLESS, FEES).paid) == queue
