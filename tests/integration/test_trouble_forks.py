"""Blocks that were there and are gone: what is not solid decides nothing."""

from models.money import Currency
from models.payout import PayoutStatus
from models.transaction import AttemptState
from tests.harness import SOLID_LAG, House
from tests.trouble import (
    FOREVER,
    all_paid_once,
    fault,
    hold_promises,
    outcome,
    states,
    troubled,
    turns,
    until,
)


async def included(house: House, count: int = 1) -> list[str]:
    """Payouts, by id, that are in one unsolid block."""
    payouts = [await house.create() for _ in range(count)]
    await house.dispatch()
    house.mine(1)
    assert all_paid_once(house, payouts)
    return [payout.payout_id for payout in payouts]


async def fork(house: House, depth: int = 1, **how: object) -> None:
    house.net.fork(depth, **how)  # type: ignore[arg-type]
    await hold_promises(house)


async def test_a_transaction_dropped_by_a_fork_is_sent_again() -> None:
    house = await troubled()
    (payout_id,) = await included(house)
    await fork(house, drop="all")
    payout = await house.get(payout_id)
    assert house.paid(payout) == 0
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.COMPLETED
    assert states(done) == [AttemptState.SETTLED]
    assert house.paid(payout) == 1


async def test_a_transaction_that_a_fork_puts_back_into_the_pools_is_included_once() -> None:
    house = await troubled(nodes=2)
    (payout_id,) = await included(house)
    await fork(house, drop="all", requeue=True)
    done = await outcome(house, await house.get(payout_id))
    assert done.status is PayoutStatus.COMPLETED
    assert len(done.txids) == 1
    assert house.paid(done) == 1


async def test_a_fork_that_reorders_moves_only_the_block_of_the_hit() -> None:
    house = await troubled()
    ids = await included(house, 5)
    first = await house.create(currency=Currency.TRX)
    await house.dispatch()
    house.mine(1)
    await fork(house, depth=2, reorder=True)
    for payout_id in [*ids, first.payout_id]:
        done = await outcome(house, await house.get(payout_id))
        assert done.status is PayoutStatus.COMPLETED
        assert len(done.txids) == 1
        assert house.paid(done) == 1
        hit = done.attempts[0].hit
        found = house.net.chain.find(done.txids[0])
        assert hit is not None
        assert found is not None
        assert hit.block.block_id == found[0].id.hex()


async def test_a_dropped_transaction_never_included_again_dies_by_proof() -> None:
    house = await troubled()
    (payout_id,) = await included(house)
    await fork(house, drop="all")
    fault(house, "refuse", "OTHER_ERROR", count=FOREVER)
    payout = await house.get(payout_id)
    waiting = await until(house, payout, lambda now: bool(now.attempts))
    assert states(waiting) == [AttemptState.DEAD]
    house.net.faults.clear()
    done = await outcome(house, payout)
    assert states(done) == [AttemptState.DEAD, AttemptState.SETTLED]
    assert house.paid(payout) == 1


async def test_a_transaction_dropped_at_its_last_moment_is_paid_by_another() -> None:
    house = await troubled()
    fault(house, "swallow", count=FOREVER)
    payout = await house.create()
    await house.dispatch()
    attempt = (await house.get(payout)).live_attempt
    assert attempt is not None
    while house.net.head.timestamp + 3_000 < attempt.expiration_ms:
        house.mine(1)
    house.net.faults.clear()
    house.net.nodes[0].pool.entries.clear()
    assert await house.chain.broadcast(attempt) == "SUCCESS"
    house.mine(1)
    assert house.paid(payout) == 1
    await fork(house, drop="all", requeue=True)
    assert house.paid(payout) == 0
    done = await outcome(house, payout)
    assert states(done) == [AttemptState.DEAD, AttemptState.SETTLED]
    assert house.paid(payout) == 1


async def test_a_failure_that_a_fork_turns_into_success_is_a_success() -> None:
    house = await troubled()
    payout = await house.create()
    house.net.blacklist(payout.order.recipient_address)
    await house.dispatch()
    house.mine(1)
    await house.read()
    await fork(house, drop="all", requeue=True)
    house.net.blacklist(payout.order.recipient_address, blocked=False)
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.COMPLETED
    assert house.paid(payout) == 1


async def test_fork_after_fork_while_payouts_go_on() -> None:
    house = await troubled(nodes=2)
    payouts = []
    for number in range(20):
        payouts.append(await house.create())
        await turns(house, 2)
        how: dict[str, object] = [
            {"drop": "all"},
            {"drop": "all", "requeue": True},
            {"reorder": True},
        ][number % 3]
        await fork(house, depth=1 + number % SOLID_LAG, **how)
    for payout in payouts:
        assert (await outcome(house, payout)).status is PayoutStatus.COMPLETED
    assert all_paid_once(house, payouts)
