"""Limit windows, reservations and their end; gates and marks."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from models.limits import Window
from models.payout import TERMINAL, PayoutStatus, Reservation
from ports.store import PayoutStore
from tests.contract.steps import inserted, stored
from tests.factories import LONG_AGO, a_payout_id

DAY = Window("day:USDT:2024-01-01", "P103", 100, LONG_AGO + timedelta(days=1))


async def test_an_unknown_window_is_empty(store: PayoutStore) -> None:
    assert await store.used(DAY.window_id) == 0
    await store.release(DAY.window_id, "payout_1")
    await store.settle_reservations(DAY.window_id, ["payout_1"])
    assert await store.used(DAY.window_id) == 0


async def test_a_window_fills_to_the_brim_and_no_further(store: PayoutStore) -> None:
    assert await store.reserve(DAY, "a", 60)
    assert not await store.reserve(DAY, "b", 41)
    assert await store.reserve(DAY, "c", 40)
    assert not await store.reserve(DAY, "d", 1)
    assert await store.used(DAY.window_id) == 100


async def test_what_never_fits_leaves_the_window_empty(store: PayoutStore) -> None:
    assert not await store.reserve(DAY, "a", 101)
    assert await store.used(DAY.window_id) == 0


async def test_reserving_again_counts_once(store: PayoutStore) -> None:
    for _ in range(3):
        assert await store.reserve(DAY, "$a", 30)
    assert await store.used(DAY.window_id) == 30


async def test_windows_do_not_mix(store: PayoutStore) -> None:
    other = replace(DAY, window_id="day:TRX:2024-01-01")
    assert await store.reserve(DAY, "a", 100)
    assert await store.reserve(other, "a", 100)
    await store.release(other.window_id, "a")
    assert await store.used(DAY.window_id) == 100


@pytest.mark.parametrize("amount", [1, 7])
async def test_racing_reservations_never_exceed(store: PayoutStore, amount: int) -> None:
    window = replace(DAY, maximum=20 * amount)
    taken = await asyncio.gather(
        *(store.reserve(window, f"payout_{number}", amount) for number in range(50))
    )
    assert taken.count(True) == 20
    assert await store.used(window.window_id) == window.maximum


async def test_racing_repeats_of_one_reservation_count_once(store: PayoutStore) -> None:
    taken = await asyncio.gather(*(store.reserve(DAY, "a", 3) for _ in range(20)))
    assert taken == [True] * 20
    assert await store.used(DAY.window_id) == 3


async def test_a_full_window_still_knows_who_is_in_it(store: PayoutStore) -> None:
    assert await store.reserve(DAY, "a", 100)
    assert await store.reserve(DAY, "a", 100)
    assert await store.used(DAY.window_id) == 100


async def test_a_release_gives_back_once(store: PayoutStore) -> None:
    await store.reserve(DAY, "$a", 60)
    await store.reserve(DAY, "b", 40)
    for _ in range(2):
        await store.release(DAY.window_id, "$a")
    assert await store.used(DAY.window_id) == 40
    assert await store.reserve(DAY, "c", 60)


async def test_what_was_settled_is_kept_for_ever(store: PayoutStore) -> None:
    await store.reserve(DAY, "a", 60)
    await store.reserve(DAY, "b", 40)
    await store.settle_reservations(DAY.window_id, ["a", "unknown"])
    await store.release(DAY.window_id, "a")
    assert await store.used(DAY.window_id) == 100
    await store.release(DAY.window_id, "b")
    assert await store.used(DAY.window_id) == 60


@pytest.mark.parametrize("status", list(PayoutStatus))
async def test_terminal_payouts_give_their_reservation_back(
    store: PayoutStore, status: PayoutStatus
) -> None:
    payout = await inserted(store, status=status)
    await inserted(store, status=status, reservation=Reservation.KEPT)
    expected = [payout] if status in TERMINAL else []
    assert await store.to_release(10) == expected


async def test_marked_reservations_are_done_with(store: PayoutStore) -> None:
    payouts = [await inserted(store, status=PayoutStatus.CANCELLED) for _ in range(3)]
    kept, released, open_ = payouts
    await store.mark_reservations(
        {kept.payout_id: "kept", released.payout_id: "released", "payout_unknown": "kept"}
    )
    assert await store.to_release(10) == [open_]
    await store.mark_reservations({kept.payout_id: "released"})
    assert (await stored(store, kept)).reservation is Reservation.KEPT
    assert (await stored(store, released)).reservation is Reservation.RELEASED
    await store.mark_reservations({})


async def test_to_release_is_bounded(store: PayoutStore) -> None:
    for _ in range(3):
        await inserted(store, status=PayoutStatus.FAILED)
    assert len(await store.to_release(2)) == 2


async def test_a_reservation_without_payout_is_an_orphan(store: PayoutStore) -> None:
    payout = await inserted(store)
    lost, buried = a_payout_id(), a_payout_id()
    for payout_id in (payout.payout_id, lost, buried):
        await store.reserve(DAY, payout_id, 1)
    await store.bury(buried)
    orphans = {(DAY.window_id, lost), (DAY.window_id, buried)}
    assert set(await store.orphans(0, 10)) == orphans
    assert len(await store.orphans(0, 1)) == 1
    await store.release(DAY.window_id, buried)
    assert await store.orphans(0, 10) == [(DAY.window_id, lost)]


async def test_a_young_reservation_is_no_orphan(store: PayoutStore) -> None:
    await store.reserve(DAY, "payout_lost", 1)
    assert not await store.orphans(3600, 10)


async def test_there_are_no_gates(store: PayoutStore) -> None:
    assert not await store.gates()
    assert not await store.open_gate("wallet")


async def test_a_gate_closes_and_opens(store: PayoutStore) -> None:
    before = await store.now()
    await store.close_gate("$wallet.a", "$reason", needs_trx_sun=2**40)
    await store.close_gate("all", "broken link")
    first, second = sorted(await store.gates(), key=lambda gate: gate.name)
    assert (first.name, first.reason) == ("$wallet.a", "$reason")
    assert (first.needs_trx_sun, first.needs_usdt) == (2**40, None)
    assert first.closed_at >= before
    assert (second.name, second.needs_trx_sun) == ("all", None)
    assert await store.open_gate("$wallet.a")
    assert await store.gates() == [second]


async def test_closing_again_keeps_the_first_time(store: PayoutStore) -> None:
    await store.close_gate("wallet", "no energy", needs_trx_sun=1)
    (first,) = await store.gates()
    await store.close_gate("wallet", "no USDT", needs_usdt=2)
    assert await store.gates() == [
        replace(first, reason="no USDT", needs_trx_sun=None, needs_usdt=2)
    ]


async def test_a_gate_says_who_closed_it(store: PayoutStore) -> None:
    for who in ("ADMIN:$ada", None, "ADMIN:bob"):
        await store.close_gate("pause:dispatch", "stop", closed_by=who)
        (gate,) = await store.gates()
        assert (gate.closed_by, gate.needs_trx_sun, gate.needs_usdt) == (who, None, None)
    assert list((await store.standing()).gates) == [gate]


async def test_the_first_genesis_stays(store: PayoutStore) -> None:
    ids = await asyncio.gather(*(store.remember_genesis(f"{each:064x}") for each in range(8)))
    assert len(set(ids)) == 1
    assert await store.remember_genesis("other") == ids[0]


async def test_wallets_are_remembered(store: PayoutStore) -> None:
    assert await store.remember_wallet("a") == {"a"}
    assert await store.remember_wallet("b") == {"a", "b"}
    assert await store.remember_wallet("a") == {"a", "b"}


async def test_it_can_be_prepared_again_and_pinged(store: PayoutStore) -> None:
    await store.prepare()
    await store.ping()
    assert (await store.now()).utcoffset() == timedelta(0)
