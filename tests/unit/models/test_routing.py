"""Which route takes a payout, why, and what is said when none does."""

import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.chain import Balances
from models.figures import Latency, RouteFigures
from models.findings import Effect, Finding
from models.money import BASE_UNITS, Currency
from models.order import RouteName
from models.routes import (
    BreakerState,
    BreakerVerdict,
    FallbackPolicy,
    KycStep,
    Merit,
    Route,
    RouteBreakerPolicy,
    RouteLimits,
    RoutePolicy,
    RouteState,
    RoutingPolicy,
    Strategy,
)
from models.routing import FILTERS, Choice, Wanted, choose, merits, refusals

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BREAKER = RouteBreakerPolicy(
    window_seconds=600, min_volume=10, failure_percent=50, recovery_seconds=60, trial_payouts=3
)
POLICY = RoutingPolicy(
    strategy=Strategy.OPTIMAL,
    weights={
        Strategy.OPTIMAL: {
            Merit.AMOUNT: 25,
            Merit.PRIORITY: 25,
            Merit.LOAD: 20,
            Merit.SUCCESS: 15,
            Merit.COST: 15,
        },
        Strategy.BALANCED: {
            Merit.LOAD: 25,
            Merit.SUCCESS: 25,
            Merit.COST: 25,
            Merit.SPEED: 25,
        },
        Strategy.FAST: {Merit.SPEED: 70, Merit.LOAD: 20, Merit.SUCCESS: 10},
        Strategy.COST_EFFICIENT: {Merit.COST: 70, Merit.SUCCESS: 20, Merit.LOAD: 10},
    },
    breaker=BREAKER,
    fallback=FallbackPolicy(after_seconds=60, times=2),
    sample_payouts=200,
    slow_seconds=300,
    dear_fee_sun=30 * BASE_UNITS,
    healthy_percent=95,
    busy_percent=80,
)


def coins(amount: float) -> int:
    return int(amount * BASE_UNITS)


KYC_STEPS = (KycStep(coins(1000), 0), KycStep(coins(5000), 1), KycStep(None, 2))
V0 = RoutePolicy(
    name=RouteName.V0,
    enabled=True,
    wallet=None,
    limits={
        Currency.USDT: RouteLimits(coins(0.01), coins(1000)),
        Currency.TRX: RouteLimits(coins(0.01), coins(3000)),
    },
    fee_cap_sun=coins(100),
    capacity=1000,
    priority=5,
)
KYC = RoutePolicy(
    name=RouteName.KYC,
    enabled=True,
    wallet=None,
    limits={Currency.USDT: RouteLimits(coins(1000) + 1, kyc=KYC_STEPS[1:])},
    fee_cap_sun=coins(100),
    capacity=500,
    priority=6,
)
DIRECT = RoutePolicy(
    name=RouteName.DIRECT,
    enabled=True,
    wallet=None,
    limits={Currency.USDT: RouteLimits(coins(0.01), kyc=KYC_STEPS)},
    fee_cap_sun=coins(200),
    capacity=100,
    priority=9,
    urgent_from_priority=8,
)


def route(policy: RoutePolicy = V0, **state: Any) -> Route:
    """A route with that state; keywords that RouteFigures has are figures."""
    figures = {key: state.pop(key) for key in RouteFigures.__slots__ if key in state}
    return Route(policy, RouteState(figures=RouteFigures(**figures), **state))


def want(amount: float = 10, **fields: Any) -> Wanted:
    return Wanted(fields.pop("currency", Currency.USDT), coins(amount), **fields)


def three(**of: Mapping[str, Any]) -> list[Route]:
    """All routes; a keyword gives the state of the route of that name."""
    return [route(policy, **of.get(policy.name, {})) for policy in (V0, KYC, DIRECT)]


def pick(wanted: Wanted, routes: list[Route] | None = None) -> Choice:
    return choose(wanted, three() if routes is None else routes, POLICY)


