"""Payouts by the moment at which they ended."""

from datetime import datetime, timedelta

import pytest

from models.payout import TERMINAL, Payout, PayoutStatus
from ports.store import PayoutStore
from tests.contract.steps import inserted, moved, processing, stored
from tests.factories import LONG_AGO, a_cursor, a_hit

DAY = timedelta(days=1)


async def ended(
    store: PayoutStore, at: datetime, status: PayoutStatus = PayoutStatus.COMPLETED
) -> Payout:
    return await inserted(store, status=status, updated_at=at)


async def test_exactly_the_terminal_states_have_ended(store: PayoutStore) -> None:
    payouts = [await ended(store, LONG_AGO, status) for status in PayoutStatus]
    found = await store.ended(LONG_AGO, LONG_AGO + DAY, None, 100)
    assert [*found] == [payout for payout in payouts if payout.status in TERMINAL]


async def test_a_day_begins_at_its_first_moment_and_ends_before_its_last(
    store: PayoutStore,
) -> None:
    last = LONG_AGO + DAY - timedelta(milliseconds=1)
    moments = [LONG_AGO - timedelta(milliseconds=1), LONG_AGO, last, LONG_AGO + DAY]
    payouts = [await ended(store, moment) for moment in moments]
    assert [*await store.ended(LONG_AGO, LONG_AGO + DAY, None, 100)] == payouts[1:3]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_pages_follow_each_other_without_gap_or_repeat(store: PayoutStore, size: int) -> None:
    seconds = [3, 1, 1, 2, 1, 3, 0]
    statuses = sorted(TERMINAL)
    payouts = [
        await ended(store, LONG_AGO + timedelta(seconds=each), statuses[number % len(statuses)])
        for number, each in enumerate(seconds)
    ]
    found: list[Payout] = []
    while page := await store.ended(LONG_AGO, LONG_AGO + DAY, found[-1] if found else None, size):
        assert len(page) <= size
        found += page
    assert found == sorted(payouts, key=lambda payout: (payout.updated_at, payout.payout_id))


async def test_what_happens_to_a_payout_after_its_end_does_not_move_it(store: PayoutStore) -> None:
    payout, attempt = await processing(store)
    done = await moved(store, payout, PayoutStatus.CANCELLED)
    later = a_hit(attempt)
    await store.move_cursor(None, a_cursor(), [later])
    await store.mark_settled(payout.payout_id, [later.txid])
    await store.mark_reservations({payout.payout_id: "kept"})
    assert (await stored(store, payout)).updated_at == done.updated_at
