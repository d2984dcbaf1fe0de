"""What time alone brings: expiry, approvals that time out, releases, full batches."""

from collections.abc import Awaitable, Callable, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from models.approval import Approval
from models.order import BatchWindow, PayoutType
from models.payout import OPEN, Payout, PayoutStatus
from models.transaction import AttemptState
from ports.store import PayoutStore
from tests.contract.steps import inserted, processing
from tests.factories import LONG_AGO, a_cursor, a_hit, a_payout, an_attempt, an_order

S = PayoutStatus
HOUR = timedelta(hours=1)


def approval_until(moment: datetime) -> Approval:
    """An approval that times out then."""
    return Approval("high_value", 1, ("APPROVER",), 1_800, moment)


@dataclass(frozen=True)
class Deadline:
    """A time that a payout waits for, in some statuses, and who asks for it."""

    statuses: Set[PayoutStatus]
    fields: Callable[[datetime | None], dict[str, Any]]
    due: Callable[[PayoutStore, int], Awaitable[Sequence[Payout]]]


DEADLINES = {
    "expires_at": Deadline(
        OPEN - {S.PROCESSING},
        lambda moment: {"order": an_order(expires_at=moment)},
        lambda store, limit: store.expire_due(limit),
    ),
    "approval": Deadline(
        {S.AWAITING_APPROVAL},
        lambda moment: {"approval": moment and approval_until(moment)},
        lambda store, limit: store.expire_due(limit),
    ),
    "release_at": Deadline(
        {S.SCHEDULED},
        lambda moment: {"release_at": moment},
        lambda store, limit: store.release_due(limit),
    ),
}


@pytest.mark.parametrize("name", DEADLINES)
async def test_exactly_what_waits_for_it_is_due(store: PayoutStore, name: str) -> None:
    deadline = DEADLINES[name]
    fields = deadline.fields(LONG_AGO)
    for status in set(PayoutStatus) - {S.PROCESSING}:
        await inserted(store, status=status, **fields)
    await processing(store, a_payout(**fields))
    found = await deadline.due(store, 20)
    assert sorted(payout.status for payout in found) == sorted(deadline.statuses)


@pytest.mark.parametrize("name", DEADLINES)
@pytest.mark.parametrize("seconds", [3600.0, -1.0, None])
async def test_it_is_due_when_its_time_has_come(
    store: PayoutStore, name: str, seconds: float | None
) -> None:
    deadline = DEADLINES[name]
    moment = None if seconds is None else await store.now() + timedelta(seconds=seconds)
    payouts = [
        await inserted(store, status=status, **deadline.fields(moment))
        for status in deadline.statuses
    ]
    found = await deadline.due(store, 20)
    expected = payouts if seconds is not None and seconds < 0 else []
    assert sorted(payout.payout_id for payout in found) == [each.payout_id for each in expected]


@pytest.mark.parametrize("name", DEADLINES)
async def test_what_waits_longest_comes_first(store: PayoutStore, name: str) -> None:
    deadline = DEADLINES[name]
    status = sorted(deadline.statuses)[0]
    payouts = [
        await inserted(store, status=status, **deadline.fields(LONG_AGO + hours * HOUR))
        for hours in (2, 1, 3)
    ]
    assert list(await deadline.due(store, 2)) == [payouts[1], payouts[0]]
    assert list(await deadline.due(store, 20)) == [payouts[1], payouts[0], payouts[2]]


async def test_what_expires_comes_before_what_nobody_approved_and_each_once(
    store: PayoutStore,
) -> None:
    order, approval = an_order(expires_at=LONG_AGO), approval_until(LONG_AGO)
    waiting = {"status": S.AWAITING_APPROVAL, "approval": approval}
    unapproved = await inserted(store, **waiting)
    both = await inserted(store, **waiting, order=order)
    later = await inserted(store, **waiting, order=an_order(expires_at=await store.now() + HOUR))
    expired = await inserted(store, order=an_order(expires_at=LONG_AGO + HOUR))
    found = [payout.payout_id for payout in await store.expire_due(10)]
    assert found[:2] == [both.payout_id, expired.payout_id]
    assert sorted(found[2:]) == [unapproved.payout_id, later.payout_id]
    assert [payout.payout_id for payout in await store.expire_due(2)] == found[:2]
    assert len(await store.expire_due(3)) == 3


async def test_what_money_may_have_moved_for_does_not_expire(store: PayoutStore) -> None:
    """A success, also of an attempt that was taken for dead; a failure moved nothing."""
    order = an_order(expires_at=LONG_AGO)
    attempt = replace(an_attempt(), state=AttemptState.DEAD)
    success = (a_hit(attempt),)
    reverted = (a_hit(attempt, contract_ret="REVERT"),)
    await inserted(store, status=S.NEEDS_REVIEW, order=order, attempts=(attempt,), hits=success)
    failed = await inserted(store, order=order, attempts=(attempt,), hits=reverted)
    assert list(await store.expire_due(10)) == [failed]


async def test_what_has_a_hit_that_nobody_judged_does_not_expire(store: PayoutStore) -> None:
    attempt = replace(an_attempt(), state=AttemptState.DEAD)
    order = an_order(expires_at=LONG_AGO)
    payout = await inserted(store, order=order, attempts=(attempt,), txids=(attempt.txid,))
    hit = a_hit(attempt, contract_ret="REVERT")
    assert await store.move_cursor(None, a_cursor(), [hit])
    assert list(await store.expire_due(10)) == []
    await store.mark_settled(payout.payout_id, [attempt.txid])
    assert [each.payout_id for each in await store.expire_due(10)] == [payout.payout_id]


# batches


async def batched(
    store: PayoutStore, window: BatchWindow = BatchWindow.INTERVAL, **fields: Any
) -> Payout:
    """A payout that waits in a batch; it is released in an hour at the latest."""
    order = an_order(payout_type=PayoutType.BATCH, batch_window=window)
    release_at = await store.now() + HOUR
    return await inserted(
        store, **{"status": S.SCHEDULED, "order": order, "release_at": release_at} | fields
    )


async def test_there_are_no_batches(store: PayoutStore) -> None:
    assert list(await store.full_batches(1)) == []


async def test_a_batch_is_full_with_so_many_and_gives_the_oldest(store: PayoutStore) -> None:
    payouts = [await batched(store) for _ in range(3)]
    assert list(await store.full_batches(4)) == []
    assert list(await store.full_batches(3)) == payouts
    payouts.append(await batched(store))
    assert list(await store.full_batches(3)) == payouts[:3]


async def test_each_kind_of_window_gathers_its_own(store: PayoutStore) -> None:
    full: list[Payout] = []
    for window, count in zip(BatchWindow, (2, 1, 3, 0), strict=True):
        payouts = [await batched(store, window) for _ in range(count)]
        full += payouts[:2] if count >= 2 else []
    found = await store.full_batches(2)
    assert sorted(found, key=lambda payout: payout.payout_id) == full


async def test_only_batches_that_are_scheduled_gather(store: PayoutStore) -> None:
    payout = await batched(store)
    for status in PayoutStatus:
        if status not in (S.SCHEDULED, S.PROCESSING):
            await batched(store, status=status)
    for payout_type in set(PayoutType) - {PayoutType.BATCH}:
        await inserted(store, status=S.SCHEDULED, order=an_order(payout_type=payout_type))
    assert list(await store.full_batches(1)) == [payout]
    assert list(await store.full_batches(2)) == []
