"""A store that does not confirm: what was asked may have happened, or not; or happens later."""

from contextlib import suppress
from typing import Any

import pytest

from adapters.memory.store import MemoryPayoutStore
from models.errors import PayoutError
from models.payout import PayoutStatus
from models.transaction import AttemptState
from ports.store import PayoutQuery, StoreError
from tests.harness import SERVICE, FakeClock, House
from tests.trouble import (
    BROADCAST,
    FOREVER,
    all_paid_once,
    fault,
    outcome,
    states,
    troubled,
    turn,
    turns,
)

WHEN = ["before", "after"]
BLOCKS_OF_A_LEASE = 25


class UnclearStore:
    """A store of which chosen calls fail, before or after they had their effect."""

    def __init__(self, clock: FakeClock) -> None:
        self.inner = MemoryPayoutStore(clock)
        self.failing: dict[str, tuple[str, int]] = {}
        self.late: list[Any] = []

    def fail(self, name: str, when: str, count: int = 1) -> None:
        """Let the next `count` calls fail: `before`, `after`, or `late` (see `arrive`)."""
        self.failing[name] = (when, count)

    async def arrive(self) -> None:
        """What was on its way when the answer got lost takes effect now."""
        for call in self.late:
            await call()
        self.late.clear()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.inner, name)

        async def call(*args: Any) -> Any:
            when, left = self.failing.get(name, ("", 0))
            if not left:
                return await method(*args)
            self.failing[name] = (when, left - 1)
            if when == "after":
                await method(*args)
            if when == "late":
                self.late.append(lambda: method(*args))
            raise StoreError(f"{name} is not known to have happened")

        return call


async def unclear() -> tuple[House, UnclearStore]:
    clock = FakeClock()
    store = UnclearStore(clock)
    return await troubled(store=store, clock=clock), store


def broadcasts(house: House) -> int:
    calls: int = house.net.nodes[0].calls[BROADCAST]
    return calls


@pytest.mark.parametrize("count", [1, 3, 10])
@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize(
    "name",
    [
        "claim",
        "exposure",
        "now",
        "apply",
        "recorded",
        "note_broadcasts",
        "move_cursor",
        "to_settle",
        "live_to_review",
        "cursor",
        "standing",
    ],
)
async def test_no_unclear_call_pays_twice_or_not_at_all(name: str, when: str, count: int) -> None:
    house, store = await unclear()
    payouts = [await house.create() for _ in range(3)]
    store.fail(name, when, count)
    for payout in payouts:
        done = await outcome(house, payout, blocks=BLOCKS_OF_A_LEASE * (count + 1))
        assert done.status is PayoutStatus.COMPLETED
    assert all_paid_once(house, payouts)


@pytest.mark.parametrize("name", ["apply", "move_cursor", "note_broadcasts"])
async def test_every_second_write_unclear(name: str) -> None:
    house, store = await unclear()
    payouts = []
    for number in range(30):
        if number < 10:
            payouts.append(await house.create())
        store.fail(name, WHEN[number % 2])
        await turn(house)
    for payout in payouts:
        assert (await outcome(house, payout)).status is PayoutStatus.COMPLETED
    assert all_paid_once(house, payouts)


async def test_after_an_unclear_record_only_what_the_store_holds_is_sent() -> None:
    house, store = await unclear()
    payout = await house.create()
    store.fail("apply", "before")
    await house.dispatch()
    assert broadcasts(house) == 0
    assert (await house.get(payout)).txids == ()
    house.clock.tick(60)
    store.fail("apply", "after")
    await house.dispatch()
    assert broadcasts(house) == 1
    now = await house.get(payout)
    assert house.net.nodes[0].pool.entries.keys() == set(now.txids)


async def test_a_record_that_can_not_be_read_back_is_not_sent_from_memory() -> None:
    house, store = await unclear()
    payout = await house.create()
    store.fail("apply", "after")
    store.fail("recorded", "before")
    with pytest.raises(StoreError):
        await house.dispatch()
    assert broadcasts(house) == 0
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.COMPLETED
    assert len(done.txids) == 1
    assert house.paid(payout) == 1


