"""Solid transactions that did not pay: reverts, empty tanks, logs that say something else."""

import pytest

from devnet.devnet import Devnet
from devnet.settings import DevnetSettings
from models.errors import PayoutError
from models.money import BASE_UNITS, Currency
from models.payout import Payout, PayoutStatus, Resolution
from models.transaction import AttemptState
from tests.harness import SERVICE, SOLID_LAG, House
from tests.trouble import (
    FOREVER,
    code_of,
    fault,
    outcome,
    states,
    taken_from_outside,
    troubled,
    turns,
    until,
    with_policies,
)

FAILED, SETTLED = AttemptState.FAILED_ON_CHAIN, AttemptState.SETTLED


async def a_house_with(trx: int, usdt: int) -> House:
    """A house whose wallet holds so much (whole units)."""
    settings = DevnetSettings(
        solid_lag=SOLID_LAG, wallet_trx_sun=trx * BASE_UNITS, wallet_token_units=usdt * BASE_UNITS
    )
    return await troubled(net=Devnet(settings))


async def drained_before_inclusion(house: House, units: int, currency: Currency) -> Payout:
    """A payout whose bytes reach a block only after somebody else took money from the wallet."""
    fault(house, "refuse", "SERVER_BUSY", count=1)
    payout = await house.create()
    await house.dispatch()
    drain = await taken_from_outside(house, units * BASE_UNITS, currency)
    await until(house, payout, lambda now: now.status is not PayoutStatus.PROCESSING)
    await house.services.router.explain(SERVICE, drain, None, "the owner took it")
    await turns(house, 10)
    return await house.get(payout)


async def paid_once_funded(house: House, payout: Payout, *, trx: int = 0, usdt: int = 0) -> None:
    wallet = house.wallet
    house.net.fund(wallet, trx_sun=trx * BASE_UNITS, token_units=usdt * BASE_UNITS)
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.COMPLETED
    assert states(done) == [FAILED, SETTLED]
    assert house.paid(payout) == 1


@pytest.mark.parametrize("result", ["REVERT", "OUT_OF_TIME"])
async def test_a_failure_that_is_nobodys_shortage_is_final(result: str) -> None:
    house = await troubled()
    payout = await house.create()
    fault(house, "force_result", result, recipient=payout.order.recipient_address, count=1)
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.FAILED
    assert code_of(done) == "P204"
    assert result in str(done.status_reason)
    assert states(done) == [FAILED]
    await turns(house, 10)
    assert house.paid(payout) == 0
    assert await house.used(payout) == 0


async def test_a_blacklisted_recipient_fails_and_nobody_else() -> None:
    house = await troubled()
    blocked, free = await house.create(), await house.create()
    house.net.blacklist(blocked.order.recipient_address)
    assert (await outcome(house, blocked)).status is PayoutStatus.FAILED
    assert (await outcome(house, free)).status is PayoutStatus.COMPLETED
    assert (house.paid(blocked), house.paid(free)) == (0, 1)


async def test_a_fee_limit_that_was_binding_is_raised() -> None:
    house = await troubled(policies=with_policies(fees={"fee_limit_sun": 10 * BASE_UNITS}))
    payout = await house.create()
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.COMPLETED
    assert states(done) == [FAILED, SETTLED]
    assert [a.fee_limit_sun for a in done.attempts] == [10 * BASE_UNITS, 15 * BASE_UNITS]
    assert done.burned_sun == done.attempts[0].hit.fee_sun  # type: ignore[union-attr]
    assert house.paid(payout) == 1


async def test_a_fee_limit_is_raised_to_its_maximum_and_then_the_payout_fails() -> None:
    fees = {"fee_limit_sun": 4 * BASE_UNITS, "max_fee_limit_sun": 7 * BASE_UNITS}
    house = await troubled(policies=with_policies(fees=fees))
    payout = await house.create()
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.FAILED
    assert code_of(done) == "P204"
    limits = [attempt.fee_limit_sun for attempt in done.attempts]
    assert limits == [4 * BASE_UNITS, 6 * BASE_UNITS, 7 * BASE_UNITS]
    assert house.paid(payout) == 0


async def test_the_fees_of_one_payout_are_capped() -> None:
    fees = {"fee_limit_sun": 10 * BASE_UNITS, "payout_cap_sun": 24 * BASE_UNITS}
    house = await troubled(policies=with_policies(fees=fees))
    payout = await house.create()
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.FAILED
    assert states(done) == [FAILED]
    assert done.burned_sun <= 24 * BASE_UNITS


async def test_a_payout_whose_next_attempt_could_exceed_its_cap_waits_for_a_person() -> None:
    fees = {"fee_limit_sun": 10 * BASE_UNITS, "payout_cap_sun": 25_400_000}
    house = await troubled(policies=with_policies(fees=fees))
    payout = await house.create()
    await turns(house, 30)
    waiting = await house.get(payout)
    assert waiting.status is PayoutStatus.NEEDS_REVIEW
    assert code_of(waiting) == "P403"
    assert states(waiting) == [FAILED]
    cancelled = await house.services.router.cancel(SERVICE, payout.payout_id, None)
    assert cancelled.status is PayoutStatus.CANCELLED


