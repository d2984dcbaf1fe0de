"""Which payouts may leave their route by themselves, why they should, and where they go."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.chain import Balances
from models.fallback import CHOSEN, FELL_BACK, Standing, doubtful, fall, may_fall_back
from models.figures import RouteFigures
from models.findings import Effect, Finding
from models.money import BASE_UNITS, Currency
from models.order import PayoutType, RouteChoice, RouteName
from models.payout import Event, Lease, Payout, PayoutStatus
from models.routes import (
    BreakerState,
    BreakerVerdict,
    FallbackPolicy,
    KycStep,
    Route,
    RouteLimits,
    RouteState,
)
from models.routing import Wanted, refusals
from models.transaction import AttemptState
from tests.factories import LONG_AGO, OWNER, RECIPIENT, a_hit, a_payout, an_attempt, an_order
from tests.harness import DECISIONS

V0, KYC, DIRECT = RouteName
USDT, TRX = Currency
POLICY = FallbackPolicy(after_seconds=60, times=2)
NOW = LONG_AGO + timedelta(hours=1)
WALLETS = {V0: OWNER, KYC: RECIPIENT, DIRECT: RECIPIENT}
RICH = Balances(10**12, 10**12)
LARGEST = {USDT: 1_000 * BASE_UNITS, TRX: 3_000 * BASE_UNITS}


def coins(units: int) -> int:
    return units * BASE_UNITS


def standing(states: Mapping[RouteName, Mapping[str, Any]] | None = None, **rules: Any) -> Standing:
    """Three routes that take everything from wallets that hold enough; one payout waits on v0.

    `states` by route are those of `RouteState`, `rules` are those of the policy of kyc.
    """

    def route(name: RouteName) -> Route:
        policy = next(each for each in DECISIONS.routes if each.name is name)
        policy = replace(policy, **{"enabled": True, **(rules if name is KYC else {})})
        usual = {
            "figures": RouteFigures(waiting=name is V0),
            "funds": RICH,
            "usual_fee_sun": coins(10),
        }
        return Route(policy, RouteState(**usual | {**(states or {}).get(name, {})}))

    return Standing({each: [*map(route, RouteName)] for each in Currency}, WALLETS)


def waiting(**overrides: Any) -> Payout:
    """A payout of 12.50 USDT that waits on v0, and left the choice to us."""
    return a_payout(**{"route": V0, "wallet": OWNER, **overrides})


SHORT = {V0: {"funds": Balances(coins(100), coins(3))}}
IN_TRIAL = BreakerVerdict(BreakerState.HALF_OPEN, 2, "2 trial payouts at a time")


# may it?


def test_what_nothing_has_happened_to_for_long_enough_may_leave() -> None:
    def since(seconds: float) -> Payout:
        event = Event(NOW - timedelta(seconds=seconds), "test", None, PayoutStatus.PENDING, None)
        return waiting(history=(event,))

    assert may_fall_back(waiting(), POLICY, NOW)
    assert may_fall_back(since(60), POLICY, NOW)
    assert not may_fall_back(since(59.9), POLICY, NOW)
    assert not may_fall_back(waiting(created_at=NOW), POLICY, NOW)


def fell_back(times: int) -> tuple[Finding, ...]:
    return (Finding(FELL_BACK, Effect.NOTE, "moved"),) * times


@pytest.mark.parametrize(
    "overrides",
    [
        {"order": an_order(route=RouteChoice.V0)},
        {"status": PayoutStatus.PROCESSING, "live_attempt": an_attempt()},
        {"live_attempt": an_attempt()},
        *({"status": each} for each in PayoutStatus if each is not PayoutStatus.PENDING),
        {"lease": Lease("replica", "token", NOW + timedelta(seconds=1))},
        {"findings": fell_back(2)},
        {"findings": (Finding(CHOSEN, Effect.NOTE, "ada chose"),)},
        {"hits": (a_hit(),)},
        {"attempts": (an_attempt(),)},
    ],
)
def test_what_may_not_leave(overrides: dict[str, Any]) -> None:
    """A route by name; a live attempt; what does not wait to be paid; a lease; often enough; a
    person's word; money that moved; an attempt that is not over."""
    assert not may_fall_back(waiting(**overrides), POLICY, NOW)


