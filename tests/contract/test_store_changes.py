"""Guarded changes: every guard, every effect, and that nothing of it is read as code."""

from dataclasses import replace
from typing import Any

import pytest

from models.approval import Approval, Consent
from models.errors import Reason
from models.order import RouteName
from models.payout import Change, Event, Guard, Payout, PayoutStatus, Reservation, told, untouched
from models.transaction import AttemptState, BroadcastNote
from ports.store import PayoutQuery, PayoutStore, StoreError
from tests.contract.steps import inserted, moved, processing, put, recording, stored
from tests.factories import LONG_AGO, a_cursor, a_hit, a_payout, an_attempt

WHY = Reason("P200", "$$NOW is {$literal: 1}")
PENDING, PROCESSING = PayoutStatus.PENDING, PayoutStatus.PROCESSING


async def test_no_changes_is_nothing(store: PayoutStore) -> None:
    assert await store.apply([]) == 0


async def test_a_move_sets_status_reason_times_version_and_history(store: PayoutStore) -> None:
    payout = await inserted(store)
    before = await store.now()
    await put(store, Change(payout.payout_id, Guard(PENDING), PayoutStatus.CANCELLED, "$by", WHY))
    after = await store.now()
    found = await stored(store, payout)
    assert before <= found.updated_at <= after
    (event,) = found.history
    assert event.at == found.updated_at
    assert (event.by, event.from_status, event.to_status) == ("$by", PENDING, found.status)
    assert (event.why, event.txid) == (WHY, None)
    assert found == replace(
        payout,
        status=PayoutStatus.CANCELLED,
        status_reason=WHY,
        updated_at=found.updated_at,
        version=1,
        history=found.history,
        outbox=(0,),
    )


async def test_only_completion_sets_completed_at(store: PayoutStore) -> None:
    payout = await inserted(store)
    assert (await moved(store, payout, PayoutStatus.NEEDS_REVIEW)).completed_at is None
    completed = await moved(store, payout, PayoutStatus.COMPLETED)
    assert completed.completed_at == completed.updated_at


async def test_putting_off_is_no_transition_and_clears_the_lease(store: PayoutStore) -> None:
    payout = await inserted(store)
    await store.claim(1, "owner", "token", 60)
    before = await store.now()
    guard = Guard(PENDING, lease_token="token")
    await put(store, Change(payout.payout_id, guard, PENDING, "d", WHY, due_in_seconds=3600))
    found = await stored(store, payout)
    assert 3600 <= (found.due_at - before).total_seconds() < 3700
    assert (found.history, found.lease, found.version) == ((), None, 1)
    assert found.status_reason == WHY
    assert not (await store.claim(1, "owner", "other", 60)).payouts


async def test_fields_are_plain_values(store: PayoutStore) -> None:
    payout = await inserted(store)
    hit = a_hit()
    fields: dict[str, Any] = {
        "linked_hit": hit,
        "counted_deaths": 3,
        "burned_sun": 2**40,
        "reservation": Reservation.KEPT,
    }
    found = await moved(store, payout, PayoutStatus.NEEDS_REVIEW, fields=fields)
    assert {name: getattr(found, name) for name in fields} == fields


async def test_recording_makes_the_attempt_live_and_keeps_the_lease(store: PayoutStore) -> None:
    payout = await inserted(store)
    await store.claim(1, "owner", "token", 60)
    attempt = an_attempt(payout)
    await put(store, recording(payout, attempt, lease_token="token", fresh_txid=attempt.txid))
    found = await stored(store, payout)
    assert (found.status, found.live_attempt, found.txids) == (PROCESSING, attempt, (attempt.txid,))
    assert found.lease is not None
    assert found.history[-1].txid == attempt.txid
    assert await store.recorded("token") == [found]
    assert not await store.recorded("other")


async def test_closing_moves_the_attempt_as_it_is_stored(store: PayoutStore) -> None:
    payout, attempt = await processing(store)
    await store.note_broadcasts([BroadcastNote(payout.payout_id, attempt.txid, "SUCCESS")])
    hit = a_hit(attempt)
    await store.move_cursor(None, a_cursor(), [hit])
    found = await moved(
        store,
        payout,
        PayoutStatus.COMPLETED,
        close=attempt,
        close_as=AttemptState.SETTLED,
        hit=hit,
    )
    (closed,) = found.attempts
    assert found.live_attempt is None
    assert (closed.state, closed.hit) == (AttemptState.SETTLED, hit)
    assert closed.closed_at == found.updated_at
    assert closed.answers == {"SUCCESS": 1}
    assert closed.last_sent_at is not None
    assert (closed.raw, closed.signature) == (attempt.raw, attempt.signature)
    assert found.txids == (attempt.txid,)
    assert found.history[-1].txid == attempt.txid
    assert not await store.to_settle(10)


