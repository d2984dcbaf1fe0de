"""Cancelling, resolving, and whose payouts a caller sees."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from models.caller import Caller
from models.chain import Hit
from models.errors import PayoutError, Reason
from models.findings import Hold
from models.payout import Payout, PayoutStatus, Reservation, Resolution, move
from models.permission import grants_of, parse_permission
from models.settlement import after_death, put_off
from models.transaction import Attempt, AttemptState
from ports.store import PayoutQuery, StoreError
from services.changing import CHANGE_TRIES
from tests.factories import a_block, a_cursor, a_hit, a_payout, a_window, an_attempt, an_order
from tests.unit.services.desk import SERVICE, Desk, a_desk
from tests.unit.services.faulty_store import FaultyStore

S = PayoutStatus
R = Resolution
WINDOW = a_window(maximum=10**12)


async def stored(desk: Desk, status: PayoutStatus = S.PENDING, **fields: Any) -> Payout:
    """A payout in a status, with the live attempt that `processing` means, and its reservation."""
    live = an_attempt() if status is S.PROCESSING else None
    payout = a_payout(
        status=status,
        client=SERVICE.subject,
        live_attempt=live,
        window_ids=(WINDOW.window_id,),
        **fields,
    )
    await desk.limits.reserve([WINDOW], payout.payout_id, payout.order.amount)
    await desk.memory.insert(payout)
    return payout


async def reserved(desk: Desk) -> int:
    return await desk.used(WINDOW.window_id)


async def now(desk: Desk, payout: Payout) -> Payout:
    found = await desk.memory.get(payout.payout_id)
    assert found is not None
    return found


def closed(state: AttemptState, contract_ret: str = "SUCCESS", **hit: Any) -> tuple[Attempt, Hit]:
    attempt = an_attempt()
    found = a_hit(attempt, contract_ret=contract_ret, **hit)
    return replace(attempt, state=state, hit=found), found


DEAD = replace(an_attempt(), state=AttemptState.DEAD)
REVERTED, REVERT = closed(AttemptState.FAILED_ON_CHAIN, "REVERT")
MISMATCHED, MISMATCH = closed(AttemptState.SETTLED, transfers=())


# cancel


@pytest.mark.parametrize("status", [S.PENDING, S.NEEDS_REVIEW])
async def test_what_has_no_live_attempt_can_be_cancelled(status: PayoutStatus) -> None:
    desk = a_desk()
    payout = await stored(desk, status, attempts=(DEAD, REVERTED), hits=(REVERT,))
    after = await desk.router.cancel(SERVICE, payout.payout_id, "wrong recipient")
    assert after.status is S.CANCELLED
    assert after.status_reason == Reason(None, "wrong recipient")
    event = after.history[-1]
    assert (event.by, event.from_status, event.to_status) == (SERVICE.name, status, S.CANCELLED)
    assert (await now(desk, payout)).reservation is Reservation.RELEASED
    assert await reserved(desk) == 0


async def test_cancelling_again_is_harmless() -> None:
    desk = a_desk()
    payout = await stored(desk)
    first = await desk.router.cancel(SERVICE, payout.payout_id, "once")
    again = await desk.router.cancel(SERVICE, payout.payout_id, "twice")
    assert again.history == first.history
    assert again.status_reason == Reason(None, "once")


@pytest.mark.parametrize(
    ("status", "code"),
    [(S.PROCESSING, "P500"), (S.COMPLETED, "P502"), (S.FAILED, "P500"), (S.EXPIRED, "P500")],
)
async def test_what_is_live_or_over_cannot_be_cancelled(status: PayoutStatus, code: str) -> None:
    desk = a_desk()
    payout = await stored(desk, status)
    with pytest.raises(PayoutError) as refusal:
        await desk.router.cancel(SERVICE, payout.payout_id, None)
    assert refusal.value.code == code
    assert await now(desk, payout) == payout


@pytest.mark.parametrize("status", [S.PENDING, S.NEEDS_REVIEW])
async def test_what_money_moved_for_cannot_be_cancelled(status: PayoutStatus) -> None:
    desk = a_desk()
    payout = await stored(desk, status, attempts=(MISMATCHED,), hits=(MISMATCH,))
    with pytest.raises(PayoutError) as refusal:
        await desk.router.cancel(SERVICE, payout.payout_id, None)
    assert refusal.value.code == "P500"
    assert await now(desk, payout) == payout


async def test_a_cancel_that_comes_second_is_judged_anew() -> None:
    """The payout is recorded between the read and the write of the cancel: nothing is cancelled."""
    desk = a_desk(FaultyStore)
    payout = await stored(desk)

    async def record() -> None:
        change = move(payout, S.PROCESSING, by="dispatcher", record=an_attempt(payout))
        assert await desk.memory.apply([change]) == 1

    desk.store.meanwhile("apply", "before", record)
    with pytest.raises(PayoutError) as refusal:
        await desk.router.cancel(SERVICE, payout.payout_id, None)
    assert refusal.value.code == "P500"
    assert (await now(desk, payout)).status is S.PROCESSING


async def test_a_payout_that_keeps_changing_is_given_up_for_now() -> None:
    desk = a_desk(FaultyStore)
    payout = await stored(desk)

    async def touch() -> None:
        (claimed,) = (await desk.memory.claim(1, "replica", "token", 0)).payouts
        why = Reason("P200", "still short")
        assert await desk.memory.apply([put_off(claimed, "token", why, 0)]) == 1

    for _ in range(CHANGE_TRIES):
        desk.store.meanwhile("apply", "before", touch)
    with pytest.raises(PayoutError) as refusal:
        await desk.router.cancel(SERVICE, payout.payout_id, None)
    assert refusal.value.code == "P701"
    after = await desk.router.cancel(SERVICE, payout.payout_id, None)
    assert after.status is S.CANCELLED


async def test_a_cancel_whose_answer_was_lost_can_be_repeated() -> None:
    desk = a_desk(FaultyStore)
    payout = (await desk.create()).payout
    desk.store.fail("apply", "after")
    with pytest.raises(StoreError):
        await desk.router.cancel(SERVICE, payout.payout_id, None)
    after = await desk.router.cancel(SERVICE, payout.payout_id, None)
    assert after.status is S.CANCELLED
    assert len(after.history) == 2
    assert await desk.used() == 0


async def test_a_reservation_that_cannot_be_given_back_waits_for_the_sweep() -> None:
    desk = a_desk(FaultyStore)
    payout = (await desk.create()).payout
    desk.store.fail("release", "before")
    after = await desk.router.cancel(SERVICE, payout.payout_id, None)
    assert after.status is S.CANCELLED
    assert await desk.used() == payout.order.amount
    await desk.limits.sweep()
    assert await desk.used() == 0


# resolve


@pytest.mark.parametrize(
    ("action", "to"), [(R.RETRY, S.PENDING), (R.COMPLETE, S.COMPLETED), (R.FAIL, S.FAILED)]
)
async def test_what_a_person_decides(action: Resolution, to: PayoutStatus) -> None:
    desk = a_desk()
    payout = await stored(
        desk,
        S.NEEDS_REVIEW,
        attempts=(DEAD, REVERTED),
        hits=(REVERT,),
        counted_deaths=3,
        refusals=2,
    )
    after = await desk.router.resolve(SERVICE, payout.payout_id, action, "looked into it")
    assert after.status is to
    assert after.history[-1].why == Reason(None, "looked into it")
    assert after.history[-1].by == SERVICE.name
    assert after.due_at == desk.clock.at
    fresh = action is R.RETRY
    assert (after.counted_deaths, after.refusals) == ((0, 0) if fresh else (3, 2))


async def test_a_retry_wakes_the_dispatcher() -> None:
    desk = a_desk()
    payout = await stored(desk, S.NEEDS_REVIEW)
    await desk.router.resolve(SERVICE, payout.payout_id, R.RETRY, "again")
    await desk.wakeups.wait(3_600)  # returns at once


@pytest.mark.parametrize(
    ("attempts", "hits"),
    [
        ((MISMATCHED,), (MISMATCH,)),
        ((DEAD, MISMATCHED), (MISMATCH,)),
        ((replace(MISMATCHED, hit=None),), ()),
        ((DEAD,), (a_hit(DEAD),)),
    ],
    ids=["mismatch", "dead and mismatch", "settled, hit unknown", "dead but included"],
)
async def test_nothing_is_paid_again_while_money_may_have_moved(
    attempts: tuple[Attempt, ...], hits: tuple[Hit, ...]
) -> None:
    desk = a_desk()
    payout = await stored(desk, S.NEEDS_REVIEW, attempts=attempts, hits=hits)
    with pytest.raises(PayoutError) as refusal:
        await desk.router.resolve(SERVICE, payout.payout_id, R.RETRY, "again")
    assert refusal.value.code == "P500"
    assert await now(desk, payout) == payout


HELD = Hold(("sanctions",), "the recipient is on the sanctions list", "P601", ("SERVICE",))
OFFICER = replace(SERVICE, subject="officer")


@pytest.mark.parametrize("action", Resolution)
async def test_what_a_rule_holds_is_released_or_rejected_and_not_resolved(
    action: Resolution,
) -> None:
    desk = a_desk()
    payout = await stored(desk, S.NEEDS_REVIEW, attempts=(DEAD,), hold=HELD)
    with pytest.raises(PayoutError, match="sanctions holds it: release or reject it") as refusal:
        await desk.router.resolve(OFFICER, payout.payout_id, action, "by hand")
    assert refusal.value.code == "P500"
    assert await now(desk, payout) == payout
    assert (await desk.router.release(OFFICER, payout.payout_id, "fine")).status is S.PENDING


async def test_what_a_dead_attempt_has_paid_is_resolved_whatever_holds_it() -> None:
    """A rule held it when it was to be paid again; then the proof of death turned out wrong."""
    desk = a_desk()
    payout = await stored(desk, S.NEEDS_REVIEW, attempts=(DEAD,), hits=(a_hit(DEAD),), hold=HELD)
    for decide in (desk.router.release, desk.router.reject):
        with pytest.raises(PayoutError, match="money moved") as refusal:
            await decide(OFFICER, payout.payout_id, "why not")
        assert refusal.value.code == "P500"
    with pytest.raises(PayoutError, match="not proven unpaid"):
        await desk.router.resolve(OFFICER, payout.payout_id, R.RETRY, "again")
    after = await desk.router.resolve(OFFICER, payout.payout_id, R.COMPLETE, "it is paid")
    assert (after.status, await reserved(desk)) == (S.COMPLETED, payout.order.amount)


@pytest.mark.parametrize("action", [R.COMPLETE, R.FAIL])
async def test_ending_a_mismatch_keeps_what_was_reserved(action: Resolution) -> None:
    desk = a_desk()
    payout = await stored(desk, S.NEEDS_REVIEW, attempts=(MISMATCHED,), hits=(MISMATCH,))
    await desk.router.resolve(SERVICE, payout.payout_id, action, "settled by hand")
    assert (await now(desk, payout)).reservation is Reservation.KEPT
    assert await reserved(desk) == payout.order.amount


async def test_failing_an_unpaid_one_gives_back_what_was_reserved() -> None:
    desk = a_desk()
    payout = await stored(desk, S.NEEDS_REVIEW)
    await desk.router.resolve(SERVICE, payout.payout_id, R.FAIL, "given up")
    assert await reserved(desk) == 0


@pytest.mark.parametrize("action", Resolution)
@pytest.mark.parametrize("status", sorted(set(PayoutStatus) - {S.NEEDS_REVIEW}))
async def test_only_what_waits_for_a_person_is_resolved(
    status: PayoutStatus, action: Resolution
) -> None:
    desk = a_desk()
    payout = await stored(desk, status)
    with pytest.raises(PayoutError) as refusal:
        await desk.router.resolve(SERVICE, payout.payout_id, action, "why not")
    assert refusal.value.code == "P500"
    assert await now(desk, payout) == payout


async def test_a_hit_that_comes_between_forbids_the_retry() -> None:
    desk = a_desk(FaultyStore)
    payout = await stored(desk)
    attempt = an_attempt(payout)
    await desk.memory.apply([move(payout, S.PROCESSING, by="dispatcher", record=attempt)])
    live = await now(desk, payout)
    late = after_death(live, attempt, a_cursor(1_040), desk.clock.at, max_deaths=0)
    await desk.memory.apply([late])
    assert (await now(desk, payout)).status is S.NEEDS_REVIEW

    async def included() -> None:
        assert await desk.memory.move_cursor(None, a_cursor(1_041), [a_hit(attempt)])

    desk.store.meanwhile("apply", "before", included)
    with pytest.raises(PayoutError) as refusal:
        await desk.router.resolve(SERVICE, payout.payout_id, R.RETRY, "again")
    assert refusal.value.code == "P500"
    assert (await now(desk, payout)).status is S.NEEDS_REVIEW


# who may see and do what

OWN = Caller("me", "USER", grants_of([parse_permission("payout:*:own")]))
NODE = Caller(
    "me", "NODE_OPERATOR", grants_of([parse_permission("payout:*:node")]), node_id="node-1"
)
WITHOUT_NODE = replace(NODE, node_id=None)


async def four(desk: Desk) -> dict[str, Payout]:
    payouts = {
        "mine": a_payout(client="me"),
        "of my node": a_payout(client="other", order=an_order(node_id="node-1")),
        "of another node": a_payout(client="other", order=an_order(node_id="node-2")),
        "of nobody": a_payout(client="other"),
    }
    for payout in payouts.values():
        await desk.memory.insert(payout)
    return payouts


SCOPES = [
    (OWN, {"mine"}),
    (NODE, {"mine", "of my node"}),
    (WITHOUT_NODE, {"mine"}),
    (SERVICE, {"mine", "of my node", "of another node", "of nobody"}),
]

Call = Callable[[Desk, Caller, str], Any]
CALLS: dict[str, Call] = {
    "get": lambda desk, who, payout_id: desk.router.get(who, payout_id),
    "cancel": lambda desk, who, payout_id: desk.router.cancel(who, payout_id, None),
    "resolve": lambda desk, who, payout_id: desk.router.resolve(who, payout_id, R.FAIL, "x"),
}


@pytest.mark.parametrize(("who", "visible"), SCOPES, ids=["own", "node", "no node", "all"])
async def test_a_caller_sees_and_touches_only_what_is_in_scope(
    who: Caller, visible: set[str]
) -> None:
    desk = a_desk()
    payouts = await four(desk)
    for name, payout in payouts.items():
        if name in visible:
            assert await desk.router.get(who, payout.payout_id) == payout
            continue
        for call in CALLS.values():
            with pytest.raises(PayoutError) as refusal:
                await call(desk, who, payout.payout_id)
            assert refusal.value.code == "P501"
        assert await now(desk, payout) == payout
    listed = await desk.router.list(who, PayoutQuery(), 10)
    assert {each.payout_id for each in listed} == {payouts[name].payout_id for name in visible}
    (total,) = await desk.router.stats(who)
    assert (total.count, total.amount) == (len(visible), len(visible) * 12_500_000)


async def test_a_query_cannot_widen_the_scope() -> None:
    desk = a_desk()
    payouts = await four(desk)
    listed = await desk.router.list(OWN, PayoutQuery(node_id="node-1"), 10)
    assert listed == []
    listed = await desk.router.list(NODE, PayoutQuery(node_id="node-1"), 10)
    assert listed == [payouts["of my node"]]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_stranger_and_a_made_up_id_get_the_same_answer(call: Call) -> None:
    desk = a_desk()
    strange = (await four(desk))["of nobody"]
    answers = []
    for payout_id in (strange.payout_id, "payout_" + "0" * 32):
        with pytest.raises(PayoutError) as refusal:
            await call(desk, OWN, payout_id)
        answers.append((refusal.value.code, refusal.value.message, refusal.value.extra))
    assert answers[0] == answers[1]


async def test_every_call_asks_for_its_permission() -> None:
    desk = a_desk()
    nobody = Caller("me", "NOBODY", {})
    calls = [
        desk.router.get(nobody, "x"),
        desk.router.list(nobody, PayoutQuery(), 1),
        desk.router.stats(nobody),
        desk.router.cancel(nobody, "x", None),
        desk.router.resolve(nobody, "x", R.RETRY, "x"),
        desk.router.unexplained(nobody, only_open=True, limit=1),
        desk.router.explain(nobody, "x", None, "x"),
    ]
    for call in calls:
        with pytest.raises(PayoutError) as refusal:
            await call
        assert refusal.value.code == "P002"


# figures


async def test_stats_count_and_sum_by_status_and_currency() -> None:
    desk = a_desk()
    for amount in (1, 2):
        await stored(desk, order=an_order(amount=amount))
    await stored(desk, S.FAILED, order=an_order(amount=5))
    totals = await desk.router.stats(SERVICE)
    assert {(t.status, t.count, t.amount) for t in totals} == {(S.PENDING, 2, 3), (S.FAILED, 1, 5)}


@pytest.mark.parametrize(
    ("newest", "confirmations"), [(0, 1), (999, 1), (1_010, 1), (1_011, 2), (1_030, 21)]
)
def test_confirmations_count_from_the_block_that_paid(newest: int, confirmations: int) -> None:
    desk = a_desk()
    desk.newest[0] = newest
    attempt, _ = closed(AttemptState.SETTLED, block=a_block(1_010))
    assert desk.router.confirmations(a_payout(attempts=(attempt,))) == confirmations


def test_what_is_in_no_block_has_no_confirmations() -> None:
    desk = a_desk()
    desk.newest[0] = 5_000
    assert desk.router.confirmations(a_payout(attempts=(DEAD, MISMATCHED))) == 0
