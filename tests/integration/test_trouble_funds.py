"""Wallets that run dry: nobody is paid with money that is promised already, and nobody starves."""

import asyncio

from devnet.devnet import Devnet
from devnet.settings import DevnetSettings
from models.money import BASE_UNITS, Currency
from models.payout import Payout, PayoutStatus
from models.transaction import AttemptState
from tests.harness import SERVICE, SOLID_LAG, House
from tests.trouble import (
    all_paid_once,
    code_of,
    fault,
    in_service,
    outcome,
    replica_of,
    states,
    troubled,
    turn,
    turns,
    until,
    with_policies,
)


async def a_house_with(*, trx: int, usdt: int, **dispatch: object) -> House:
    """A house whose wallet holds so much (whole units)."""
    settings = DevnetSettings(
        solid_lag=SOLID_LAG, wallet_trx_sun=trx * BASE_UNITS, wallet_token_units=usdt * BASE_UNITS
    )
    return await troubled(net=Devnet(settings), policies=with_policies(dispatch=dispatch))


def fund(house: House, *, trx: int = 0, usdt: int = 0) -> None:
    house.net.fund(house.wallet, trx_sun=trx * BASE_UNITS, token_units=usdt * BASE_UNITS)


async def an_order(house: House, units: int, **order: object) -> Payout:
    return await house.create(amount=units * BASE_UNITS, **order)


async def paid_by_one_attempt(house: House, *payouts: Payout) -> None:
    for payout in payouts:
        done = await outcome(house, payout)
        assert done.status is PayoutStatus.COMPLETED
        assert states(done) == [AttemptState.SETTLED]
    assert all_paid_once(house, payouts)


async def waits_for_money(house: House, payout: Payout) -> None:
    now = await house.get(payout)
    assert now.status is PayoutStatus.PENDING
    assert code_of(now) == "P200"
    assert now.txids == ()


async def test_want_of_usdt_is_shown_and_paid_once_there_is_some() -> None:
    house = await a_house_with(trx=1_000, usdt=20)
    payout = await an_order(house, 50)
    await turns(house, 20)
    await waits_for_money(house, payout)
    fund(house, usdt=30)
    await paid_by_one_attempt(house, payout)


async def test_want_of_trx_for_fees_is_shown_and_paid_once_there_is_some() -> None:
    house = await a_house_with(trx=5, usdt=100)
    payout = await an_order(house, 50)
    await turns(house, 20)
    await waits_for_money(house, payout)
    fund(house, trx=30)
    await paid_by_one_attempt(house, payout)


async def test_want_of_trx_for_a_trx_payout_counts_its_fees_and_the_new_account() -> None:
    house = await a_house_with(trx=20, usdt=0)
    payout = await an_order(house, 19, currency=Currency.TRX)
    await turns(house, 10)
    await waits_for_money(house, payout)
    fund(house, trx=1)
    await paid_by_one_attempt(house, payout)


async def test_small_payouts_behind_a_big_one_are_paid() -> None:
    house = await a_house_with(trx=1_000, usdt=40)
    big = await an_order(house, 500, priority=10)
    small = [await an_order(house, 10) for _ in range(4)]
    await paid_by_one_attempt(house, *small)
    await waits_for_money(house, big)
    fund(house, usdt=500)
    await paid_by_one_attempt(house, big)


async def test_more_big_ones_than_a_group_holds_do_not_starve_a_small_one() -> None:
    house = await a_house_with(trx=1_000, usdt=40, group_size=2)
    big = [await an_order(house, 500, priority=10) for _ in range(7)]
    small = await an_order(house, 10, priority=1)
    await paid_by_one_attempt(house, small)
    for payout in big:
        await waits_for_money(house, payout)


async def test_want_of_one_currency_stops_no_other() -> None:
    house = await a_house_with(trx=1_000, usdt=0)
    token = await an_order(house, 10, priority=10)
    native = await an_order(house, 10, currency=Currency.TRX)
    await paid_by_one_attempt(house, native)
    await waits_for_money(house, token)


async def test_what_is_in_flight_is_not_spent_again() -> None:
    house = await a_house_with(trx=1_000, usdt=100)
    first = await an_order(house, 60)
    await house.dispatch()
    second = await an_order(house, 60)
    await turns(house, 3)
    await waits_for_money(house, second)
    await paid_by_one_attempt(house, first)
    await waits_for_money(house, second)
    fund(house, usdt=20)
    await paid_by_one_attempt(house, second)


async def test_fees_in_flight_are_not_promised_again() -> None:
    """45 TRX cover the worst case of two token transfers, not of three."""
    house = await a_house_with(trx=45, usdt=1_000)
    payouts = [await an_order(house, 10) for _ in range(3)]
    await house.dispatch()
    live = [p for p in payouts if (await house.get(p)).live_attempt]
    assert len(live) == 2
    fund(house, trx=100)
    await paid_by_one_attempt(house, *payouts)


async def test_a_dead_attempt_gives_back_what_it_held() -> None:
    house = await a_house_with(trx=1_000, usdt=100)
    fault(house, "swallow", count=1)
    lost = await an_order(house, 60)
    await house.dispatch()
    waiting = await an_order(house, 60)
    await turns(house, 10)
    await waits_for_money(house, waiting)
    await until(house, lost, lambda now: states(now) == [AttemptState.DEAD])
    await house.services.router.cancel(SERVICE, lost.payout_id, None)
    await paid_by_one_attempt(house, waiting)
    assert house.paid(lost) == 0


async def test_two_replicas_together_never_spend_more_than_there_is() -> None:
    first = await a_house_with(trx=10_000, usdt=100, group_size=4)
    second = await in_service(await replica_of(first))
    payouts = [await an_order(first, 30) for _ in range(10)]
    for _ in range(30):
        await asyncio.gather(first.dispatch(), second.dispatch())
        promised = [p for p in [await first.get(p) for p in payouts] if p.txids]
        assert len(promised) <= 3
        await turn(first, second)
    assert sum(first.paid(payout) for payout in payouts) == 3
    fund(first, usdt=200)
    await paid_by_one_attempt(first, *payouts)


async def test_the_money_of_transfers_that_are_not_solid_yet_counts_once() -> None:
    house = await a_house_with(trx=1_000, usdt=100)
    payouts = []
    for _ in range(10):
        payouts.append(await an_order(house, 10))
        await turn(house)
    await paid_by_one_attempt(house, *payouts)
    assert house.net.balance(house.wallet)[1] == 0
