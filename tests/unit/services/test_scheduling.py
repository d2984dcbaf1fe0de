"""When payouts that wait for a time or for company are let go."""

from datetime import timedelta

from models.order import PayoutType
from models.payout import PayoutStatus
from tests.harness import DECISIONS
from tests.unit.services.desk import Desk, a_desk

FULL = DECISIONS.schedule.batch_size


async def statuses(desk: Desk, payout_ids: list[str]) -> set[PayoutStatus]:
    found = [await desk.memory.get(each) for each in payout_ids]
    return {payout.status for payout in found if payout is not None}


async def test_a_scheduled_payout_is_let_go_at_its_time_and_not_before() -> None:
    desk = a_desk()
    at = desk.clock.at + timedelta(hours=1)
    created = await desk.create(payout_type=PayoutType.SCHEDULED, scheduled_at=at)
    ids = [created.payout.payout_id]
    desk.clock.tick(3599)
    assert not await desk.scheduling.run()
    assert await statuses(desk, ids) == {PayoutStatus.SCHEDULED}
    desk.clock.tick(1)
    await desk.scheduling.run()
    assert await statuses(desk, ids) == {PayoutStatus.PENDING}


async def test_a_batch_is_let_go_when_it_is_full_and_not_before() -> None:
    desk = a_desk()
    small = {"amount": 10_000, "payout_type": PayoutType.BATCH}
    ids = [(await desk.create(**small)).payout.payout_id for _ in range(FULL - 1)]
    assert not await desk.scheduling.run()
    assert await statuses(desk, ids) == {PayoutStatus.SCHEDULED}
    ids.append((await desk.create(**small)).payout.payout_id)
    assert await desk.scheduling.run()
    assert await statuses(desk, ids) == {PayoutStatus.PENDING}


async def test_a_batch_that_does_not_fill_is_let_go_at_the_end_of_its_window() -> None:
    desk = a_desk()
    created = await desk.create(payout_type=PayoutType.BATCH)
    assert created.payout.release_at is not None
    desk.clock.tick((created.payout.release_at - desk.clock.at).total_seconds())
    await desk.scheduling.run()
    assert await statuses(desk, [created.payout.payout_id]) == {PayoutStatus.PENDING}
