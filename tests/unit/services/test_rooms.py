"""How many payouts a route may have in flight, and what becomes of those for which it has no room.

A route's figures are looked at every few seconds only; what went out since is not forgotten.
"""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from adapters.memory.store import MemoryPayoutStore
from models.errors import Reason
from models.order import RouteChoice, RouteName
from models.payout import Payout, PayoutStatus
from models.routes import RouteBreakerPolicy, RoutePolicy
from services.deciding import FIGURES_SECONDS
from tests.factories import a_payout
from tests.harness import DECISIONS, POLICIES, FakeClock, House, open_house
from tests.unit.services.faulty_store import FaultyStore

S = PayoutStatus
V0, KYC, _ = RouteName
FULL = Reason("P401", "the route v0 is full now")
FRAGILE = RouteBreakerPolicy(
    window_seconds=600, min_volume=4, failure_percent=50, recovery_seconds=60, trial_payouts=2
)


async def a_house(
    v0: int, *, group_size: int = 4, breaker: RouteBreakerPolicy = DECISIONS.routing.breaker
) -> House:
    """v0 has room for so many payouts; kyc takes what asks for it."""

    def with_room(policy: RoutePolicy) -> RoutePolicy:
        enabled = policy.name in (V0, KYC)
        return replace(policy, enabled=enabled, capacity=v0 if policy.name is V0 else 1_000)

    decisions = replace(
        DECISIONS,
        routes=tuple(map(with_room, DECISIONS.routes)),
        routing=replace(DECISIONS.routing, breaker=breaker),
    )
    clock = FakeClock()
    house = await open_house(
        store=FaultyStore(MemoryPayoutStore(clock)),
        clock=clock,
        policies=replace(
            POLICIES,
            decisions=decisions,
            dispatch=replace(POLICIES.dispatch, group_size=group_size),
        ),
    )
    house.services.deciding.seconds = lambda: clock.at.timestamp()
    await house.start()
    return house


async def v0_payouts(house: House, count: int) -> Sequence[Payout]:
    return [await house.create(route=RouteChoice.V0) for _ in range(count)]


async def in_flight(house: House, payouts: Sequence[Payout]) -> int:
    return sum([(await house.get(each)).status is S.PROCESSING for each in payouts])


async def test_no_more_are_in_flight_than_a_route_has_room_for_however_many_groups() -> None:
    """Groups of 4 within one look, and room for 10."""
    house = await a_house(10)
    payouts = await v0_payouts(house, 14)
    await house.dispatch()
    assert await in_flight(house, payouts) == 10
    waiting = [now for each in payouts if (now := await house.get(each)).status is S.PENDING]
    assert {payout.status_reason for payout in waiting} <= {FULL, None}
    assert all(payout.lease is None for payout in waiting)
    await house.settle()
    house.clock.tick(POLICIES.dispatch.skip_seconds)
    await house.dispatch()
    assert await in_flight(house, waiting) == 4


async def test_what_waits_for_room_keeps_no_other_route_waiting() -> None:
    house = await a_house(1)
    payouts = await v0_payouts(house, 9)
    others = [await house.create(route=RouteChoice.KYC) for _ in range(3)]
    await house.dispatch()
    house.clock.tick(POLICIES.dispatch.skip_seconds)
    await house.dispatch()
    assert await in_flight(house, payouts) == 1
    assert await in_flight(house, others) == 3


async def test_what_is_on_a_full_route_is_not_even_claimed() -> None:
    house = await a_house(1)
    await v0_payouts(house, 9)
    await house.dispatch()
    house.clock.tick(POLICIES.dispatch.skip_seconds)
    house.store.calls.clear()
    for _ in range(2):
        assert await house.services.dispatcher.run_group() is False
    assert house.store.calls == ["standing", "route_figures", "claim", "standing", "claim"]


async def test_a_replica_with_nothing_to_do_looks_at_no_figures() -> None:
    house = await a_house(1_000)
    house.clock.tick(10 * FIGURES_SECONDS)
    house.store.calls.clear()
    await house.dispatch()
    assert house.store.calls == ["standing", "claim"]


async def test_where_there_is_room_for_all_one_look_is_enough() -> None:
    house = await a_house(1_000)
    payouts = await v0_payouts(house, 12)
    house.clock.tick(FIGURES_SECONDS + 1)
    house.store.calls.clear()
    await house.dispatch()
    assert await in_flight(house, payouts) == 12
    assert house.store.calls.count("route_figures") == 1


@pytest.mark.parametrize(("seconds", "trials"), [(58, 0), (61, 2)])
async def test_a_route_that_failed_gets_nothing_and_then_its_trials_alone(
    seconds: float, trials: int
) -> None:
    house = await a_house(1_000, breaker=FRAGILE)
    payouts = await v0_payouts(house, 6)
    for status in (S.FAILED, S.FAILED, S.COMPLETED, S.COMPLETED):
        await house.store.insert(a_payout(route=V0, status=status, updated_at=house.clock.at))
    house.clock.tick(seconds)
    for _ in range(2):
        await house.dispatch()
        assert await in_flight(house, payouts) == trials
        house.clock.tick(1)


async def test_a_group_that_was_not_recorded_takes_no_room() -> None:
    house = await a_house(5)
    payouts = await v0_payouts(house, 4)
    house.store.fail("apply", "before")
    await house.dispatch()
    assert await in_flight(house, payouts) == 0
    house.clock.tick(POLICIES.dispatch.lease_seconds + 1)
    await house.dispatch()
    assert await in_flight(house, payouts) == 4