async def test_a_record_that_takes_effect_late_is_sent_by_the_review() -> None:
    house, store = await unclear()
    payout = await house.create()
    store.fail("apply", "late")
    await house.dispatch()
    assert broadcasts(house) == 0
    await store.arrive()
    assert (await house.get(payout)).status is PayoutStatus.PROCESSING
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.COMPLETED
    assert len(done.txids) == 1
    assert house.paid(payout) == 1


async def test_a_record_that_takes_effect_after_another_was_paid_changes_nothing() -> None:
    house, store = await unclear()
    payout = await house.create()
    store.fail("apply", "late")
    await house.dispatch()
    house.clock.tick(61)
    assert (await outcome(house, payout)).status is PayoutStatus.COMPLETED
    before = await house.get(payout)
    await store.arrive()
    assert await house.get(payout) == before
    await turns(house, 5)
    assert house.paid(payout) == 1


async def test_only_the_recorded_part_of_a_group_is_sent() -> None:
    """One payout is cancelled while the group is being built."""
    house, store = await unclear()
    kept, cancelled = await house.create(), await house.create()
    inner = store.inner.apply

    async def apply(changes: Any) -> int:
        if len(changes) == 2:
            store.inner.apply = inner  # type: ignore[method-assign]
            await house.services.router.cancel(SERVICE, cancelled.payout_id, None)
        return await inner(changes)

    store.inner.apply = apply  # type: ignore[method-assign]
    await house.dispatch()
    assert broadcasts(house) == 1
    assert (await outcome(house, kept)).status is PayoutStatus.COMPLETED
    assert (await house.get(cancelled)).status is PayoutStatus.CANCELLED
    assert (house.paid(kept), house.paid(cancelled)) == (1, 0)


async def test_a_hit_written_before_an_unclear_cursor_is_not_a_second_payment() -> None:
    house, store = await unclear()
    payout = await house.create()
    await house.dispatch()
    house.mine(5)
    for when in ("after", "before", "after"):
        store.fail("move_cursor", when)
        with pytest.raises(StoreError):
            await house.read()
    done = await outcome(house, payout)
    assert done.status is PayoutStatus.COMPLETED
    assert len(done.hits) == 1
    cursor = await house.store.cursor()
    assert cursor is not None
    assert cursor.fees.burned_sun == done.hits[0].fee_sun


async def test_a_death_that_is_not_confirmed_is_declared_once() -> None:
    house, store = await unclear()
    fault(house, "swallow", count=FOREVER)
    payout = await house.create()
    await house.dispatch()
    house.mine(30)
    await house.read()
    store.fail("apply", "after")
    with pytest.raises(StoreError):
        await house.services.settlement.review()
    house.net.faults.clear()
    done = await outcome(house, payout)
    assert states(done) == [AttemptState.DEAD, AttemptState.SETTLED]
    assert done.counted_deaths == 1
    assert house.paid(payout) == 1


@pytest.mark.parametrize("when", WHEN)
async def test_a_create_that_is_not_confirmed_makes_one_payout(when: str) -> None:
    house, store = await unclear()
    store.fail("insert", when)
    payout = await house.create()
    assert len(await house.store.list(PayoutQuery(), 10)) == 1
    assert (await outcome(house, payout)).status is PayoutStatus.COMPLETED
    assert house.paid(payout) == 1


@pytest.mark.parametrize("when", WHEN)
async def test_a_create_that_is_never_confirmed_is_repeated_with_its_key(when: str) -> None:
    house, store = await unclear()
    store.fail("insert", when, count=3)
    recipient = "TJRabPrwbZy45sbavfcjinPJC18kjpRTv8"
    order = {"recipient_address": recipient, "idempotency_key": "k-1"}
    with suppress(PayoutError):  # with the effect there, looking for the key finds it at once
        await house.create(**order)
    payout = await house.create(**order)
    assert len(await house.store.list(PayoutQuery(), 10)) == 1
    house.clock.tick(1_000)
    assert (await outcome(house, payout)).status is PayoutStatus.COMPLETED
    assert house.paid(payout) == 1
    assert await house.used(payout) == payout.order.amount