# ---- who takes what ----


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (want(10), RouteName.V0),
        (want(1000), RouteName.V0),
        (want(1000.000001, kyc_level=1), RouteName.KYC),
        (want(5000, kyc_level=1), RouteName.KYC),
        (want(5000.000001, kyc_level=2), RouteName.KYC),
        (want(10, priority=8), RouteName.DIRECT),
        (want(10, emergency=True), RouteName.DIRECT),
        (want(10, emergency=True, route=RouteName.V0), RouteName.V0),
        (want(2000, emergency=True, kyc_level=1, route=RouteName.KYC), RouteName.KYC),
        (want(10, currency=Currency.TRX), RouteName.V0),
    ],
)
def test_a_payout_goes_by_the_route_that_fits_it(wanted: Wanted, chosen: RouteName) -> None:
    assert pick(wanted).chosen is chosen


def test_what_follows_the_best_is_what_to_fall_back_on() -> None:
    choice = pick(want(10, priority=8))
    assert [entry.name for entry in choice.ranked] == [RouteName.DIRECT, RouteName.V0]
    assert [entry.name for entry in choice.refused] == [RouteName.KYC]
    fallen = pick(want(10, priority=8), three(direct={"closed": "head_stale"}))
    assert fallen.chosen is RouteName.V0


def test_a_route_that_is_asked_for_is_not_fallen_back_from() -> None:
    choice = pick(want(10, route=RouteName.KYC))
    assert choice.chosen is None
    assert {entry.name for entry in choice.refused} == set(RouteName)
    refusal = choice.refusal()
    assert refusal.code == "P101"
    assert refusal.extra == {
        "routes": {
            "kyc": [
                "10.00 USDT is below the route's minimum of 1000.000001",
                "10.00 USDT needs a recipient with KYC level 1; this one is not verified",
            ]
        }
    }


def test_the_choice_is_explained() -> None:
    (best,) = pick(want(500), three(v0={"in_flight": 100, "usual_fee_sun": coins(6)})).ranked
    assert best.finding == Finding(
        "routing.optimal",
        Effect.NOTE,
        "the route v0 has 700 of 1000 points by optimal: amount 500 × 25 %, "
        "priority 500 × 25 %, load 900 × 20 %, success 1000 × 15 %, cost 800 × 15 %",
    )
    (asked,) = pick(want(500, route=RouteName.V0)).ranked
    assert asked.finding.text.startswith("the route v0 was asked for and has 750 of 1000 points")


# ---- every filter, at its edge ----

OPEN = BreakerVerdict(BreakerState.OPEN, 0, "12 of 20 failed")
HALF_OPEN = BreakerVerdict(BreakerState.HALF_OPEN, 3, "3 trial payouts at a time")

TAKEN = [
    (want(0.01), route()),
    (want(1000), route()),
    (want(5, priority=8), route(DIRECT)),
    (want(5, priority=1, emergency=True), route(DIRECT)),
    (want(5, route=RouteName.V0), route()),
    (want(), route(usual_fee_sun=coins(100))),
    (want(), route(breaker=HALF_OPEN, in_flight=1, waiting=1)),
    (want(), route(in_flight=999, waiting=10_000)),
    (want(), route(funds=Balances(trx_sun=0, usdt=coins(10)))),
    (want(), route(funds=Balances(coins(7), coins(10)), usual_fee_sun=coins(7))),
    (want(currency=Currency.TRX), route(funds=Balances(coins(11), 0), usual_fee_sun=coins(1))),
    (want(5000, kyc_level=1), route(KYC)),
    (want(5001, kyc_level=3), route(KYC)),
    (want(1000, emergency=True), route(DIRECT)),
]


@pytest.mark.parametrize(("wanted", "candidate"), TAKEN)
def test_what_is_just_within_is_taken(wanted: Wanted, candidate: Route) -> None:
    assert refusals(candidate, wanted) == ()