@pytest.mark.parametrize(
    "overrides",
    [
        {"lease": Lease("replica", "token", NOW)},
        {"findings": fell_back(1)},
        {"attempts": (an_attempt(state=AttemptState.DEAD),)},
        {"order": an_order(payout_type=PayoutType.EMERGENCY)},
    ],
)
def test_what_keeps_nothing_from_leaving(overrides: dict[str, Any]) -> None:
    assert may_fall_back(waiting(**overrides), POLICY, NOW)


# where to?


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ({"funds": Balances(coins(100), coins(3))}, "the wallet has 3.00 USDT left"),
        ({"funds": Balances(coins(9), coins(300))}, "the wallet has 9.00 TRX left"),
        ({"paused": "the key leaked"}, "the route is paused: the key leaked"),
        ({"closed": "no USDT"}, "dispatch is closed: no USDT"),
        ({"breaker": BreakerVerdict(BreakerState.OPEN, 0, "9 of 9 failed")}, "9 of 9 failed"),
        ({"figures": RouteFigures(in_flight=10**6, waiting=1)}, "payouts are in flight"),
    ],
)
def test_a_payout_leaves_what_cannot_pay_it_now_for_what_can(
    state: dict[str, Any], why: str
) -> None:
    found = fall(waiting(), 0, standing({V0: state}), DECISIONS.routing)
    assert found is not None
    assert found.routes == (KYC,)
    assert why in found.why
    said = found.finding(waiting(), KYC)
    assert (said.rule, said.effect) == (FELL_BACK, Effect.NOTE)
    assert said.text.startswith("the route kyc pays instead of v0, which cannot now: ")
    assert why in said.text


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"funds": None},
        {"funds": Balances(coins(10), 12_500_000)},
        {"usual_fee_sun": coins(1_000)},
        {"breaker": IN_TRIAL, "figures": RouteFigures(waiting=2)},
    ],
)
def test_a_payout_stays_where_it_can_be_paid(state: dict[str, Any]) -> None:
    """Nothing is wrong; nobody knows what the wallet has; it is just enough; the route became dear,
    for new payouts; it is one of the trials."""
    assert fall(waiting(), 0, standing({V0: state}), DECISIONS.routing) is None


STEPS = {each: RouteLimits(10_000, kyc=(KycStep(None, 2),)) for each in Currency}


def test_what_the_other_route_asks_for_is_asked_for() -> None:
    verified = standing(SHORT, limits=STEPS)
    assert fall(waiting(), 1, verified, DECISIONS.routing) is None
    assert fall(waiting(), 2, verified, DECISIONS.routing) is not None
    small = standing(SHORT, limits={USDT: RouteLimits(10_000, 12_499_999)})
    assert fall(waiting(), 2, small, DECISIONS.routing) is None
    assert fall(waiting(), 0, standing(SHORT, enabled=False), DECISIONS.routing) is None


def test_the_route_of_emergencies_takes_nothing_else() -> None:
    nowhere = standing(SHORT, enabled=False)
    order = {"priority": 10}
    assert fall(waiting(order=an_order(**order)), 3, nowhere, DECISIONS.routing) is None
    emergency = waiting(order=an_order(payout_type=PayoutType.EMERGENCY, **order))
    found = fall(emergency, 0, nowhere, DECISIONS.routing)
    assert found is not None
    assert found.routes == (DIRECT,)


def test_what_a_payout_has_burned_counts_under_the_cap_of_the_other_route() -> None:
    capped = standing(SHORT, fee_cap_sun=coins(20))
    for burned, expected in ((coins(10), (KYC,)), (coins(10) + 1, ())):
        found = fall(waiting(burned_sun=burned), 0, capped, DECISIONS.routing)
        assert (found.routes if found else ()) == expected


def test_a_currency_or_route_that_is_not_there_any_more_stops_nobody() -> None:
    routes = standing(SHORT)
    without = replace(routes, routes={TRX: routes.routes[TRX]})
    assert fall(waiting(), 0, without, DECISIONS.routing) is None
    assert fall(waiting(route=None), 0, routes, DECISIONS.routing) is None


def test_what_waits_on_the_other_route_goes_before() -> None:
    """It has room for one: so for one more than waits there."""
    for ahead, expected in ((0, (KYC,)), (1, ())):
        there = {KYC: {"figures": RouteFigures(waiting=ahead)}}
        found = fall(waiting(), 0, standing(SHORT | there, capacity=1), DECISIONS.routing)
        assert (found.routes if found else ()) == expected


