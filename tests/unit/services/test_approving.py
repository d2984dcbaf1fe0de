"""Consent and release: who may give them, until when, and what a payout then waits for."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from models.approval import ApprovalRule, Workflow
from models.caller import Caller
from models.compliance import Rule, RuleKind
from models.errors import PayoutError
from models.findings import Effect
from models.money import BASE_UNITS, Currency
from models.payout import Payout, PayoutStatus
from tests.harness import DECISIONS, EVERYTHING, SERVICE
from tests.unit.services.desk import Desk, a_desk

PAYABLE = 100 * BASE_UNITS
HELD = 200 * BASE_UNITS
MINUTES = 10
TWO = ApprovalRule(
    Workflow("two", 2, ("APPROVER", "ADMIN"), MINUTES * 60), from_amount={Currency.USDT: PAYABLE}
)
LARGE = Rule(
    "large", RuleKind.AMOUNT_REVIEW, Effect.HOLD, ("ADMIN",), from_amount={Currency.USDT: HELD}
)


def a_strict_desk() -> Desk:
    """100 USDT need two people, 200 are held as well."""
    return a_desk(decisions=replace(DECISIONS, rules=(LARGE,), approvals=(TWO,)))


def person(subject: str, role: str = "ADMIN") -> Caller:
    return Caller(subject, role, EVERYTHING)


async def approved(desk: Desk, payout: Payout, people: Sequence[Caller]) -> Payout:
    for caller in people:
        payout = await desk.router.approve(caller, payout.payout_id, "fine")
    return payout


async def test_a_payout_is_paid_with_the_last_consent_and_not_before() -> None:
    desk = a_strict_desk()
    payout = (await desk.create(amount=PAYABLE)).payout
    once = await approved(desk, payout, [person("ann")])
    assert once.status is PayoutStatus.AWAITING_APPROVAL
    assert not (await desk.memory.claim(10, "replica", "token", 60)).payouts
    twice = await approved(desk, payout, [person("bob", "APPROVER")])
    assert twice.status is PayoutStatus.PENDING
    assert twice.approval is not None
    assert [each.by for each in twice.approval.given] == ["ann", "bob"]


@pytest.mark.parametrize(
    ("before", "caller", "code"),
    [
        ([], person(SERVICE.subject), "P002"),
        ([], person("ann", "SERVICE"), "P002"),
        ([person("ann")], person("ann", "APPROVER"), "P500"),
    ],
    ids=["the maker", "another role", "the same person under another role"],
)
async def test_consent_that_is_not_taken(
    before: Sequence[Caller], caller: Caller, code: str
) -> None:
    desk = a_strict_desk()
    payout = (await desk.create(amount=PAYABLE)).payout
    payout = await approved(desk, payout, before)
    with pytest.raises(PayoutError) as refused:
        await approved(desk, payout, [caller])
    assert refused.value.code == code
    assert await desk.memory.get(payout.payout_id) == payout


async def test_consent_that_comes_too_late() -> None:
    desk = a_strict_desk()
    payout = (await desk.create(amount=PAYABLE)).payout
    await approved(desk, payout, [person("ann")])
    desk.clock.tick(MINUTES * 60)
    with pytest.raises(PayoutError) as refused:
        await approved(desk, payout, [person("bob")])
    assert refused.value.code == "P603"


async def test_what_is_released_waits_for_consent_from_then_on() -> None:
    desk = a_strict_desk()
    payout = (await desk.create(amount=HELD)).payout
    assert payout.status is PayoutStatus.NEEDS_REVIEW
    desk.clock.tick(MINUTES * 600)
    released = await desk.router.release(person("ann"), payout.payout_id, "known to us")
    assert released.status is PayoutStatus.AWAITING_APPROVAL
    assert (released.hold, released.released) == (None, ("large",))
    assert released.approval is not None
    assert released.approval.expires_at == desk.clock.at + timedelta(minutes=MINUTES)
    paid = await approved(desk, payout, [person("ann"), person("bob")])
    assert paid.status is PayoutStatus.PENDING


@pytest.mark.parametrize("caller", [person(SERVICE.subject), person("ann", "APPROVER")])
async def test_who_may_not_release(caller: Caller) -> None:
    desk = a_strict_desk()
    payout = (await desk.create(amount=HELD)).payout
    for decide in (desk.router.release, desk.router.reject):
        with pytest.raises(PayoutError) as refused:
            await decide(caller, payout.payout_id, "let it go")
        assert refused.value.code == "P002"


async def test_a_payout_that_is_held_takes_no_consent() -> None:
    desk = a_strict_desk()
    payout = (await desk.create(amount=HELD)).payout
    with pytest.raises(PayoutError) as refused:
        await approved(desk, payout, [person("ann")])
    assert refused.value.code == "P500"