REFUSED = [
    ("requested", "P400", "asks for the route kyc", want(route=RouteName.KYC), route()),
    ("enabled", "P400", "the route is switched off", want(), route(replace(V0, enabled=False))),
    (
        "currencies",
        "P400",
        "the route does not pay TRX",
        want(currency=Currency.TRX, kyc_level=3),
        route(KYC),
    ),
    (
        "urgent_from_priority",
        "P400",
        "priority 8 and above; this payout has priority 7",
        want(priority=7),
        route(DIRECT),
    ),
    ("max_amount", "P102", "1000.000001 USDT is above", want(1000.000001), route()),
    ("min_amount", "P101", "1000.00 USDT is below", want(1000, kyc_level=1), route(KYC)),
    (
        "fee_cap_trx",
        "P403",
        "the usual fee of 100.000001 TRX is above the cap of 100.00",
        want(),
        route(usual_fee_sun=coins(100) + 1),
    ),
    ("paused", "P401", "the route is paused: audit", want(), route(paused="audit")),
    ("gate", "P401", "dispatch is closed: unexplained", want(), route(closed="unexplained")),
    ("breaker", "P401", "12 of 20 failed", want(), route(breaker=OPEN)),
    ("breaker", "P401", "3 trial payouts", want(), route(breaker=HALF_OPEN, in_flight=3)),
    ("breaker", "P401", "3 trial payouts", want(), route(breaker=HALF_OPEN, waiting=3)),
    ("capacity", "P401", "1000 of 1000 payouts are in flight", want(), route(in_flight=1000)),
    (
        "funds",
        "P401",
        "the wallet has 9.999999 USDT left, and 10.00 USDT is needed",
        want(),
        route(funds=Balances(10**12, coins(10) - 1)),
    ),
    (
        "funds",
        "P401",
        "the wallet has 6.999999 TRX left, and 7.00 TRX is needed",
        want(),
        route(funds=Balances(coins(7) - 1, 10**12), usual_fee_sun=coins(7)),
    ),
    (
        "funds",
        "P401",
        "the wallet has 10.999999 TRX left, and 11.00 TRX is needed",
        want(currency=Currency.TRX),
        route(funds=Balances(coins(11) - 1, 10**12), usual_fee_sun=coins(1)),
    ),
    (
        "funds",
        "P401",
        "the wallet has 0.00 USDT left",
        want(),
        route(funds=Balances(10**12, -5)),
    ),
    (
        "kyc",
        "P402",
        "5000.000001 USDT needs a recipient with KYC level 2; this one has level 1",
        want(5000.000001, kyc_level=1),
        route(KYC),
    ),
    (
        "kyc",
        "P402",
        "2000.00 USDT needs a recipient with KYC level 1; this one is not verified",
        want(2000, emergency=True),
        route(DIRECT),
    ),
]


@pytest.mark.parametrize(("name", "code", "text", "wanted", "candidate"), REFUSED)
def test_what_is_just_beyond_is_refused_with_the_figures(
    name: str, code: str, text: str, wanted: Wanted, candidate: Route
) -> None:
    (finding,) = refusals(candidate, wanted)
    assert finding.rule == f"routes.{candidate.name}.{name}"
    assert (finding.effect, finding.code) == (Effect.REFUSE, code)
    assert text in finding.text


def test_every_filter_is_tested() -> None:
    assert {name for name, *_ in REFUSED} == {rule.name for rule in FILTERS}


# ---- the answer when none takes it ----


