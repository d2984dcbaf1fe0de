"""Transfers that no payout knows, and what people make of them."""

from dataclasses import replace
from typing import Any

import pytest

from models.chain import Hit
from models.errors import PayoutError
from models.payout import Payout, PayoutStatus, move
from models.transaction import AttemptState
from ports.store import StoreError
from tests.factories import USDT_CONTRACT, a_cursor, a_hit, a_payout, an_attempt
from tests.unit.services.desk import SERVICE, Desk, a_desk
from tests.unit.services.faulty_store import FaultyStore

S = PayoutStatus
FORMER_WALLET = "TVj7RNVHy6thbM7BWdSe9G6gXwKhjhdNZS"


async def stored(desk: Desk, status: PayoutStatus = S.PENDING, **fields: Any) -> Payout:
    payout = a_payout(status=status, **fields)
    await desk.memory.insert(payout)
    return payout


async def unknown(desk: Desk, payout: Payout, **fields: Any) -> Hit:
    """A solid transfer of what the payout asks for, which no payout knows."""
    hit = a_hit(an_attempt(payout), **fields)
    cursor = await desk.memory.cursor()
    assert await desk.memory.move_cursor(cursor, cursor or a_cursor(), [hit])
    return hit


async def explain(desk: Desk, hit: Hit, payout: Payout | None) -> None:
    payout_id = None if payout is None else payout.payout_id
    await desk.router.explain(SERVICE, hit.txid, payout_id, "seen in the old log")


async def still_open(desk: Desk) -> int:
    return await desk.memory.count_open_unexplained()


async def now(desk: Desk, payout: Payout) -> Payout:
    found = await desk.memory.get(payout.payout_id)
    assert found is not None
    return found


@pytest.mark.parametrize("status", [S.PENDING, S.NEEDS_REVIEW])
async def test_a_forgotten_transfer_completes_its_payout(status: PayoutStatus) -> None:
    desk = a_desk()
    payout = await stored(desk, status)
    hit = await unknown(desk, payout)
    assert await still_open(desk) == 1
    await explain(desk, hit, payout)
    after = await now(desk, payout)
    assert (after.status, after.linked_hit) == (S.COMPLETED, hit)
    assert hit.txid in (after.status_reason.message if after.status_reason else "")
    assert after.history[-1].by == SERVICE.name
    assert await still_open(desk) == 0
    (known,) = await desk.router.unexplained(SERVICE, only_open=False, limit=10)
    assert (known.payout_id, known.explained_by) == (payout.payout_id, SERVICE.name)


async def test_a_transfer_can_be_known_without_a_payout() -> None:
    desk = a_desk()
    hit = await unknown(desk, a_payout())
    await explain(desk, hit, None)
    assert await still_open(desk) == 0
    assert await desk.router.unexplained(SERVICE, only_open=True, limit=10) == []


async def test_a_transfer_of_a_former_wallet_counts() -> None:
    desk = a_desk()
    payout = await stored(desk)
    attempt = an_attempt(payout)
    moved = replace(attempt.transfer, owner=FORMER_WALLET)
    hit = await unknown(desk, payout, owner=FORMER_WALLET, transfers=(moved,))
    await explain(desk, hit, payout)
    assert (await now(desk, payout)).status is S.COMPLETED


ASKED = an_attempt().transfer


@pytest.mark.parametrize(
    "hit",
    [
        {"contract_ret": "REVERT"},
        {"transfers": ()},
        {"transfers": (replace(ASKED, amount=ASKED.amount + 1),)},
        {"transfers": (replace(ASKED, recipient=FORMER_WALLET),)},
        {"transfers": (replace(ASKED, contract=None),)},
        {"transfers": (ASKED, ASKED)},
        {"transfers": (replace(ASKED, owner=FORMER_WALLET),)},
    ],
    ids=["failed", "nothing", "amount", "recipient", "currency", "twice", "not its sender's"],
)
async def test_what_the_payout_did_not_ask_for_does_not_complete_it(hit: dict[str, Any]) -> None:
    desk = a_desk()
    payout = await stored(desk)
    found = await unknown(desk, payout, **hit)
    with pytest.raises(PayoutError) as refusal:
        await explain(desk, found, payout)
    assert refusal.value.code == "P500"
    assert await now(desk, payout) == payout
    assert await still_open(desk) == 1
    await explain(desk, found, None)  # nothing was tied


