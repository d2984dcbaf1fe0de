"""What is claimed, and in which order."""

from collections.abc import Collection
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.memory.store import MemoryPayoutStore
from models.money import Currency
from models.order import PayoutType, RouteName
from models.schedule import rank_at
from ports.store import PayoutStore
from tests.contract.conftest import TickingClock
from tests.contract.steps import inserted, stored
from tests.factories import LONG_AGO, a_payout, an_order
from tests.harness import DECISIONS

SCHEDULE = DECISIONS.schedule
STEP = timedelta(seconds=SCHEDULE.ageing_seconds)
SECOND = timedelta(seconds=1)
USDT, TRX = Currency.USDT, Currency.TRX
V0, KYC, DIRECT = RouteName


async def references(
    store: PayoutStore,
    limit: int = 10,
    currencies: Collection[Currency] = tuple(Currency),
    wallets: Collection[str] | None = None,
    without: Collection[RouteName] = (),
) -> list[str | None]:
    """The references of what is claimed, for no time."""
    claim = await store.claim(limit, "owner", "token", 0, currencies, wallets, without)
    return [payout.order.reference for payout in claim.payouts]


async def test_the_lowest_rank_comes_first_and_of_equals_the_first_that_is_due(
    store: PayoutStore,
) -> None:
    """What was kept before there were ranks stands before all."""
    late, early = LONG_AGO + timedelta(hours=1), LONG_AGO
    for name, rank, due_at in [
        ("e", late, late),
        ("d", late, early),
        ("b", None, late),
        ("c", early, late),
        ("a", None, early),
    ]:
        await inserted(store, rank_at=rank, due_at=due_at, order=an_order(reference=name))
    assert await references(store, limit=3) == ["a", "b", "c"]
    assert await references(store) == ["a", "b", "c", "d", "e"]


@pytest.mark.parametrize(
    ("later", "order"), [(STEP - SECOND, ["urgent", "old"]), (STEP + SECOND, ["old", "urgent"])]
)
async def test_what_waits_grows_old_and_is_overtaken_only_for_so_long(
    store: PayoutStore, later: timedelta, order: list[str]
) -> None:
    """Three steps of priority are worth three times the waiting that one is."""
    for name, priority, since in [
        ("old", 5, LONG_AGO),
        ("urgent", 8, LONG_AGO + 2 * STEP + later),
    ]:
        rank = rank_at(PayoutType.IMMEDIATE, priority, since, SCHEDULE)
        await inserted(store, rank_at=rank, order=an_order(reference=name, priority=priority))
    assert await references(store) == order


async def test_an_emergency_goes_before_the_highest_priority(store: PayoutStore) -> None:
    for name, payout_type in [("high", PayoutType.IMMEDIATE), ("top", PayoutType.EMERGENCY)]:
        rank = rank_at(payout_type, 10, LONG_AGO, SCHEDULE)
        await inserted(store, rank_at=rank, order=an_order(reference=name))
    assert await references(store) == ["top", "high"]


async def test_only_the_currencies_that_are_asked_for_are_claimed(store: PayoutStore) -> None:
    payouts = {}
    for number, currency in enumerate([USDT, TRX, USDT]):
        order = an_order(currency=currency, reference=str(number))
        payouts[number] = await inserted(store, order=order, rank_at=LONG_AGO + number * SECOND)
    assert await references(store, currencies=()) == []
    assert await references(store, currencies=[TRX]) == ["1"]
    assert await references(store, currencies=[USDT]) == ["0", "2"]
    assert await references(store, currencies=[TRX, USDT]) == ["0", "1", "2"]
    assert await references(store, 2, currencies=[TRX, USDT]) == ["0", "1"]
    await store.claim(10, "owner", "trx", 60, {TRX})
    leases = {number: (await stored(store, each)).lease for number, each in payouts.items()}
    assert {number for number, lease in leases.items() if lease and lease.token == "trx"} == {1}


async def test_only_the_wallets_that_are_asked_for_pay(store: PayoutStore) -> None:
    """What was given to no wallet is paid by the default one: whoever claims may have it."""
    for number, wallet in enumerate(["$a", "b", None, "$a", "c"]):
        order = an_order(reference=f"{wallet}{number}")
        await inserted(store, order=order, wallet=wallet, rank_at=LONG_AGO + number * SECOND)
    assert await references(store, wallets=None) == ["$a0", "b1", "None2", "$a3", "c4"]
    assert await references(store, wallets=["$a"]) == ["$a0", "None2", "$a3"]
    assert await references(store, wallets={"c", "b"}) == ["b1", "None2", "c4"]
    assert await references(store, wallets={"c", "b"}, limit=1) == ["b1"]
    assert await references(store, wallets=["d"]) == ["None2"]
    assert await references(store, wallets=()) == ["None2"]


async def test_what_is_on_a_route_without_room_waits(store: PayoutStore) -> None:
    for number, route in enumerate([DIRECT, V0, None, KYC, V0]):
        order = an_order(reference=f"{route}{number}")
        await inserted(store, order=order, route=route, rank_at=LONG_AGO + number * SECOND)
    assert await references(store, without=()) == ["direct0", "v01", "None2", "kyc3", "v04"]
    assert await references(store, without=[V0]) == ["direct0", "None2", "kyc3"]
    assert await references(store, without={DIRECT, KYC}, limit=2) == ["v01", "None2"]
    assert await references(store, without=tuple(RouteName)) == ["None2"]


some = st.builds(
    a_payout,
    order=st.builds(an_order, currency=st.sampled_from(Currency)),
    wallet=st.sampled_from([None, "a", "b"]),
    route=st.sampled_from([None, *RouteName]),
    rank_at=st.sampled_from([None, LONG_AGO, LONG_AGO + SECOND]),
    due_at=st.builds(lambda number: LONG_AGO + number * SECOND, st.integers(0, 10**6)),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    payouts=st.lists(some, min_size=1, max_size=12, unique_by=lambda payout: payout.due_at),
    limit=st.integers(1, 8),
    currencies=st.sets(st.sampled_from(Currency)),
    wallets=st.none() | st.sets(st.sampled_from(["a", "b"])),
    without=st.sets(st.sampled_from(RouteName)),
)
async def test_the_twins_claim_the_same_in_the_same_order(
    mongo_store: PayoutStore, payouts, limit, currencies, wallets, without
) -> None:
    await mongo_store._payouts.delete_many({})  # type: ignore[attr-defined]
    claimed = []
    for store in (mongo_store, MemoryPayoutStore(TickingClock())):
        for payout in payouts:
            await store.insert(payout)
        claim = await store.claim(limit, "owner", "token", 0, currencies, wallets, without)
        claimed.append([payout.payout_id for payout in claim.payouts])
    assert claimed[0] == claimed[1]
