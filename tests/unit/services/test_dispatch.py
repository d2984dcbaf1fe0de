"""Dispatch against what can come between its steps: a cancel, a lost answer, another replica."""

from dataclasses import replace
from datetime import timedelta

import pytest

from adapters.memory.store import MemoryPayoutStore
from models.payout import Payout, PayoutStatus, move
from models.settlement import after_death
from ports.chain import ChainUnavailableError
from ports.store import StoreError
from tests.factories import a_cursor, a_hit, an_attempt
from tests.harness import POLICIES, SERVICE, FakeClock, House, open_house
from tests.unit.services.faulty_store import FaultyStore

S = PayoutStatus


async def a_house(**options: object) -> House:
    """A started house whose store fails on demand."""
    clock = FakeClock()
    house = await open_house(store=FaultyStore(MemoryPayoutStore(clock)), clock=clock, **options)  # type: ignore[arg-type]
    await house.start()
    return house


def broadcasts(house: House) -> int:
    """How often the devnet's node was sent a transaction."""
    (paths,) = house.net.calls()["nodes"]
    return int(paths.get("/wallet/broadcasthex", 0))


async def test_a_cancel_between_claim_and_record_wins_and_nothing_is_sent() -> None:
    house = await a_house()
    payout, other = await house.create(), await house.create()

    async def cancel() -> None:
        await house.services.router.cancel(SERVICE, payout.payout_id, "changed my mind")

    house.store.meanwhile("claim", "after", cancel)
    await house.dispatch()
    await house.settle()
    after = await house.get(payout)
    assert (after.status, after.txids, house.paid(payout)) == (S.CANCELLED, (), 0)
    assert ((await house.get(other)).status, house.paid(other)) == (S.COMPLETED, 1)


@pytest.mark.parametrize("step", ["exposure", "now", "apply"])
async def test_a_cancel_wins_at_every_step_up_to_the_record(step: str) -> None:
    house = await a_house()
    payout = await house.create()

    async def claimed() -> None:
        house.store.meanwhile(step, "before", cancel)

    async def cancel() -> None:
        await house.services.router.cancel(SERVICE, payout.payout_id, None)

    house.store.meanwhile("claim", "after", claimed)
    await house.dispatch()
    await house.settle()
    after = await house.get(payout)
    assert (after.status, after.txids, house.paid(payout)) == (S.CANCELLED, (), 0)


async def test_a_cancel_after_the_record_is_refused_and_the_payout_is_paid() -> None:
    house = await a_house()
    payout = await house.create()
    refusals: list[str] = []

    async def cancel() -> None:
        with pytest.raises(Exception, match="P500") as refusal:
            await house.services.router.cancel(SERVICE, payout.payout_id, None)
        refusals.append(str(refusal.value))

    house.store.meanwhile("apply", "after", cancel)
    done = await house.pay(payout)
    assert len(refusals) == 1
    assert (done.status, house.paid(payout)) == (S.COMPLETED, 1)


async def test_an_expiry_between_claim_and_record_wins() -> None:
    house = await a_house()
    payout = await house.create(expires_at=house.clock.at + timedelta(seconds=30))

    async def expire() -> None:
        house.clock.tick(31)
        await house.services.housekeeping.run()

    house.store.meanwhile("claim", "after", expire)
    await house.dispatch()
    await house.settle()
    after = await house.get(payout)
    assert (after.status, house.paid(payout)) == (S.EXPIRED, 0)


async def test_nothing_is_sent_before_it_is_recorded() -> None:
    house = await a_house()
    payout = await house.create()
    sent: list[int] = []

    async def look() -> None:
        sent.append(broadcasts(house))

    house.store.meanwhile("apply", "before", look)
    house.store.meanwhile("note_broadcasts", "before", look)
    await house.dispatch()
    assert sent == [0, 1]
    assert (await house.get(payout)).status is S.PROCESSING


async def test_a_record_without_an_answer_is_read_back_and_sent() -> None:
    house = await a_house()
    payout = await house.create()
    house.store.fail("apply", "after")
    done = await house.pay(payout)
    assert (done.status, house.paid(payout), len(done.txids)) == (S.COMPLETED, 1, 1)
    assert "recorded" in house.store.calls


async def test_a_record_that_did_not_happen_is_not_sent() -> None:
    house = await a_house()
    payout = await house.create()
    house.store.fail("apply", "before")
    await house.dispatch()
    after = await house.get(payout)
    assert (after.status, after.txids) == (S.PENDING, ())
    await house.settle()
    assert house.paid(payout) == 0
    house.clock.tick(POLICIES.dispatch.lease_seconds)
    done = await house.pay(payout)
    assert (done.status, house.paid(payout), len(done.txids)) == (S.COMPLETED, 1, 1)


