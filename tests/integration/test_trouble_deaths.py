"""Attempts that never reach a block: dead by proof alone, and only some deaths say something."""

from dataclasses import replace
from datetime import timedelta

import pytest

from models.errors import PayoutError
from models.payout import PayoutStatus, Resolution
from models.transaction import AttemptState
from tests.harness import SERVICE, House
from tests.trouble import (
    BROADCAST,
    FOREVER,
    code_of,
    fault,
    outcome,
    states,
    troubled,
    turn,
    turns,
    until,
)


def chain_halts(house: House, seconds: int) -> None:
    """No block for so long; then they come again."""
    house.net.mine(1, moment=house.net.head.timestamp + seconds * 1000)
    house.clock.tick(seconds)


async def test_an_attempt_lives_until_a_solid_block_at_its_expiration() -> None:
    house = await troubled()
    fault(house, "swallow", count=FOREVER)
    payout = await house.create()
    await house.dispatch()
    attempt = (await house.get(payout)).live_attempt
    assert attempt is not None
    while house.net.solid.timestamp < attempt.expiration_ms:
        assert (await house.get(payout)).live_attempt is not None
        house.mine(1)
        for _ in range(3):
            await house.services.settlement.review()
    assert (await house.get(payout)).live_attempt is not None
    await house.read()
    await house.services.settlement.review()
    dead = await house.get(payout)
    assert dead.status is PayoutStatus.PENDING
    assert code_of(dead) == "P202"
    assert states(dead) == [AttemptState.DEAD]


async def test_an_attempt_from_before_a_rescan_is_read_for_again() -> None:
    """Claimed before a rescan, recorded after it: what was read begins after its reference."""
    house = await troubled()
    fault(house, "swallow", count=1)
    payout = await house.create()
    await house.dispatch()
    await turns(house, 5)
    cursor = await house.store.cursor()
    attempt = (await house.get(payout)).live_attempt
    assert cursor is not None
    assert attempt is not None
    rescanned = replace(cursor, run_start=cursor.block.number)
    assert await house.store.move_cursor(cursor, rescanned, ())
    done = await outcome(house, payout)
    assert states(done) == [AttemptState.DEAD, AttemptState.SETTLED]
    assert house.paid(payout) == 1
    cursor = await house.store.cursor()
    assert cursor is not None
    assert cursor.run_start <= attempt.ref_block.number


async def test_the_head_alone_proves_no_death() -> None:
    house = await troubled()
    fault(house, "swallow", count=FOREVER)
    payout = await house.create()
    await house.dispatch()
    fault(house, "solid_stall", count=FOREVER)
    await turns(house, 60)
    now = await house.get(payout)
    assert now.status is PayoutStatus.PROCESSING
    assert len(now.txids) == 1
    house.net.faults.clear()
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.COMPLETED
    assert house.paid(payout) == 1


async def test_a_block_at_the_last_moment_pays() -> None:
    """The last block that may include has a parent just before the expiration."""
    house = await troubled()
    fault(house, "swallow", count=FOREVER)
    payout = await house.create()
    await house.dispatch()
    house.net.faults.clear()
    attempt = (await house.get(payout)).live_attempt
    assert attempt is not None
    while house.net.head.timestamp + 3_000 < attempt.expiration_ms:
        house.mine(1)
        await house.read()
        await house.services.settlement.review()
    assert (await house.get(payout)).live_attempt is not None
    house.net.nodes[0].pool.entries.clear()
    await house.chain.broadcast(attempt)
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.COMPLETED
    assert len(done.txids) == 1
    assert house.paid(payout) == 1


async def test_after_enough_deaths_a_person_looks_and_may_retry() -> None:
    house = await troubled()
    fault(house, "swallow", count=FOREVER)
    payout = await house.create()
    reviewed = await outcome(house, payout, blocks=120)
    assert reviewed.status is PayoutStatus.NEEDS_REVIEW
    assert code_of(reviewed) == "P202"
    assert states(reviewed) == [AttemptState.DEAD] * 3
    house.net.faults.clear()
    await turns(house, 5)
    assert house.paid(payout) == 0
    router = house.services.router
    retried = await router.resolve(SERVICE, payout.payout_id, Resolution.RETRY, "node replaced")
    assert retried.status is PayoutStatus.PENDING
    assert retried.counted_deaths == 0
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.COMPLETED
    assert len(done.txids) == 4
    assert house.paid(payout) == 1


async def test_deaths_without_a_word_from_any_node_never_end_in_review() -> None:
    house = await troubled()
    fault(house, "http_status", 503, path=BROADCAST, count=FOREVER)
    payout = await house.create()
    waiting = await until(house, payout, lambda now: len(now.attempts) > 3, blocks=160)
    assert waiting.status in (PayoutStatus.PENDING, PayoutStatus.PROCESSING)
    assert waiting.counted_deaths == 0
    house.net.faults.clear()
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.COMPLETED
    assert house.paid(payout) == 1


async def test_a_death_while_the_chain_stood_still_does_not_count() -> None:
    house = await troubled()
    fault(house, "swallow", count=FOREVER)
    payout = await house.create()
    await turn(house)
    chain_halts(house, 600)
    waiting = await until(house, payout, lambda now: bool(now.attempts))
    assert states(waiting) == [AttemptState.DEAD]
    assert waiting.counted_deaths == 0


async def test_a_payout_that_dies_after_its_time_expires() -> None:
    house = await troubled()
    fault(house, "swallow", count=FOREVER)
    payout = await house.create(expires_at=house.clock() + timedelta(seconds=30))
    await house.dispatch()
    house.mine(15)
    await house.read()
    await house.services.settlement.review()
    await house.services.housekeeping.run()
    assert (await house.get(payout)).status is PayoutStatus.PROCESSING
    house.net.faults.clear()
    house.mine(15)
    await house.read()
    await house.services.settlement.review()
    done = await house.get(payout)
    assert done.status is PayoutStatus.EXPIRED
    assert code_of(done) == "P503"
    await turns(house, 5)
    assert house.paid(payout) == 0
    assert await house.used(payout) == 0


async def test_a_payout_paid_after_its_time_is_completed() -> None:
    house = await troubled()
    payout = await house.create(expires_at=house.clock() + timedelta(seconds=2))
    await house.dispatch()
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.COMPLETED
    assert house.paid(payout) == 1


async def test_no_click_frees_a_live_attempt() -> None:
    house = await troubled()
    fault(house, "swallow", count=FOREVER)
    payout = await house.create()
    await house.dispatch()
    router = house.services.router
    with pytest.raises(PayoutError, match="P500"):
        await router.cancel(SERVICE, payout.payout_id, "changed my mind")
    for action in Resolution:
        with pytest.raises(PayoutError, match="P500"):
            await router.resolve(SERVICE, payout.payout_id, action, "impatient")
    assert (await house.get(payout)).status is PayoutStatus.PROCESSING


async def test_a_cancelled_payout_is_never_paid_though_an_attempt_died_before() -> None:
    house = await troubled()
    fault(house, "swallow", count=FOREVER)
    payout = await house.create()
    await until(
        house, payout, lambda now: now.status is PayoutStatus.PENDING and now.attempts != ()
    )
    await house.services.router.cancel(SERVICE, payout.payout_id, None)
    house.net.faults.clear()
    await turns(house, 10)
    assert (await house.get(payout)).status is PayoutStatus.CANCELLED
    assert house.paid(payout) == 0
