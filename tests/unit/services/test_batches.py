"""A batch is so many payouts: each is taken once or refused by itself, however often it is sent."""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.memory.store import MemoryPayoutStore
from models.approval import ApprovalRule, Workflow
from models.batch import NewBatch
from models.caller import Caller
from models.errors import PayoutError
from models.money import BASE_UNITS
from models.order import Order
from models.payout import Payout, PayoutStatus
from models.permission import grants_of, parse_permission
from ports.store import PayoutQuery, StoreError
from services.batches import BatchReport, in_turn
from services.limits import ORPHAN_AGE_SECONDS
from tests.factories import an_order
from tests.harness import DECISIONS
from tests.unit.services.desk import DAILY, SERVICE, Desk, a_desk
from tests.unit.services.faulty_store import FaultyStore, SlowStore

LONG = 3_600.0
MANY = ApprovalRule(Workflow("batch", 1, ("APPROVER", "ADMIN"), 60), from_items=3)
TWICE = ApprovalRule(Workflow("twice", 2, ("APPROVER", "ADMIN"), 60), always=True)
TOO_SMALL = {"amount": 1}


def approver(subject: str) -> Caller:
    grants = grants_of([parse_permission("payout:*:all"), parse_permission("batch:view:all")])
    return Caller(subject=subject, role="APPROVER", grants=grants)


def asked(*orders: dict[str, Any], key: str = "k", body: str = "body") -> NewBatch:
    """A batch of such payouts, each of 12.50 USDT unless told otherwise."""
    return NewBatch([an_order(**order) for order in orders], body, key)


async def send(desk: Desk, batch: NewBatch, caller: Caller = SERVICE) -> BatchReport:
    return await desk.router.create_batch(caller, batch, LONG)


async def there(desk: Desk) -> list[Payout]:
    found = await desk.memory.list(PayoutQuery(), 1_000)
    return sorted(found, key=lambda each: each.idempotency_key or "")


def codes(report: BatchReport) -> list[str | None]:
    return [item.problem and item.problem.code for item in report.items]


def deciding(*approvals: ApprovalRule) -> Desk:
    return a_desk(decisions=replace(DECISIONS, approvals=approvals))


# ---- taking ----


async def test_each_payout_is_taken_in_order_and_counts() -> None:
    desk = a_desk()
    report = await send(desk, asked({"amount": 1 * BASE_UNITS}, {"amount": 2 * BASE_UNITS}))
    assert [item.number for item in report.items] == [0, 1]
    assert [payout.order.amount for payout in report.payouts] == [BASE_UNITS, 2 * BASE_UNITS]
    assert not report.refused
    assert not report.replayed
    assert list(report.payouts) == await there(desk)
    assert {payout.batch_id for payout in report.payouts} == {report.batch_id}
    assert await desk.used() == 3 * BASE_UNITS
    (total,) = report.totals
    assert (total.status, total.count, total.amount) == (PayoutStatus.PENDING, 2, 3 * BASE_UNITS)


async def test_the_same_batch_again_finds_what_it_made() -> None:
    desk = a_desk(FaultyStore)
    first = await send(desk, asked({}, {}))
    desk.store.calls.clear()
    again = await send(desk, asked({}, {}))
    assert again.replayed
    assert again.payouts == first.payouts
    assert desk.store.calls == ["list"]


async def test_the_key_of_a_batch_is_not_that_of_a_payout() -> None:
    desk = a_desk()
    alone = (await desk.create(key="k", body="body")).payout
    report = await send(desk, asked({}))
    assert not report.replayed
    assert report.payouts[0].payout_id != alone.payout_id


async def test_one_client_s_batch_is_not_another_s() -> None:
    desk = a_desk()
    first = await send(desk, asked({}))
    for other in (replace(SERVICE, subject="other"), replace(SERVICE, tenant="north")):
        assert not (await send(desk, asked({}), other)).replayed
    assert (await send(desk, asked({}))).payouts == first.payouts


@pytest.mark.parametrize("orders", [({}, {}), ({},), ({}, {"amount": 2 * BASE_UNITS}, {})])
async def test_the_same_key_with_another_body_does_nothing(orders: Any) -> None:
    desk = a_desk()
    await send(desk, asked({}, {"amount": BASE_UNITS}))
    before = await there(desk)
    with pytest.raises(PayoutError, match="P005"):
        await send(desk, asked(*orders, body="another"))
    assert await there(desk) == before


async def test_another_body_is_refused_even_where_only_a_later_payout_was_taken() -> None:
    desk = a_desk()
    await send(desk, asked(TOO_SMALL, {}))
    with pytest.raises(PayoutError, match="P005"):
        await send(desk, asked({}, body="another"))
    assert len(await there(desk)) == 1


