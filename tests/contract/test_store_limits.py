"""Limit windows, reservations and their end; gates and marks."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.memory.store import MemoryPayoutStore
from adapters.mongo.store import MongoPayoutStore
from models.limits import Used
from models.payout import TERMINAL, PayoutStatus, Reservation
from models.spending import SpendWindow
from ports.store import PayoutStore
from tests.contract.conftest import TickingClock
from tests.contract.steps import inserted, stored
from tests.factories import a_payout_id, a_window

DAY = a_window("day:USDT:2024-01-01", maximum=100)
DAY_ID = DAY.window_id


async def fits(store: PayoutStore, window: SpendWindow, payout_id: str, amount: int) -> bool:
    """Reserve in one window; whether the payout counts in it now."""
    full = await store.reserve([window], payout_id, amount)
    assert list(full) in ([], [window])
    return not full


async def used(store: PayoutStore, window_id: str = DAY_ID) -> Used:
    """What a window holds."""
    return (await store.used([window_id])).get(window_id, Used())


async def test_an_unknown_window_is_empty(store: PayoutStore) -> None:
    assert await used(store) == Used()
    await store.release([DAY_ID], "payout_1")
    await store.settle_reservations({DAY_ID: ["payout_1"]})
    assert await used(store) == Used()


async def test_without_windows_there_is_nothing_to_do(store: PayoutStore) -> None:
    assert list(await store.reserve([], "payout_1", 1)) == []
    assert dict(await store.used([])) == {}
    await store.release([], "payout_1")
    await store.settle_reservations({})


async def test_a_window_fills_to_the_brim_and_no_further(store: PayoutStore) -> None:
    assert await fits(store, DAY, "a", 60)
    assert not await fits(store, DAY, "b", 41)
    assert await fits(store, DAY, "c", 40)
    assert not await fits(store, DAY, "d", 1)
    assert await used(store) == Used(100, 2)


async def test_what_never_fits_leaves_the_window_empty(store: PayoutStore) -> None:
    assert not await fits(store, DAY, "a", 101)
    assert await used(store) == Used()


async def test_a_window_takes_so_many_payouts_and_no_more(store: PayoutStore) -> None:
    three = replace(DAY, maximum=None, max_count=3)
    assert [await fits(store, three, each, 2**40) for each in "abcd"] == [True] * 3 + [False]
    assert await used(store) == Used(3 * 2**40, 3)
    await store.release([DAY_ID], "b")
    assert await fits(store, three, "d", 1)
    assert await used(store) == Used(2 * 2**40 + 1, 3)


@pytest.mark.parametrize(
    ("maximum", "max_count", "taken"), [(30, 5, 3), (100, 2, 2), (None, None, 9), (9, 1, 0)]
)
async def test_of_amount_and_count_whichever_is_reached_first_holds(
    store: PayoutStore, maximum: int | None, max_count: int | None, taken: int
) -> None:
    window = replace(DAY, maximum=maximum, max_count=max_count)
    assert [await fits(store, window, str(each), 10) for each in range(9)].count(True) == taken
    assert await used(store) == Used(10 * taken, taken)


async def test_a_ceiling_that_was_lowered_holds_for_what_comes(store: PayoutStore) -> None:
    assert await fits(store, DAY, "a", 90)
    lower = replace(DAY, maximum=50, max_count=1)
    assert not await fits(store, lower, "b", 1)
    assert await fits(store, lower, "a", 90)  # it is there
    assert await used(store) == Used(90, 1)


async def test_reserving_again_counts_once(store: PayoutStore) -> None:
    for _ in range(3):
        assert await fits(store, DAY, "$a", 30)
    assert await used(store) == Used(30, 1)


async def test_windows_do_not_mix(store: PayoutStore) -> None:
    other = replace(DAY, window_id="day:TRX:2024-01-01")
    assert await fits(store, DAY, "a", 100)
    assert await fits(store, other, "a", 100)
    await store.release([other.window_id], "a")
    assert await used(store) == Used(100, 1)
    found = await store.used([DAY_ID, other.window_id, "unknown"])
    assert {key: held for key, held in found.items() if held != Used()} == {DAY_ID: Used(100, 1)}


async def test_several_windows_are_reserved_at_once_and_the_full_ones_named(
    store: PayoutStore,
) -> None:
    """In the order in which they were given; the others count it: the caller gives back."""
    windows = [
        a_window("small", maximum=10),
        a_window("large", maximum=1_000),
        a_window("one", maximum=None, max_count=1),
    ]
    small, large, one = windows
    assert list(await store.reserve(windows, "a", 10)) == []
    assert list(await store.reserve(windows, "b", 1)) == [small, one]
    assert list(await store.reserve([one, large, small], "c", 1)) == [one, small]
    held = await store.used([window.window_id for window in windows])
    assert held == {"small": Used(10, 1), "large": Used(12, 3), "one": Used(10, 1)}
    await store.release([window.window_id for window in windows], "b")
    await store.settle_reservations({"small": ["a"], "large": ["a", "c"]})
    await store.release(["small", "large", "one"], "a")
    held = await store.used(["small", "large", "one"])
    assert {key: each for key, each in held.items() if each != Used()} == {
        "small": Used(10, 1),
        "large": Used(11, 2),
    }


@pytest.mark.parametrize("amount", [1, 7])
async def test_racing_reservations_never_exceed(store: PayoutStore, amount: int) -> None:
    window = replace(DAY, maximum=20 * amount)
    taken = await asyncio.gather(
        *(fits(store, window, f"payout_{number}", amount) for number in range(50))
    )
    assert taken.count(True) == 20
    assert await used(store) == Used(20 * amount, 20)


@pytest.mark.parametrize(
    ("tight", "by"), [(0, "maximum"), (1, "max_count"), (2, "max_count"), (3, "maximum")]
)
async def test_of_two_hundred_at_once_exactly_as_many_fit_as_the_tightest_window_takes(
    store: PayoutStore, tight: int, by: str
) -> None:
    """Whichever scope it is: all payouts, a route, a client, a recipient. Who does not fit gives
    back what the other windows hold of it, as services/limits.py does."""
    bounds = {"maximum": 37 * 5} if by == "maximum" else {"maximum": None, "max_count": 37}
    names = ["all", "route", "client", "recipient"]
    windows = [a_window(name, maximum=10**6, max_count=10**6) for name in names]
    windows[tight] = a_window(names[tight], **bounds)

    async def ask(number: int) -> bool:
        full = await store.reserve(windows, f"payout_{number}", 5)
        if full:
            await store.release(names, f"payout_{number}")
        return not full

    taken = await asyncio.gather(*map(ask, range(200)))
    assert taken.count(True) == 37
    assert await store.used(names) == dict.fromkeys(names, Used(37 * 5, 37))


async def test_racing_repeats_of_one_reservation_count_once(store: PayoutStore) -> None:
    taken = await asyncio.gather(*(fits(store, DAY, "a", 3) for _ in range(20)))
    assert taken == [True] * 20
    assert await used(store) == Used(3, 1)


async def test_a_full_window_still_knows_who_is_in_it(store: PayoutStore) -> None:
    assert await fits(store, DAY, "a", 100)
    assert await fits(store, DAY, "a", 100)
    assert await used(store) == Used(100, 1)


async def test_a_release_gives_back_once(store: PayoutStore) -> None:
    await fits(store, DAY, "$a", 60)
    await fits(store, DAY, "b", 40)
    for _ in range(2):
        await store.release([DAY_ID], "$a")
    assert await used(store) == Used(40, 1)
    assert await fits(store, DAY, "c", 60)


async def test_what_was_settled_is_kept_for_ever(store: PayoutStore) -> None:
    await fits(store, DAY, "a", 60)
    await fits(store, DAY, "b", 40)
    await store.settle_reservations({DAY_ID: ["a", "unknown"]})
    await store.release([DAY_ID], "a")
    assert await used(store) == Used(100, 2)
    await store.release([DAY_ID], "b")
    assert await used(store) == Used(60, 1)


async def test_only_what_was_last_reserved_by_then_is_given_back(store: PayoutStore) -> None:
    """Reserving again counts nothing more, but makes the reservation as young as a new one."""
    first = await store.now()
    await store.reserve([DAY, a_window("other")], "$a", 30)
    await store.release([DAY_ID], "$a", first - timedelta(milliseconds=1))
    assert await used(store) == Used(30, 1)
    between = await store.now()
    while await store.now() == between:
        pass
    assert await fits(store, DAY, "$a", 30)
    await store.release([DAY_ID, "other"], "$a", between)
    assert await used(store) == Used(30, 1)
    assert await used(store, "other") == Used()
    await store.release([DAY_ID], "$a", await store.now())
    assert await used(store) == Used()


async def test_a_reservation_that_was_renewed_is_no_orphan(store: PayoutStore) -> None:
    lost = a_payout_id()
    for _ in range(2):
        await fits(store, DAY, lost, 1)
    assert list(await store.orphans(0, 10)) == [(DAY_ID, lost)]
    assert await used(store) == Used(1, 1)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "release", "keep"]),
        st.lists(st.sampled_from(range(3)), min_size=1, unique=True),
        st.sampled_from("ab$"),
        st.integers(1, 6),
    ),
    max_size=12,
)
BOUNDS = st.tuples(st.none() | st.integers(1, 12), st.none() | st.integers(1, 3))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(BOUNDS, BOUNDS, BOUNDS), STEPS)
async def test_the_twins_agree_on_windows(
    mongo_store: MongoPayoutStore, bounds: Any, steps: list[Any]
) -> None:
    await mongo_store._windows.delete_many({})
    names = [f"window {number}" for number in range(3)]
    windows = [
        a_window(name, maximum=maximum, max_count=count)
        for name, (maximum, count) in zip(names, bounds, strict=True)
    ]
    told: list[list[Any]] = []
    for store in (mongo_store, MemoryPayoutStore(TickingClock())):
        answers: list[Any] = []
        for act, places, payout_id, amount in steps:
            some = [windows[place] for place in places]
            if act == "reserve":
                answers.append(list(await store.reserve(some, payout_id, amount)))
            elif act == "release":
                await store.release([window.window_id for window in some], payout_id)
            else:
                await store.settle_reservations({each.window_id: [payout_id] for each in some})
            found = await store.used(names)
            answers.append({name: found.get(name, Used()) for name in names})
        answers.append(sorted(await store.orphans(-1, 100)))
        told.append(answers)
    assert told[0] == told[1]
    for name, (maximum, count) in zip(names, bounds, strict=True):
        held = (await mongo_store.used([name])).get(name, Used())
        assert maximum is None or held.amount <= maximum
        assert count is None or held.count <= count


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
    payout = await inserted(store, window_ids=(DAY_ID,))
    lost, buried = a_payout_id(), a_payout_id()
    for payout_id in (payout.payout_id, lost, buried):
        await fits(store, DAY, payout_id, 1)
    await store.bury(buried)
    assert set(await store.orphans(0, 10)) == {(DAY_ID, lost), (DAY_ID, buried)}
    assert len(await store.orphans(0, 1)) == 1
    await store.release([DAY_ID], buried)
    assert list(await store.orphans(0, 10)) == [(DAY_ID, lost)]


@pytest.mark.parametrize("status", list(PayoutStatus))
async def test_a_reservation_in_a_window_that_its_payout_does_not_count_in_is_an_orphan(
    store: PayoutStore, status: PayoutStatus
) -> None:
    """A payout that was given another route, or was to be: one of both routes' windows is left."""
    new = a_window("new")
    payout = await inserted(store, status=status, window_ids=(DAY_ID,))
    await store.reserve([DAY, new], payout.payout_id, 1)
    assert list(await store.orphans(0, 10)) == [("new", payout.payout_id)]
    await store.release(["new"], payout.payout_id)
    assert list(await store.orphans(0, 10)) == []
    assert await used(store) == Used(1, 1)


async def test_a_young_reservation_is_no_orphan(store: PayoutStore) -> None:
    await fits(store, DAY, "payout_lost", 1)
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