def test_what_moved_counts_where_it_went() -> None:
    before = standing({**SHORT, KYC: {"funds": Balances(coins(100), coins(20))}})
    after = before.moved(waiting(), KYC)
    v0, kyc, direct = after.routes[USDT]
    assert (v0.state.figures.waiting, kyc.state.figures.waiting) == (0, 1)
    left = Balances(coins(90), 7_500_000)
    assert (v0.state.funds, kyc.state.funds) == (SHORT[V0]["funds"], left)
    assert direct.state.funds == Balances(RICH.trx_sun - coins(10), RICH.usdt - 12_500_000)
    assert after.routes[TRX][1].state.funds == left
    assert fall(waiting(), 0, after, DECISIONS.routing) is None
    in_trx = waiting(order=an_order(currency=TRX, amount=coins(30)))
    assert before.moved(in_trx, KYC).routes[TRX][1].state.funds == Balances(coins(60), coins(20))


def test_a_route_on_trial_keeps_as_many_as_it_may_try() -> None:
    """Of four that wait two leave, and the other two are the trials."""
    now = standing({V0: {"breaker": IN_TRIAL, "figures": RouteFigures(waiting=4)}})
    left = 0
    while fall(waiting(), 0, now, DECISIONS.routing) is not None:
        now, left = now.moved(waiting(), KYC), left + 1
    assert left == 2


# is there anything to look for?


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({}, []),
        ({"funds": None}, []),
        ({"funds": Balances(coins(3_010), coins(1_000))}, []),
        ({"funds": Balances(coins(3_010), coins(1_000) - 1)}, [V0]),
        ({"funds": Balances(coins(3_010) - 1, coins(1_000))}, [V0]),
        ({"paused": "why"}, [V0]),
        ({"paused": "why", "figures": RouteFigures(in_flight=5)}, []),
    ],
)
def test_a_route_is_looked_at_while_it_may_be_unable_to_pay_the_largest(
    state: dict[str, Any], expected: list[RouteName]
) -> None:
    assert doubtful(standing({V0: state}), LARGEST) == expected


def test_the_largest_is_that_of_the_route_where_it_has_one() -> None:
    limits = {each: RouteLimits(10_000, coins(50)) for each in Currency}
    funds = {KYC: {"funds": Balances(coins(60), coins(50)), "figures": RouteFigures(waiting=1)}}
    assert doubtful(standing(funds, limits=limits), LARGEST) == []
    assert doubtful(standing(funds), LARGEST) == [KYC]


# whatever holds

FUNDS = st.none() | st.builds(Balances, st.integers(0, coins(60)), st.integers(0, coins(60)))
STATES = st.fixed_dictionaries(
    {
        "funds": FUNDS,
        "paused": st.sampled_from([None, None, "why"]),
        "closed": st.sampled_from([None, None, "why"]),
        "breaker": st.sampled_from([BreakerVerdict(), IN_TRIAL]),
        "figures": st.builds(RouteFigures, in_flight=st.integers(0, 3), waiting=st.integers(1, 3)),
    }
)


@given(
    st.fixed_dictionaries(dict.fromkeys(RouteName, STATES)),
    st.sampled_from(Currency),
    st.integers(10_000, coins(60)),
    st.sampled_from([PayoutType.IMMEDIATE, PayoutType.EMERGENCY]),
    st.sampled_from(RouteName),
)
def test_a_payout_leaves_only_what_cannot_pay_it_and_only_for_what_takes_it(
    states: Mapping[RouteName, Any],
    currency: Currency,
    amount: int,
    kind: PayoutType,
    own: RouteName,
) -> None:
    routes = standing(states)
    payout = waiting(route=own, order=an_order(currency=currency, amount=amount, payout_type=kind))
    found = fall(payout, 0, routes, DECISIONS.routing)
    wanted = Wanted(currency, amount, emergency=kind is PayoutType.EMERGENCY)
    against = {each.name: refusals(each, wanted) for each in routes.routes[currency]}
    if found is None:
        return
    assert against[own]
    assert own in doubtful(routes, {each: coins(60) for each in Currency})
    for route in found.routes:
        assert route is not own
        assert route is not DIRECT or kind is PayoutType.EMERGENCY
        assert not against[route]
