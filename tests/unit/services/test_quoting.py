"""Quotes, and how routes and limits stand: what is told, and that nothing is kept."""

from dataclasses import replace
from datetime import timedelta

import pytest

from models.approval import ApprovalRule, Workflow
from models.caller import Caller
from models.chain import Balances
from models.compliance import Rule, RuleKind
from models.errors import PayoutError
from models.findings import Effect
from models.limits import AmountLimits, Used
from models.money import BASE_UNITS, Currency
from models.order import PayoutType, RouteName
from models.payout import PayoutStatus
from models.permission import grants_of, parse_permission
from models.registry import AddressList
from models.route_health import Health
from models.routes import RouteLimits, Strategy
from models.spending import Ceiling, ClientLimits, Period, SpendPolicy, SpendScope
from ports.store import PayoutQuery
from tests.factories import OWNER, RECIPIENT, a_payout, an_order
from tests.harness import DECISIONS, SERVICE
from tests.unit.services.desk import AMOUNTS, Desk, a_desk

OTHER_WALLET = "TNPeeaaFB7K9cmo4uQpcU32zGK8G1NYqeL"
HIGH_VALUE = Workflow("high_value", 1, ("ADMIN",), 1800)
RULES = (
    Rule("deny_list", RuleKind.DENY_LIST, Effect.REFUSE),
    Rule(
        "large",
        RuleKind.AMOUNT_REVIEW,
        Effect.HOLD,
        ("ADMIN",),
        from_amount={Currency.USDT: 200 * BASE_UNITS},
    ),
)
CLIENT_DAY = {Period.DAY: Ceiling(amount=50 * BASE_UNITS, count=3)}
SPENDING = SpendPolicy(
    all={Currency.USDT: {Period.DAY: Ceiling(1_000 * BASE_UNITS)}},
    routes={RouteName.V0: {Currency.USDT: {Period.HOUR: Ceiling(20 * BASE_UNITS)}}},
    clients={"USER": {Currency.USDT: ClientLimits(40 * BASE_UNITS, CLIENT_DAY)}},
    recipients={Currency.USDT: {Period.DAY: Ceiling(count=2)}},
)


def two_routes(**v0: object) -> Desk:
    """v0 as `v0` says; kyc takes the same, has a wallet of its own, and is preferred less."""
    first, second, third = DECISIONS.routes
    routes = (
        replace(first, **v0),
        replace(second, enabled=True, wallet=OTHER_WALLET, priority=4),
        third,
    )
    approvals = (ApprovalRule(HIGH_VALUE, from_amount={Currency.USDT: 100 * BASE_UNITS}),)
    decisions = replace(DECISIONS, routes=routes, rules=RULES, approvals=approvals)
    return a_desk(decisions=decisions, spending=SPENDING, wallets=(OWNER, OTHER_WALLET))


def a_user(**changes: object) -> Caller:
    own = ("payout:*:own", "limit:view:own")
    user = Caller("alice", "USER", grants_of(parse_permission(text) for text in own))
    return replace(user, **changes)


# ---- quotes ----


async def test_a_quote_says_which_route_what_it_costs_and_when() -> None:
    desk = two_routes()
    quote = await desk.router.quote(SERVICE, an_order())
    assert (quote.route, quote.refusal) == (RouteName.V0, None)
    assert quote.decision is not None
    assert [each.name for each in quote.decision.choice.ranked] == [RouteName.V0, RouteName.KYC]
    assert quote.estimate is not None
    assert quote.estimate.energy == 64_285
    assert quote.estimate.fee_sun == 64_285 * 100 + quote.estimate.bandwidth * 1_000
    assert quote.sent_by == desk.clock.at + timedelta(seconds=60)
    assert quote.expected_at is None


async def test_a_quote_keeps_and_reserves_nothing() -> None:
    desk = two_routes()
    for _ in range(3):
        assert (await desk.router.quote(SERVICE, an_order())).refusal is None
    assert await desk.used() == 0
    assert not await desk.memory.list(PayoutQuery(), 10)


async def test_what_a_quote_says_is_what_becomes_of_it() -> None:
    desk = two_routes()
    order = {"amount": 150 * BASE_UNITS}
    quote = await desk.router.quote(SERVICE, an_order(**order))
    assert (quote.route, quote.decision and quote.decision.workflow) == (RouteName.KYC, HIGH_VALUE)
    payout = (await desk.create(**order)).payout
    assert (payout.route, payout.wallet) == (RouteName.KYC, OTHER_WALLET)
    assert payout.status is PayoutStatus.AWAITING_APPROVAL
    assert quote.decision is not None
    assert payout.findings == quote.decision.findings_on(RouteName.KYC)


async def test_a_full_route_is_quoted_by_the_next_one() -> None:
    desk = two_routes()
    assert (await desk.create(amount=15 * BASE_UNITS)).payout.route is RouteName.V0
    quote = await desk.router.quote(SERVICE, an_order(amount=15 * BASE_UNITS))
    assert quote.route is RouteName.KYC
    other = SPENDING.routes | {RouteName.KYC: SPENDING.routes[RouteName.V0]}
    full = a_desk(
        decisions=DECISIONS,
        spending=replace(SPENDING, routes=other),
    )
    await full.create(amount=15 * BASE_UNITS)
    quote = await full.router.quote(SERVICE, an_order(amount=15 * BASE_UNITS))
    assert (quote.route, quote.estimate, quote.sent_by) == (None, None, None)
    assert quote.refusal is not None
    assert (quote.refusal.code, quote.refusal.extra["left"]) == ("P103", "5.00 USDT")


