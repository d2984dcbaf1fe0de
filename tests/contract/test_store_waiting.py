"""What waits on a route that it did not ask for, page by page."""

from datetime import datetime, timedelta

from models.order import RouteChoice, RouteName
from models.payout import Payout, PayoutStatus
from ports.store import PayoutStore
from tests.contract.steps import inserted
from tests.factories import a_payout_id, an_order

V0, KYC, _ = RouteName
MINUTE = 60.0


async def on_v0(store: PayoutStore, created_at: datetime) -> Payout:
    return await inserted(store, route=V0, created_at=created_at)


async def found(
    store: PayoutStore, after: Payout | None = None, limit: int = 100, seconds: float = MINUTE
) -> list[str]:
    return [each.payout_id for each in await store.waiting_on(V0, seconds, after, limit)]


async def test_only_what_is_pending_there_and_left_the_choice_to_us(store: PayoutStore) -> None:
    long_ago = await store.now() - timedelta(hours=1)
    wanted = await on_v0(store, long_ago)
    for status in PayoutStatus:
        if status is not PayoutStatus.PENDING:
            await inserted(store, route=V0, status=status, created_at=long_ago)
    for route in (None, KYC):
        await inserted(store, route=route, created_at=long_ago)
    by_name = an_order(route=RouteChoice.V0)
    await inserted(store, route=V0, order=by_name, created_at=long_ago)
    assert await store.waiting_on(V0, MINUTE, None, 100) == [wanted]


async def test_only_what_was_created_that_long_ago(store: PayoutStore) -> None:
    now = await store.now()
    ages = {age: await on_v0(store, now - timedelta(seconds=age)) for age in (0, 30, 90, 600)}
    assert await found(store) == [ages[600].payout_id, ages[90].payout_id]
    assert await found(store, seconds=0) == [ages[age].payout_id for age in (600, 90, 30, 0)]


async def test_pages_go_on_where_the_one_before_ended(store: PayoutStore) -> None:
    """Also among those that were created at the same moment."""
    long_ago = await store.now() - timedelta(hours=1)
    offsets = (3, 0, 1, 1, 1, 0, 2)
    there = [await on_v0(store, long_ago + timedelta(seconds=each)) for each in offsets]
    expected = sorted(there, key=lambda each: (each.created_at, each.payout_id))
    seen: list[Payout] = []
    while page := await store.waiting_on(V0, MINUTE, seen[-1] if seen else None, 2):
        assert len(page) <= 2
        seen += page
    assert seen == expected


async def test_the_last_one_of_a_page_need_not_be_there_any_more(store: PayoutStore) -> None:
    long_ago = await store.now() - timedelta(hours=1)
    gone = a_payout_id()
    later = await on_v0(store, long_ago)
    before = await inserted(
        store, payout_id=gone, status=PayoutStatus.CANCELLED, created_at=long_ago
    )
    assert await found(store, before) == [later.payout_id]