@pytest.mark.parametrize(
    ("code", "nearest", "wanted", "routes"),
    [
        ("P402", "kyc", want(2000), three()),
        # Another route is only down for now, but the client can do something about this one.
        ("P402", "kyc", want(2000, priority=8), three(direct={"closed": "starting"})),
        # Verified or not, it would have to wait.
        ("P401", "kyc", want(2000), three(kyc={"in_flight": 500})),
        ("P401", "v0", want(5), three(v0={"closed": "starting"})),
        (
            "P401",
            "direct",
            want(5, priority=9),
            three(v0={"paused": "x"}, direct={"breaker": OPEN}),
        ),
        ("P403", "v0", want(5), three(v0={"usual_fee_sun": coins(101), "closed": "starting"})),
        ("P101", "v0", want(0.001), three()),
        ("P400", "kyc", want(5, currency=Currency.TRX), [route(KYC), route(DIRECT)]),
    ],
)
def test_the_answer_is_that_of_the_route_that_came_nearest(
    code: str, nearest: str, wanted: Wanted, routes: list[Route]
) -> None:
    choice = choose(wanted, routes, POLICY)
    refusal = choice.refusal()
    assert (refusal.code, choice.refused[0].name) == (code, nearest)
    assert refusal.message.startswith(f"no route takes this payout; {nearest} comes nearest: ")
    assert choice.refused[0].findings[0].text in refusal.message
    assert set(refusal.extra["routes"]) == {each.name for each in routes}


@pytest.mark.parametrize(
    ("code", "field", "wanted", "candidate"),
    [
        ("P400", "route", want(route=RouteName.V0), route(replace(V0, enabled=False))),
        ("P102", "amount", want(1001, route=RouteName.V0), route()),
        ("P401", None, want(route=RouteName.V0), route(in_flight=1000)),
        ("P402", "recipient_address", want(2000, route=RouteName.KYC), route(KYC)),
    ],
)
def test_the_answer_about_a_route_that_was_asked_for_is_its_own(
    code: str, field: str | None, wanted: Wanted, candidate: Route
) -> None:
    others = [each for each in three() if each.name is not candidate.name]
    refusal = choose(wanted, [*others, candidate], POLICY).refusal()
    assert (refusal.code, refusal.field) == (code, field)
    assert refusal.message.startswith(f"the route {candidate.name} does not take this payout: ")
    assert set(refusal.extra["routes"]) == {candidate.name}


# ---- properties ----

seconds = st.floats(0.1, 1000)
latencies = st.none() | st.lists(seconds, min_size=3, max_size=3).map(lambda s: Latency(*sorted(s)))
verdicts = st.sampled_from([BreakerVerdict(), BreakerVerdict(), HALF_OPEN, OPEN])
funds = st.none() | st.builds(Balances, st.integers(-10, 10**10), st.integers(-10, 10**10))
figures = st.builds(
    RouteFigures,
    in_flight=st.integers(0, 1100) | st.just(0),
    waiting=st.integers(0, 50),
    ended=st.integers(20, 100),
    failed=st.integers(0, 20),
    last_failed_at=st.just(NOW),
    latency=latencies,
)
states = st.builds(
    RouteState,
    figures=figures,
    breaker=verdicts,
    funds=funds,
    paused=st.sampled_from([None, None, None, "audit"]),
    closed=st.sampled_from([None, None, None, "starting"]),
    usual_fee_sun=st.none() | st.integers(0, coins(250)),
)
policies = st.tuples(
    *(
        st.builds(
            replace,
            st.just(policy),
            enabled=st.sampled_from([True, True, True, False]),
            priority=st.integers(1, 10),
            capacity=st.integers(1, 1000),
            # Overlapping routes: most payouts are taken by several.
            limits=st.just(V0.limits) | st.just(DIRECT.limits),
        )
        for policy in (V0, KYC, DIRECT)
    )
)
everything = st.tuples(policies, st.tuples(states, states, states)).map(
    lambda pair: [Route(policy, state) for policy, state in zip(*pair, strict=True)]
)
wishes = st.builds(
    Wanted,
    currency=st.sampled_from(Currency),
    amount=st.integers(1, coins(12_000)) | st.integers(coins(1), coins(900)),
    priority=st.integers(1, 10),
    emergency=st.booleans(),
    route=st.none() | st.sampled_from(RouteName),
    kyc_level=st.integers(0, 3),
)
strategies = st.sampled_from(Strategy).map(lambda strategy: replace(POLICY, strategy=strategy))