async def test_a_closed_attempt_can_be_followed_by_another(store: PayoutStore) -> None:
    payout, first = await processing(store)
    await moved(store, payout, PENDING, close=first, close_as=AttemptState.DEAD)
    second = an_attempt(payout, number=2)
    await put(store, recording(payout, second, fresh_txid=second.txid))
    found = await stored(store, payout)
    assert [attempt.txid for attempt in found.attempts] == [first.txid]
    assert found.live_attempt == second
    assert found.txids == (first.txid, second.txid)


@pytest.mark.parametrize(
    "guard",
    [
        Guard(PayoutStatus.CANCELLED),
        Guard(PENDING, live_txid="0" * 64),
        Guard(PENDING, version=1),
        Guard(PENDING, lease_token="other"),
        Guard(PENDING, lease_token="$token"),
    ],
    ids=str,
)
async def test_a_guard_keeps_a_pending_payout_as_it_is(store: PayoutStore, guard: Guard) -> None:
    payout = await inserted(store)
    await store.claim(1, "owner", "token", 60)
    before = await stored(store, payout)
    assert await store.apply([Change(payout.payout_id, guard, PENDING, "test")]) == 0
    assert await stored(store, payout) == before


async def test_a_guard_that_holds_whole(store: PayoutStore) -> None:
    payout = await inserted(store)
    await store.claim(1, "owner", "token", 60)
    guard = Guard(PENDING, version=0, lease_token="token", fresh_txid="0" * 64, unhit=True)
    assert await store.apply([Change(payout.payout_id, guard, PENDING, "test")]) == 1


async def test_a_stale_lease_still_guards_if_nobody_took_it(store: PayoutStore) -> None:
    payout = await inserted(store)
    await store.claim(1, "owner", "stale", 0)
    attempt = an_attempt(payout)
    assert await store.apply([recording(payout, attempt, lease_token="stale")]) == 1


async def test_a_lease_that_another_took_refuses(store: PayoutStore) -> None:
    payout = await inserted(store)
    await store.claim(1, "owner", "stale", 0)
    await store.claim(1, "owner", "fresh", 60)
    assert await store.apply([recording(payout, an_attempt(payout), lease_token="stale")]) == 0
    assert (await stored(store, payout)).live_attempt is None


async def test_a_live_attempt_keeps_out_another(store: PayoutStore) -> None:
    payout, attempt = await processing(store)
    for guard in (Guard(PROCESSING), Guard(PROCESSING, live_txid="0" * 64)):
        change = Change(payout.payout_id, guard, PROCESSING, "x", record=an_attempt(payout))
        assert await store.apply([change]) == 0
    assert (await stored(store, payout)).live_attempt == attempt


async def test_a_used_txid_is_not_fresh(store: PayoutStore) -> None:
    payout, attempt = await processing(store)
    await moved(store, payout, PENDING, close=attempt, close_as=AttemptState.DEAD)
    again = recording(payout, attempt, fresh_txid=attempt.txid)
    assert await store.apply([again]) == 0


async def test_a_hit_on_the_live_attempt_forbids_its_death(store: PayoutStore) -> None:
    payout, attempt = await processing(store)
    death = Change(
        payout.payout_id,
        Guard(PROCESSING, live_txid=attempt.txid, unhit=True),
        PENDING,
        "settler",
        close=attempt,
        close_as=AttemptState.DEAD,
    )
    await store.move_cursor(None, a_cursor(), [a_hit(attempt)])
    assert await store.apply([death]) == 0
    assert (await stored(store, payout)).live_attempt == attempt


async def test_a_hit_on_an_older_attempt_does_not_count_as_one_on_the_live(
    store: PayoutStore,
) -> None:
    payout, first = await processing(store)
    await moved(store, payout, PENDING, close=first, close_as=AttemptState.DEAD)
    second = an_attempt(payout, number=2)
    await put(store, recording(payout, second))
    await store.move_cursor(None, a_cursor(), [a_hit(first)])
    guard = Guard(PROCESSING, live_txid=second.txid, unhit=True)
    death = Change(payout.payout_id, guard, PENDING, "s", close=second, close_as=AttemptState.DEAD)
    assert await store.apply([death]) == 1


async def test_a_hit_makes_older_knowledge_useless(store: PayoutStore) -> None:
    payout, first = await processing(store)
    known = await moved(store, payout, PENDING, close=first, close_as=AttemptState.DEAD)
    await store.move_cursor(None, a_cursor(), [a_hit(first)])
    second = recording(payout, an_attempt(payout, number=2), version=known.version)
    assert await store.apply([second]) == 0


