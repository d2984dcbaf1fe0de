"""A death that was wrong: it cannot happen, and if it does, nothing more is paid."""

import asyncio
from dataclasses import replace

import pytest

from models.errors import PayoutError
from models.payout import Payout, PayoutStatus, Resolution
from models.settlement import after_death
from services.settlement import FROZEN_GATE
from tests.harness import SERVICE, House
from tests.integration.test_trouble_replicas import PausingSigner
from tests.trouble import fault, in_service, replica_of, troubled


async def wrongly_dead(house: House) -> Payout:
    """A payout whose transaction is in an unsolid block, and whose attempt is declared dead."""
    payout = await house.create()
    await house.dispatch()
    house.mine(1)
    assert house.paid(payout) == 1
    now, cursor = await house.get(payout), await house.store.cursor()
    assert now.live_attempt is not None
    assert cursor is not None
    death = after_death(now, now.live_attempt, cursor, house.clock(), 3)
    assert await house.store.apply([death]) == 1
    assert (await house.get(payout)).status is PayoutStatus.PENDING
    return payout


async def hits_written_but_not_judged(house: House) -> None:
    """The settler reads on, writes what it finds, and dies."""
    house.mine(5)

    async def die() -> None:
        raise ConnectionError("this replica is no more")

    house.services.settlement.settle_hits = die  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        await house.read()


async def gates(house: House) -> list[str]:
    return [gate.name for gate in await house.store.gates()]


async def test_a_hit_on_a_dead_attempt_freezes_dispatch_for_everybody() -> None:
    house = await troubled()
    payout = await wrongly_dead(house)
    house.mine(5)
    await house.read()
    assert await gates(house) == [FROZEN_GATE]
    other = await house.create()
    for _ in range(10):
        await house.dispatch()
        house.mine(1)
        await house.read()
    assert [closed.name for closed in house.services.dispatcher.closed] == [FROZEN_GATE]
    assert (await house.get(other)).txids == ()
    now = await house.get(payout)
    assert now.status is PayoutStatus.NEEDS_REVIEW
    assert len(now.txids) == 1
    assert house.paid(payout) == 1


async def test_it_is_never_paid_again_even_if_a_person_opens_the_gate() -> None:
    house = await troubled()
    payout = await wrongly_dead(house)
    house.mine(5)
    await house.read()
    await house.store.open_gate(FROZEN_GATE)
    for _ in range(10):
        await house.dispatch()
        house.mine(1)
        await house.read()
    assert house.paid(payout) == 1
    router = house.services.router
    with pytest.raises(PayoutError, match="P500"):
        await router.resolve(SERVICE, payout.payout_id, Resolution.RETRY, "again")
    done = await router.resolve(SERVICE, payout.payout_id, Resolution.COMPLETE, "it was paid")
    assert done.status is PayoutStatus.COMPLETED


async def test_a_hit_that_nobody_has_judged_yet_keeps_a_payout_from_being_built() -> None:
    """The settler died after it wrote the hit and before it closed the gate."""
    house = await troubled()
    payout = await wrongly_dead(house)
    await hits_written_but_not_judged(house)
    assert await gates(house) == []
    await house.dispatch()
    house.mine(2)
    assert (await house.get(payout)).live_attempt is None
    assert house.paid(payout) == 1


@pytest.mark.parametrize("judged", [True, False])
async def test_a_hit_that_comes_while_the_next_attempt_is_signed_keeps_it_out(
    judged: bool,
) -> None:
    house = await troubled()
    signer = PausingSigner()
    paused = await in_service(await replica_of(house, signer=signer, replica="paused"))
    house.services.settlement._cursor = None
    payout = await wrongly_dead(house)
    task = asyncio.create_task(paused.services.dispatcher.run_group())
    await signer.reached.wait()
    if judged:
        house.mine(5)
        await house.read()
    else:
        await hits_written_but_not_judged(house)
    signer.go_on.set()
    await task
    house.mine(2)
    now = await house.get(payout)
    assert len(now.txids) == 1
    assert now.live_attempt is None
    assert house.paid(payout) == 1


async def test_a_death_is_not_written_once_a_hit_is_there() -> None:
    """The review read the payout before the settler wrote the hit."""
    house = await troubled()
    payout = await house.create()
    await house.dispatch()
    before, cursor = await house.get(payout), await house.store.cursor()
    assert before.live_attempt is not None
    assert cursor is not None
    await hits_written_but_not_judged(house)
    death = after_death(before, before.live_attempt, cursor, house.clock(), 3)
    assert await house.store.apply([death]) == 0
    assert (await house.get(payout)).status is PayoutStatus.PROCESSING


async def test_a_death_needs_every_block_since_the_reference_block() -> None:
    house = await troubled()
    fault(house, "swallow")
    payout = await house.create()
    await house.dispatch()
    house.mine(40)
    await house.read()
    cursor = await house.store.cursor()
    assert cursor is not None
    late = replace(cursor, run_start=cursor.block.number)
    assert await house.store.move_cursor(cursor, late, ())
    await house.services.settlement.review()
    assert (await house.get(payout)).status is PayoutStatus.PROCESSING
    await house.read()
    await house.services.settlement.review()
    assert (await house.get(payout)).status is PayoutStatus.PENDING


async def test_a_failed_transaction_of_a_dead_attempt_freezes_too() -> None:
    house = await troubled()
    payout = await house.create()
    fault(house, "force_result", "REVERT", count=1)
    await house.dispatch()
    house.mine(1)
    now, cursor = await house.get(payout), await house.store.cursor()
    assert now.live_attempt is not None
    assert cursor is not None
    await house.store.apply([after_death(now, now.live_attempt, cursor, house.clock(), 3)])
    house.mine(5)
    await house.read()
    assert await gates(house) == [FROZEN_GATE]