async def test_what_was_recorded_unseen_is_sent_by_the_review() -> None:
    """Neither the record nor the read after it was answered: the bytes are stored, and found."""
    house = await a_house()
    payout = await house.create()
    house.store.fail("apply", "after")
    house.store.fail("recorded", "before")
    with pytest.raises(StoreError):
        await house.services.dispatcher.run_group()
    recorded = await house.get(payout)
    assert (recorded.status, broadcasts(house)) == (S.PROCESSING, 0)
    house.clock.tick(POLICIES.settle.unsent_after_seconds)
    await house.services.settlement.review()
    await house.settle()
    done = await house.get(payout)
    assert (done.status, done.txids, house.paid(payout)) == (S.COMPLETED, recorded.txids, 1)


async def test_a_lease_that_ran_out_records_nothing() -> None:
    """Another replica claimed meanwhile: only the one whose lease it is may record."""
    house = await a_house()
    payout = await house.create()

    async def another() -> None:
        house.clock.tick(POLICIES.dispatch.lease_seconds + 1)
        await house.store.claim(1, "replica-2", "another token", 60)

    house.store.meanwhile("exposure", "before", another)
    await house.dispatch()
    after = await house.get(payout)
    assert (after.status, after.txids) == (S.PENDING, ())
    assert after.lease is not None
    assert after.lease.owner == "replica-2"


@pytest.mark.parametrize("step", ["exposure", "now"])
async def test_what_was_claimed_in_vain_is_handed_back(step: str) -> None:
    house = await a_house()
    payout = await house.create()

    async def claimed() -> None:
        house.store.fail(step, "before")

    house.store.meanwhile("claim", "after", claimed)
    with pytest.raises(StoreError):
        await house.services.dispatcher.run_group()
    after = await house.get(payout)
    assert (after.status, after.lease, after.status_reason) == (S.PENDING, None, None)
    assert (await house.pay(payout)).status is S.COMPLETED


async def test_a_hit_on_a_dead_attempt_keeps_a_claimed_payout_from_being_recorded() -> None:
    """A proof of death was wrong, and the chain says so between claim and record."""
    house = await a_house()
    payout = await dead_once(house)
    dead = payout.attempts[0]

    async def included() -> None:
        await settle_on(house, a_hit(dead, owner=house.ports.signer.address))

    house.store.meanwhile("exposure", "before", included)
    await house.dispatch()
    after = await house.get(payout)
    assert after.live_attempt is None
    assert after.txids == (dead.txid,)


async def test_a_payout_that_was_paid_by_a_dead_attempt_waits_for_a_person() -> None:
    """Even when somebody opens the gate that the wrong proof closed."""
    house = await a_house()
    payout = await dead_once(house)
    await settle_on(house, a_hit(payout.attempts[0], owner=house.ports.signer.address))
    await house.services.settlement.settle_hits()
    assert [gate.name for gate in await house.store.gates()] == ["frozen"]
    await house.store.open_gate("frozen")
    await house.dispatch()
    after = await house.get(payout)
    assert (after.status, len(after.txids)) == (S.NEEDS_REVIEW, 1)


async def dead_once(house: House) -> Payout:
    """A pending payout whose one attempt, never sent, was declared dead."""
    payout = await house.create()
    attempt = an_attempt(payout, owner=house.ports.signer.address)
    await house.store.apply([move(payout, S.PROCESSING, by="dispatcher", record=attempt)])
    live = await house.get(payout)
    death = after_death(live, attempt, a_cursor(10**6), house.clock.at, max_deaths=3)
    assert await house.store.apply([death]) == 1
    return await house.get(payout)


async def settle_on(house: House, hit: object) -> None:
    """Write a hit as the settler does, without a block."""
    cursor = await house.store.cursor()
    assert await house.store.move_cursor(cursor, cursor, [hit])


async def test_a_full_group_says_that_more_may_wait() -> None:
    policies = replace(POLICIES, dispatch=replace(POLICIES.dispatch, group_size=2))
    house = await a_house(policies=policies)
    for _ in range(3):
        await house.create()
    assert await house.services.dispatcher.run_group()
    assert not await house.services.dispatcher.run_group()


async def test_without_an_endpoint_the_claim_is_handed_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = await a_house()
    payout = await house.create()

    async def down() -> None:
        raise ChainUnavailableError("no endpoint answers")

    monkeypatch.setattr(house.chain, "head", down)
    with pytest.raises(ChainUnavailableError):
        await house.services.dispatcher.run_group()
    after = await house.get(payout)
    assert (after.lease, after.due_at) == (None, house.clock.at)