async def test_an_empty_trx_balance_closes_the_wallet_until_it_is_funded() -> None:
    house = await a_house_with(trx=30, usdt=100)
    payout = await drained_before_inclusion(house, 25, Currency.TRX)
    assert payout.status is PayoutStatus.PENDING
    assert code_of(payout) == "P200"
    assert states(payout) == [FAILED]
    assert payout.attempts[0].hit.contract_ret == "OUT_OF_ENERGY"  # type: ignore[union-attr]
    assert [g.name for g in await house.store.gates()] == [f"wallet:{house.wallet}"]
    assert house.paid(payout) == 0
    await paid_once_funded(house, payout, trx=50)
    assert await house.store.gates() == []


async def test_a_revert_for_want_of_usdt_closes_the_wallet_until_it_is_funded() -> None:
    house = await a_house_with(trx=500, usdt=20)
    payout = await drained_before_inclusion(house, 10, Currency.USDT)
    assert payout.status is PayoutStatus.PENDING
    assert code_of(payout) == "P200"
    assert payout.attempts[0].hit.contract_ret == "REVERT"  # type: ignore[union-attr]
    await paid_once_funded(house, payout, usdt=50)


async def test_a_trx_transfer_that_the_wallet_cannot_cover_reaches_no_block() -> None:
    house = await a_house_with(trx=30, usdt=0)
    fault(house, "refuse", "SERVER_BUSY", count=1)
    payout = await house.create(currency=Currency.TRX, amount=20 * BASE_UNITS)
    await house.dispatch()
    drain = await taken_from_outside(house, 15 * BASE_UNITS, Currency.TRX)
    waiting = await until(house, payout, lambda now: now.status is PayoutStatus.PENDING)
    assert states(waiting) == [AttemptState.DEAD]
    await house.services.router.explain(SERVICE, drain, None, "the owner took it")
    house.net.fund(house.wallet, trx_sun=50 * BASE_UNITS)
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.COMPLETED
    assert house.paid(payout) == 1


async def test_the_daily_ceiling_on_fees_holds_until_the_chains_next_day() -> None:
    fees = {"daily_ceiling_sun": 30 * BASE_UNITS}
    house = await troubled(policies=with_policies(fees=fees))
    first, second = await house.create(), await house.create()
    assert (await outcome(house, first)).status is PayoutStatus.COMPLETED
    await turns(house, 20)
    waiting = await house.get(second)
    assert waiting.status is PayoutStatus.PENDING
    assert code_of(waiting) == "P201"
    assert waiting.txids == ()
    house.net.mine(1, moment=house.net.head.timestamp + 86_400_000)
    house.clock.tick(86_400)
    assert (await outcome(house, second)).status is PayoutStatus.COMPLETED
    assert (house.paid(first), house.paid(second)) == (1, 1)


LOGS = ["missing", "doubled", "wrong_amount", "wrong_recipient"]


async def mismatched(house: House, log: str) -> Payout:
    payout = await house.create()
    fault(house, "transfer_log", log, count=1)
    return await outcome(house, payout)


@pytest.mark.parametrize("log", LOGS)
async def test_a_success_that_logs_another_transfer_is_never_paid_again(log: str) -> None:
    house = await troubled()
    payout = await mismatched(house, log)
    assert payout.status is PayoutStatus.NEEDS_REVIEW
    assert code_of(payout) == "P207"
    assert states(payout) == [SETTLED]
    router = house.services.router
    with pytest.raises(PayoutError, match="P500"):
        await router.resolve(SERVICE, payout.payout_id, Resolution.RETRY, "try again")
    with pytest.raises(PayoutError, match="P500"):
        await router.cancel(SERVICE, payout.payout_id, None)
    await turns(house, 30)
    now = await house.get(payout)
    assert now.status is PayoutStatus.NEEDS_REVIEW
    assert len(now.txids) == 1
    assert house.paid(payout) == 1


@pytest.mark.parametrize("action", [Resolution.COMPLETE, Resolution.FAIL])
@pytest.mark.parametrize("log", LOGS)
async def test_however_a_mismatch_ends_its_reservation_is_kept(
    log: str, action: Resolution
) -> None:
    house = await troubled()
    payout = await mismatched(house, log)
    await house.services.router.resolve(SERVICE, payout.payout_id, action, "looked at it")
    await turns(house, 3)
    assert await house.used(payout) == payout.order.amount
    assert house.paid(payout) == 1


async def test_a_wallet_short_for_every_attempt_burns_no_more_than_one_fee() -> None:
    house = await a_house_with(trx=500, usdt=20)
    fault(house, "force_result", "REVERT", count=FOREVER)
    payout = await drained_before_inclusion(house, 10, Currency.USDT)
    await turns(house, 60)
    assert states(await house.get(payout)) == [FAILED]
