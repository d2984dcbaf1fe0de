"""Whose consent a payout needs, and that nobody gives it twice or to their own."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.approval import (
    Approval,
    ApprovalRule,
    Consent,
    Workflow,
    approve,
    check_decider,
    complete,
    opened,
    required,
)
from models.errors import PayoutError
from models.findings import Effect
from models.money import Currency
from models.order import PayoutType

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ONE = 1_000_000
ANYBODY = ("APPROVER", "ADMIN", "SUPER_ADMIN")
CHIEFS = ("ADMIN", "SUPER_ADMIN")

DEFAULT = ApprovalRule(Workflow("default", 0, (), 3600), always=True)
HIGH = ApprovalRule(
    Workflow("high_value", 1, ANYBODY, 1800),
    from_amount={Currency.USDT: 5_000 * ONE, Currency.TRX: 15_000 * ONE},
)
TWO = ApprovalRule(
    Workflow("two_approvals", 2, ANYBODY, 3600),
    from_amount={Currency.USDT: 50_000 * ONE, Currency.TRX: 150_000 * ONE},
)
BATCH = ApprovalRule(Workflow("batch", 1, ANYBODY, 3600), from_items=20)
EMERGENCY = ApprovalRule(
    Workflow("emergency", 2, CHIEFS, 300), payout_types=frozenset({PayoutType.EMERGENCY})
)
BY_NAME = ApprovalRule(Workflow("by_name", 3, ("SUPER_ADMIN",), 60))
POLICY = (DEFAULT, HIGH, TWO, BATCH, EMERGENCY, BY_NAME)


def needed(policy: tuple[ApprovalRule, ...] = POLICY, **facts: Any) -> Any:
    usual = {
        "amount": ONE,
        "currency": Currency.USDT,
        "payout_type": PayoutType.IMMEDIATE,
        "batch_items": 1,
        "forced": (),
    }
    return required(policy=policy, **usual | facts)


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({}, None),
        ({"amount": 5_000 * ONE - 1}, None),
        ({"amount": 5_000 * ONE}, "high_value"),
        ({"amount": 15_000 * ONE - 1, "currency": Currency.TRX}, None),
        ({"amount": 15_000 * ONE, "currency": Currency.TRX}, "high_value"),
        ({"amount": 50_000 * ONE}, "high_value+two_approvals"),
        ({"batch_items": 19}, None),
        ({"batch_items": 20}, "batch"),
        ({"payout_type": PayoutType.BATCH}, None),
        ({"payout_type": PayoutType.EMERGENCY}, "emergency"),
        ({"forced": ("by_name",)}, "by_name"),
        ({"forced": ("batch",), "payout_type": PayoutType.EMERGENCY}, "batch+emergency"),
    ],
)
def test_the_workflow_that_applies(facts: dict[str, Any], name: str | None) -> None:
    workflow, findings = needed(**facts)
    assert (workflow.name if workflow else None) == name
    assert [finding.rule for finding in findings] == (name.split("+") if name else [])
    assert all((each.effect, each.code) == (Effect.APPROVE, "P602") for each in findings)


def test_a_finding_says_why_and_who() -> None:
    _, (finding,) = needed(amount=5_000 * ONE)
    assert finding.text == (
        "5000.00 USDT is not below 5000.00: 1 approval (APPROVER or ADMIN or SUPER_ADMIN) within "
        "30 minutes"
    )
    _, (finding,) = needed(payout_type=PayoutType.EMERGENCY)
    assert finding.text == (
        "the type is emergency: 2 approvals by different people (ADMIN or SUPER_ADMIN) within "
        "5 minutes"
    )
    _, (finding,) = needed(batch_items=21, forced=("batch",))
    assert finding.text.startswith(
        "21 payouts in one request, 20 or more, another rule demands it: 1 approval"
    )


def test_every_payout_where_the_default_asks_somebody() -> None:
    asking = ApprovalRule(Workflow("default", 1, CHIEFS, 60), always=True)
    workflow, (finding,) = needed((asking,))
    assert workflow == asking.workflow
    assert finding.text.startswith("every payout: 1 approval")


def test_of_several_workflows_the_strictest_of_each() -> None:
    workflow, _ = needed(amount=5_000 * ONE, payout_type=PayoutType.EMERGENCY)
    assert workflow == Workflow("high_value+emergency", 2, CHIEFS, 300)


@pytest.mark.parametrize("name", ["nobody", "default"])
def test_a_demand_that_asks_nobody_is_an_error_and_not_skipped(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        needed(forced=(name,))


roles = st.sampled_from(("APPROVER", "ADMIN", "SUPER_ADMIN", "USER"))
workflows = st.builds(
    Workflow,
    st.sampled_from("abcd"),
    st.integers(0, 4),
    st.lists(roles, unique=True).map(tuple),
    st.integers(60, 3600),
)
rules = st.builds(
    ApprovalRule,
    workflows,
    always=st.booleans(),
    from_amount=st.dictionaries(st.just(Currency.USDT), st.integers(1, 100)),
    from_items=st.none() | st.integers(2, 30),
    payout_types=st.frozensets(st.sampled_from(PayoutType)),
)


@given(
    st.lists(rules, max_size=4).map(tuple),
    st.integers(1, 120),
    st.sampled_from(PayoutType),
    st.integers(1, 40),
)
def test_what_satisfies_the_result_satisfies_each_workflow(
    policy: tuple[ApprovalRule, ...], amount: int, payout_type: PayoutType, batch_items: int
) -> None:
    workflow, findings = needed(
        policy, amount=amount, payout_type=payout_type, batch_items=batch_items
    )
    applying = [
        rule.workflow
        for rule in policy
        if rule.workflow.needed
        and (
            rule.always
            or amount >= rule.from_amount.get(Currency.USDT, 121)
            or batch_items >= (rule.from_items or 41)
            or payout_type in rule.payout_types
        )
    ]
    assert len(findings) == len(applying)
    assert (workflow is None) == (not applying)
    for each in applying:
        assert workflow.needed >= each.needed
        assert set(workflow.roles) <= set(each.roles)
        assert workflow.timeout_seconds <= each.timeout_seconds


def test_an_opened_approval_is_over_after_its_time() -> None:
    approval = opened(EMERGENCY.workflow, NOW)
    assert approval == Approval("emergency", 2, CHIEFS, 300, NOW + timedelta(seconds=300))
    assert not complete(approval)


def consented(approval: Approval, subject: str, role: str = "ADMIN", **facts: Any) -> Approval:
    given_now = {"maker": "maker", "comment": "fine", "now": NOW} | facts
    return approve(approval, subject=subject, role=role, **given_now)


def test_two_people_complete_what_needs_two() -> None:
    approval = consented(opened(EMERGENCY.workflow, NOW), "ann")
    assert not complete(approval)
    later = NOW + timedelta(seconds=299)
    approval = consented(approval, "bob", "SUPER_ADMIN", comment="checked", now=later)
    assert complete(approval)
    assert approval.given == (
        Consent("ann", "ADMIN", NOW, "fine"),
        Consent("bob", "SUPER_ADMIN", later, "checked"),
    )


@pytest.mark.parametrize(
    ("subject", "facts", "code"),
    [
        ("maker", {}, "P002"),
        ("ann", {"role": "APPROVER"}, "P002"),
        ("ann", {"role": "USER"}, "P002"),
        ("ann", {"now": NOW + timedelta(seconds=300)}, "P603"),
        ("bob", {}, "P500"),
        ("bob", {"role": "SUPER_ADMIN"}, "P500"),
    ],
    ids=["maker", "role", "no role", "too late", "twice", "twice with another role"],
)
def test_consent_that_does_not_count(subject: str, facts: dict[str, Any], code: str) -> None:
    approval = consented(opened(EMERGENCY.workflow, NOW), "bob")
    with pytest.raises(PayoutError) as refusal:
        consented(approval, subject, **facts)
    assert refusal.value.code == code


def test_people_count_and_not_their_consents() -> None:
    consent = Consent("ann", "ADMIN", NOW, "fine")
    twice = (consent, replace(consent, role="SUPER_ADMIN"))
    assert not complete(Approval("emergency", 2, CHIEFS, NOW, twice))


def test_nobody_is_asked_once_it_is_complete() -> None:
    approval = consented(opened(HIGH.workflow, NOW), "ann")
    with pytest.raises(PayoutError) as refusal:
        consented(approval, "bob", now=NOW + timedelta(days=1))
    assert refusal.value.code == "P500"


def test_a_refusal_names_the_roles_that_may() -> None:
    check_decider(CHIEFS, maker="maker", subject="ann", role="ADMIN")
    with pytest.raises(PayoutError, match="for ADMIN or SUPER_ADMIN, not for APPROVER"):
        check_decider(CHIEFS, maker="maker", subject="ann", role="APPROVER")


tries = st.tuples(st.sampled_from(["maker", "ann", "bob", "cat"]), roles, st.integers(0, 120))


@given(workflows, st.lists(tries, max_size=12))
def test_complete_means_that_so_many_others_have_agreed(
    workflow: Workflow, attempts: list[tuple[str, str, int]]
) -> None:
    approval = opened(workflow, NOW)
    for subject, role, second in attempts:
        try:
            now = NOW + timedelta(seconds=second)
            approval = consented(approval, subject, role, now=now)
        except PayoutError:
            continue
    people = {consent.by for consent in approval.given}
    assert len(people) == len(approval.given) <= workflow.needed
    assert "maker" not in people
    assert complete(approval) == (len(people) == workflow.needed)
    assert {consent.role for consent in approval.given} <= set(workflow.roles)
    assert all(consent.at < approval.expires_at for consent in approval.given)