LIVE = an_attempt()
SETTLED = replace(an_attempt(), state=AttemptState.SETTLED)


@pytest.mark.parametrize(
    "fields",
    [
        {"status": S.PROCESSING, "live_attempt": LIVE},
        {"status": S.COMPLETED, "attempts": (SETTLED,)},
        {"status": S.COMPLETED, "linked_hit": a_hit()},
        {"status": S.COMPLETED},
        {"status": S.NEEDS_REVIEW, "attempts": (SETTLED,), "hits": (a_hit(SETTLED),)},
        {"status": S.FAILED},
        {"status": S.CANCELLED},
        {"status": S.EXPIRED},
    ],
    ids=[
        "live",
        "paid",
        "paid by another such transfer",
        "completed by hand",
        "paid something else",
        "failed",
        "cancelled",
        "expired",
    ],
)
async def test_what_is_paid_may_be_paid_or_is_over_is_not_paid_by_it(
    fields: dict[str, Any],
) -> None:
    desk = a_desk()
    payout = await stored(desk, **fields)
    hit = await unknown(desk, payout)
    with pytest.raises(PayoutError) as refusal:
        await explain(desk, hit, payout)
    assert refusal.value.code == "P500"
    assert await now(desk, payout) == payout
    assert await still_open(desk) == 1
    await explain(desk, hit, None)  # nothing was tied
    assert await still_open(desk) == 0


async def test_one_transfer_completes_one_payout() -> None:
    desk = a_desk()
    one, other = await stored(desk), await stored(desk)
    hit = await unknown(desk, one)
    await explain(desk, hit, one)
    with pytest.raises(PayoutError) as refusal:
        await explain(desk, hit, other)
    assert refusal.value.code == "P500"
    assert (await now(desk, other)).status is S.PENDING


@pytest.mark.parametrize(("named", "code"), [("transfer", "P010"), ("payout", "P501")])
async def test_what_is_not_there_cannot_be_tied(named: str, code: str) -> None:
    desk = a_desk()
    payout = await stored(desk)
    hit = await unknown(desk, payout)
    txid, payout_id = (
        ("00" * 32, payout.payout_id) if named == "transfer" else (hit.txid, "payout_x")
    )
    with pytest.raises(PayoutError) as refusal:
        await desk.router.explain(SERVICE, txid, payout_id, "?")
    assert refusal.value.code == code
    assert await still_open(desk) == 1


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["claim_unexplained", "apply", "close_unexplained"])
async def test_after_a_crash_dispatch_is_closed_and_the_same_call_ends_it(
    step: str, when: Any
) -> None:
    desk = a_desk(FaultyStore)
    payout, other = await stored(desk), await stored(desk)
    hit = await unknown(desk, payout)
    desk.store.fail(step, when)
    with pytest.raises(StoreError):
        await explain(desk, hit, payout)
    done = (step, when) == ("close_unexplained", "after")
    assert await still_open(desk) == (0 if done else 1)
    if done:
        return
    if (step, when) != ("claim_unexplained", "before"):
        with pytest.raises(PayoutError):
            await explain(desk, hit, other)
    await explain(desk, hit, payout)
    assert await still_open(desk) == 0
    after = await now(desk, payout)
    assert (after.status, after.linked_hit) == (S.COMPLETED, hit)
    assert (await now(desk, other)).status is S.PENDING


async def test_a_payout_that_changes_meanwhile_is_looked_at_again() -> None:
    desk = a_desk(FaultyStore)
    payout = await stored(desk)
    hit = await unknown(desk, payout)

    async def record() -> None:
        attempt = an_attempt(payout)
        await desk.memory.apply([move(payout, S.PROCESSING, by="dispatcher", record=attempt)])

    desk.store.meanwhile("apply", "before", record)
    with pytest.raises(PayoutError) as refusal:
        await explain(desk, hit, payout)
    assert refusal.value.code == "P500"
    assert (await now(desk, payout)).status is S.PROCESSING
    assert await still_open(desk) == 1


