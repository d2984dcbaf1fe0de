"""Quotes, and what people decide: what is taken, what is shown, and who may."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from api.views import PayoutView
from models.approval import Approval, ApprovalRule, Consent, Workflow
from models.compliance import Rule, RuleKind
from models.errors import PayoutError
from models.findings import Effect, Finding, Hold
from models.money import BASE_UNITS, Currency
from models.order import Order, PayoutType, RouteName
from models.payout import PayoutStatus
from services.quoting import Quote
from tests.front import Front, open_front, token
from tests.harness import DECISIONS, POLICIES, open_house
from tests.unit.api.edge import (
    ALICE,
    GOOD_BODY,
    NOW,
    World,
    assert_problem,
    make_payout,
    payout_id,
)

VERBS = ("approve", "reject", "release")
SAYING = {"comment": "checked against the contract"}
CHOOSING = {"route": "direct", "reason": "v0 is slow"}


# ---- what is taken ----


@pytest.mark.parametrize("prefix", ["", "/api/v1/tron"])
@pytest.mark.parametrize("verb", VERBS)
async def test_a_decision_reaches_the_use_case(edge: World, prefix: str, verb: str) -> None:
    edge.router.payouts[payout_id(1)] = make_payout(1)
    answer = await edge.client.post(
        f"{prefix}/payouts/{payout_id(1)}/{verb}",
        json=SAYING,
        headers=edge.as_role("ADMIN", sub="ada"),
    )
    assert (answer.status_code, answer.json()["payout_id"]) == (200, payout_id(1))
    name, caller, *rest = edge.router.asked[-1]
    assert (name, caller.name, *rest) == (verb, "ADMIN:ada", payout_id(1), SAYING["comment"])


async def test_choosing_a_route_reaches_the_use_case(edge: World) -> None:
    edge.router.payouts[payout_id(1)] = make_payout(1)
    path = f"/payouts/{payout_id(1)}/route"
    answer = await edge.client.post(path, json=CHOOSING, headers=edge.as_role("ADMIN"))
    assert (answer.status_code, answer.json()["route"]) == (200, "direct")
    assert edge.router.asked[-1][3:] == (RouteName.DIRECT, "v0 is slow")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "comment"),
        ({"comment": ""}, "comment"),
        ({"comment": None}, "comment"),
        ({"comment": "x" * 501}, "comment"),
        ({"comment": "a\nb"}, "comment"),
        ({**SAYING, "amount": "1"}, "amount"),
        (None, "body"),
    ],
)
async def test_a_decision_needs_a_comment_and_nothing_else(
    edge: World, verb: str, body: Any, field: str
) -> None:
    path = f"/payouts/{payout_id(1)}/{verb}"
    answer = await edge.client.post(path, json=body, headers=edge.as_role("ADMIN"))
    assert_problem(answer, 400, "P003", field)
    assert edge.router.asked == []


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"reason": "x"}, "P003", "route"),
        ({"route": "smart", "reason": "x"}, "P400", "route"),
        ({"route": "v1", "reason": "x"}, "P400", "route"),
        ({"route": "v0"}, "P003", "reason"),
        ({"route": "v0", "reason": ""}, "P003", "reason"),
    ],
)
async def test_a_route_is_chosen_by_name_and_with_a_reason(
    edge: World, body: dict[str, str], code: str, field: str
) -> None:
    path = f"/payouts/{payout_id(1)}/route"
    answer = await edge.client.post(path, json=body, headers=edge.as_role("ADMIN"))
    assert_problem(answer, 400, code, field)
    assert edge.router.asked == []


async def test_a_quote_takes_what_a_create_takes(edge: World) -> None:
    body = {**GOOD_BODY, "payout_type": "emergency", "route": "direct"}
    for prefix in ("", "/api/v1/tron"):
        answer = await edge.client.post(f"{prefix}/payouts/quote", json=body)
        assert answer.status_code == 200
    (_, caller, order) = edge.router.asked[-1]
    assert caller.subject == "alice"
    assert isinstance(order, Order)
    assert (order.recipient_address, order.payout_type) == (ALICE, PayoutType.EMERGENCY)
    refused = await edge.client.post("/payouts/quote", json={**GOOD_BODY, "amount": 1})
    assert_problem(refused, 400, "P003", "amount")


# ---- what is shown ----


async def test_a_refusal_before_any_rule(edge: World) -> None:
    edge.router.quoted = Quote(
        None, refusal=PayoutError("P101", "too small", field="amount", minimum="0.01")
    )
    answer = await edge.client.post("/payouts/quote", json=GOOD_BODY)
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "accepted": False,
            "refusal": {
                "code": "P101",
                "message": "too small",
                "field": "amount",
                "extra": {"minimum": "0.01"},
            },
            "route": None,
            "decision": None,
            "estimate": None,
            "sent_by": None,
            "expected_at": None,
        },
    )


def test_a_payout_shows_why_it_is_as_it_is() -> None:
    later = NOW + timedelta(minutes=30)
    payout = make_payout(
        status=PayoutStatus.AWAITING_APPROVAL,
        route=RouteName.KYC,
        wallet=ALICE,
        findings=(Finding("first_payout", Effect.NOTE, "the first payout to this recipient"),),
        hold=Hold(("very_large",), "it is looked at", "P600", ("ADMIN",)),
        approval=Approval(
            "high_value", 2, ("ADMIN",), 1800, later, (Consent("ada", "ADMIN", NOW, "fine"),)
        ),
        release_at=later,
    )
    view = PayoutView.of(payout, 0).model_dump(mode="json")
    expected = {
        "route": "kyc",
        "requested_route": "smart",
        "wallet": ALICE,
        "findings": [
            {
                "rule": "first_payout",
                "effect": "note",
                "text": "the first payout to this recipient",
                "code": None,
            }
        ],
        "hold": {
            "rules": ["very_large"],
            "text": "it is looked at",
            "code": "P600",
            "roles": ["ADMIN"],
        },
        "approval": {
            "workflow": "high_value",
            "needed": 2,
            "roles": ["ADMIN"],
            "given": [
                {"by": "ada", "role": "ADMIN", "at": "2030-01-31T12:00:00Z", "comment": "fine"}
            ],
            "expires_at": "2030-01-31T12:30:00Z",
        },
        "release_at": "2030-01-31T12:30:00Z",
    }
    assert {name: view[name] for name in expected} == expected


# ---- with the real services ----

ORDER = {"recipient_address": ALICE, "currency": "USDT", "reason": "custom"}
MAKER = token("SERVICE", "shop")
HOLDING = Rule(
    "large",
    RuleKind.AMOUNT_REVIEW,
    Effect.HOLD,
    ("APPROVER", "ADMIN"),
    from_amount={Currency.USDT: 500 * BASE_UNITS},
)
TWO = ApprovalRule(
    Workflow("two", 2, ("APPROVER", "ADMIN"), 600), from_amount={Currency.USDT: 100 * BASE_UNITS}
)


@asynccontextmanager
async def deciding() -> AsyncIterator[Front]:
    """A service in which 100 USDT need two approvals, and 500 are held as well."""
    _, second, third = DECISIONS.routes
    routes = (DECISIONS.routes[0], replace(second, enabled=True, priority=4), third)
    decisions = replace(DECISIONS, routes=routes, rules=(HOLDING,), approvals=(TWO,))
    async with open_front(await open_house(policies=replace(POLICIES, decisions=decisions))) as it:
        yield it


async def created(front: Front, amount: str, **fields: str) -> dict[str, Any]:
    body = {**ORDER, "amount": amount, **fields}
    answer = await front.ask("POST", "/payouts", MAKER, json=body)
    assert answer.status_code == 201, answer.text
    payout: dict[str, Any] = answer.json()
    return payout


async def decided(
    front: Front, payout: dict[str, Any], verb: str, role: str, who: str, **claims: Any
) -> httpx.Response:
    body = CHOOSING | {"route": "kyc"} if verb == "route" else SAYING
    path = f"/payouts/{payout['payout_id']}/{verb}"
    return await front.ask("POST", path, token(role, who, **claims), json=body)


async def test_from_a_quote_to_the_last_approval() -> None:
    async with deciding() as front:
        body = {**ORDER, "amount": "100"}
        quote = (await front.ask("POST", "/payouts/quote", MAKER, json=body)).json()
        assert (quote["accepted"], quote["route"]) == (True, "v0")
        assert quote["decision"]["approval"] == {
            "workflow": "two",
            "needed": 2,
            "roles": ["APPROVER", "ADMIN"],
            "timeout_seconds": 600,
        }
        assert [each["route"] for each in quote["decision"]["ranked"]] == ["v0", "kyc"]
        assert [each["route"] for each in quote["decision"]["refused"]] == ["direct"]
        assert set(quote["estimate"]) == {"energy", "bandwidth", "fee_trx"}
        payout = await created(front, "100")
        assert payout["status"] == "awaiting_approval"
        assert payout["status_reason"]["code"] == "P602"
        assert payout["findings"] == quote["decision"]["findings"]
        first = await decided(front, payout, "approve", "APPROVER", "ann")
        assert (first.json()["status"], len(first.json()["approval"]["given"])) == (
            "awaiting_approval",
            1,
        )
        last = (await decided(front, payout, "approve", "ADMIN", "bob")).json()
        assert (last["status"], last["status_reason"]["message"]) == ("pending", SAYING["comment"])
        assert [each["by"] for each in last["approval"]["given"]] == ["ann", "bob"]


async def test_who_may_not_approve() -> None:
    async with deciding() as front:
        payout = await created(front, "100")
        assert_problem(await decided(front, payout, "approve", "ADMIN", "shop"), 403, "P002")
        assert_problem(await decided(front, payout, "approve", "SUPER_ADMIN", "sue"), 403, "P002")
        assert_problem(await decided(front, payout, "approve", "SERVICE", "ann"), 403, "P002")
        assert (await decided(front, payout, "approve", "APPROVER", "ann")).status_code == 200
        assert_problem(await decided(front, payout, "approve", "ADMIN", "ann"), 409, "P500")
        stranger = await decided(front, payout, "approve", "APPROVER", "bob", tenant="north")
        assert_problem(stranger, 404, "P501", "payout_id")
        front.house.clock.tick(600)
        assert_problem(await decided(front, payout, "approve", "APPROVER", "bob"), 410, "P603")


async def test_a_held_payout_is_released_and_then_waits_for_approval() -> None:
    async with deciding() as front:
        payout = await created(front, "500")
        assert payout["status"] == "needs_review"
        assert payout["hold"]["rules"] == ["large"]
        assert_problem(await decided(front, payout, "approve", "ADMIN", "ann"), 409, "P500")
        released = (await decided(front, payout, "release", "APPROVER", "ann")).json()
        assert (released["status"], released["hold"]) == ("awaiting_approval", None)
        assert_problem(await decided(front, payout, "release", "APPROVER", "ann"), 409, "P500")


@pytest.mark.parametrize("amount", ["100", "500"])
async def test_rejecting(amount: str) -> None:
    async with deciding() as front:
        payout = await created(front, amount)
        rejected = (await decided(front, payout, "reject", "APPROVER", "ann")).json()
        assert (rejected["status"], rejected["status_reason"]) == (
            "rejected",
            {"code": None, "message": SAYING["comment"]},
        )
        for verb in (*VERBS, "route"):
            assert_problem(await decided(front, payout, verb, "ADMIN", "bob"), 409, "P500")


async def test_another_route() -> None:
    async with deciding() as front:
        payout = await created(front, "10")
        moved = (await decided(front, payout, "route", "ADMIN", "ann")).json()
        assert (payout["route"], moved["route"], moved["status"]) == ("v0", "kyc", "pending")
        assert moved["findings"][-1]["text"] == "ADMIN:ann chose the route kyc: v0 is slow"
        again = (await decided(front, payout, "route", "ADMIN", "ann")).json()
        assert again == moved


async def test_a_route_that_does_not_take_it_says_why() -> None:
    async with deciding() as front:
        payout = await created(front, "10")
        answer = await front.ask(
            "POST",
            f"/payouts/{payout['payout_id']}/route",
            token("ADMIN"),
            json={"route": "direct", "reason": "urgent"},
        )
        problem = assert_problem(answer, 400, "P400", "route")
        assert problem["detail"].endswith("the route is switched off")


async def test_a_list_by_route_and_type() -> None:
    async with deciding() as front:
        await created(front, "1")
        kyc = await created(front, "2", route="kyc")
        batch = await created(front, "3", payout_type="batch")
        assert (batch["status"], batch["release_at"]) == ("scheduled", "2026-03-01T12:05:00Z")
        for query, wanted in ((f"route={kyc['route']}", kyc), ("payout_type=batch", batch)):
            answer = await front.ask("GET", f"/payouts?{query}", MAKER)
            assert answer.json()["items"] == [wanted]
