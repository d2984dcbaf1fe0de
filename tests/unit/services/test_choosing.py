"""Which route a payout takes at intake, who may ask for the urgent one, and another one later."""

from dataclasses import replace
from datetime import timedelta

import pytest

from models.caller import Caller
from models.errors import PayoutError
from models.figures import FEES_FROM, FEES_SECONDS
from models.money import BASE_UNITS, Currency
from models.order import PayoutType, RouteChoice, RouteName
from models.payout import PayoutStatus
from models.permission import grants_of, parse_permission
from models.routes import Merit, Strategy
from models.spending import Ceiling, ClientLimits, Period, SpendPolicy
from tests.factories import OWNER, a_hit, a_payout, an_attempt
from tests.harness import DECISIONS, SERVICE
from tests.unit.services.desk import USER, Desk, a_desk

OTHER_WALLET = "TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL"
TEN = 10 * BASE_UNITS
HOUR = {Currency.USDT: {Period.HOUR: Ceiling(count=1)}}
SPENDING = SpendPolicy(
    all={Currency.USDT: {Period.DAY: Ceiling(1_000 * BASE_UNITS)}},
    routes={RouteName.V0: HOUR, RouteName.KYC: HOUR},
    clients={"USER": {Currency.USDT: ClientLimits(ceilings={Period.HOUR: Ceiling(TEN)})}},
)
PLAIN = Caller("shop", "SERVICE", grants_of([parse_permission("payout:create:own")]))


def three_routes() -> Desk:
    """One payout an hour on v0 and on kyc, which has a wallet of its own; direct is for urgent ones
    and would be the best of all."""
    first, second, third = DECISIONS.routes
    routes = (
        first,
        replace(second, enabled=True, wallet=OTHER_WALLET, priority=4),
        replace(third, enabled=True, priority=9, urgent_from_priority=9),
    )
    decisions = replace(DECISIONS, routes=routes)
    return a_desk(decisions=decisions, spending=SPENDING, wallets=(OWNER, OTHER_WALLET))


async def counts(desk: Desk, route: RouteName) -> int:
    window = f"hour:USDT:{desk.clock.at:%Y-%m-%dT%H}:route:{route}"
    return (await desk.memory.used([window]))[window].count


async def test_a_full_route_is_passed_over_and_the_next_one_taken() -> None:
    desk = three_routes()
    first, second = [(await desk.create()).payout for _ in range(2)]
    assert (first.route, first.wallet) == (RouteName.V0, OWNER)
    assert (second.route, second.wallet) == (RouteName.KYC, OTHER_WALLET)
    with pytest.raises(PayoutError) as refused:
        await desk.create()
    assert refused.value.code == "P103"


async def test_what_a_client_may_no_more_is_refused_and_counts_nowhere() -> None:
    desk = three_routes()
    await desk.create(USER, amount=TEN)
    with pytest.raises(PayoutError) as refused:
        await desk.create(USER, amount=TEN)
    assert "this client" in refused.value.message
    assert await desk.used() == TEN
    assert await counts(desk, RouteName.KYC) == 0


@pytest.mark.parametrize(
    "order", [{"route": RouteChoice.DIRECT, "priority": 10}, {"payout_type": PayoutType.EMERGENCY}]
)
async def test_only_who_may_asks_for_what_is_urgent(order: dict[str, object]) -> None:
    desk = three_routes()
    with pytest.raises(PayoutError) as refused:
        await desk.create(PLAIN, **order)
    assert refused.value.code == "P002"
    assert (await desk.create(SERVICE, **order)).payout.route is RouteName.DIRECT


async def test_a_high_priority_alone_does_not_bring_anybody_onto_the_urgent_route() -> None:
    desk = three_routes()
    assert (await desk.create(PLAIN, priority=10)).payout.route is RouteName.V0
    assert (await desk.create(SERVICE, priority=10)).payout.route is RouteName.DIRECT


async def test_a_payout_on_another_route_counts_there_alone_and_is_paid_from_its_wallet() -> None:
    desk = three_routes()
    payout = (await desk.create()).payout
    desk.clock.tick(1)
    moved = await desk.router.choose_route(SERVICE, payout.payout_id, RouteName.KYC, "v0 is slow")
    assert (moved.route, moved.wallet) == (RouteName.KYC, OTHER_WALLET)
    assert [await counts(desk, route) for route in (RouteName.V0, RouteName.KYC)] == [0, 1]
    assert len(moved.window_ids) == len(payout.window_ids)
    assert await desk.used() == payout.order.amount


async def test_a_payout_that_another_route_has_no_room_for_stays_and_counts_where_it_is() -> None:
    desk = three_routes()
    payout, other = [(await desk.create()).payout for _ in range(2)]
    assert other.route is RouteName.KYC
    with pytest.raises(PayoutError) as refused:
        await desk.router.choose_route(SERVICE, payout.payout_id, RouteName.KYC, "v0 is slow")
    assert refused.value.code == "P103"
    assert await desk.memory.get(payout.payout_id) == payout
    assert [await counts(desk, route) for route in (RouteName.V0, RouteName.KYC)] == [1, 1]


def cost_efficient() -> Desk:
    """v0 and kyc, each with a wallet of its own; what counts is what their payouts burn."""
    first, second, third = DECISIONS.routes
    routes = (
        replace(first, fee_cap_sun=20 * BASE_UNITS),
        replace(second, enabled=True, wallet=OTHER_WALLET),
        third,
    )
    cost = {strategy: {Merit.COST: 100} for strategy in Strategy}
    routing = replace(DECISIONS.routing, strategy=Strategy.COST_EFFICIENT, weights=cost)
    decisions = replace(DECISIONS, routes=routes, routing=routing)
    return a_desk(decisions=decisions, wallets=(OWNER, OTHER_WALLET))


async def burned(desk: Desk, route: RouteName, trx: int) -> None:
    """Enough payouts of a route were completed just now, and burned so much each."""
    for number in range(FEES_FROM):
        hit = a_hit(fee_sun=trx * BASE_UNITS)
        payout = a_payout(
            route=route,
            status=PayoutStatus.COMPLETED,
            updated_at=desk.clock.at - timedelta(milliseconds=number),
            attempts=(an_attempt(hit=hit),),
        )
        await desk.memory.insert(payout)


async def test_the_cheaper_route_is_the_one_whose_own_payouts_burned_less() -> None:
    desk = cost_efficient()
    await burned(desk, RouteName.V0, 13)
    await burned(desk, RouteName.KYC, 6)
    assert (await desk.create()).payout.route is RouteName.KYC


async def test_a_route_that_its_fees_shut_is_tried_again() -> None:
    """No new payout lowers its mean while it is shut, so the mean must end by itself."""
    desk = cost_efficient()
    await burned(desk, RouteName.V0, 21)
    with pytest.raises(PayoutError) as refused:
        await desk.create(route=RouteChoice.V0)
    assert refused.value.code == "P403"
    assert (await desk.create()).payout.route is RouteName.KYC
    desk.clock.tick(FEES_SECONDS + 1)
    assert (await desk.create(route=RouteChoice.V0)).payout.route is RouteName.V0
    await burned(desk, RouteName.V0, 6)
    desk.clock.tick(6)
    assert (await desk.create()).payout.route is RouteName.V0
