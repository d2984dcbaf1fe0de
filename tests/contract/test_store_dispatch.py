"""Leases, backlog, exposure; what is claimed, and in which order, is in test_store_claims.py."""

import asyncio
from dataclasses import replace
from datetime import timedelta

from models.money import Currency
from models.payout import PayoutStatus
from models.transaction import AttemptState
from ports.store import Backlog, Claim, Exposure, Leased, PayoutStore
from tests.contract.steps import inserted, moved, processing, put, recording, stored
from tests.factories import LONG_AGO, OWNER, a_cursor, a_hit, a_payout, an_attempt, an_order


async def claimed_ids(store: PayoutStore, limit: int = 10, seconds: float = 60) -> list[str]:
    claim = await store.claim(limit, "owner", "token", seconds)
    return [payout.payout_id for payout in claim.payouts]


async def test_nothing_due_claims_nothing(store: PayoutStore) -> None:
    await store.move_cursor(None, a_cursor(), [])
    claim = await store.claim(10, "owner", "token", 60)
    assert (list(claim.payouts), claim.cursor, claim.at) == ([], None, None)


async def test_a_claim_leases_and_brings_the_cursor(store: PayoutStore) -> None:
    payout = await inserted(store)
    cursor = a_cursor()
    await store.move_cursor(None, cursor, [])
    before = await store.now()
    claim = await store.claim(10, "$owner", "$token", 60)
    assert claim.cursor == cursor
    (leased,) = claim.payouts
    assert leased == await stored(store, payout)
    assert leased.lease is not None
    assert (leased.lease.owner, leased.lease.token) == ("$owner", "$token")
    assert 60 <= (leased.lease.until - before).total_seconds() < 70
    assert claim.at == leased.lease.until - timedelta(seconds=60)
    assert (leased.version, leased.history) == (0, ())


async def test_before_the_first_start_there_is_no_cursor(store: PayoutStore) -> None:
    await inserted(store)
    claim = await store.claim(10, "owner", "token", 60)
    assert (len(claim.payouts), claim.cursor) == (1, None)


async def test_what_cannot_be_claimed(store: PayoutStore) -> None:
    now = await store.now()
    hour = timedelta(hours=1)
    await inserted(store, due_at=now + hour)
    await inserted(store, order=an_order(expires_at=now - hour))
    for status in set(PayoutStatus) - {PayoutStatus.PENDING, PayoutStatus.PROCESSING}:
        await inserted(store, status=status)
    await processing(store)
    fine = await inserted(store, order=an_order(expires_at=now + hour))
    assert await claimed_ids(store) == [fine.payout_id]


async def test_the_backlog_of_an_empty_store(store: PayoutStore) -> None:
    assert await store.backlog() == Backlog(None, [])


async def test_the_backlog_is_as_old_as_the_oldest_that_is_pending(store: PayoutStore) -> None:
    days = [timedelta(days=number) for number in range(4)]
    await inserted(store, status=PayoutStatus.COMPLETED, created_at=LONG_AGO)
    await processing(store, a_payout(created_at=LONG_AGO))
    for number in (2, 1, 3):
        await inserted(store, payout_id=f"payout_{number:032x}", created_at=LONG_AGO + days[number])
    assert await store.backlog() == Backlog(LONG_AGO + days[1], [])


async def test_the_backlog_tells_who_holds_how_many_and_until_when(store: PayoutStore) -> None:
    for _ in range(6):
        await inserted(store)
    short = (await store.claim(1, "b", "1", 60)).payouts
    long = (await store.claim(2, "b", "2", 120)).payouts
    other = (await store.claim(1, "$a", "3", 60)).payouts
    await store.claim(1, "gone", "4", 0)
    (recorded,) = (await store.claim(1, "c", "5", 60)).payouts
    await put(store, recording(recorded, an_attempt(recorded), lease_token="5"))
    assert short[0].lease is not None
    assert long[0].lease is not None
    assert other[0].lease is not None
    assert (await store.backlog()).leases == [
        Leased("$a", 1, other[0].lease.until),
        Leased("b", 3, long[0].lease.until),
    ]
    assert short[0].lease.until < long[0].lease.until


