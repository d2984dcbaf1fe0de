"""Claims, leases, exposure."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

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
    assert (list(claim.payouts), claim.cursor) == ([], None)


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
    assert (leased.version, leased.history) == (0, ())


async def test_before_the_first_start_there_is_no_cursor(store: PayoutStore) -> None:
    await inserted(store)
    claim = await store.claim(10, "owner", "token", 60)
    assert (len(claim.payouts), claim.cursor) == (1, None)


async def test_priority_goes_before_due_time(store: PayoutStore) -> None:
    late, early = LONG_AGO + timedelta(hours=1), LONG_AGO
    wanted = [
        (await inserted(store, due_at=due_at, order=an_order(priority=priority))).payout_id
        for priority, due_at in [(1, late), (1, early), (10, late), (10, early), (5, early)]
    ]
    order = [wanted[place] for place in (3, 2, 4, 1, 0)]
    assert await claimed_ids(store, limit=2) == order[:2]
    assert await claimed_ids(store) == order[2:]


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


async def test_only_the_currencies_that_are_asked_for_are_claimed(store: PayoutStore) -> None:
    priorities = {3: Currency.USDT, 2: Currency.TRX, 1: Currency.USDT}
    payouts = {
        priority: await inserted(store, order=an_order(priority=priority, currency=currency))
        for priority, currency in priorities.items()
    }

    async def claimed(*currencies: Currency, limit: int = 10) -> list[int]:
        claim = await store.claim(limit, "owner", f"token {currencies}", 0, currencies)
        return [payout.order.priority for payout in claim.payouts]

    assert await claimed() == []
    assert await claimed(Currency.TRX) == [2]
    assert await claimed(Currency.USDT) == [3, 1]
    assert await claimed(Currency.TRX, Currency.USDT) == [3, 2, 1]
    assert await claimed(Currency.TRX, Currency.USDT, limit=2) == [3, 2]
    await store.claim(10, "owner", "trx", 60, {Currency.TRX})
    leases = {priority: (await stored(store, each)).lease for priority, each in payouts.items()}
    assert {priority for priority, lease in leases.items() if lease and lease.token == "trx"} == {2}


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
    assert await store.exposure(OWNER, "token") == Exposure(0, 0, 0, 0)


async def test_exposure_sums_live_attempts_of_one_wallet(store: PayoutStore) -> None:
    trx = an_order(currency=Currency.TRX, amount=2**40)
    await processing(store, a_payout(order=trx), max_cost_sun=5)
    await processing(store, a_payout(order=an_order(amount=7)), max_cost_sun=11)
    await processing(store, owner="another wallet")
    done, attempt = await processing(store)
    await moved(store, done, PayoutStatus.COMPLETED, close=attempt, close_as=AttemptState.SETTLED)
    assert await store.exposure(OWNER, "token") == Exposure(2**40, 7, 16, 0)


async def test_exposure_counts_what_others_are_building(store: PayoutStore) -> None:
    await inserted(store, order=an_order(amount=3))
    await store.claim(1, "other", "theirs", 60)
    await inserted(store, order=an_order(amount=5, currency=Currency.TRX))
    await store.claim(1, "owner", "ours", 60)
    await inserted(store)
    await store.claim(1, "gone", "ended", 0)
    assert await store.exposure(OWNER, "ours") == Exposure(0, 3, 0, 1)
    assert await store.exposure(OWNER, "theirs") == Exposure(5, 0, 0, 1)


@pytest.mark.parametrize("seconds", [3600.0, -1.0])
async def test_only_what_has_expired_is_to_expire(store: PayoutStore, seconds: float) -> None:
    expires_at = await store.now() + timedelta(seconds=seconds)
    payout = await inserted(store, order=an_order(expires_at=expires_at))
    await inserted(store)
    await inserted(store, status=PayoutStatus.CANCELLED, order=an_order(expires_at=LONG_AGO))
    expected = [payout] if seconds < 0 else []
    assert await store.expire_due(10) == expected


async def test_a_live_attempt_does_not_expire(store: PayoutStore) -> None:
    await processing(store, a_payout(order=an_order(expires_at=LONG_AGO)))
    assert not await store.expire_due(10)


async def test_the_longest_expired_come_first(store: PayoutStore) -> None:
    payouts = [
        await inserted(store, order=an_order(expires_at=LONG_AGO + timedelta(hours=hours)))
        for hours in (2, 1, 3)
    ]
    assert await store.expire_due(2) == [payouts[1], payouts[0]]


async def test_a_payout_with_a_hit_that_nobody_judged_is_not_claimed(store: PayoutStore) -> None:
    attempt = replace(an_attempt(), state=AttemptState.DEAD)
    payout = await inserted(store, attempts=(attempt,), txids=(attempt.txid,))
    assert await store.move_cursor(None, a_cursor(), [a_hit(attempt)])
    assert await claimed_ids(store) == []
    await store.mark_settled(payout.payout_id, [attempt.txid])
    assert await claimed_ids(store) == [payout.payout_id]
