"""Another route for a payout, with a crash or another person between any two steps: what its limits
hold is exact in the end, and never too little."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import PayoutError
from models.money import Currency
from models.order import RouteChoice, RouteName
from models.payout import Payout
from models.spending import Ceiling, Period, SpendPolicy
from ports.store import StoreError
from services.limits import ORPHAN_AGE_SECONDS
from tests.factories import OWNER, RECIPIENT
from tests.harness import DECISIONS, SERVICE
from tests.unit.services.desk import Desk, a_desk
from tests.unit.services.faulty_store import FaultyStore, SlowStore
from tests.unit.services.two_routes import SOMEBODY, held, of, swept

V0, KYC, _ = RouteName
LIMITS = {Currency.USDT: {Period.HOUR: Ceiling(count=2), Period.DAY: Ceiling(count=2)}}
SPENDING = SpendPolicy(all={}, routes={V0: LIMITS, KYC: LIMITS})


def two_routes(store: Any = FaultyStore) -> Desk:
    """v0 and kyc, each with a wallet and limits of its own: two payouts an hour and a day."""
    first, second, third = DECISIONS.routes
    routes = (first, replace(second, enabled=True, wallet=RECIPIENT), third)
    decisions = replace(DECISIONS, routes=routes)
    return a_desk(store, decisions=decisions, spending=SPENDING, wallets=(OWNER, RECIPIENT))


async def created(desk: Desk, route: RouteName = V0) -> Payout:
    payout = (await desk.create(route=RouteChoice(route.value), recipient_address=SOMEBODY)).payout
    desk.clock.tick(1)
    return payout


async def choose(desk: Desk, payout: Payout, route: RouteName) -> Payout:
    return await desk.router.choose_route(SERVICE, payout.payout_id, route, "because")


async def test_the_new_route_counts_it_and_the_old_one_no_more() -> None:
    desk = two_routes()
    payout = await created(desk)
    after = await choose(desk, payout, KYC)
    assert (after.route, after.wallet) == (KYC, RECIPIENT)
    assert [await held(desk, route) for route in (V0, KYC)] == [of(0), of(1)]
    assert after.history[-1].act == "route v0→kyc"
    again = await choose(desk, payout, KYC)
    assert again == after
    desk.clock.tick(1)
    back = await choose(desk, payout, V0)
    assert [await held(desk, route) for route in (V0, KYC)] == [of(1), of(0)]
    assert back.window_ids == payout.window_ids


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["reserve", "apply", "release", "get"])
async def test_a_crash_at_any_step_holds_too_much_and_is_swept(step: str, when: Any) -> None:
    desk = two_routes()
    payout = await created(desk)
    desk.store.fail(step, when, skip=1 if step == "get" else 0)
    with pytest.raises(StoreError):
        await choose(desk, payout, KYC)
    found = await desk.memory.get(payout.payout_id)
    assert found is not None
    assert found.route is not None
    assert await held(desk, found.route) == of(1)
    await swept(desk)
    other = KYC if found.route is V0 else V0
    assert [await held(desk, route) for route in (found.route, other)] == [of(1), of(0)]
    assert (await choose(desk, payout, other)).route is other
    assert [await held(desk, route) for route in (found.route, other)] == [of(0), of(1)]


async def test_a_payout_that_ended_long_ago_is_not_touched_by_the_sweep() -> None:
    """When it ended is in a day's statement."""
    desk = two_routes()
    payout = await created(desk)
    desk.store.fail("release", "before")
    with pytest.raises(StoreError):
        await choose(desk, payout, KYC)
    ended = await desk.router.cancel(SERVICE, payout.payout_id, None)
    await swept(desk)
    after = await desk.memory.get(payout.payout_id)
    assert after is not None
    assert (after.updated_at, after.version) == (ended.updated_at, ended.version)
    assert [await held(desk, route) for route in (V0, KYC)] == [of(0), of(0)]


async def test_a_route_that_is_full_leaves_the_payout_where_it_is() -> None:
    desk = two_routes()
    payout = await created(desk)
    for _ in range(2):
        await created(desk, KYC)
    with pytest.raises(PayoutError, match="the limit of this route") as refusal:
        await choose(desk, payout, KYC)
    assert refusal.value.code == "P103"
    assert await desk.memory.get(payout.payout_id) == payout
    await swept(desk)
    assert [await held(desk, route) for route in (V0, KYC)] == [of(1), of(2)]


async def test_the_same_choice_made_twice_at_once_counts_once_and_stays_counted() -> None:
    """The second one's write fails; what it found reserved is the first one's."""
    desk = two_routes()
    payout = await created(desk)

    async def first() -> None:
        await choose(desk, payout, KYC)

    desk.store.meanwhile("apply", "before", first)
    with pytest.raises(PayoutError) as refusal:
        await choose(desk, payout, KYC)
    assert refusal.value.code == "P701"
    assert [await held(desk, route) for route in (V0, KYC)] == [of(0), of(1)]
    await swept(desk)
    assert [await held(desk, route) for route in (V0, KYC)] == [of(0), of(1)]


async def test_who_brings_it_back_before_the_old_route_was_left_stays_counted_there() -> None:
    desk = two_routes()
    payout = await created(desk)

    async def back() -> None:
        desk.clock.tick(1)
        assert (await choose(desk, payout, V0)).route is V0

    desk.store.meanwhile("release", "before", back)
    await choose(desk, payout, KYC)
    await swept(desk)
    assert [await held(desk, route) for route in (V0, KYC)] == [of(1), of(0)]


@pytest.mark.parametrize("step", ["orphans", "bury", "get", "release"])
async def test_a_choice_that_comes_between_the_steps_of_a_sweep_stays_counted(step: str) -> None:
    """An old reservation on kyc, of a choice that was not finished, is about to be undone."""
    desk = two_routes()
    payout = await created(desk)
    desk.store.fail("apply", "before")
    with pytest.raises(StoreError):
        await choose(desk, payout, KYC)
    desk.clock.tick(ORPHAN_AGE_SECONDS)

    async def chosen() -> None:
        desk.clock.tick(1)
        assert (await choose(desk, payout, KYC)).route is KYC

    desk.store.meanwhile(step, "after" if step == "orphans" else "before", chosen)
    await desk.limits.sweep()
    after = await desk.memory.get(payout.payout_id)
    assert after is not None
    assert after.route is KYC
    assert await held(desk, KYC) == of(1)
    await swept(desk)
    assert [await held(desk, route) for route in (V0, KYC)] == [of(0), of(1)]


@given(st.integers(0, 10**6))
async def test_whatever_is_chosen_at_once_a_payout_counts_on_its_route_alone(seed: int) -> None:
    desk = two_routes(lambda memory: SlowStore(memory, seed))
    payouts = [await created(desk) for _ in range(2)]
    choices = [(payout, route) for payout in payouts for route in (KYC, V0, KYC)]

    async def chosen(payout: Payout, route: RouteName) -> None:
        desk.clock.tick(0.5)
        try:
            await choose(desk, payout, route)
        except PayoutError as refusal:
            assert refusal.code in ("P103", "P701")  # noqa: PT017

    await asyncio.gather(*(chosen(*choice) for choice in choices))
    for _ in range(2):
        await swept(desk)
    routes = [found.route for each in payouts if (found := await desk.memory.get(each.payout_id))]
    assert [await held(desk, route) for route in (V0, KYC)] == [
        of(routes.count(V0)),
        of(routes.count(KYC)),
    ]