async def test_a_refusal_stays_with_its_payout_and_is_tried_again() -> None:
    desk = a_desk()
    amount = 400 * BASE_UNITS  # the day's 1,000 have room for two of them
    orders = [{"amount": amount}, TOO_SMALL, {"amount": amount}, {"amount": amount}]
    report = await send(desk, asked(*orders))
    assert codes(report) == [None, "P101", None, "P103"]
    assert (report.refused, report.replayed) == (2, False)
    assert await desk.used() == 2 * amount
    await desk.router.cancel(SERVICE, report.payouts[0].payout_id, None)
    again = await send(desk, asked(*orders))
    assert codes(again) == [None, "P101", None, None]
    assert [item.replayed for item in again.items] == [True, False, True, False]
    assert again.items[0].payout is not None
    assert again.items[0].payout.status is PayoutStatus.CANCELLED
    assert len(await there(desk)) == 3
    assert await desk.used() == 2 * amount


async def test_so_many_ask_for_consent_and_one_that_is_tried_again_does_too() -> None:
    desk = deciding(MANY)
    two = await send(desk, asked({}, {}, key="two"))
    assert {payout.status for payout in two.payouts} == {PayoutStatus.PENDING}
    three = asked({}, TOO_SMALL, {}, key="three")
    report = await send(desk, three)
    assert [payout.status for payout in report.payouts] == [PayoutStatus.AWAITING_APPROVAL] * 2
    lower = replace(three, orders=[an_order(), an_order(amount=BASE_UNITS), an_order()])
    again = await send(desk, lower)
    assert [payout.status for payout in again.payouts] == [PayoutStatus.AWAITING_APPROVAL] * 3


async def test_who_may_not_create_sends_no_batch() -> None:
    desk = a_desk()
    for permission in ("batch:create:all", "payout:create:all"):
        caller = replace(SERVICE, grants=grants_of([parse_permission(permission)]))
        with pytest.raises(PayoutError, match="P002"):
            await send(desk, asked({}), caller)
    assert not await there(desk)


# ---- at the same moment ----


@given(seed=st.integers(0, 10_000))
async def test_two_equal_batches_at_once_make_each_payout_once(seed: int) -> None:
    desk = a_desk(lambda memory: SlowStore(memory, seed))
    batch = asked({}, {"amount": BASE_UNITS}, {})
    reports = await asyncio.gather(send(desk, batch), send(desk, batch))
    payouts = await there(desk)
    assert Counter(each.idempotency_key for each in payouts) == {f"k {n}": 1 for n in range(3)}
    for report in reports:
        assert {each.payout_id for each in report.payouts} == {each.payout_id for each in payouts}
    assert await desk.used() == 26_000_000


@given(seed=st.integers(0, 10_000))
async def test_of_two_bodies_at_once_one_is_refused_as_a_whole(seed: int) -> None:
    desk = a_desk(lambda memory: SlowStore(memory, seed))
    one, other = asked({}, {}), asked({}, {}, {}, body="another")
    outcomes = await asyncio.gather(send(desk, one), send(desk, other), return_exceptions=True)
    refused = [each for each in outcomes if isinstance(each, PayoutError)]
    taken = [each for each in outcomes if isinstance(each, BatchReport)]
    assert [error.code for error in refused] == ["P005"]
    assert [report.refused for report in taken] == [0]
    assert len({each.fingerprint for each in await there(desk)}) == 1


async def test_a_body_that_loses_the_race_later_on_stops_there() -> None:
    desk = a_desk(FaultyStore)
    loser = asked({}, {}, {}, body="another")

    async def another_was_first() -> None:
        (first,) = await there(desk)
        winner = replace(first, payout_id="payout_1", idempotency_key="k 1", fingerprint="body")
        await desk.memory.insert(winner)

    desk.store.meanwhile("insert", "after", another_was_first)
    report = await send(desk, loser)
    assert codes(report) == [None, "P005", "P005"]


# ---- what goes wrong on the way ----


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_store_that_fails_at_any_call_loses_and_doubles_nothing(when: Any) -> None:
    batch = asked({}, TOO_SMALL, {"amount": BASE_UNITS})
    desk = a_desk(FaultyStore)
    await send(desk, batch)
    calls = list(desk.store.calls)
    for number, method in enumerate(calls):
        desk = a_desk(FaultyStore)
        desk.store.fail(method, when, skip=calls[:number].count(method))
        try:
            report = await send(desk, batch)
            assert set(codes(report)) <= {None, "P101", "P007"}
        except StoreError:
            assert number == 0
        again = await send(desk, batch)
        assert codes(again) == [None, "P101", None], (number, method)
        assert [each.order.amount for each in await there(desk)] == [12_500_000, BASE_UNITS]
        desk.clock.tick(ORPHAN_AGE_SECONDS + 1)
        while await desk.limits.sweep():
            pass
        assert await desk.used() == 13_500_000, (number, method)


async def test_what_a_silent_store_leaves_is_told_and_taken_later() -> None:
    desk = a_desk(FaultyStore)
    desk.store.fail("insert", "before", skip=1, times=3)  # as often as it is tried
    desk.store.fail("gates", "before", skip=2)
    report = await send(desk, asked({}, {}, {}, {}))
    assert codes(report) == [None, "P700", "P007", "P007"]
    assert codes(await send(desk, asked({}, {}, {}, {}))) == [None] * 4
    assert len(await there(desk)) == 4