async def test_a_refusal_is_told_with_all_that_was_said() -> None:
    desk = two_routes()
    await desk.memory.put_listed(AddressList.DENY, {RECIPIENT: "fraud"}, "ADMIN:ada")
    quote = await desk.router.quote(SERVICE, an_order(amount=300 * BASE_UNITS))
    assert (quote.route, quote.refusal and quote.refusal.code) == (None, "P107")
    assert quote.decision is not None
    assert {each.rule for each in quote.decision.said} == {"deny_list", "large", "high_value"}


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({"amount": 1}, "P101"),
        ({"currency": Currency.TRX}, "P106"),
        ({"payout_type": PayoutType.SCHEDULED}, "P003"),
        ({"payout_type": PayoutType.EMERGENCY}, "P002"),
    ],
)
async def test_what_is_refused_before_any_rule_is_asked(
    order: dict[str, object], code: str
) -> None:
    caller = a_user(grants=grants_of([parse_permission("payout:quote:own")]))
    quote = await two_routes().router.quote(caller, an_order(**order))
    assert (quote.decision, quote.refusal and quote.refusal.code) == (None, code)


async def test_without_a_node_a_quote_has_no_estimate() -> None:
    desk = two_routes()
    desk.chain.silent = True
    quote = await desk.router.quote(SERVICE, an_order())
    assert (quote.route, quote.estimate) == (RouteName.V0, None)


async def test_only_who_may_quote_gets_one() -> None:
    with pytest.raises(PayoutError, match="payout:quote"):
        await two_routes().router.quote(replace(SERVICE, grants={}), an_order())


# ---- routes ----


async def test_routes_are_told_with_their_wallets_and_how_they_do() -> None:
    desk = two_routes(limits={Currency.USDT: RouteLimits(1)}, capacity=1)
    desk.chain.balances_of[OWNER] = Balances(0, 10**9)
    reports = {report.route.name: report for report in await desk.router.routes(SERVICE)}
    assert {name: each.wallet for name, each in reports.items()} == {
        RouteName.V0: OWNER,
        RouteName.KYC: OTHER_WALLET,
        RouteName.DIRECT: OWNER,
    }
    v0, kyc, direct = (reports[name] for name in RouteName)
    assert v0.condition.health is Health.UNAVAILABLE
    assert v0.condition.reasons == ("the wallet has no TRX left for fees",)
    assert (kyc.condition.health, kyc.condition.reasons) == (Health.OPERATIONAL, ())
    assert (direct.condition.health, direct.condition.reasons) == (
        Health.OFFLINE,
        ("the route is switched off", "the wallet has no TRX left for fees"),
    )
    assert desk.router.strategy is Strategy.OPTIMAL


async def test_only_who_may_sees_routes() -> None:
    with pytest.raises(PayoutError, match="route:view"):
        await two_routes().router.routes(a_user())


# ---- limits ----


async def test_a_client_sees_its_own_limits() -> None:
    desk, user = two_routes(), a_user(tenant="acme")
    await desk.create(user, amount=12 * BASE_UNITS)
    await desk.create(SERVICE, amount=100 * BASE_UNITS)
    report = await desk.router.limits(user, None)
    assert report.amounts == {Currency.USDT: AmountLimits(10_000, 40 * BASE_UNITS)}
    ((window, used),) = report.windows
    assert (window.scope, window.owner, window.period) == (
        SpendScope.CLIENT,
        "acme/alice",
        Period.DAY,
    )
    assert used == Used(12 * BASE_UNITS, 1)


async def test_who_reaches_all_sees_what_all_share() -> None:
    desk = two_routes()
    await desk.create(a_user(), amount=12 * BASE_UNITS, recipient_address=RECIPIENT)
    report = await desk.router.limits(SERVICE, RECIPIENT)
    assert report.amounts == AMOUNTS
    assert {(each.scope, each.owner): used for each, used in report.windows} == {
        (SpendScope.ALL, ""): Used(12 * BASE_UNITS, 1),
        (SpendScope.ROUTE, "v0"): Used(12 * BASE_UNITS, 1),
        (SpendScope.RECIPIENT, RECIPIENT): Used(12 * BASE_UNITS, 1),
    }
    assert not [
        each.scope
        for each, _ in (await desk.router.limits(SERVICE, None)).windows
        if each.scope is SpendScope.RECIPIENT
    ]


@pytest.mark.parametrize(
    "caller", [a_user(), replace(SERVICE, tenant="acme")], ids=["own", "tenant"]
)
async def test_who_reaches_less_sees_nothing_of_others(caller: Caller) -> None:
    desk = two_routes()
    assert not [
        each
        for each, _ in (await desk.router.limits(caller, None)).windows
        if each.scope is not SpendScope.CLIENT
    ]
    with pytest.raises(PayoutError) as refusal:
        await desk.router.limits(caller, RECIPIENT)
    assert (refusal.value.code, refusal.value.field) == ("P002", "recipient")


async def test_an_ended_payout_counts_no_more() -> None:
    desk, user = two_routes(), a_user()
    payout = (await desk.create(user)).payout
    await desk.router.cancel(user, payout.payout_id, None)
    ((_, used),) = (await desk.router.limits(user, None)).windows
    assert used == Used()
    await desk.memory.insert(a_payout(client="alice"))
    ((_, used),) = (await desk.router.limits(user, None)).windows
    assert used == Used()
