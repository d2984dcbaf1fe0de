"""What becomes of a payout, put together from what rules, routes, approvals and the clock say."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.approval import ApprovalRule, Workflow
from models.chain import Balances
from models.compliance import Facts, Rule, RuleKind
from models.decision import Decision, DecisionPolicy, decide
from models.errors import PayoutError
from models.findings import Effect
from models.order import BatchWindow, Order, PayoutType, RouteChoice, RouteName
from models.registry import AddressList, KycRecord
from models.routes import Route
from tests.factories import RECIPIENT, an_order
from tests.harness import DECISIONS
from tests.unit.models.test_routing import DIRECT, KYC, NOW, V0, coins, three
from tests.unit.models.test_routing import POLICY as ROUTING

ADMINS = ("ADMIN",)
DENIED = Rule("denied", RuleKind.DENY_LIST, Effect.REFUSE)
SANCTIONED = Rule("sanctions", RuleKind.SANCTIONS, Effect.HOLD, ADMINS)
UNLISTED = Rule("unlisted", RuleKind.ALLOW_LIST_ONLY, Effect.APPROVE, workflow="two")
ALLOWED = Facts(lists={AddressList.ALLOW})
LARGE = ApprovalRule(
    Workflow("large", 1, ADMINS, 600), from_amount={an_order().currency: coins(500)}
)
TWO = ApprovalRule(Workflow("two", 2, ADMINS, 600))
MANY = ApprovalRule(Workflow("many", 1, ADMINS, 600), from_items=20)
POLICY = DecisionPolicy(
    rules=(DENIED, SANCTIONED, UNLISTED),
    routes=(V0, KYC, DIRECT),
    routing=ROUTING,
    approvals=(LARGE, TWO, MANY),
    schedule=DECISIONS.schedule,
)
LEVEL_2 = KycRecord(RECIPIENT, 2, NOW - timedelta(days=1), NOW + timedelta(days=1))
NO_FUNDS = {"funds": Balances(0, 0)}


def decided(
    order: Order | None = None,
    facts: Facts = ALLOWED,
    routes: list[Route] | None = None,
    batch_items: int = 1,
) -> Decision:
    routes = three() if routes is None else routes
    return decide(order or an_order(), facts, routes, POLICY, NOW, batch_items)


def without_money(*names: str) -> list[Route]:
    """All routes, of which these have an empty wallet."""
    return three(**dict.fromkeys(names, NO_FUNDS))


def test_what_nobody_has_anything_against_takes_the_best_route_at_once() -> None:
    decision = decided()
    assert (decision.refusal, decision.workflow, decision.screening.hold) == (None, None, None)
    assert decision.choice.chosen is RouteName.V0
    (finding,) = decision.findings_on(RouteName.V0)
    assert (finding.rule, finding.effect) == ("routing.optimal", Effect.NOTE)
    (times,) = decision.times.values()
    assert (times.release_at, times.rank_at) == (
        None,
        NOW - 5 * timedelta(seconds=DECISIONS.schedule.ageing_seconds),
    )


@pytest.mark.parametrize(
    ("order", "lists", "code", "field"),
    [
        ({}, {AddressList.DENY}, "P107", "recipient_address"),
        ({"amount": coins(2_000)}, {AddressList.DENY}, "P107", "recipient_address"),
        ({"amount": coins(2_000)}, {AddressList.ALLOW}, "P402", "recipient_address"),
        ({"route": RouteChoice.KYC}, {AddressList.ALLOW}, "P101", "amount"),
        ({"route": RouteChoice.DIRECT}, {AddressList.ALLOW}, "P400", "route"),
    ],
    ids=["rule", "rule before route", "unverified", "too small", "not urgent"],
)
def test_a_rule_s_refusal_is_the_answer_and_then_a_route_s(
    order: dict[str, Any], lists: set[AddressList], code: str, field: str | None
) -> None:
    refusal = decided(an_order(**order), Facts(lists=lists)).refusal
    assert refusal is not None
    assert (refusal.code, refusal.field) == (code, field)


def test_a_hold_is_no_refusal() -> None:
    decision = decided(facts=Facts(lists={AddressList.SANCTIONS, AddressList.ALLOW}))
    assert decision.refusal is None
    assert decision.screening.hold is not None
    assert [finding.rule for finding in decision.findings_on(RouteName.V0)] == [
        "routing.optimal",
        "sanctions",
    ]


def test_a_rule_can_demand_consent_beside_what_the_amount_does() -> None:
    decision = decided(an_order(amount=coins(500)), Facts())
    assert decision.workflow == Workflow("large+two", 2, ADMINS, 600)
    assert [finding.rule for finding in decision.said] == ["unlisted", "large", "two"]


def test_the_payouts_that_come_in_one_request_can_demand_consent() -> None:
    assert decided(batch_items=19).workflow is None
    decision = decided(batch_items=20)
    assert decision.workflow == MANY.workflow
    (finding,) = decision.said
    assert (finding.rule, finding.effect) == ("many", Effect.APPROVE)
    assert finding.text.startswith("20 payouts in one request, 20 or more: 1 approval")


def test_a_verified_recipient_is_paid_on_the_route_that_asks_for_it() -> None:
    order = an_order(amount=coins(2_000))
    assert decided(order, replace(ALLOWED, kyc=LEVEL_2)).choice.chosen is RouteName.KYC
    too_old = replace(LEVEL_2, expires_at=NOW)
    refusal = decided(order, replace(ALLOWED, kyc=too_old)).refusal
    assert refusal is not None
    assert refusal.code == "P402"


@pytest.mark.parametrize(
    "state", [NO_FUNDS, {"closed": "it ran short"}, {"paused": "its key is being moved"}]
)
def test_what_only_its_wallet_keeps_back_is_taken_and_waits(state: Mapping[str, Any]) -> None:
    decision = decided(routes=three(v0=state))
    assert decision.refusal is None
    assert decision.choice.chosen is RouteName.V0
    (note,) = decision.said
    assert note.effect is Effect.NOTE
    assert note.text.startswith("the payout waits: ")
    assert note.code is None


def test_another_route_that_can_pay_goes_before_waiting() -> None:
    urgent = an_order(priority=9)
    decision = decided(urgent, routes=without_money("v0"))
    assert decision.choice.chosen is RouteName.DIRECT
    assert decision.said == ()


def test_what_more_than_its_wallet_keeps_back_is_refused() -> None:
    order = an_order(amount=coins(2_000))
    refusal = decided(order, routes=without_money("v0", "kyc", "direct")).refusal
    assert refusal is not None
    assert "the wallet has 0.00 USDT left" in refusal.message
    assert "needs a recipient with KYC level 1" in refusal.message


def test_each_route_has_its_own_times() -> None:
    """A batch waits for the end of its window, but on the urgent route."""
    order = an_order(priority=9, payout_type=PayoutType.BATCH, batch_window=BatchWindow.HOURLY)
    decision = decided(order)
    assert set(decision.times) == {RouteName.V0, RouteName.DIRECT}
    hour = NOW.replace(minute=0) + timedelta(hours=1)
    assert decision.times[RouteName.V0].release_at == hour
    assert decision.times[RouteName.DIRECT].release_at is None
    ranks = [decision.times[name].rank_at for name in (RouteName.V0, RouteName.DIRECT)]
    assert ranks[0] - ranks[1] == hour - NOW


@pytest.mark.parametrize(
    ("order", "code", "field"),
    [
        ({"payout_type": PayoutType.SCHEDULED}, "P003", "scheduled_at"),
        ({"expires_at": NOW}, "P503", "expires_at"),
        (
            {"payout_type": PayoutType.BATCH, "expires_at": NOW + timedelta(seconds=1)},
            "P003",
            "expires_at",
        ),
    ],
)
def test_times_that_cannot_be_are_refused(order: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(PayoutError) as refusal:
        decided(an_order(**order))
    assert (refusal.value.code, refusal.value.field) == (code, field)


states = st.fixed_dictionaries(
    {},
    optional={
        "funds": st.sampled_from([None, Balances(0, 0), Balances(10**12, 10**12)]),
        "closed": st.sampled_from([None, "it ran short"]),
        "paused": st.sampled_from([None, "stopped"]),
        "in_flight": st.sampled_from([0, 99, 10_000]),
    },
)
orders = st.builds(
    an_order,
    amount=st.sampled_from([coins(10), coins(500), coins(1_000), coins(2_000), coins(9_000)]),
    priority=st.integers(1, 10),
    payout_type=st.sampled_from(sorted(set(PayoutType) - {PayoutType.SCHEDULED})),
    route=st.sampled_from(RouteChoice),
)
known = st.builds(
    Facts, lists=st.frozensets(st.sampled_from(AddressList)), kyc=st.sampled_from([None, LEVEL_2])
)


@given(orders, known, st.fixed_dictionaries({name.value: states for name in RouteName}))
def test_whatever_is_asked_the_answer_is_whole(
    order: Order, facts: Facts, of: dict[str, Any]
) -> None:
    decision, other = (decided(order, facts, routes) for routes in (three(**of), three(**of)[::-1]))
    assert replace(decision, refusal=None) == replace(other, refusal=None)
    assert str(decision.refusal) == str(other.refusal)
    taken = [each.name for each in decision.choice.ranked]
    refused = any(each.effect is Effect.REFUSE for each in decision.screening.findings)
    assert (decision.refusal is None) == (bool(taken) and not refused)
    for name in taken:
        assert name in decision.times
        findings = decision.findings_on(name)
        assert set(decision.screening.findings) <= set(findings)
        assert all(finding.text and finding.rule for finding in findings)
    if AddressList.DENY in facts.lists:
        assert decision.refusal is not None
        assert decision.refusal.code == "P107"
    demanded = AddressList.ALLOW not in facts.lists
    assert (decision.workflow is not None) == (demanded or order.amount >= coins(500))