class Stuck:
    """A store that never answers the second insert."""

    def __init__(self, memory: MemoryPayoutStore) -> None:
        self._memory = memory
        self.inserts = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._memory, name)

    async def insert(self, payout: Payout) -> None:
        self.inserts += 1
        await self._memory.insert(payout)
        if self.inserts == 2:
            await asyncio.Event().wait()


async def test_what_is_not_reached_in_time_is_told_and_taken_later() -> None:
    desk = a_desk(Stuck)
    report = await desk.router.create_batch(SERVICE, asked({}, {}, {}), 0.05)
    assert codes(report) == [None, "P302", "P302"]
    assert "0.05 s" in report.items[2].problem.message
    again = await send(desk, asked({}, {}, {}))
    assert [item.replayed for item in again.items] == [True, True, False]
    assert len(await there(desk)) == 3


async def test_a_time_out_of_somebody_else_is_not_the_batch_s() -> None:
    async def act(_: Order) -> Order:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await in_turn([an_order()], act, LONG)


# ---- looking and deciding ----


async def test_a_batch_is_seen_within_reach_alone() -> None:
    desk = a_desk()
    report = await send(desk, asked({}, {"node_id": "node-7"}, TOO_SMALL))
    seen = await desk.router.batch(approver("bea"), report.batch_id)
    assert [item.number for item in seen.items] == [0, 1]
    assert seen.payouts == report.payouts
    node = Caller("x", "NODE", grants_of([parse_permission("batch:view:node")]), None, "node-7")
    assert [item.number for item in (await desk.router.batch(node, report.batch_id)).items] == [1]
    stranger = replace(node, node_id="node-8")
    for caller, batch_id in ((stranger, report.batch_id), (SERVICE, "batch_0")):
        with pytest.raises(PayoutError, match="P010"):
            await desk.router.batch(caller, batch_id)


async def test_one_word_lets_all_of_a_batch_go() -> None:
    desk = deciding(MANY)
    report = await send(desk, asked({}, {}, {}))
    await desk.router.cancel(SERVICE, report.payouts[1].payout_id, None)
    alone = (await send(desk, asked({}, {}, {}, key="other"))).payouts
    approved = await desk.router.approve_batch(approver("bea"), report.batch_id, "fine", LONG)
    wanted = [PayoutStatus.PENDING, PayoutStatus.CANCELLED, PayoutStatus.PENDING]
    assert [payout.status for payout in approved.payouts] == wanted
    assert not approved.refused
    consents = [payout.approval.given for payout in approved.payouts if payout.approval]
    assert [[one.by for one in given] for given in consents] == [["bea"], [], ["bea"]]
    again = await desk.router.approve_batch(approver("bea"), report.batch_id, "fine", LONG)
    assert again.payouts == approved.payouts
    assert {(await desk.memory.get(each.payout_id)).status for each in alone} == {
        PayoutStatus.AWAITING_APPROVAL
    }


async def test_who_sent_a_batch_does_not_approve_it() -> None:
    desk = deciding(MANY)
    report = await send(desk, asked({}, {}, {}))
    maker = approver(SERVICE.subject)
    for act in (desk.router.approve_batch, desk.router.reject_batch):
        decided = await act(maker, report.batch_id, "mine", LONG)
        assert codes(decided) == ["P002"] * 3
        assert {payout.status for payout in decided.payouts} == {PayoutStatus.AWAITING_APPROVAL}


async def test_two_people_are_two_and_one_who_repeats_is_one() -> None:
    desk = deciding(TWICE)
    batch_id = (await send(desk, asked({}, {}))).batch_id
    for _ in range(2):
        half = await desk.router.approve_batch(approver("bea"), batch_id, "fine", LONG)
        assert not half.refused
        assert [payout.status for payout in half.payouts] == [PayoutStatus.AWAITING_APPROVAL] * 2
    whole = await desk.router.approve_batch(approver("cleo"), batch_id, "fine", LONG)
    assert [payout.status for payout in whole.payouts] == [PayoutStatus.PENDING] * 2


async def test_a_batch_is_rejected_as_far_as_it_waits() -> None:
    desk = deciding(TWICE)
    report = await send(desk, asked({}, {}, {}))
    await desk.router.cancel(SERVICE, report.payouts[0].payout_id, None)
    for _ in range(2):
        rejected = await desk.router.reject_batch(approver("bea"), report.batch_id, "no", LONG)
        wanted = [PayoutStatus.CANCELLED, PayoutStatus.REJECTED, PayoutStatus.REJECTED]
        assert [payout.status for payout in rejected.payouts] == wanted
        assert not rejected.refused
    assert await desk.used() == 0


async def test_the_day_s_limit_holds_for_a_batch() -> None:
    desk = a_desk()
    report = await send(desk, asked(*[{"amount": DAILY // 4}] * 6))
    assert codes(report) == [None] * 4 + ["P103"] * 2
    assert await desk.used() == DAILY
