"""Reservations of ended and of lost payouts, with a crash between any two steps."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from models.limits import Used
from models.payout import TERMINAL, Payout, PayoutStatus, Reservation
from models.transaction import AttemptState
from ports.store import StoreError
from services.limits import ORPHAN_AGE_SECONDS, LimitReachedError, keeps_reservation
from tests.factories import a_hit, a_payout, a_window, an_attempt
from tests.unit.services.desk import Desk, a_desk
from tests.unit.services.faulty_store import FaultyStore

S = PayoutStatus
AMOUNT = 100
DAY = a_window("day", maximum=1_000)
MONTH = a_window("month", code="P104", maximum=500)
WINDOWS = (DAY.window_id, MONTH.window_id)


async def ended(desk: Desk, status: PayoutStatus, **fields: Any) -> Payout:
    """A payout that has ended, with its reservations."""
    payout = a_payout(status=status, window_ids=WINDOWS, **fields)
    await desk.limits.reserve([DAY, MONTH], payout.payout_id, AMOUNT)
    await desk.memory.insert(payout)
    desk.store.calls.clear()
    return payout


async def used(desk: Desk) -> list[int]:
    return [await desk.used(window_id) for window_id in WINDOWS]


async def reservation(desk: Desk, payout: Payout) -> Reservation:
    found = await desk.memory.get(payout.payout_id)
    assert found is not None
    return found.reservation


async def test_a_payout_counts_in_every_window_or_in_none() -> None:
    desk = a_desk(FaultyStore)
    for number in range(5):
        await desk.limits.reserve([DAY, MONTH], f"payout_{number}", AMOUNT)
    with pytest.raises(LimitReachedError) as reached:
        await desk.limits.reserve([DAY, MONTH], "payout_6", AMOUNT)
    assert (reached.value.window, reached.value.used) == (MONTH, Used(500, 5))
    assert reached.value.refusal.code == "P104"
    assert await used(desk) == [500, 500]


async def test_of_several_full_windows_the_first_one_is_named() -> None:
    desk = a_desk(FaultyStore)
    with pytest.raises(LimitReachedError) as reached:
        await desk.limits.reserve([replace(DAY, maximum=AMOUNT), MONTH, DAY], "payout_1", 501)
    assert reached.value.window.window_id == DAY.window_id


@pytest.mark.parametrize(("taken", "left"), [(400, "0.0001"), (500, "0.00"), (501, "0.00")])
async def test_a_full_window_says_what_is_left_and_until_when(taken: int, left: str) -> None:
    desk = a_desk(FaultyStore)
    await desk.limits.reserve([DAY], "payout_1", taken)
    with pytest.raises(LimitReachedError) as reached:
        await desk.limits.reserve([replace(DAY, maximum=500)], "payout_2", 101)
    refusal = reached.value.refusal
    assert (refusal.code, refusal.field) == ("P103", "amount")
    assert refusal.extra == {
        "limit": "0.0005 USDT",
        "left": f"{left} USDT",
        "resets_at": "2024-01-02T00:00:00Z",
    }
    assert refusal.message == (
        f"the limit of all payouts together is 0.0005 USDT a day, of which {left} USDT are left "
        "until 2024-01-02T00:00:00Z"
    )


async def test_reserving_again_counts_once() -> None:
    desk = a_desk(FaultyStore)
    for _ in range(3):
        await desk.limits.reserve([DAY, MONTH], "payout_1", AMOUNT)
    assert await used(desk) == [AMOUNT, AMOUNT]
    for _ in range(3):
        await desk.limits.release(WINDOWS, "payout_1")
    assert await used(desk) == [0, 0]


SUCCESSFUL = an_attempt(state=AttemptState.SETTLED)


@pytest.mark.parametrize(
    ("status", "hits", "keeps"),
    [
        (S.COMPLETED, (), True),
        (S.FAILED, (), False),
        (S.CANCELLED, (), False),
        (S.REJECTED, (), False),
        (S.EXPIRED, (), False),
        (S.FAILED, (a_hit(SUCCESSFUL, transfers=()),), True),
        (S.FAILED, (a_hit(SUCCESSFUL, contract_ret="REVERT"),), False),
    ],
    ids=[
        "paid",
        "failed",
        "cancelled",
        "rejected",
        "expired",
        "failed by hand after money moved",
        "reverted",
    ],
)
async def test_what_ended_payouts_leave_in_their_windows(
    status: PayoutStatus, hits: Sequence[Any], keeps: bool
) -> None:
    desk = a_desk(FaultyStore)
    payout = await ended(desk, status, hits=tuple(hits))
    assert keeps_reservation(payout) is keeps
    assert await desk.limits.sweep() == 1
    assert await used(desk) == ([AMOUNT, AMOUNT] if keeps else [0, 0])
    expected = Reservation.KEPT if keeps else Reservation.RELEASED
    assert await reservation(desk, payout) is expected
    assert await desk.limits.sweep() == 0


@pytest.mark.parametrize("status", sorted(set(PayoutStatus) - TERMINAL))
async def test_what_has_not_ended_is_left_alone(status: PayoutStatus) -> None:
    desk = a_desk(FaultyStore)
    payout = await ended(desk, status)
    desk.clock.tick(ORPHAN_AGE_SECONDS + 1)
    assert await desk.limits.sweep() == 0
    assert await used(desk) == [AMOUNT, AMOUNT]
    assert await reservation(desk, payout) is Reservation.HELD


async def test_a_request_has_ten_minutes_to_bring_its_payout_in() -> None:
    desk = a_desk(FaultyStore)
    await desk.limits.reserve([DAY, MONTH], "payout_on_its_way", AMOUNT)
    desk.clock.tick(599)
    assert await desk.limits.sweep() == 0
    assert await used(desk) == [AMOUNT, AMOUNT]
    desk.clock.tick(2)
    assert await desk.limits.sweep() == 2
    assert await used(desk) == [0, 0]


async def steps_of_a_sweep() -> list[str]:
    """Every call that finishing one kept, one released and one orphaned reservation makes."""
    desk = a_desk(FaultyStore)
    await three(desk)
    await desk.limits.sweep()
    return list(desk.store.calls)


async def three(desk: Desk) -> tuple[Payout, Payout]:
    kept, released = await ended(desk, S.COMPLETED), await ended(desk, S.CANCELLED)
    await desk.limits.reserve([DAY, MONTH], "payout_lost", AMOUNT)
    desk.clock.tick(ORPHAN_AGE_SECONDS + 1)
    desk.store.calls.clear()
    return kept, released


async def test_a_crash_at_any_step_of_a_sweep_is_made_good_by_the_next() -> None:
    steps = await steps_of_a_sweep()
    assert {"to_release", "settle_reservations", "mark_reservations", "bury"} <= set(steps)
    for position, step in enumerate(steps):
        for when in ("before", "after"):
            desk = a_desk(FaultyStore)
            kept, released = await three(desk)
            desk.store.fail(step, when, skip=steps[:position].count(step))
            with pytest.raises(StoreError):
                await desk.limits.sweep()
            assert all(amount >= AMOUNT for amount in await used(desk)), (step, when)
            await desk.limits.sweep()
            assert await used(desk) == [AMOUNT, AMOUNT], (step, when)
            assert await reservation(desk, kept) is Reservation.KEPT
            assert await reservation(desk, released) is Reservation.RELEASED


async def test_a_young_reservation_is_no_orphan() -> None:
    desk = a_desk(FaultyStore)
    await desk.limits.reserve([DAY], "payout_on_its_way", AMOUNT)
    desk.clock.tick(ORPHAN_AGE_SECONDS - 1)
    assert await desk.limits.sweep() == 0
    assert await desk.used("day") == AMOUNT


async def test_a_payout_that_arrives_just_then_keeps_its_reservation() -> None:
    desk = a_desk(FaultyStore)
    payout = a_payout(window_ids=("day",))
    await desk.limits.reserve([DAY], payout.payout_id, AMOUNT)
    desk.clock.tick(ORPHAN_AGE_SECONDS + 1)

    async def arrive() -> None:
        await desk.memory.insert(payout)

    desk.store.meanwhile("orphans", "after", arrive)
    await desk.limits.sweep()
    assert await desk.used("day") == AMOUNT
    assert await desk.memory.get(payout.payout_id) == payout


async def test_finishing_twice_changes_nothing() -> None:
    desk = a_desk(FaultyStore)
    released = await ended(desk, S.FAILED)
    for _ in range(3):
        await desk.limits.finish([released])
    later = replace(released, status=S.COMPLETED)  # a judgement that comes too late
    await desk.limits.finish([later])
    assert await reservation(desk, released) is Reservation.RELEASED
    assert await used(desk) == [0, 0]
