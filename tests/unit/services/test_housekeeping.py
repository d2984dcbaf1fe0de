"""What time alone brings."""

from datetime import timedelta
from typing import Any

import pytest

from models.approval import Approval
from models.errors import Reason
from models.payout import OPEN, Payout, PayoutStatus, Reservation
from models.transaction import AttemptState
from ports.store import StoreError
from services.housekeeping import EXPIRE_GROUP, Housekeeping
from services.limits import ORPHAN_AGE_SECONDS
from services.transitions import Transitions
from tests.factories import a_cursor, a_hit, a_payout, a_window, an_attempt, an_order
from tests.unit.services.desk import SERVICE, Desk, a_desk
from tests.unit.services.faulty_store import FaultyStore

S = PayoutStatus


def keeper(desk: Desk) -> Housekeeping:
    transitions = Transitions(desk.store, desk.figures)
    return Housekeeping(desk.store, desk.limits, transitions, desk.figures)


async def status(desk: Desk, payout_id: str) -> PayoutStatus:
    found = await desk.memory.get(payout_id)
    assert found is not None
    return found.status


async def test_a_pending_payout_expires_and_gives_back_what_it_reserved() -> None:
    desk = a_desk()
    created = await desk.create(expires_at=desk.clock.at + timedelta(seconds=60))
    payout_id = created.payout.payout_id
    desk.clock.tick(59)
    await keeper(desk).run()
    assert await status(desk, payout_id) is S.PENDING
    desk.clock.tick(1)
    assert await keeper(desk).run() == 2  # expired, and its reservation finished
    after = await desk.memory.get(payout_id)
    assert after is not None
    assert (after.status, after.reservation) == (S.EXPIRED, Reservation.RELEASED)
    assert after.status_reason == Reason("P503", "expired before it could be paid")
    assert await desk.used() == 0
    assert await keeper(desk).run() == 0


@pytest.mark.parametrize("standing", sorted(PayoutStatus))
async def test_what_is_open_and_has_no_live_attempt_expires(standing: PayoutStatus) -> None:
    desk = a_desk()
    live = an_attempt() if standing is S.PROCESSING else None
    order = an_order(expires_at=desk.clock.at - timedelta(days=1))
    payout = a_payout(status=standing, order=order, live_attempt=live)
    await desk.memory.insert(payout)
    await keeper(desk).run()
    expires = standing in OPEN - {S.PROCESSING}
    assert await status(desk, payout.payout_id) is (S.EXPIRED if expires else standing)


async def test_what_money_may_have_moved_for_does_not_expire() -> None:
    desk = a_desk()
    order = an_order(expires_at=desk.clock.at - timedelta(days=1))
    attempt = an_attempt(state=AttemptState.SETTLED)
    payout = a_payout(status=S.NEEDS_REVIEW, order=order, hits=(a_hit(attempt),))
    await desk.memory.insert(payout)
    await keeper(desk).run()
    assert await status(desk, payout.payout_id) is S.NEEDS_REVIEW


def awaiting(desk: Desk, seconds: float, **fields: Any) -> Payout:
    """A payout whose approval times out so many seconds from now."""
    expires_at = desk.clock.at + timedelta(seconds=seconds)
    approval = Approval("high_value", 1, ("APPROVER",), 1_800, expires_at)
    return a_payout(status=S.AWAITING_APPROVAL, approval=approval, **fields)


async def test_what_nobody_approves_in_time_expires_and_gives_back_what_it_reserved() -> None:
    desk = a_desk()
    payout = awaiting(desk, 60, window_ids=(desk.window_id,))
    window = a_window(desk.window_id, maximum=10**9)
    await desk.limits.reserve([window], payout.payout_id, payout.order.amount)
    await desk.memory.insert(payout)
    desk.clock.tick(59)
    assert await keeper(desk).run() == 0
    desk.clock.tick(1)
    assert await keeper(desk).run() == 2  # expired, and its reservation finished
    after = await desk.memory.get(payout.payout_id)
    assert after is not None
    assert (after.status, after.reservation) == (S.EXPIRED, Reservation.RELEASED)
    assert after.status_reason == Reason("P603", "nobody approved it in time")
    assert (after.history[-1].by, await desk.used()) == ("housekeeper", 0)
    assert await keeper(desk).run() == 0


async def test_a_payout_that_expires_while_nobody_approves_ends_once() -> None:
    desk = a_desk()
    payout = awaiting(desk, -1, order=an_order(expires_at=desk.clock.at - timedelta(days=1)))
    await desk.memory.insert(payout)
    assert await keeper(desk).run() == 2
    after = await desk.memory.get(payout.payout_id)
    assert after is not None
    assert (after.status, len(after.history)) == (S.EXPIRED, 1)
    assert after.status_reason is not None
    assert after.status_reason.code == "P503"


async def test_a_payout_without_a_deadline_never_expires() -> None:
    desk = a_desk()
    created = await desk.create()
    desk.clock.tick(10 * 365 * 86_400)
    await keeper(desk).run()
    assert await status(desk, created.payout.payout_id) is S.PENDING


async def test_a_cancel_that_comes_first_stays() -> None:
    desk = a_desk(FaultyStore)
    created = await desk.create(expires_at=desk.clock.at + timedelta(seconds=1))
    desk.clock.tick(1)

    async def cancel() -> None:
        await desk.router.cancel(SERVICE, created.payout.payout_id, None)

    desk.store.meanwhile("expire_due", "after", cancel)
    await keeper(desk).run()
    assert await status(desk, created.payout.payout_id) is S.CANCELLED


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["expire_due", "apply", "to_release", "release"])
async def test_a_crash_at_any_step_is_made_good_by_the_next_round(step: str, when: Any) -> None:
    desk = a_desk(FaultyStore)
    created = await desk.create(expires_at=desk.clock.at + timedelta(seconds=1))
    desk.clock.tick(1)
    desk.store.fail(step, when)
    with pytest.raises(StoreError):
        await keeper(desk).run()
    await keeper(desk).run()
    after = await desk.memory.get(created.payout.payout_id)
    assert after is not None
    assert (after.status, after.reservation) == (S.EXPIRED, Reservation.RELEASED)
    assert len(after.history) == 2
    assert await desk.used() == 0


async def test_one_round_is_bounded_and_the_next_goes_on() -> None:
    desk = a_desk()
    order = an_order(expires_at=desk.clock.at)
    for _ in range(EXPIRE_GROUP + 1):
        await desk.memory.insert(a_payout(order=order))
    totals = []
    for _ in range(2):
        await keeper(desk).run()
        totals.append({t.status: t.count for t in await desk.router.stats(SERVICE)})
    assert totals == [{S.PENDING: 1, S.EXPIRED: EXPIRE_GROUP}, {S.EXPIRED: EXPIRE_GROUP + 1}]


async def test_a_round_undoes_orphans_and_shows_the_alarm() -> None:
    desk = a_desk(FaultyStore)
    desk.store.fail("insert", "before", times=3)
    with pytest.raises(Exception, match="P700"):
        await desk.create()
    await desk.memory.move_cursor(None, a_cursor(), [a_hit()])
    desk.clock.tick(ORPHAN_AGE_SECONDS)
    assert await keeper(desk).run() == 1
    assert await desk.used() == 0
    assert desk.figures.counts["payout_unexplained_transfers"] == 1