def takes(candidate: Route, wanted: Wanted) -> bool:
    """The filters, said in one sentence and another way."""
    rules, state = candidate.policy, candidate.state
    limits = rules.limits.get(wanted.currency)
    if limits is None or not rules.enabled or wanted.route not in (None, candidate.name):
        return False
    urgent = wanted.emergency or wanted.priority >= (rules.urgent_from_priority or 0)
    fee = state.usual_fee_sun or 0
    usdt, trx = (wanted.amount, fee) if wanted.currency == "USDT" else (0, fee + wanted.amount)
    busy = state.figures.in_flight + state.figures.waiting
    level = next((s.level for s in limits.kyc if wanted.amount <= (s.up_to or wanted.amount)), 0)
    return (
        urgent
        and limits.minimum <= wanted.amount <= (limits.maximum or wanted.amount)
        and fee <= rules.fee_cap_sun
        and not state.paused
        and not state.closed
        and (state.breaker.at_once is None or busy < state.breaker.at_once)
        and state.figures.in_flight < rules.capacity
        and (state.funds is None or (usdt <= state.funds.usdt or not usdt))
        and (state.funds is None or trx <= state.funds.trx_sun)
        and wanted.kyc_level >= level
    )


@given(wishes, everything, strategies)
def test_a_route_is_ranked_exactly_if_every_filter_lets_the_payout_pass(
    wanted: Wanted, routes: list[Route], policy: RoutingPolicy
) -> None:
    choice = choose(wanted, routes, policy)
    ranked = [entry.name for entry in choice.ranked]
    assert ranked == sorted(ranked, key=ranked.index)
    assert set(ranked) == {each.name for each in routes if takes(each, wanted)}
    assert sorted([*ranked, *(entry.name for entry in choice.refused)]) == sorted(RouteName)
    assert all(entry.findings for entry in choice.refused)
    if wanted.route is not None:
        assert set(ranked) <= {wanted.route}


@given(wishes, everything, strategies, st.randoms(use_true_random=False))
def test_the_order_in_which_routes_come_changes_nothing(
    wanted: Wanted, routes: list[Route], policy: RoutingPolicy, chance: random.Random
) -> None:
    shuffled = chance.sample(routes, k=len(routes))
    assert choose(wanted, shuffled, policy) == choose(wanted, routes, policy)


@given(wishes, everything, strategies)
def test_more_points_come_first_then_the_higher_priority_then_the_name(
    wanted: Wanted, routes: list[Route], policy: RoutingPolicy
) -> None:
    by_name = {each.name: each for each in routes}
    keys = [
        (-entry.points, -by_name[entry.name].policy.priority, entry.name)
        for entry in choose(wanted, routes, policy).ranked
    ]
    assert keys == sorted(keys)
    assert all(-1000 <= points <= 0 for points, *_ in keys)


def better(candidate: Route, merit: Merit, by: float) -> Route:
    """The same route, whose figure behind a merit is better (or as good, where it is best)."""
    rules, state = candidate.policy, candidate.state
    less = int(by * 100)
    seen = state.figures
    match merit:
        case Merit.PRIORITY:
            return replace(candidate, policy=replace(rules, priority=min(10, rules.priority + 1)))
        case Merit.LOAD:
            seen = replace(seen, waiting=max(0, seen.waiting - less))
        case Merit.SUCCESS:
            seen = replace(seen, failed=max(0, seen.failed - less))
        case Merit.SPEED:
            known = seen.latency
            seen = replace(seen, latency=known and replace(known, p95=known.p95 * (1 - by)))
        case Merit.COST:
            fee = state.usual_fee_sun
            cheaper = None if fee is None else int(fee * (1 - by))
            return replace(candidate, state=replace(state, usual_fee_sun=cheaper))
        case Merit.AMOUNT:
            return candidate
    return replace(candidate, state=replace(state, figures=seen))


