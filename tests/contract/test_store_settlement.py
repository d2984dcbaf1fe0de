"""The cursor, hits that are found by writes, and what they leave to judge."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from models.chain import Cursor, FeeDay
from models.payout import PayoutStatus
from models.transaction import AttemptState, BroadcastNote
from ports.store import PayoutStore, Unexplained
from tests.contract.steps import inserted, moved, processing, stored
from tests.factories import a_block, a_cursor, a_hit, a_payout, an_attempt

START = a_cursor(1_000)
NEXT = Cursor(a_block(1_001), run_start=900, reopen_at=7, fees=FeeDay("2024-01-01", 2**40))


async def test_there_is_no_cursor_before_the_first_start(store: PayoutStore) -> None:
    assert await store.cursor() is None
    assert not await store.move_cursor(START, NEXT, [])
    assert await store.cursor() is None


async def test_the_cursor_moves_from_what_is_expected(store: PayoutStore) -> None:
    assert await store.move_cursor(None, START, [])
    assert await store.cursor() == START
    assert await store.move_cursor(START, NEXT, [])
    assert await store.cursor() == NEXT


@pytest.mark.parametrize(
    "expected",
    [
        None,
        a_cursor(999),
        replace(START, block=a_block(1_000, fork="other")),
        replace(START, run_start=901),
        replace(START, reopen_at=1),
        replace(START, fees=FeeDay("2024-01-01", 1)),
    ],
    ids=["none", "number", "id", "run", "reopen", "fees"],
)
async def test_the_cursor_stays_when_it_is_another(
    store: PayoutStore, expected: Cursor | None
) -> None:
    await store.move_cursor(None, START, [])
    assert not await store.move_cursor(expected, NEXT, [])
    assert await store.cursor() == START


async def test_a_hit_lands_on_its_payout(store: PayoutStore) -> None:
    payout, attempt = await processing(store)
    other, _ = await processing(store)
    hit = a_hit(attempt, message="$$ROOT")
    assert await store.move_cursor(None, START, [hit])
    found = await stored(store, payout)
    assert found.hits == (hit,)
    assert found.version == payout.version + 1
    assert (found.status, found.live_attempt) == (payout.status, payout.live_attempt)
    assert await store.to_settle(10) == [found]
    assert await stored(store, other) == other
    assert await store.count_open_unexplained() == 0


async def test_a_hit_that_no_payout_knows_is_unexplained(store: PayoutStore) -> None:
    await processing(store)
    hit = a_hit()
    assert await store.move_cursor(None, START, [hit])
    (transfer,) = await store.unexplained(only_open=True, limit=10)
    assert (transfer.txid, transfer.hit) == (hit.txid, hit)
    assert not await store.to_settle(10)


async def test_hits_of_one_group_each_find_their_document(store: PayoutStore) -> None:
    known = [await processing(store) for _ in range(3)]
    hits = [a_hit(attempt) for _, attempt in known]
    strange = [a_hit() for _ in range(2)]
    assert await store.move_cursor(None, START, [strange[0], *hits, strange[1]])
    assert {payout.payout_id for payout in await store.to_settle(10)} == {
        payout.payout_id for payout, _ in known
    }
    assert await store.count_open_unexplained() == 2
    assert len(await store.to_settle(2)) == 2


async def test_repeating_a_move_after_a_lost_answer_is_harmless(store: PayoutStore) -> None:
    payout, attempt = await processing(store)
    hits = [a_hit(attempt), a_hit()]
    await store.move_cursor(None, START, [])
    for _ in range(3):
        assert await store.move_cursor(START, NEXT, hits)
    assert await store.cursor() == NEXT
    assert (await stored(store, payout)).hits == (hits[0],)
    assert await store.count_open_unexplained() == 1


async def test_repeating_the_first_move_is_harmless(store: PayoutStore) -> None:
    for _ in range(2):
        assert await store.move_cursor(None, START, [a_hit(an_attempt(raw=b"same"))])
    assert await store.count_open_unexplained() == 1


async def test_hits_are_kept_even_if_the_cursor_was_moved_by_another(store: PayoutStore) -> None:
    payout, attempt = await processing(store)
    await store.move_cursor(None, NEXT, [])
    assert not await store.move_cursor(START, a_cursor(1_002), [a_hit(attempt)])
    assert (await stored(store, payout)).hits == (a_hit(attempt),)
    assert await store.cursor() == NEXT


async def test_replicas_that_race_move_the_cursor_once(store: PayoutStore) -> None:
    await store.move_cursor(None, START, [])
    cursors = [replace(NEXT, reopen_at=number) for number in range(8)]
    moved_by = await asyncio.gather(*(store.move_cursor(START, each, []) for each in cursors))
    assert moved_by.count(True) == 1
    assert await store.cursor() == cursors[moved_by.index(True)]


async def test_replicas_that_race_with_the_same_block_all_succeed(store: PayoutStore) -> None:
    hits = [a_hit() for _ in range(3)]
    results = await asyncio.gather(*(store.move_cursor(None, START, hits) for _ in range(4)))
    assert results == [True] * 4
    assert await store.count_open_unexplained() == 3


async def test_a_judged_hit_is_not_judged_again(store: PayoutStore) -> None:
    payout, attempt = await processing(store)
    hit = a_hit(attempt)
    await store.move_cursor(None, START, [hit])
    before = await stored(store, payout)
    await store.mark_settled(payout.payout_id, ["0" * 64])
    assert await store.to_settle(10) == [before]
    await store.mark_settled(payout.payout_id, [hit.txid])
    assert not await store.to_settle(10)
    assert await stored(store, payout) == before


async def test_a_hit_in_another_block_is_another_hit(store: PayoutStore) -> None:
    payout, attempt = await processing(store)
    first = a_hit(attempt)
    second = a_hit(attempt, block=a_block(1_011, fork="other"))
    await store.move_cursor(None, START, [first])
    await store.mark_settled(payout.payout_id, [attempt.txid])
    await store.move_cursor(START, NEXT, [second])
    (found,) = await store.to_settle(10)
    assert found.hits == (first, second)


async def test_a_hit_on_a_dead_attempt_comes_up(store: PayoutStore) -> None:
    payout, attempt = await processing(store)
    await moved(store, payout, PayoutStatus.PENDING, close=attempt, close_as=AttemptState.DEAD)
    await store.move_cursor(None, START, [a_hit(attempt)])
    assert [each.payout_id for each in await store.to_settle(10)] == [payout.payout_id]


async def test_live_attempts_at_their_expiration_are_reviewed(store: PayoutStore) -> None:
    payout, attempt = await processing(store)
    await store.note_broadcasts([BroadcastNote(payout.payout_id, attempt.txid, "SUCCESS")])
    await store.move_cursor(None, START, [a_hit(attempt)])
    assert not await store.live_to_review(attempt.expiration_ms - 1, 3600, 3600, 10)
    (found,) = await store.live_to_review(attempt.expiration_ms, 3600, 3600, 10)
    assert found.payout_id == payout.payout_id


async def test_unseen_attempts_are_reviewed_when_not_sent_lately(store: PayoutStore) -> None:
    payout, attempt = await processing(store)
    assert await store.live_to_review(0, 3600, 3600, 10) == [payout]
    await store.note_broadcasts([BroadcastNote(payout.payout_id, attempt.txid, "SUCCESS")])
    assert not await store.live_to_review(0, 3600, 3600, 10)
    assert len(await store.live_to_review(0, 0, 0, 10)) == 1
    await store.move_cursor(None, START, [a_hit(attempt)])
    assert not await store.live_to_review(0, 0, 0, 10)


async def test_an_attempt_that_no_node_took_is_reviewed_by_its_age(store: PayoutStore) -> None:
    now = await store.now()
    old = (await processing(store, created_at=now - timedelta(seconds=60)))[0]
    young = (await processing(store, created_at=now))[0]
    assert await store.live_to_review(0, 0, 30, 10) == [old]
    for payout in (old, young):
        assert payout.live_attempt is not None
        refused = BroadcastNote(payout.payout_id, payout.live_attempt.txid, "SERVER_BUSY")
        await store.note_broadcasts([refused])
    (found,) = await store.live_to_review(0, 0, 30, 10)
    assert found.live_attempt is not None
    assert found.payout_id == old.payout_id
    assert found.live_attempt.answers == {"SERVER_BUSY": 1}
    assert found.live_attempt.last_sent_at is None


async def test_one_unexplained_transfer_is_found_by_its_txid(store: PayoutStore) -> None:
    _, attempt = await processing(store)
    hits = [a_hit(), a_hit(), a_hit(attempt)]
    await store.move_cursor(None, START, hits)
    found = await store.find_unexplained(hits[1].txid)
    assert found is not None
    assert found.hit == hits[1]
    assert await store.find_unexplained(attempt.txid) is None
    assert await store.find_unexplained("0" * 64) is None


async def test_a_review_begins_with_the_latest_expiration(store: PayoutStore) -> None:
    payouts = [(await processing(store, expiration_ms=ms))[0] for ms in (2, 3, 1)]
    assert await store.live_to_review(9, 0, 0, 2) == [payouts[1], payouts[0]]


async def test_the_oldest_doubtful_block(store: PayoutStore) -> None:
    assert await store.oldest_doubtful_block() is None
    await processing(store, ref_block=a_block(1_005))
    payout, attempt = await processing(store, ref_block=a_block(1_003))
    assert await store.oldest_doubtful_block() == 1_003
    await moved(store, payout, PayoutStatus.COMPLETED, close=attempt, close_as=AttemptState.SETTLED)
    assert await store.oldest_doubtful_block() == 1_005
    for number, to in ((1_001, PayoutStatus.PENDING), (1_000, PayoutStatus.EXPIRED)):
        payout, attempt = await processing(store, ref_block=a_block(number))
        await moved(store, payout, to, close=attempt, close_as=AttemptState.DEAD)
        assert await store.oldest_doubtful_block() == 1_001


async def test_unexplained_transfers_are_listed_oldest_first(store: PayoutStore) -> None:
    hits = [a_hit(block=a_block(number)) for number in (1_012, 1_010, 1_011)]
    await store.move_cursor(None, START, hits)
    found = await store.unexplained(only_open=True, limit=2)
    assert [transfer.hit for transfer in found] == [hits[1], hits[2]]


async def test_the_newest_hit_of_an_unexplained_transfer_counts(store: PayoutStore) -> None:
    attempt = an_attempt()
    again = a_hit(attempt, block=a_block(1_011, fork="other"))
    await store.move_cursor(None, START, [a_hit(attempt)])
    await store.move_cursor(START, NEXT, [again])
    assert [each.hit for each in await store.unexplained(only_open=True, limit=9)] == [again]


@pytest.mark.parametrize("payout_id", ["payout_1", None])
async def test_a_person_explains_a_transfer(store: PayoutStore, payout_id: str | None) -> None:
    hit = a_hit()
    await store.move_cursor(None, START, [hit])
    (free,) = await store.unexplained(only_open=True, limit=10)
    assert await store.find_unexplained(hit.txid) == free
    assert await store.claim_unexplained(free, "payout_0", "first", "")
    assert not await store.claim_unexplained(free, payout_id, "late", "late")
    expected = replace(free, payout_id="payout_0", explained_by="first")
    assert await store.claim_unexplained(expected, payout_id, "$by", "$note")
    assert not await store.claim_unexplained(expected, "payout_2", "late", "late")
    (tied,) = await store.unexplained(only_open=True, limit=10)
    assert (tied.payout_id, tied.explained_by, tied.note) == (payout_id, "$by", "$note")
    assert tied.explained_at is None
    assert await store.count_open_unexplained() == 1

    before = await store.now()
    await store.close_unexplained(hit.txid)
    (closed,) = await store.unexplained(only_open=False, limit=10)
    assert closed.explained_at is not None
    assert closed.explained_at >= before
    assert await store.count_open_unexplained() == 0
    assert not await store.unexplained(only_open=True, limit=10)
    assert not await store.claim_unexplained(closed, payout_id, "$by", "$note")
    await store.close_unexplained(hit.txid)
    assert await store.unexplained(only_open=False, limit=10) == [closed]


async def test_a_transfer_that_nobody_tied_stays_open(store: PayoutStore) -> None:
    hit = a_hit()
    await store.move_cursor(None, START, [hit])
    await store.close_unexplained(hit.txid)
    assert await store.count_open_unexplained() == 1


async def test_what_is_not_unexplained_cannot_be_claimed(store: PayoutStore) -> None:
    _, attempt = await processing(store)
    for txid in (attempt.txid, "0" * 64):
        nothing = Unexplained(txid, a_hit(), None, None, None, None)
        assert await store.find_unexplained(txid) is None
        assert not await store.claim_unexplained(nothing, "payout_1", "by", "note")
        await store.close_unexplained(txid)


async def test_racing_people_tie_a_transfer_once(store: PayoutStore) -> None:
    hit = a_hit()
    await store.move_cursor(None, START, [hit])
    (free,) = await store.unexplained(only_open=True, limit=10)
    ties = [store.claim_unexplained(free, f"payout_{each}", "by", "") for each in range(8)]
    assert (await asyncio.gather(*ties)).count(True) == 1


async def test_a_pending_payout_is_not_reviewed(store: PayoutStore) -> None:
    await inserted(store)
    await store.insert(a_payout(status=PayoutStatus.COMPLETED))
    assert not await store.live_to_review(2**50, 0, 0, 10)
