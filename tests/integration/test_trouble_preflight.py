"""With preflight on: what would revert burns nothing, and estimates size the fee limit."""

from models.payout import Payout, PayoutStatus, Resolution
from tests.harness import SERVICE, House
from tests.trouble import FOREVER, code_of, fault, outcome, troubled, turns, with_policies

SIMULATE = "/wallet/triggerconstantcontract"
FRESH_SUN = 130_285 * 100 * 5 // 4
HOLDER_SUN = 64_285 * 100 * 5 // 4
"""A quarter above what a transfer burns, to one who holds no USDT and to one who does."""


async def with_preflight() -> House:
    return await troubled(policies=with_policies(dispatch={"preflight": True}))


async def fee_limit_of(house: House, payout: Payout) -> int:
    await house.dispatch()
    attempt = (await house.get(payout)).live_attempt
    assert attempt is not None
    return attempt.fee_limit_sun


def simulations(house: House) -> int:
    calls: int = house.net.nodes[0].calls[SIMULATE]
    return calls


async def test_a_blacklisted_recipient_is_refused_without_a_fee() -> None:
    house = await with_preflight()
    wallet = house.wallet
    before = house.net.balance(wallet)
    payout = await house.create()
    other = await house.create()
    house.net.blacklist(payout.order.recipient_address)
    await turns(house, 1)
    waiting = await house.get(payout)
    assert (waiting.status, code_of(waiting)) == (PayoutStatus.PENDING, "P207")
    reviewed = await outcome(house, payout)
    assert reviewed.status is PayoutStatus.NEEDS_REVIEW
    assert code_of(reviewed) == "P207"
    assert reviewed.refusals == 3
    assert reviewed.txids == ()
    done = await outcome(house, other)
    assert done.status is PayoutStatus.COMPLETED
    spent = before[0] - house.net.balance(wallet)[0]
    assert done.attempts[0].hit is not None
    assert spent == done.attempts[0].hit.fee_sun


async def test_who_is_taken_off_the_blacklist_is_paid_after_a_retry() -> None:
    house = await with_preflight()
    payout = await house.create()
    house.net.blacklist(payout.order.recipient_address)
    await outcome(house, payout)
    house.net.blacklist(payout.order.recipient_address, blocked=False)
    router = house.services.router
    await router.resolve(SERVICE, payout.payout_id, Resolution.RETRY, "not blocked any more")
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.COMPLETED
    assert house.paid(payout) == 1


async def test_one_refusal_too_few_is_forgiven() -> None:
    house = await with_preflight()
    payout = await house.create()
    house.net.pause()
    await turns(house, 6)
    assert (await house.get(payout)).refusals == 2
    house.net.pause(False)
    assert (await outcome(house, payout)).status is PayoutStatus.COMPLETED
    assert house.paid(payout) == 1


async def test_the_estimate_sizes_the_fee_limit() -> None:
    house = await with_preflight()
    first = await house.create()
    assert await fee_limit_of(house, first) == FRESH_SUN
    assert (await outcome(house, first)).status is PayoutStatus.COMPLETED
    holder = await house.create()
    house.net.fund(holder.order.recipient_address, token_units=1)
    assert await fee_limit_of(house, holder) == HOLDER_SUN
    assert (await outcome(house, holder)).status is PayoutStatus.COMPLETED


async def test_an_estimate_is_asked_for_once_per_recipient() -> None:
    house = await with_preflight()
    first = await house.create()
    assert (await outcome(house, first)).status is PayoutStatus.COMPLETED
    asked = simulations(house)
    again = await house.create(recipient_address=first.order.recipient_address)
    assert (await outcome(house, again)).status is PayoutStatus.COMPLETED
    assert simulations(house) == asked
    assert house.paid(first) == 2


async def test_a_refusal_is_asked_for_anew_every_time() -> None:
    house = await with_preflight()
    payout = await house.create()
    house.net.blacklist(payout.order.recipient_address)
    await outcome(house, payout)
    assert simulations(house) == 3


async def test_an_estimate_that_became_too_low_is_raised_after_the_fact() -> None:
    house = await with_preflight()
    payout = await house.create()
    house.net.fund(payout.order.recipient_address, token_units=1)
    await house.dispatch()
    attempt = (await house.get(payout)).live_attempt
    assert attempt is not None
    assert attempt.fee_limit_sun == HOLDER_SUN
    fault(house, "force_result", "OUT_OF_ENERGY", count=1)
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.COMPLETED
    assert [each.fee_limit_sun for each in done.attempts] == [HOLDER_SUN, HOLDER_SUN * 3 // 2]
    assert house.paid(payout) == 1


async def test_a_node_that_cannot_simulate_decides_nothing() -> None:
    house = await with_preflight()
    fault(house, "nonsense", path=SIMULATE, count=FOREVER)
    payout = await house.create()
    await turns(house, 20)
    now = await house.get(payout)
    assert (now.status, now.refusals, now.txids) == (PayoutStatus.PENDING, 0, ())
    house.net.faults.clear()
    assert (await outcome(house, payout)).status is PayoutStatus.COMPLETED
    assert house.paid(payout) == 1