@given(wishes, everything, strategies, st.data())
def test_a_better_figure_never_ranks_a_route_lower(
    wanted: Wanted, routes: list[Route], policy: RoutingPolicy, data: st.DataObject
) -> None:
    before = [entry.name for entry in choose(wanted, routes, policy).ranked]
    if not before:
        return
    name = data.draw(st.sampled_from(before))
    merit = data.draw(st.sampled_from(list(policy.weights[policy.strategy])))
    by = data.draw(st.floats(0, 1))
    improved = [better(each, merit, by) if each.name is name else each for each in routes]
    after = [entry.name for entry in choose(wanted, improved, policy).ranked]
    assert after.index(name) <= before.index(name)


SAME = RouteLimits(1, coins(1000))
TWINS = [replace(policy, limits={Currency.USDT: SAME}, capacity=100, priority=5) for policy in
         (V0, KYC)]  # fmt: skip

PLAIN = {
    "usual_fee_sun": coins(10),
    "latency": Latency(60, 90, 120),
    "in_flight": 50,
    "ended": 100,
    "failed": 10,
    "last_failed_at": NOW,
}


@pytest.mark.parametrize(
    ("strategy", "figure"),
    [
        (Strategy.FAST, {"latency": Latency(60, 80, 120)}),
        (Strategy.COST_EFFICIENT, {"usual_fee_sun": coins(9)}),
        *((Strategy.BALANCED, figure) for figure in (
            {"latency": Latency(60, 80, 120)},
            {"usual_fee_sun": coins(9)},
            {"in_flight": 40},
            {"failed": 5},
        )),
        *((Strategy.OPTIMAL, figure) for figure in (
            {"usual_fee_sun": coins(9)},
            {"in_flight": 40},
            {"failed": 5},
        )),
    ],
)  # fmt: skip
@pytest.mark.parametrize("which", [0, 1])
def test_the_better_of_two_equal_routes_is_chosen(
    strategy: Strategy, figure: Mapping[str, Any], which: int
) -> None:
    policy = replace(POLICY, strategy=strategy)
    twins = [route(rules, **PLAIN) for rules in TWINS]
    assert choose(want(), twins, policy).chosen is RouteName.KYC, "equals go by name"
    twins[which] = route(TWINS[which], **{**PLAIN, **figure})
    assert choose(want(), twins, policy).chosen is TWINS[which].name


def test_equals_go_by_their_own_priority_before_their_name() -> None:
    policy = replace(POLICY, strategy=Strategy.FAST)
    preferred = [route(replace(TWINS[0], priority=6), **PLAIN), route(TWINS[1], **PLAIN)]
    assert choose(want(), preferred, policy).chosen is RouteName.V0


def test_merits() -> None:
    facts = merits(route(**{**PLAIN, "waiting": 200}), want(250), POLICY)
    assert facts == {
        Merit.AMOUNT: 250,
        Merit.PRIORITY: 500,
        Merit.LOAD: 750,
        Merit.SUCCESS: 900,
        Merit.COST: 667,
        Merit.SPEED: 700,
    }


def test_what_is_not_known_is_no_fault_and_no_maximum_fits_nothing_in_particular() -> None:
    unknown = merits(route(DIRECT, ended=9, failed=9), want(250), POLICY)
    assert {unknown[merit] for merit in (Merit.SUCCESS, Merit.COST, Merit.SPEED)} == {1000}
    assert unknown[Merit.AMOUNT] == 0


def test_merits_stay_in_their_range_whatever_is_beyond() -> None:
    swamped = route(waiting=5000, usual_fee_sun=coins(99), latency=Latency(400, 500, 600))
    assert set(merits(swamped, want(5000), POLICY).values()) == {0, 500, 1000}
    assert merits(swamped, want(5000), POLICY)[Merit.AMOUNT] == 1000


def test_a_currency_that_a_route_does_not_pay_is_refused_for_that_alone() -> None:
    (finding,) = refusals(route(KYC), want(1, currency=Currency.TRX))
    assert finding.rule == "routes.kyc.currencies"
