"""Payouts that fall back on another route by themselves: what a round asks for and does, and what
its limits hold with a crash, another replica or a person between any two steps."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.chain import Balances
from models.errors import PayoutError
from models.money import BASE_UNITS, Currency
from models.order import RouteChoice, RouteName
from models.payout import Payout, PayoutStatus
from models.registry import KycRecord
from models.routes import FallbackPolicy, KycStep, RouteLimits
from models.spending import Ceiling, Period, SpendPolicy
from ports.store import StoreError
from services.deciding import FIGURES_SECONDS
from services.fallback import GROUP
from tests.contract.steps import recording
from tests.factories import OWNER, RECIPIENT, an_attempt
from tests.harness import DECISIONS, SERVICE
from tests.unit.services.desk import Desk, a_desk
from tests.unit.services.faulty_store import FaultyStore, SlowStore
from tests.unit.services.two_routes import SOMEBODY, USDT_12_50, held, of, swept

V0, KYC, DIRECT = RouteName
SOMEBODY_ELSE = "TQ5pz6bBWnQRRGQjSuLzXyGfFGqnYYH5kF"
AFTER, TIMES = 60, 2
DRY = Balances(0, 0)
RICH = Balances(10**12, 10**12)
MANY = 10**6


def limits(count: int) -> dict[Currency, dict[Period, Ceiling]]:
    return {Currency.USDT: {Period.HOUR: Ceiling(count=MANY), Period.DAY: Ceiling(count=count)}}


def two_routes(
    store: Any = FaultyStore, *, on_kyc: int = MANY, fallback: Any = None, **rules: Any
) -> Desk:
    """v0, which is chosen first, and kyc: each with a wallet and limits of its own. `rules` are
    those of kyc."""
    first, second, third = DECISIONS.routes
    routes = (
        replace(first, priority=6),
        replace(second, **{"enabled": True, "wallet": RECIPIENT, **rules}),
        third,
    )
    routing = replace(DECISIONS.routing, fallback=fallback or FallbackPolicy(AFTER, TIMES))
    decisions = replace(DECISIONS, routes=routes, routing=routing)
    spending = SpendPolicy(all={}, routes={V0: limits(MANY), KYC: limits(on_kyc)})
    return a_desk(store, decisions=decisions, spending=spending, wallets=(OWNER, RECIPIENT))


async def created(desk: Desk, count: int = 1, **order: Any) -> list[Payout]:
    """Payouts that v0 has taken."""
    order = {"recipient_address": SOMEBODY, **order}
    payouts = [(await desk.create(**order)).payout for _ in range(count)]
    assert {payout.route for payout in payouts} == {V0}
    return payouts


async def run_dry(desk: Desk, wallet: str = OWNER) -> None:
    """The wallet is empty, for longer than a payout waits for it."""
    desk.chain.balances_of[wallet] = DRY
    desk.clock.tick(AFTER)


async def round_of(desk: Desk) -> None:
    """The next round of the scheduler, once there may be one."""
    desk.clock.tick(FIGURES_SECONDS + 1)
    await desk.fallback.run()


async def now(desk: Desk, payout: Payout) -> Payout:
    found = await desk.memory.get(payout.payout_id)
    assert found is not None
    return found


async def routes_of(desk: Desk, payouts: Sequence[Payout]) -> Counter[RouteName | None]:
    return Counter([(await now(desk, payout)).route for payout in payouts])


# what a round does


async def test_what_a_dry_wallet_cannot_pay_goes_by_the_other_route() -> None:
    desk = two_routes()
    (payout,) = await created(desk)
    await run_dry(desk)
    desk.wakeups.woken = False
    await round_of(desk)
    after = await now(desk, payout)
    assert (after.route, after.wallet, after.status) == (KYC, RECIPIENT, PayoutStatus.PENDING)
    assert [await held(desk, route) for route in (V0, KYC)] == [of(0), of(1)]
    said, event = after.findings[-1], after.history[-1]
    assert said.rule == "routing.fallback"
    assert said.text == (
        "the route kyc pays instead of v0, which cannot now: "
        "the wallet has 0.00 USDT left, and 12.50 USDT is needed"
    )
    assert (event.by, event.act, event.why) == ("scheduler", "route v0→kyc", event.why)
    assert event.why is not None
    assert event.why.message == said.text
    assert after.due_at <= desk.clock.at
    assert desk.figures.counts["payout_findings_total"] == len(payout.findings) + 1


async def test_nothing_is_asked_of_the_store_but_figures_while_every_route_is_well() -> None:
    desk = two_routes()
    await round_of(desk)
    assert set(desk.store.calls) == {"route_figures"}
    await created(desk)
    desk.store.calls.clear()
    await round_of(desk)
    assert set(desk.store.calls) == {"route_figures", "gates", "now"}
    desk.store.calls.clear()
    await desk.fallback.run()
    assert desk.store.calls == []


async def test_nothing_falls_back_before_its_time() -> None:
    desk = two_routes()
    (payout,) = await created(desk)
    desk.chain.balances_of[OWNER] = DRY
    desk.clock.tick(AFTER - FIGURES_SECONDS - 2)
    await round_of(desk)
    assert await now(desk, payout) == payout
    await round_of(desk)
    assert (await now(desk, payout)).route is KYC


async def test_a_payout_is_moved_so_often_and_no_more() -> None:
    desk = two_routes()
    (payout,) = await created(desk)
    await run_dry(desk)
    seen = []
    for dry, rich in [(OWNER, RECIPIENT), (RECIPIENT, OWNER)] * 2:
        desk.chain.balances_of |= {dry: DRY, rich: RICH}
        desk.clock.tick(AFTER)
        await round_of(desk)
        seen.append((await now(desk, payout)).route)
    assert seen == [KYC, V0, V0, V0]
    assert [await held(desk, route) for route in (V0, KYC)] == [of(1), of(0)]


async def test_without_fall_back_everything_stays() -> None:
    desk = two_routes(fallback=FallbackPolicy(AFTER, 0))
    (payout,) = await created(desk)
    await run_dry(desk)
    desk.store.calls.clear()
    await round_of(desk)
    assert (await now(desk, payout), desk.store.calls) == (payout, [])


async def test_who_asked_for_a_route_by_name_or_was_given_one_stays_there() -> None:
    desk = two_routes()
    (named,) = await created(desk, route=RouteChoice.V0)
    chosen = (await desk.create(route=RouteChoice.SMART, recipient_address=SOMEBODY)).payout
    await desk.router.choose_route(SERVICE, chosen.payout_id, KYC, "for a test")
    await desk.router.choose_route(SERVICE, chosen.payout_id, V0, "back again")
    await run_dry(desk)
    await round_of(desk)
    assert await routes_of(desk, [named, chosen]) == {V0: 2}


async def test_what_has_a_live_attempt_or_a_lease_stays_where_it_is() -> None:
    desk = two_routes()
    live, leased, free = await created(desk, 3)
    assert await desk.memory.apply([recording(live, an_attempt(live))]) == 1
    await run_dry(desk)
    claim = await desk.memory.claim(1, "replica", "token", 600)
    assert [each.payout_id for each in claim.payouts] == [leased.payout_id]
    await round_of(desk)
    assert (await now(desk, live)).route is V0
    assert await now(desk, leased) == claim.payouts[0]
    assert (await now(desk, free)).route is KYC


async def test_a_claim_between_look_and_write_records_nothing() -> None:
    desk = two_routes()
    (claimed,) = await created(desk)
    await run_dry(desk)

    async def claim() -> None:
        assert (await desk.memory.claim(1, "replica", "token", 600)).payouts

    desk.store.meanwhile("apply", "before", claim)
    await round_of(desk)
    after = await now(desk, claimed)
    assert (after.route, after.lease) == (KYC, None)
    record = recording(claimed, an_attempt(claimed), lease_token="token")
    assert await desk.memory.apply([record]) == 0


async def test_a_record_between_look_and_write_keeps_the_route() -> None:
    desk = two_routes()
    (payout,) = await created(desk)
    await run_dry(desk)

    async def record() -> None:
        assert await desk.memory.apply([recording(payout, an_attempt(payout))]) == 1

    desk.store.meanwhile("apply", "before", record)
    await round_of(desk)
    after = await now(desk, payout)
    assert (after.status, after.route, after.wallet) == (PayoutStatus.PROCESSING, V0, OWNER)
    await swept(desk)
    assert [await held(desk, route) for route in (V0, KYC)] == [of(1), of(0)]


async def test_verification_is_asked_for_as_at_intake() -> None:
    steps = {each: RouteLimits(10_000, kyc=(KycStep(None, 2),)) for each in Currency}
    desk = two_routes(limits=steps)
    known, unknown = await created(desk), await created(desk, recipient_address=SOMEBODY_ELSE)
    since = desk.clock.at - timedelta(days=1)
    await desk.memory.put_kyc(KycRecord(SOMEBODY, 2, since, since + timedelta(days=99)))
    await run_dry(desk)
    await round_of(desk)
    assert await routes_of(desk, known) == {KYC: 1}
    assert await routes_of(desk, unknown) == {V0: 1}


async def test_the_route_of_emergencies_is_no_way_out() -> None:
    desk = two_routes(enabled=False)
    (payout,) = await created(desk, priority=10)
    await run_dry(desk)
    await round_of(desk)
    assert await now(desk, payout) == payout


async def test_no_more_leave_than_the_other_wallet_can_pay() -> None:
    """Nor while what left is in flight, which the balance does not show."""
    desk = two_routes()
    payouts = await created(desk, 5)
    await run_dry(desk)
    desk.chain.balances_of[RECIPIENT] = Balances(10**12, 3 * USDT_12_50)
    await round_of(desk)
    assert await routes_of(desk, payouts) == {KYC: 3, V0: 2}
    for payout in payouts:
        there = await now(desk, payout)
        if there.route is KYC:
            attempt = an_attempt(there, owner=RECIPIENT)
            assert await desk.memory.apply([recording(there, attempt)]) == 1
    await round_of(desk)
    assert await routes_of(desk, payouts) == {KYC: 3, V0: 2}
    desk.chain.balances_of[RECIPIENT] = Balances(10**12, 4 * USDT_12_50)
    await round_of(desk)
    assert await routes_of(desk, payouts) == {KYC: 4, V0: 1}


async def test_no_more_leave_in_a_round_than_it_looks_at_and_those_behind_come_next() -> None:
    """The first ones are too much for the other route; they keep nobody behind them."""
    desk = two_routes(limits={Currency.USDT: RouteLimits(10_000, USDT_12_50)})
    large = await created(desk, GROUP, amount=20 * BASE_UNITS)
    desk.clock.tick(1)
    small = await created(desk, GROUP + 1)
    await run_dry(desk)
    seen = []
    for _ in range(3):
        await round_of(desk)
        seen.append((await routes_of(desk, small))[KYC])
    assert seen == [0, GROUP, GROUP + 1]
    assert await routes_of(desk, large) == {V0: GROUP}


async def test_a_wallet_of_which_no_node_tells_is_left_alone() -> None:
    desk = two_routes()
    (payout,) = await created(desk)
    await run_dry(desk)
    desk.chain.silent = True
    await round_of(desk)
    assert await now(desk, payout) == payout


# limits


async def test_a_route_whose_limit_is_reached_takes_nobody_and_holds_nothing() -> None:
    """Room for an hour is not held for what the day has no room for, however often it is tried."""
    desk = two_routes(on_kyc=1)
    payouts = await created(desk, 3)
    await run_dry(desk)
    for _ in range(3):
        await round_of(desk)
    assert await routes_of(desk, payouts) == {KYC: 1, V0: 2}
    assert [await held(desk, route) for route in (V0, KYC)] == [of(2), of(1)]


async def test_the_last_room_that_somebody_else_takes_first_is_not_exceeded() -> None:
    desk = two_routes(on_kyc=1)
    (payout,) = await created(desk)
    await run_dry(desk)

    async def taken() -> None:
        await desk.create(route=RouteChoice.KYC, recipient_address=SOMEBODY)

    desk.store.meanwhile("reserve", "before", taken)
    await round_of(desk)
    assert await now(desk, payout) == payout
    await swept(desk)
    assert [await held(desk, route) for route in (V0, KYC)] == [of(1), of(1)]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "step", ["gates", "exposures", "waiting_on", "kyc_of", "used", "reserve", "apply", "release"]
)
async def test_a_crash_at_any_step_holds_too_much_and_is_swept(step: str, when: Any) -> None:
    desk = two_routes()
    (payout,) = await created(desk)
    await run_dry(desk)
    desk.store.fail(step, when)
    with pytest.raises(StoreError):
        await round_of(desk)
    found = await now(desk, payout)
    assert found.route is not None
    assert await held(desk, found.route) == of(1)
    await round_of(desk)
    await swept(desk)
    assert (await now(desk, payout)).route is KYC
    assert [await held(desk, route) for route in (V0, KYC)] == [of(0), of(1)]


@pytest.mark.parametrize("step", ["waiting_on", "reserve", "apply", "release"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_two_replicas_that_do_it_at_once_do_it_once(step: str, when: Any) -> None:
    desk = two_routes()
    other = two_routes(lambda _: desk.memory)
    (payout,) = await created(desk)
    await run_dry(desk)
    other.clock.at = desk.clock.at
    other.chain.balances_of = desk.chain.balances_of
    desk.store.meanwhile(step, when, other.fallback.run)
    await round_of(desk)
    after = await now(desk, payout)
    assert after.route is KYC
    assert [each.rule for each in after.findings].count("routing.fallback") == 1
    await swept(desk)
    assert [await held(desk, route) for route in (V0, KYC)] == [of(0), of(1)]


@pytest.mark.parametrize("step", ["waiting_on", "reserve", "apply", "release"])
async def test_an_operators_choice_at_once_stands(step: str) -> None:
    """He takes it to kyc and back, as the last of all."""
    desk = two_routes()
    (payout,) = await created(desk)
    await run_dry(desk)

    async def chosen() -> None:
        for route in (KYC, V0):
            desk.clock.tick(1)
            desk.chain.balances_of[OWNER] = RICH
            desk.clock.tick(FIGURES_SECONDS)
            await desk.router.choose_route(SERVICE, payout.payout_id, route, "because")

    desk.store.meanwhile(step, "before", chosen)
    await round_of(desk)
    assert (await now(desk, payout)).route is V0
    desk.chain.balances_of[OWNER] = DRY
    desk.clock.tick(AFTER)
    await round_of(desk)
    assert (await now(desk, payout)).route is V0
    await swept(desk)
    assert [await held(desk, route) for route in (V0, KYC)] == [of(1), of(0)]


@given(st.integers(0, 10**6))
async def test_whatever_happens_at_once_a_payout_counts_on_its_route_alone(seed: int) -> None:
    """Two replicas, an operator who chooses, and a client who cancels."""
    desk = two_routes(lambda memory: SlowStore(memory, seed), on_kyc=2)
    other = two_routes(lambda _: SlowStore(desk.memory, seed + 1), on_kyc=2)
    payouts = await created(desk, 3)
    await run_dry(desk)
    other.clock.at = desk.clock.at
    other.chain.balances_of = desk.chain.balances_of

    async def chosen() -> None:
        try:
            await desk.router.choose_route(SERVICE, payouts[0].payout_id, KYC, "because")
        except PayoutError as refusal:
            assert refusal.code in ("P103", "P701")  # noqa: PT017

    cancelled = desk.router.cancel(SERVICE, payouts[1].payout_id, None)
    await asyncio.gather(desk.fallback.run(), other.fallback.run(), chosen(), cancelled)
    for _ in range(2):
        await swept(desk)
    open_ = [await now(desk, each) for each in payouts if each is not payouts[1]]
    on = Counter(each.route for each in open_)
    assert on[V0] + on[KYC] == 2
    assert [await held(desk, route) for route in (V0, KYC)] == [of(on[V0]), of(on[KYC])]
