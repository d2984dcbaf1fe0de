"""Figures of routes: what is open, what ended lately, what the last completed payouts took."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.memory.figures import MemoryFigures
from adapters.memory.store import MemoryPayoutStore
from adapters.mongo.figures import Figures
from adapters.mongo.store import MongoPayoutStore
from models.figures import FEES_SECONDS, Fees, Latency, RouteFigures
from models.money import Currency
from models.order import RouteName
from models.payout import Event, Payout, PayoutStatus
from models.transaction import Attempt, AttemptState
from ports.figures import FiguresStore
from ports.store import PayoutStore
from tests.contract.steps import moved, put, recording
from tests.factories import a_hit, a_payout, an_attempt, an_order

HOUR = 3_600
V0, KYC, DIRECT = RouteName
COMPLETED, FAILED = PayoutStatus.COMPLETED, PayoutStatus.FAILED
IDLE = RouteFigures()


def ended(
    route: RouteName, now: datetime, age: float, *, took: float = 0, **overrides: Any
) -> Payout:
    """A payout that ended so many seconds ago, so many seconds after its creation."""
    end = now - timedelta(seconds=age)
    created = end - timedelta(seconds=took)
    status = overrides.pop("status", COMPLETED)
    return a_payout(route=route, status=status, created_at=created, updated_at=end, **overrides)


def closed(fee_sun: int, state: AttemptState = AttemptState.SETTLED) -> Attempt:
    """An attempt that the chain ended, and what it burned."""
    attempt = an_attempt()
    return an_attempt(state=state, hit=a_hit(attempt, fee_sun=fee_sun))


@pytest.fixture
def figures(store: PayoutStore) -> FiguresStore:
    """The port's implementation that is beside a store."""
    if isinstance(store, MemoryPayoutStore):
        return MemoryFigures(store._payouts, store._now)
    assert isinstance(store, MongoPayoutStore)
    return Figures(store._database)


async def of_v0(figures: FiguresStore, sample: int = 100) -> RouteFigures:
    """The figures of v0; the other routes must be idle."""
    found = await figures.route_figures(HOUR, sample)
    assert (found[KYC], found[DIRECT]) == (IDLE, IDLE)
    return found[V0]


async def test_a_route_without_payouts_is_idle(figures: FiguresStore) -> None:
    assert await figures.route_figures(HOUR, 100) == dict.fromkeys(RouteName, IDLE)


async def test_a_payout_without_route_counts_nowhere(
    store: PayoutStore, figures: FiguresStore
) -> None:
    for status in PayoutStatus:
        await store.insert(a_payout(status=status, updated_at=await store.now()))
    assert await of_v0(figures) == IDLE


async def test_open_payouts_are_waiting_or_in_flight(
    store: PayoutStore, figures: FiguresStore
) -> None:
    for status, count in [(PayoutStatus.PENDING, 3), (PayoutStatus.PROCESSING, 2)]:
        for _ in range(count):
            await store.insert(a_payout(route=V0, status=status))
    for status in (PayoutStatus.NEEDS_REVIEW, PayoutStatus.CANCELLED, PayoutStatus.EXPIRED):
        await store.insert(a_payout(route=V0, status=status, updated_at=await store.now()))
    assert await of_v0(figures) == RouteFigures(waiting=3, in_flight=2)


async def test_every_route_has_its_own(store: PayoutStore, figures: FiguresStore) -> None:
    for count, route in enumerate(RouteName, start=1):
        for _ in range(count):
            await store.insert(a_payout(route=route))
    found = await figures.route_figures(HOUR, 100)
    assert {route: each.waiting for route, each in found.items()} == {V0: 1, KYC: 2, DIRECT: 3}


async def test_ends_count_while_they_are_in_the_window(
    store: PayoutStore, figures: FiguresStore
) -> None:
    now = await store.now()
    ages = {COMPLETED: [60, 120, HOUR - 60, HOUR + 60], FAILED: [180, 90, 2 * HOUR]}
    for status, each in ages.items():
        for age in each:
            await store.insert(ended(V0, now, age, status=status))
    found = await of_v0(figures)
    assert (found.ended, found.failed) == (5, 2)
    assert found.last_failed_at == now - timedelta(seconds=90)
    assert found.last_completed_at == now - timedelta(seconds=60)


async def test_a_failure_that_left_the_window_is_forgotten(
    store: PayoutStore, figures: FiguresStore
) -> None:
    now = await store.now()
    await store.insert(ended(V0, now, HOUR + 60, status=FAILED))
    assert await of_v0(figures) == IDLE


async def test_latency_is_of_the_last_completed(store: PayoutStore, figures: FiguresStore) -> None:
    now = await store.now()
    for number in range(1, 101):
        await store.insert(ended(V0, now, age=number * HOUR, took=number))
    found = await of_v0(figures)
    assert (found.sampled, found.latency) == (100, Latency(50, 95, 99))
    assert found.ended == 0
    fewer = await of_v0(figures, sample=10)
    assert (fewer.sampled, fewer.latency) == (10, Latency(5, 10, 10))