async def test_a_txid_belongs_to_one_document_only(store: PayoutStore) -> None:
    _, attempt = await processing(store)
    other, third = await inserted(store), await inserted(store)
    fine = an_attempt(third)
    with pytest.raises(StoreError):
        await store.apply([recording(other, attempt), recording(third, fine)])
    assert (await stored(store, other)).live_attempt is None
    assert (await stored(store, third)).live_attempt == fine


async def test_a_txid_of_an_unexplained_transfer_cannot_be_recorded(store: PayoutStore) -> None:
    payout = await inserted(store)
    attempt = an_attempt(payout)
    await store.move_cursor(None, a_cursor(), [a_hit(attempt)])
    with pytest.raises(StoreError):
        await store.apply([recording(payout, attempt)])
    assert (await stored(store, payout)).status is PENDING


async def test_a_group_counts_what_matched(store: PayoutStore) -> None:
    payouts = [await inserted(store) for _ in range(5)]
    wrong = a_payout()
    group = [recording(payout, an_attempt(payout)) for payout in [*payouts[:3], wrong]]
    late = recording(payouts[0], an_attempt(payouts[0]))
    assert await store.apply([*group, late]) == 3
    assert len(await store.list(PayoutQuery(status=PROCESSING), 10)) == 3


async def test_replaying_a_change_changes_nothing_more(store: PayoutStore) -> None:
    payout = await inserted(store)
    attempt = an_attempt(payout)
    change = recording(payout, attempt, fresh_txid=attempt.txid)
    await put(store, change)
    before = await stored(store, payout)
    assert await store.apply([change]) == 0
    assert await stored(store, payout) == before


async def test_broadcast_answers_are_counted_on_the_live_attempt(store: PayoutStore) -> None:
    payout, attempt = await processing(store)
    other, _ = await processing(store)
    answers = ["SUCCESS", "$inc.a", "SUCCESS", "DUP", "SUCCESS", "$inc.a"]
    notes = [BroadcastNote(payout.payout_id, attempt.txid, answer) for answer in answers]
    before = await store.now()
    await store.note_broadcasts([*notes, BroadcastNote(other.payout_id, "0" * 64, "SUCCESS")])
    live = (await stored(store, payout)).live_attempt
    assert live is not None
    assert live.answers == {"SUCCESS": 3, "$inc.a": 2, "DUP": 1}
    assert live.last_sent_at is not None
    assert live.last_sent_at >= before
    assert await stored(store, other) == other


async def test_no_notes_is_nothing(store: PayoutStore) -> None:
    await store.note_broadcasts([])
    payout = await inserted(store)
    await store.note_broadcasts([BroadcastNote(payout.payout_id, "0" * 64, "SUCCESS")])
    found: Payout = await stored(store, payout)
    assert found == payout


async def test_an_act_is_told_where_the_status_stays(store: PayoutStore) -> None:
    """In the history and the outbox, with what it set; why the payout waits stays said."""
    waits = Reason("P602", "needs 2 more approvals")
    payout = await inserted(store, status=PayoutStatus.AWAITING_APPROVAL, status_reason=waits)
    given = Approval("two", 2, ("ADMIN",), 60, LONG_AGO, (Consent("ada", "ADMIN", LONG_AGO, "$"),))
    change = told(
        payout,
        "$approved",
        by="ADMIN:$ada",
        request_id="$req",
        why=Reason(None, "$fine"),
        fields={"approval": given, "wallet": "$w", "route": RouteName.KYC},
    )
    before = await store.now()
    await put(store, change)
    after = await stored(store, payout)
    assert (after.status, after.status_reason) == (payout.status, waits)
    assert (after.approval, after.wallet, after.route) == (given, "$w", RouteName.KYC)
    assert after.version == payout.version + 1
    (event,) = after.history
    assert event.at >= before
    assert replace(event, at=LONG_AGO) == Event(
        LONG_AGO,
        "ADMIN:$ada",
        PayoutStatus.AWAITING_APPROVAL,
        PayoutStatus.AWAITING_APPROVAL,
        Reason(None, "$fine"),
        request_id="$req",
        act="$approved",
    )
    assert after.outbox == (0,)
    assert await store.apply([change]) == 0


async def test_what_is_left_untouched_only_grows_older(store: PayoutStore) -> None:
    payout, attempt = await processing(store)
    before = await stored(store, payout)
    await put(store, untouched(before))
    after = await stored(store, payout)
    assert replace(after, version=0, updated_at=LONG_AGO) == replace(
        before, version=0, updated_at=LONG_AGO, lease=None
    )
    assert after.version == before.version + 1
    assert await store.apply([untouched(before)]) == 0
    assert after.live_attempt == attempt