async def test_a_lease_keeps_others_out_until_it_ends(store: PayoutStore) -> None:
    payout = await inserted(store)
    assert await claimed_ids(store) == [payout.payout_id]
    assert await claimed_ids(store) == []
    other = await inserted(store)
    assert await claimed_ids(store, seconds=0) == [other.payout_id]
    assert await claimed_ids(store, seconds=60) == [other.payout_id]


async def test_concurrent_claims_are_disjoint_and_complete(store: PayoutStore) -> None:
    payouts = [await inserted(store) for _ in range(60)]
    claims: list[Claim] = []
    while len(claims) < 40 and sum(len(claim.payouts) for claim in claims) < 60:
        claims += await asyncio.gather(
            *(
                store.claim(10, f"owner-{number}", f"token-{len(claims)}-{number}", 60)
                for number in range(4)
            )
        )
    found = [payout.payout_id for claim in claims for payout in claim.payouts]
    assert sorted(found) == sorted(payout.payout_id for payout in payouts)


async def test_recorded_shows_what_a_lease_made_live(store: PayoutStore) -> None:
    payouts = [await inserted(store) for _ in range(3)]
    await store.claim(3, "owner", "token", 60)
    for payout in payouts[:2]:
        await put(store, recording(payout, an_attempt(payout), lease_token="token"))
    found = {payout.payout_id for payout in await store.recorded("token")}
    assert found == {payout.payout_id for payout in payouts[:2]}
    live = (await stored(store, payouts[0])).live_attempt
    await moved(store, payouts[0], PayoutStatus.PENDING, close=live, close_as=AttemptState.DEAD)
    assert len(await store.recorded("token")) == 1


async def test_no_exposure(store: PayoutStore) -> None:
    await inserted(store)
    assert await store.exposures("token") == {}


async def test_exposures_sum_live_attempts_by_wallet(store: PayoutStore) -> None:
    """By the wallet that signed the attempt, which may be another than the payout's now."""
    trx = an_order(currency=Currency.TRX, amount=2**40)
    await processing(store, a_payout(order=trx), max_cost_sun=5)
    await processing(store, a_payout(order=an_order(amount=7), wallet="$new"), max_cost_sun=11)
    await processing(store, a_payout(order=an_order(amount=2)), owner="$other", max_cost_sun=3)
    done, attempt = await processing(store)
    await moved(store, done, PayoutStatus.COMPLETED, close=attempt, close_as=AttemptState.SETTLED)
    assert await store.exposures("token") == {
        OWNER: Exposure(2**40, 7, 16, 0),
        "$other": Exposure(0, 2, 3, 0),
    }


async def test_exposures_count_what_others_are_building(store: PayoutStore) -> None:
    await inserted(store, order=an_order(amount=3))
    await store.claim(1, "other", "theirs", 60)
    await inserted(store, order=an_order(amount=5, currency=Currency.TRX), wallet="$w")
    await store.claim(1, "owner", "ours", 60)
    await inserted(store, wallet="$w")
    await store.claim(1, "gone", "ended", 0)
    assert await store.exposures("ours") == {None: Exposure(0, 3, 0, 1)}
    assert await store.exposures("theirs") == {"$w": Exposure(5, 0, 0, 1)}
    assert await store.exposures("another") == {
        None: Exposure(0, 3, 0, 1),
        "$w": Exposure(5, 0, 0, 1),
    }


async def test_what_one_wallet_has_in_flight_and_in_building_adds_up(store: PayoutStore) -> None:
    await processing(store, a_payout(order=an_order(amount=7)), owner="$w", max_cost_sun=1)
    for amount in (10, 20):
        await inserted(store, order=an_order(amount=amount), wallet="$w")
    await store.claim(2, "other", "theirs", 60)
    assert await store.exposures("ours") == {"$w": Exposure(0, 37, 1, 2)}


async def test_a_payout_with_a_hit_that_nobody_judged_is_not_claimed(store: PayoutStore) -> None:
    attempt = replace(an_attempt(), state=AttemptState.DEAD)
    payout = await inserted(store, attempts=(attempt,), txids=(attempt.txid,))
    assert await store.move_cursor(None, a_cursor(), [a_hit(attempt)])
    assert await claimed_ids(store) == []
    await store.mark_settled(payout.payout_id, [attempt.txid])
    assert await claimed_ids(store) == [payout.payout_id]