async def test_transfers_are_listed_oldest_first() -> None:
    desk = a_desk()
    hits = [await unknown(desk, a_payout(), block=a_cursor(number).block) for number in (7, 5, 6)]
    listed = await desk.router.unexplained(SERVICE, only_open=True, limit=2)
    assert [each.txid for each in listed] == [hits[1].txid, hits[2].txid]


async def test_another_token_beside_it_does_not_matter() -> None:
    desk = a_desk()
    payout = await stored(desk)
    transfer = an_attempt(payout).transfer
    assert transfer.contract == USDT_CONTRACT
    beside = replace(transfer, contract="TXLAQ63Xg1NAzckPwKHvzw7CSEmLMEqcdj")
    hit = await unknown(desk, payout, transfers=(beside, transfer))
    await explain(desk, hit, payout)
    assert (await now(desk, payout)).status is S.COMPLETED


async def test_explaining_again_in_the_same_way_changes_nothing() -> None:
    desk = a_desk()
    payout = await stored(desk)
    hit = await unknown(desk, payout)
    first = await explain(desk, hit, payout)
    assert await explain(desk, hit, payout) == first


async def test_a_tie_that_can_never_be_completed_gives_way() -> None:
    """The tied payout was cancelled between tie and completion; another one was paid by it."""
    desk = a_desk(FaultyStore)
    payout, other = await stored(desk), await stored(desk)
    hit = await unknown(desk, payout)

    async def cancel() -> None:
        await desk.router.cancel(SERVICE, payout.payout_id, None)

    desk.store.meanwhile("apply", "before", cancel)
    with pytest.raises(PayoutError):
        await explain(desk, hit, payout)
    assert (await now(desk, payout)).status is S.CANCELLED
    await explain(desk, hit, other)
    assert (await now(desk, other)).status is S.COMPLETED
    assert await still_open(desk) == 0


async def test_an_explanation_is_noted_before_it_is_made() -> None:
    desk = a_desk(FaultyStore)
    payout = await stored(desk)
    hit = await unknown(desk, payout)
    desk.store.fail("note_act", "after")
    with pytest.raises(StoreError):
        await explain(desk, hit, payout)
    assert await still_open(desk) == 1
    assert (await now(desk, payout)).status is S.PENDING
    await explain(desk, hit, payout)
    assert await still_open(desk) == 0
    (_, act, *_) = await desk.memory.unlogged(10)
    assert (act.action, act.subject, act.by) == ("unexplained:explain", hit.txid, SERVICE.name)
    assert (act.before, act.after) == ("unexplained", payout.payout_id)
    assert act.why is not None
    assert act.why.message == "seen in the old log"


async def test_what_is_refused_or_done_already_is_no_act() -> None:
    desk = a_desk()
    payout, other = await stored(desk), await stored(desk, S.CANCELLED)
    hit = await unknown(desk, payout)
    with pytest.raises(PayoutError):
        await explain(desk, hit, other)
    assert await desk.memory.count_unlogged() == 0
    await explain(desk, hit, None)
    await explain(desk, hit, None)
    (act,) = await desk.memory.unlogged(10)
    assert (act.before, act.after) == ("unexplained", "known")


async def test_a_tie_that_gives_way_is_noted_with_what_it_was() -> None:
    desk = a_desk(FaultyStore)
    payout = await stored(desk)
    hit = await unknown(desk, payout)

    async def cancel() -> None:
        await desk.router.cancel(SERVICE, payout.payout_id, None)

    desk.store.meanwhile("apply", "before", cancel)
    with pytest.raises(PayoutError):
        await explain(desk, hit, payout)
    await explain(desk, hit, None)
    acts = [each for each in await desk.memory.unlogged(10) if each.subject == hit.txid]
    assert [(act.before, act.after) for act in acts] == [
        ("unexplained", payout.payout_id),
        (payout.payout_id, "known"),
    ]