async def test_latency_starts_when_a_payout_could_be_paid(
    store: PayoutStore, figures: FiguresStore
) -> None:
    now = await store.now()
    moves = [
        (9_000, None, PayoutStatus.NEEDS_REVIEW),
        (40, PayoutStatus.NEEDS_REVIEW, PayoutStatus.PENDING),
        (30, PayoutStatus.PENDING, PayoutStatus.PROCESSING),
        (20, PayoutStatus.PROCESSING, PayoutStatus.PENDING),
        (10, PayoutStatus.PENDING, COMPLETED),
    ]
    history = tuple(
        Event(now - timedelta(seconds=age), "test", before, after, None)
        for age, before, after in moves
    )
    await store.insert(ended(V0, now, age=10, took=9_000, history=history))
    assert (await of_v0(figures)).latency == Latency(30, 30, 30)


async def test_the_fee_is_all_that_transactions_of_a_payout_burned(
    store: PayoutStore, figures: FiguresStore
) -> None:
    now = await store.now()
    dead = an_attempt(state=AttemptState.DEAD)
    twice = (closed(7_000_000, AttemptState.FAILED_ON_CHAIN), dead, closed(13_000_000))
    await store.insert(ended(V0, now, 10, attempts=twice))
    assert (await of_v0(figures)).fees == {Currency.USDT: Fees(1, 20_000_000)}
    await store.insert(ended(V0, now, 20, linked_hit=a_hit(fee_sun=1_000_000)))
    await store.insert(ended(V0, now, 30))
    await store.insert(ended(V0, now, 40, status=FAILED, attempts=twice))
    assert (await of_v0(figures)).fees == {Currency.USDT: Fees(3, 7_000_000)}
    assert (await of_v0(figures, sample=2)).fees == {Currency.USDT: Fees(2, 10_500_000)}


async def test_each_currency_has_its_own_fees(store: PayoutStore, figures: FiguresStore) -> None:
    now, in_trx = await store.now(), an_order(currency=Currency.TRX)
    for age, burned in ((10, 13_000_000), (20, 14_000_000)):
        await store.insert(ended(V0, now, age, attempts=(closed(burned),)))
    await store.insert(ended(V0, now, 30, order=in_trx, attempts=(closed(345_000),)))
    assert (await of_v0(figures)).fees == {
        Currency.USDT: Fees(2, 13_500_000),
        Currency.TRX: Fees(1, 345_000),
    }


async def test_what_was_burned_long_ago_says_nothing(
    store: PayoutStore, figures: FiguresStore
) -> None:
    now = await store.now()
    for age, burned in ((FEES_SECONDS - 60, 13_000_000), (FEES_SECONDS + 60, 99_000_000)):
        await store.insert(ended(V0, now, age, attempts=(closed(burned),)))
    found = await of_v0(figures)
    assert (found.sampled, found.fees) == (2, {Currency.USDT: Fees(1, 13_000_000)})


async def test_it_follows_the_payouts(store: PayoutStore, figures: FiguresStore) -> None:
    payout = a_payout(route=V0)
    await store.insert(payout)
    assert (await of_v0(figures)).waiting == 1
    await put(store, recording(payout, an_attempt(payout)))
    assert await of_v0(figures) == RouteFigures(in_flight=1)
    done = await moved(store, payout, COMPLETED, close_as=AttemptState.SETTLED)
    found = await of_v0(figures)
    assert (found.in_flight, found.ended, found.sampled) == (0, 1, 1)
    assert found.last_completed_at == done.completed_at


# twins

AGES = st.sampled_from([30, 1_000, HOUR - 60, HOUR + 60, 10 * HOUR])
"""Far from the edge of the window, so that the time that a test takes moves nothing across."""

FEES = st.lists(st.sampled_from([0, 1, 345_000, 13_844_850, 2**40]), max_size=3)
PAYOUTS = st.fixed_dictionaries(
    {
        "route": st.sampled_from([None, *RouteName]),
        "status": st.sampled_from(PayoutStatus),
        "age": AGES,
        "took_ms": st.integers(0, 10**7),
        "fees": FEES,
        "currency": st.sampled_from(Currency),
        "pending_ages": st.lists(AGES, max_size=2),
    }
)


def of_case(case: Mapping[str, Any], number: int, now: datetime) -> Payout:
    """The payout of a case; the number keeps any two from ending at the same moment."""
    end = now - timedelta(seconds=case["age"], milliseconds=number)
    history = tuple(
        Event(now - timedelta(seconds=age), "test", None, PayoutStatus.PENDING, None)
        for age in case["pending_ages"]
    )
    return a_payout(
        route=case["route"],
        order=an_order(currency=case["currency"]),
        status=case["status"],
        created_at=end - timedelta(milliseconds=case["took_ms"]),
        updated_at=end,
        history=history,
        attempts=tuple(map(closed, case["fees"])),
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PAYOUTS, max_size=12), st.integers(1, 4))
async def test_the_twins_agree_on_figures(
    mongo_store: MongoPayoutStore, cases: list[Mapping[str, Any]], sample: int
) -> None:
    await mongo_store._payouts.delete_many({})
    now = await mongo_store.now()
    memory_store = MemoryPayoutStore(lambda: now)
    for number, case in enumerate(cases):
        payout = of_case(case, number, now)
        for store in (mongo_store, memory_store):
            await store.insert(payout)
    twins = (
        Figures(mongo_store._database),
        MemoryFigures(memory_store._payouts, memory_store._now),
    )
    found = [await twin.route_figures(HOUR, sample) for twin in twins]
    assert found[0] == found[1]
