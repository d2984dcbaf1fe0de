"""A request becomes one payout that survives, or is refused with nothing done."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.address import ZERO_ADDRESS
from models.errors import PayoutError
from models.money import BASE_UNITS, Currency
from models.payout import Payout, PayoutStatus, Reservation
from models.permission import grants_of, parse_permission
from ports.store import PayoutQuery, StoreError
from services.limits import ORPHAN_AGE_SECONDS
from tests.factories import OWNER, RECIPIENT, USDT_CONTRACT
from tests.harness import POLICIES
from tests.unit.services.desk import DAILY, SERVICE, USER, Desk, a_desk, a_request
from tests.unit.services.faulty_store import FaultyStore, SlowStore

USDT_12_50 = 12_500_000


async def payouts(desk: Desk) -> list[Payout]:
    return list(await desk.memory.list(PayoutQuery(), 1_000))


async def test_an_accepted_payout_is_pending_and_reserved() -> None:
    desk = a_desk()
    created = await desk.create(key="k")
    payout = await desk.memory.get(created.payout.payout_id)
    assert payout == created.payout
    assert payout is not None
    assert not created.replayed
    assert (payout.status, payout.reservation) == (PayoutStatus.PENDING, Reservation.HELD)
    assert payout.client == SERVICE.subject
    assert payout.due_at == payout.created_at == payout.updated_at == desk.clock.at
    assert payout.window_ids == (desk.window_id,)
    assert await desk.used() == USDT_12_50
    (event,) = payout.history
    assert (event.by, event.from_status, event.to_status) == (
        "SERVICE:platform",
        None,
        PayoutStatus.PENDING,
    )


async def test_an_accepted_payout_wakes_the_dispatcher() -> None:
    desk = a_desk()
    await desk.create()
    await desk.wakeups.wait(3_600)  # returns at once


async def test_the_same_key_and_body_give_the_same_payout() -> None:
    desk = a_desk()
    first = await desk.create(key="k", body="same")
    again = await desk.create(key="k", body="same")
    assert again.payout == first.payout
    assert (first.replayed, again.replayed) == (False, True)
    assert await desk.used() == USDT_12_50


async def test_a_replay_shows_the_payout_as_it_stands() -> None:
    desk = a_desk()
    first = await desk.create(key="k", body="same")
    await desk.router.cancel(SERVICE, first.payout.payout_id, None)
    assert (await desk.create(key="k", body="same")).payout.status is PayoutStatus.CANCELLED


async def test_the_same_key_with_another_body_is_refused() -> None:
    desk = a_desk()
    await desk.create(key="k", body="one")
    with pytest.raises(PayoutError) as refusal:
        await desk.create(key="k", body="other")
    assert (refusal.value.code, refusal.value.field) == ("P005", "Idempotency-Key")
    assert await desk.used() == USDT_12_50


async def test_keys_are_per_client() -> None:
    desk = a_desk()
    ours = await desk.create(key="k", body="same")
    theirs = await desk.create(USER, key="k", body="same")
    assert ours.payout.payout_id != theirs.payout.payout_id


async def test_without_a_key_every_request_is_a_payout() -> None:
    desk = a_desk()
    for _ in range(3):
        await desk.create(body="same")
    assert len(await payouts(desk)) == 3
    assert await desk.used() == 3 * USDT_12_50


async def test_a_replay_is_answered_even_when_it_would_now_be_refused() -> None:
    desk = a_desk()
    expires_at = desk.clock.at + timedelta(seconds=60)
    first = await desk.create(key="k", body="same", expires_at=expires_at)
    desk.clock.tick(3_600)
    await desk.create(amount=500 * BASE_UNITS)
    again = await desk.create(key="k", body="same", expires_at=expires_at)
    assert again.payout.payout_id == first.payout.payout_id


@given(st.integers(0, 10**6))
async def test_fifty_at_once_with_one_key_are_one_payout(seed: int) -> None:
    desk = a_desk(lambda memory: SlowStore(memory, seed))
    created = await asyncio.gather(*(desk.create(key="k", body="same") for _ in range(50)))
    assert len({each.payout.payout_id for each in created}) == 1
    assert sum(not each.replayed for each in created) == 1
    assert len(await payouts(desk)) == 1
    assert await desk.used() == USDT_12_50


@given(st.integers(0, 10**6))
async def test_fifty_at_once_with_one_key_and_two_bodies_are_one_payout(seed: int) -> None:
    desk = a_desk(lambda memory: SlowStore(memory, seed))
    answers = await asyncio.gather(
        *(desk.create(key="k", body=f"body {number % 2}") for number in range(50)),
        return_exceptions=True,
    )
    codes = [each.code for each in answers if isinstance(each, PayoutError)]
    assert codes == ["P005"] * 25
    assert len(await payouts(desk)) == 1
    assert await desk.used() == USDT_12_50


@settings(max_examples=settings.default.max_examples // 5)
@given(st.integers(0, 10**6))
async def test_two_hundred_at_once_never_exceed_the_day(seed: int) -> None:
    desk = a_desk(lambda memory: SlowStore(memory, seed))
    sizes = [(7 + 13 * number % 40) * BASE_UNITS for number in range(200)]
    answers = await asyncio.gather(
        *(desk.create(amount=size) for size in sizes), return_exceptions=True
    )
    refused = [each for each in answers if isinstance(each, BaseException)]
    assert refused
    assert all(isinstance(each, PayoutError) and each.code == "P103" for each in refused)
    accepted = sum(payout.order.amount for payout in await payouts(desk))
    assert accepted == await desk.used() <= DAILY
    assert accepted > DAILY - 47 * BASE_UNITS


async def test_a_full_day_says_what_is_left_and_until_when() -> None:
    desk = a_desk()
    await desk.create(amount=500 * BASE_UNITS)
    await desk.create(amount=490 * BASE_UNITS)
    with pytest.raises(PayoutError) as refusal:
        await desk.create(amount=11 * BASE_UNITS)
    assert refusal.value.code == "P103"
    assert refusal.value.extra == {
        "limit": "1000.00 USDT",
        "left": "10.00 USDT",
        "resets_at": "2026-03-02T00:00:00Z",
    }
    await desk.create(amount=10 * BASE_UNITS)
    desk.clock.tick(12 * 3_600)
    await desk.create(amount=500 * BASE_UNITS)
    assert await desk.used() == 500 * BASE_UNITS


@pytest.mark.parametrize(
    ("order", "code", "field"),
    [
        ({"recipient_address": ZERO_ADDRESS}, "P100", "recipient_address"),
        ({"recipient_address": OWNER}, "P100", "recipient_address"),
        ({"recipient_address": USDT_CONTRACT}, "P100", "recipient_address"),
        ({"currency": Currency.TRX}, "P106", "currency"),
        ({"amount": 0}, "P101", "amount"),
        ({"amount": 9_999}, "P101", "amount"),
        ({"amount": 500 * BASE_UNITS + 1}, "P102", "amount"),
        ({"expires_in": 0}, "P503", "expires_at"),
        ({"expires_in": -1}, "P503", "expires_at"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
async def test_a_refusal_leaves_nothing_behind(
    order: dict[str, Any], code: str, field: str
) -> None:
    desk = a_desk()
    if "expires_in" in order:
        order = {"expires_at": desk.clock.at + timedelta(seconds=order["expires_in"])}
    with pytest.raises(PayoutError) as refusal:
        await desk.create(key="k", **order)
    assert (refusal.value.code, refusal.value.field) == (code, field)
    assert await payouts(desk) == []
    assert await desk.used() == 0
    assert await desk.memory.orphans(0, 10) == []
    accepted = await desk.create(key="k", recipient_address=RECIPIENT)
    assert not accepted.replayed  # a refused request does not use its key up


async def test_a_refused_day_leaves_no_reservation() -> None:
    desk = a_desk()
    for _ in range(2):
        await desk.create(amount=500 * BASE_UNITS)
    with pytest.raises(PayoutError):
        await desk.create()
    desk.clock.tick(ORPHAN_AGE_SECONDS + 1)
    assert await desk.memory.orphans(0, 10) == []


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("times", range(1, POLICIES.saving.tries))
async def test_an_unclear_insert_is_asked_again(when: Any, times: int) -> None:
    desk = a_desk(FaultyStore)
    desk.store.fail("insert", when, times)
    created = await desk.create(key="k")
    assert await payouts(desk) == [created.payout]
    assert await desk.used() == USDT_12_50


async def test_what_was_kept_without_an_answer_is_found_by_its_key() -> None:
    desk = a_desk(FaultyStore)
    desk.store.fail("insert", "after", POLICIES.saving.tries)
    created = await desk.create(key="k")
    assert created.replayed
    assert await payouts(desk) == [created.payout]
    assert await desk.used() == USDT_12_50


async def test_a_payout_that_is_not_known_to_be_kept_is_no_success() -> None:
    desk = a_desk(FaultyStore)
    desk.store.fail("insert", "before", POLICIES.saving.tries)
    with pytest.raises(PayoutError) as refusal:
        await desk.create(key="k", body="same")
    assert refusal.value.code == "P700"
    assert desk.store.calls.count("insert") == POLICIES.saving.tries
    assert await payouts(desk) == []

    kept = await desk.create(key="k", body="same")
    assert not kept.replayed
    desk.clock.tick(ORPHAN_AGE_SECONDS + 1)
    await desk.limits.sweep()
    assert await desk.used() == USDT_12_50


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_lost_answer_to_a_reservation_is_undone_later(when: Any) -> None:
    desk = a_desk(FaultyStore)
    desk.store.fail("reserve", when)
    with pytest.raises(StoreError):
        await desk.create()
    assert await payouts(desk) == []
    desk.clock.tick(ORPHAN_AGE_SECONDS + 1)
    await desk.limits.sweep()
    assert await desk.used() == 0


async def test_a_payout_that_was_given_up_cannot_arrive_late() -> None:
    desk = a_desk(FaultyStore)

    async def give_up() -> None:
        desk.clock.tick(ORPHAN_AGE_SECONDS + 1)
        await desk.limits.sweep()

    desk.store.meanwhile("insert", "before", give_up)
    with pytest.raises(PayoutError) as refusal:
        await desk.create()
    assert refusal.value.code == "P700"
    assert await payouts(desk) == []
    assert await desk.used() == 0


async def test_a_twin_that_comes_in_first_wins() -> None:
    desk = a_desk(FaultyStore)

    async def twin() -> None:
        await desk.create(key="k", body="same")

    desk.store.meanwhile("insert", "before", twin)
    created = await desk.create(key="k", body="same")
    assert created.replayed
    assert await payouts(desk) == [created.payout]
    assert await desk.used() == USDT_12_50


async def test_a_twin_is_found_before_a_refusal() -> None:
    """The twin took what was left of the day: the same request is no refusal but a replay."""
    desk = a_desk(FaultyStore)
    await desk.create(amount=500 * BASE_UNITS)

    async def twin() -> None:
        await desk.create(key="k", body="same", amount=500 * BASE_UNITS)

    desk.store.meanwhile("reserve", "before", twin)
    created = await desk.create(key="k", body="same", amount=500 * BASE_UNITS)
    assert created.replayed
    assert await desk.used() == DAILY


async def test_a_taken_key_without_its_payout_is_still_arriving() -> None:
    """The index says "taken" while a read finds nothing yet: retryable, never a double."""

    class Behind(FaultyStore):
        async def find_by_key(self, client: str, key: str, tenant: str | None = None) -> None:
            return None

    desk = a_desk(Behind)
    await desk.create(key="k", body="same")
    with pytest.raises(PayoutError) as refusal:
        await desk.create(key="k", body="same")
    assert refusal.value.code == "P006"
    assert len(await payouts(desk)) == 1
    assert await desk.used() == USDT_12_50


# pauses


@pytest.mark.parametrize(
    ("gate", "paused"), [("pause:intake", "all"), ("pause:intake:USDT", "USDT")]
)
async def test_while_the_intake_is_paused_nothing_is_taken(gate: str, paused: str) -> None:
    desk = a_desk()
    await desk.memory.close_gate(gate, "the token is being upgraded", closed_by="ADMIN:ada")
    with pytest.raises(PayoutError, match="is paused: the token is being upgraded") as refusal:
        await desk.create(key="k")
    assert (refusal.value.code, refusal.value.field) == ("P017", None)
    assert refusal.value.extra == {
        "paused": paused,
        "since": "2026-03-01T12:00:00Z",
        "reason": "the token is being upgraded",
    }
    assert "ada" not in str(refusal.value.extra)  # a client need not know who
    assert await payouts(desk) == []
    assert await desk.used() == 0
    desk.clock.tick(ORPHAN_AGE_SECONDS + 1)
    assert await desk.memory.orphans(0, 10) == []
    await desk.memory.open_gate(gate)
    assert not (await desk.create(key="k")).replayed


@pytest.mark.parametrize(
    "gate", ["pause:intake:TRX", "pause:dispatch", "pause:dispatch:USDT", "frozen", "restored"]
)
async def test_other_gates_keep_no_payout_out(gate: str) -> None:
    desk = a_desk()
    await desk.memory.close_gate(gate, "because")
    await desk.create()
    assert len(await payouts(desk)) == 1


async def test_a_replay_is_answered_while_the_intake_is_paused() -> None:
    desk = a_desk()
    first = await desk.create(key="k", body="same")
    await desk.memory.close_gate("pause:intake", "stop")
    again = await desk.create(key="k", body="same")
    assert (again.payout, again.replayed) == (first.payout, True)
    with pytest.raises(PayoutError) as refusal:
        await desk.create(key="k", body="other")
    assert refusal.value.code == "P005"


async def test_a_twin_that_came_in_just_before_the_pause_is_found() -> None:
    desk = a_desk(FaultyStore)

    async def twin_then_pause() -> None:
        await desk.create(key="k", body="same")
        await desk.memory.close_gate("pause:intake", "stop")

    desk.store.meanwhile("gates", "before", twin_then_pause)
    created = await desk.create(key="k", body="same")
    assert created.replayed
    assert await payouts(desk) == [created.payout]


async def test_only_who_may_creates() -> None:
    desk = a_desk()
    nobody = replace(USER, grants=grants_of([parse_permission("payout:view:all")]))
    with pytest.raises(PayoutError) as refusal:
        await desk.router.create(nobody, a_request())
    assert refusal.value.code == "P002"
    assert await payouts(desk) == []
